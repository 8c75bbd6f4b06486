"""Any config and any override is a run that can be described, or lines that say what is wrong: never a traceback."""

import tomllib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jmc.cli import main
from jmc.train.config.schema import TABLES, choices, key_schemas
from jmc.train.config.toml_source import dump, dump_tables

NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 2, 10**6, 10**9, 10**9 + 1, 10**12, 2**63, 10**400, 0.5, 1.0, 1e-300, 1e300]),
    st.integers(),
    st.floats(),
)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
ANYTHING = st.recursive(
    st.one_of(st.booleans(), NUMBERS, TEXT, st.dates(), st.times()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=5,
)


def likely(table, key):
    """Values that the key may have, more often than not."""
    words = choices(key_schemas(table)[key])
    small = st.integers(1, 40)
    return st.one_of(
        *([st.sampled_from(words)] if words else []), small, st.floats(1e-6, 0.9), st.lists(small, max_size=3), ANYTHING
    )


KEYS = [(table, key) for table, model in TABLES.items() for key in model.model_fields]
SOUND = {
    "data": {"path": "own.npz"},
    "model": {"kind": "neuron"},
    "loss": {"kind": "mean_squared_error"},
    "optimizer": {"learning_rate": 0.1},
    "train": {"steps": 10},
}


@st.composite
def configs(draw):
    """A sound config, with some of its keys set to anything, left out or misspelt."""
    tables = {name: dict(table) for name, table in SOUND.items()}
    for table, key in draw(st.lists(st.sampled_from(KEYS), max_size=5)):
        tables.setdefault(table, {})[key] = draw(likely(table, key))
    for table, key in draw(st.lists(st.sampled_from(KEYS), max_size=1)):
        tables.get(table, {}).pop(key, None)
    for name, key in draw(st.lists(st.tuples(st.one_of(st.sampled_from([*TABLES]), TEXT), TEXT), max_size=1)):
        tables.setdefault(name, {})[key] = draw(ANYTHING)
    return dump_tables(tables)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    drawn = np.random.default_rng(0)
    np.savez("own.npz", X=drawn.normal(size=(30, 2)), y=drawn.normal(size=30))
    return tmp_path


def described(capsys, *arguments):
    """What is said of a config that only is to be described."""
    capsys.readouterr()
    code = main(["train", *arguments, "--dry-run", "--quiet"])
    out, err = capsys.readouterr()
    assert code in (0, 2)
    assert (out != "", err != "") == ((True, False) if code == 0 else (False, True))
    assert "Traceback" not in err
    return code


FUZZ = settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@FUZZ
@given(text=configs())
def test_tables(folder, capsys, text):
    (folder / "any.toml").write_text(text, encoding="utf-8")
    described(capsys, "any.toml")


@FUZZ
@given(
    content=st.one_of(
        st.binary(max_size=200),
        configs().map(str.encode).flatmap(lambda text: st.integers(0, len(text)).map(lambda at: text[:at])),
    )
)
def test_bytes(folder, capsys, content):
    (folder / "any.toml").write_bytes(content)
    described(capsys, "any.toml")


@FUZZ
@given(
    st.lists(
        st.one_of(
            TEXT,
            st.sampled_from(KEYS).flatmap(lambda at: likely(*at).map(lambda value: f"{'.'.join(at)}={dump(value)}")),
        ),
        max_size=4,
    )
)
def test_overrides(folder, capsys, overrides):
    (folder / "sound.toml").write_text(dump_tables(SOUND))
    described(capsys, "sound.toml", *(f"--set={override}" for override in overrides))


def test_the_sound_config_is_sound(folder, capsys):
    (folder / "sound.toml").write_text(dump_tables(SOUND))
    assert tomllib.loads((folder / "sound.toml").read_text()) == SOUND
    assert described(capsys, "sound.toml") == 0
