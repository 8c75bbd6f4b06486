"""The house keeps its order: floors, lazy doors, one way in, and nothing said twice."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jmc

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "jmc"
MODULES = sorted(SOURCE.rglob("*.py"))
FLOORS = {
    "linear": 0,
    "page": 0,
    "catalogue": 1,
    "differentiate": 2,
    "checking": 2,
    "symbolic": 2,
    "train": 3,
    "bench": 3,
    "cli": 4,
}
# Rooms of one floor that read another: the arrows that are drawn.
DRAWN = {
    ("checking", "differentiate"),
    ("symbolic", "differentiate"),
    ("symbolic", "checking"),
}
# The rooms within train, in the order in which they may read each other; what lies in none of them stands above them.
WITHIN_TRAIN = ["config", "data", "learning", "persistence", "report"]


def imported(path):
    """The names of the modules that a file imports, at its top or inside its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path):
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_downward(path):
    here = room(path)
    for name in imported(path):
        assert not name.startswith("jax._src"), f"{path} imports {name}"
        if here is None or not name.startswith("jmc."):
            continue
        there = name.split(".")[1]
        assert there in FLOORS, f"{path} imports {name}: only `import jmc` itself looks into its front door"
        below = FLOORS[there] < FLOORS[here] or there == here or (here, there) in DRAWN
        assert below, f"{path} imports {name} from a floor that is not below"


@pytest.mark.parametrize("here", WITHIN_TRAIN)
def test_the_rooms_of_train_read_only_those_before_them(here):
    before = WITHIN_TRAIN[: WITHIN_TRAIN.index(here) + 1]
    for path in (SOURCE / "train" / here).rglob("*.py"):
        for name in imported(path):
            if name.startswith("jmc.train."):
                assert name.split(".")[2] in before, f"{path} imports {name}"


def test_every_room_has_a_floor():
    assert {room(path) for path in MODULES} - {None} <= set(FLOORS)
    assert {path.parent.name for path in MODULES if path.parent.parent == SOURCE / "train"} == set(WITHIN_TRAIN)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_are_short_and_say_what_they_are(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"
    assert len(text.splitlines()) <= 320


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_front_door_is_light():
    heavy = "('jax', 'numpy', 'sklearn', 'matplotlib', 'pydantic', 'rich')"
    code = f"import sys, jmc, jmc.cli; print([name for name in {heavy} if name in sys.modules])"
    assert run(code).strip() == "[]"


def test_what_is_asked_for_and_what_is_read_need_no_jax():
    rooms = [path for here in ("config", "data") for path in (SOURCE / "train" / here).glob("*.py")]
    names = ", ".join(f"jmc.train.{path.parent.name}.{path.stem}" for path in rooms if path.stem != "__init__")
    assert run(f"import sys, {names}; print('jax' in sys.modules)").strip() == "False"


def test_public_names_stay_the_same_objects():
    modules = [".".join(path.relative_to(SOURCE.parent).with_suffix("").parts) for path in MODULES]
    modules = [name.removesuffix(".__init__") for name in modules if not name.endswith("__main__")]
    code = f"""
import importlib, jmc
before = {{name: getattr(jmc, name) for name in jmc.__all__}}
for module in {modules}:
    importlib.import_module(module)
print([name for name, value in before.items() if getattr(jmc, name) is not value])
"""
    assert run(code).strip() == "[]"


def test_type_checkers_see_the_names_that_load():
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    seen = {
        (node.module, alias.name) for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert seen == {(f"jmc.{room}", name) for name, room in jmc._ROOM_OF.items()}
    assert set(jmc.__all__) == {"__version__", *jmc._ROOM_OF}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        jmc.nothing  # noqa: B018 - it is the access that raises


def test_tests_mirror_the_source():
    rooms = {path.parent.relative_to(SOURCE) for path in MODULES}
    rooms.add(Path("faults"))  # what befalls a run comes from outside, whatever the room
    for test in (ROOT / "tests").rglob("test_*.py"):
        assert test.parent.relative_to(ROOT / "tests") in rooms


def tracked():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.splitlines() if (ROOT / name).is_file()]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="outside a checkout nothing tells which files are committed")
def test_no_file_names_a_package_index():
    hosts = re.compile("|".join(["pypi" + r"\.org", "python" + r"hosted\.org", "npm" + r"js\.(com|org)"]))
    for path in tracked():
        assert not hosts.search(path.read_text(errors="ignore")), path


@pytest.mark.parametrize("name", ["run", "dev"])
def test_locks_pin_every_package_with_hashes(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = [entry for entry in re.split(r"\n(?=\S)", text.strip()) if not entry.startswith("#")]
    assert len(entries) > 30
    for entry in entries:
        assert re.match(r"[\w.-]+==[\w.]+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+$", entry), entry
    assert "://" not in text


def test_the_run_lock_is_part_of_the_dev_lock():
    run_lock, dev_lock = (
        set(re.findall(r"^(\S+==\S+)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE))
        for name in ("run", "dev")
    )
    assert run_lock <= dev_lock


def test_version_is_said_once():
    import tomllib

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == jmc.__version__
