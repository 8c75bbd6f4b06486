import json
import math
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jmc.train.config import schema
from jmc.train.config.conflicts import indivisible
from jmc.train.config.loading import ConfigError, load, to_dict, to_toml
from jmc.train.config.schema import TABLES, Config

CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.toml"))
GOOD = """\
[data]
name = "diabetes"
[model]
kind = "neuron"
[loss]
kind = "mean_squared_error"
[optimizer]
learning_rate = 0.1
[train]
steps = 10
"""
NETWORK = ["model.kind=network", "model.widths=[8, 4]"]
DIGITS = ["data.name=digits", "loss.kind=softmax_cross_entropy", *NETWORK]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        Path("c.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return "c.toml"

    return write


@pytest.fixture
def good(write):
    return write(GOOD)


def errors(path, *overrides):
    with pytest.raises(ConfigError) as caught:
        load(path, overrides)
    assert str(caught.value) == "\n".join(caught.value.lines)
    assert all("\n" not in line for line in caught.value.lines)
    return list(caught.value.lines)


def test_defaults(good):
    config = load(good)
    assert config.name == "c"
    assert config.optimizer.kind == "sgd"
    assert config.model.activation == "relu"
    assert config.train.batch_size == "full"
    assert config.checkpoint.keep == 3
    assert config.train.epochs is None


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configs_load_and_round_trip(path, write):
    config = load(path)
    assert load(write(to_toml(config))) == config


def test_six_configs_are_shipped():
    assert [path.stem for path in CONFIGS] == [
        "layer_wine",
        "logistic",
        "mlp_digits",
        "neuron",
        "neuron_adam",
        "neuron_momentum",
    ]


def test_a_config_does_not_change(good):
    config = load(good)
    with pytest.raises(ValueError, match="frozen"):
        config.train.steps = 3


def test_tables_are_the_fields_of_a_config():
    assert [*TABLES.items()] == [(name, kind) for name, kind in Config.__annotations__.items() if name != "name"]


@pytest.mark.parametrize("table", TABLES)
def test_every_key_has_a_requirement_and_a_default_that_meets_it(table):
    for key, spec in schema.key_schemas(table).items():
        assert len(schema.requirement(spec)) > 5
        assert set(schema.readers(table, key) or ()) <= set(schema.kinds(table))
    required = {"kind": "neuron" if table == "model" else "huber", "learning_rate": 1.0}
    model = TABLES[table]
    model(**{key: required[key] for key, field in model.model_fields.items() if field.is_required()})


@pytest.mark.parametrize(
    ("table", "key", "words"),
    [
        ("train", "steps", "an integer from 1 to 10**9"),
        ("train", "seed", "an integer from 0 to 4294967295"),
        ("train", "batch_size", 'an integer from 1 to 10**9 or "full"'),
        ("optimizer", "learning_rate", "a finite number greater than 0 and at most 10**6"),
        ("optimizer", "momentum", "a finite number of at least 0 and less than 1"),
        ("model", "kind", 'one of "neuron", "layer", "network"'),
        ("model", "widths", "a list of at most 1000 values, each an integer from 1 to 10**6"),
        ("data", "features", "a non-empty list, each a non-empty string"),
        ("data", "standardize", "true or false"),
    ],
)
def test_requirements_are_read_off_the_schema(table, key, words):
    assert schema.requirement(schema.key_schemas(table)[key]) == words


def test_all_errors_at_once_in_the_order_of_the_source(write):
    path = write(
        """\
top = 1
[data]
name = "diabets"   # 3
[model]
kind = "network"
widths = [
  4, -3, 5
]
activation = ["relu", "tahn", "relu"]
[optimizer]        # 10
learning_rat = 0.1
beta1 = 0.5
[train]
steps = true
'quoted key' = 2020-01-01
"""
    )
    lines = errors(path, "train.seed=-1", "train.dtype=float16", "train.dtype=float34")
    assert [line.split(" ")[0] for line in lines] == [
        "c.toml:1:",
        "c.toml:3:",
        "c.toml:6:",
        "c.toml:9:",
        "c.toml:11:",
        "c.toml:12:",
        "c.toml:14:",
        "c.toml:15:",
        "c.toml:",
        "--set:",
        "--set:",
    ]
    assert lines[0] == (
        "c.toml:1: `top` = 1: unknown table (allowed: data, model, loss, optimizer, train, checkpoint, log)"
    )
    assert lines[1].endswith('"wine", but got "diabets"; did you mean "diabetes"?')
    assert lines[2] == "c.toml:6: `model.widths[1]` = -3: must be an integer from 1 to 10**6, but got -3"
    assert "`model.activation[1]`" in lines[3]
    assert "unknown key; did you mean `learning_rate`? (allowed: kind, learning_rate, " in lines[4]
    assert lines[5].endswith('is read only by adam and adamw, but `optimizer.kind` = "sgd"')
    assert lines[6] == "c.toml:14: `train.steps` = true: must be an integer from 1 to 10**9, but got true"
    assert '`train."quoted key"` = 2020-01-01: unknown key' in lines[7]
    assert lines[8].startswith("c.toml: `loss.kind` is missing, and so is the table `[loss]`: must be one of")
    assert "`train.seed` = -1" in lines[9]
    assert "float34" in lines[10]


def test_the_errors_of_a_mistyped_command_line(good):
    model, optimizer = ("(allowed: " + ", ".join(TABLES[name].model_fields) + ")" for name in ("model", "optimizer"))
    assert errors(good, "optimizer.learning_rat=0.1", "train.steps=true", "model.width=-3") == [
        f"--set: `optimizer.learning_rat` = 0.1: unknown key; did you mean `learning_rate`? {optimizer}",
        "--set: `train.steps` = true: must be an integer from 1 to 10**9, but got true",
        f"--set: `model.width` = -3: unknown key; did you mean `widths`? {model}",
    ]


def test_an_empty_file_names_all_that_is_missing(write):
    starts = ["`data.name`", "`model.kind`", "`loss.kind`", "`optimizer.learning_rate`", "`train.steps`"]
    lines = errors(write(""))
    assert [line.split(" ")[1] for line in lines] == starts
    assert all("is missing, and so is the table" in line for line in lines)


def test_a_missing_key_is_reported_at_its_table(write):
    [line] = errors(write(GOOD.replace("learning_rate = 0.1", "")))
    assert line.startswith("c.toml:7: `optimizer.learning_rate` is missing: must be a finite number")


def test_a_misspelt_name_is_one_error(write):
    [line] = errors(write(GOOD.replace("[optimizer]", "[optimiser]")))
    assert line.startswith("c.toml:7: `optimiser`: unknown table; did you mean `optimizer`?")
    [line] = errors(write(GOOD.replace("learning_rate", "lr")))
    assert line.startswith("c.toml:8: `optimizer.lr` = 0.1: unknown key; did you mean `learning_rate`?")


def test_a_key_in_the_wrong_place(write):
    lines = errors(write("learning_rate = 3\n" + GOOD + "momentum = 0.5\n"))
    assert "`learning_rate` = 3: unknown table; it stands under [optimizer] (allowed" in lines[0]
    assert "`train.momentum` = 0.5: unknown key; it stands under [optimizer] (allowed" in lines[1]


@pytest.mark.parametrize(
    ("override", "end"),
    [
        ("optimizer.learning_rate=nan", "but got nan"),
        ("optimizer.learning_rate=-inf", "but got -inf"),
        ("optimizer.learning_rate=true", "but got true"),
        ("optimizer.learning_rate=0", "but got 0"),
        ("optimizer.learning_rate=" + "9" * 400, " … 999999999999"),
        ("optimizer.learning_rate=0x" + "f" * 5000, " … ffffffffffff"),
        ("optimizer.learning_rate='0.1'", 'but got "0.1"; write it without quotes'),
        ("train.steps=1e3", "but got 1000.0; write 1000"),
        ("train.steps=1979-05-27T07:32:00Z", "but got 1979-05-27 07:32:00+00:00"),
        ("train.steps=07:32:00", "but got 07:32:00"),
        ("train.steps={a = [1, {}]}", "but got {a = [1, {}]}"),
        ("train.steps=0", "but got 0"),
        ("train.batch_size=ful", 'but got "ful"; did you mean "full"?'),
        ("data.standardize=False", 'but got "False"; did you mean false?'),
        ("data.features=[age,bmi]", "in single quotes"),
        ("data.features=[]", "but got []"),
        ("data.features=['age', '']", 'but got ""'),
        ("loss.kind=mse", 'did you mean "mean_squared_error"?'),
        ("optimizer.kind=SGD", 'did you mean "sgd"?'),
        ("model.widths=" + str([1] * 1001), "1, 1, 1, 1]"),
    ],
)
def test_wrong_values(good, override, end):
    [line] = errors(good, override)
    key = override.partition("=")[0]
    assert line.startswith(f"--set: `{key}")
    assert ": must be " in line
    assert line.endswith(end)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["train.seed"], '"train.seed": must be TABLE.KEY=VALUE'),
        (["=1"], '"=1": must be TABLE.KEY=VALUE'),
        ([""], '"": must be TABLE.KEY=VALUE'),
        (["seed=1"], "must be TABLE.KEY=VALUE"),
        (["train.a.b=1"], "must be TABLE.KEY=VALUE"),
        (["train.=1"], "must be TABLE.KEY=VALUE"),
        (["train.see\nd=1"], "must be TABLE.KEY=VALUE"),
        (["train.seed=1\n[loss]"], "must be one value, but more TOML follows"),
        (["train.seed=1\nsteps = 2"], "must be one value, but more TOML follows"),
        (["data.target=\udc80"], "must be UTF-8 text"),
        (["optimiser.kind=adam"], "`optimiser`: unknown table; did you mean `optimizer`?"),
        (["data.kind=adam"], "`data.kind`"),
    ],
)
def test_wrong_overrides(good, overrides, words):
    [line] = errors(good, *overrides)
    assert line.startswith("--set: ")
    assert words in line


BATCHES = ["train.batch_size=5"]


def test_targets_of_a_file_of_their_own(good):
    for name in ("a.npy", "b.npy"):
        Path(name).touch()
    config = load(good, ["data.path=a.npy", "data.target_path=b.npy", *BATCHES])
    assert [Path(config.data.path).is_absolute(), Path(config.data.target_path).name] == [True, "b.npy"]
    assert load(good, ["data.path=a.npy", "data.target=X[0]", "data.stream=false"]).train.batch_size == "full"
    [line] = errors(good, "data.path=a.npy", "data.target_path=none.npy", *BATCHES)
    assert "`data.target_path`" in line
    assert "none.npy" in line


@pytest.mark.parametrize(
    ("overrides", "key", "words"),
    [
        (["data.target=y"], "data.target", "goes with `data.path` only"),
        (["data.features=['a', 'a']"], "data.features", "must be distinct"),
        (["data.task=classification"], "data.task", "measured quantity"),
        (
            ["data.name=iris", "data.standardize_target=true"],
            "data.standardize_target",
            "is not standardised",
        ),
        (["loss.kind=hinge", "model.activation=identity"], "loss.kind", "needs classes to predict"),
        (
            ["data.name=iris", "loss.kind=hinge", "model.activation=identity"],
            "loss.kind",
            "iris has 3; use softmax_cross_entropy",
        ),
        (["data.name=iris", "loss.kind=softmax_cross_entropy"], "loss.kind", "needs one output per class"),
        (
            ["data.name=breast_cancer", "loss.kind=hinge"],
            "model.activation",
            "(the default): hinge reads the class",
        ),
        (
            ["data.name=breast_cancer", "loss.kind=binary_cross_entropy", "model.activation=sigmoid"],
            "model.activation",
            "includes the sigmoid already",
        ),
        ([*DIGITS, "model.output=softmax"], "model.output", "includes the softmax already"),
        (["model.activation=['relu']"], "model.activation", "must be one name"),
        ([*NETWORK, "model.activation=['relu']"], "model.activation", "there are 2, but got 1"),
        (["model.kind=network"], "model.widths", "is missing: a network needs its hidden widths"),
        ([*NETWORK, "model.widths=[]"], "model.widths", "a network needs its hidden widths"),
        (["model.widths=[3]"], "model.widths", 'is read only by network, but `model.kind` = "neuron"'),
        (["loss.delta=2.0"], "loss.delta", "is read only by huber"),
        (["train.epochs=2", "train.steps=3"], "train.epochs", "set only one of"),
        (["optimizer.warmup_steps=10"], "optimizer.warmup_steps", "must be less than `train.steps` = 10"),
        (["train.watch=loss"], "train.watch", "set `train.patience` too"),
        (["train.min_delta=0.1"], "train.min_delta", "set `train.patience` too"),
        (
            ["train.patience=3", "data.validation_fraction=0.0"],
            "train.watch",
            "needs a validation part, but `data.validation_fraction` = 0",
        ),
        (["train.dtype=bfloat16", "train.compute_dtype=float32"], "train.compute_dtype", "must not be finer than"),
        (
            ["train.batch_size=30", "train.microbatches=4"],
            "train.microbatches",
            "must divide `train.batch_size` = 30, as 3 and 5 do",
        ),
        (["data.path=a.txt"], "data.path", "must end in .npz, .csv, .npy or .parquet"),
        (["data.path=a.csv"], "data.target", "is missing: a .csv file needs"),
        (["data.path=a.parquet", *BATCHES], "data.target", "is missing: a .parquet file needs"),
        (["data.path=a.npy", *BATCHES], "data.target", "of the column to predict, or `data.target_path`"),
        (["data.target_path=a.npy"], "data.target_path", "goes with a `data.path` that ends in .npy only"),
        (["data.path=a.npy", "data.target_path=a.csv", *BATCHES], "data.target_path", "must end in .npy"),
        (["data.stream=true"], "data.stream", "only a .npy or .parquet file can be streamed"),
        (
            ["data.path=a.npy", "data.target_path=a.npy"],
            "train.batch_size",
            "(the default): must be a number of examples where the data are streamed",
        ),
    ],
)
def test_conflicts(good, overrides, key, words):
    Path("a.txt").touch()
    for name in ("a.csv", "a.npy", "a.parquet"):
        Path(name).touch()
    [line] = errors(good, *overrides)
    assert f"`{key}`" in line
    assert words in line


def test_conflicts_stand_beside_field_errors(write):
    text = GOOD.replace("steps = 10", "steps = 10\nseed = -1\nepochs = 3").replace('"neuron"', '"neutron"')
    lines = errors(write(text), "model.activation=[]")
    assert [line.split("`")[1] for line in lines] == ["model.kind", "train.seed", "train.epochs"]


def test_overrides_win(good):
    config = load(good, ["optimizer.kind=adam", "train.seed=1", "train.seed= 2 ", "optimizer.learning_rate=1"])
    assert (config.optimizer.kind, config.train.seed, config.optimizer.learning_rate) == ("adam", 2, 1.0)
    assert isinstance(config.optimizer.learning_rate, float)


def test_an_override_replaces_the_error_of_the_file(write):
    assert load(write(GOOD.replace("= 10", "= true")), ["train.steps=3"]).train.steps == 3


def test_an_override_wins_over_what_it_rules_out(write):
    path = write(GOOD.replace("learning_rate", 'kind = "momentum"\nmomentum = 0.5\nlearning_rate'))
    config = load(path, ["train.epochs=2", "optimizer.kind=adam"])
    assert (config.train.steps, config.train.epochs, config.optimizer.kind) == (None, 2, "adam")
    assert load(path, ["optimizer.kind=nesterov"]).optimizer.momentum == 0.5
    [line] = errors(path, "optimizer.momentum=0.1", "optimizer.kind=adam")
    assert "is read only by momentum and nesterov" in line


def test_data_path_is_sought_beside_the_file_first_and_is_absolute(tmp_path, write):
    (tmp_path / "sub").mkdir()
    path = "sub/c.toml"
    Path(path).write_text(GOOD.replace('name = "diabetes"', 'path = "a.npz"'))
    [line] = errors(path)
    assert line.startswith('sub/c.toml:2: `data.path` = "a.npz": must be a file that can be read, but ')
    assert line.count("a.npz") == 3
    (tmp_path / "a.npz").touch()
    assert load(path).data.path == str(tmp_path / "a.npz")
    (tmp_path / "sub/a.npz").touch()
    config = load(path)
    assert config.data.path == str(tmp_path / "sub/a.npz")
    assert load(write(to_toml(config))) == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "a = adam",
            "c.toml:1: not valid TOML: not a TOML value (text needs quotes) at column 5 of `a = adam`",
        ),
        ("\n\nsteps: 3", "c.toml:3: not valid TOML: expected `=` after the key"),
        ("[a]\nb = 1\nb = 2", "c.toml:3: not valid TOML: this key is already set above"),
        ("[a]\n[a]", "c.toml:2: not valid TOML: this table is already opened above"),
        ('a = "x\n', "c.toml:1: not valid TOML: the string is not closed on its line"),
        ("a = [1,\n2,\n\n", "c.toml:2: not valid TOML: "),
        ("a = " + "9" * 5000, "c.toml: not valid TOML: a number has too many digits"),
        ("a = " + "[" * 100000, "c.toml: not valid TOML: values are nested too deeply"),
        (b"\xff\xfe", "c.toml: must be UTF-8 text, but got byte 0xff at offset 0"),
        (b"#" * 2**21, "c.toml: must be at most 1048576 bytes long"),
    ],
)
def test_files_that_are_not_toml(write, text, words):
    [line] = errors(write(text))
    assert line.startswith(words)


def test_files_that_cannot_be_read(tmp_path):
    assert errors(f"{tmp_path}/none.toml") == [f"{tmp_path}/none.toml: cannot be read: No such file or directory"]
    assert errors(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]
    assert errors("a\0b") == ['"a\\u0000b": cannot be read: embedded null byte']


def test_a_byte_order_mark_and_crlf_are_no_errors(write):
    assert load(write(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())) == load(write(GOOD))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("optimizer = 3\n", "c.toml:1: `optimizer` = 3: must be a table, written `[optimizer]`, but got 3"),
        (
            "[[optimizer]]\n",
            "c.toml:1: `optimizer` = [{}]: must be a table, written `[optimizer]`, but got [{}]",
        ),
    ],
)
def test_a_table_that_is_none(write, change, line):
    path = write(change + GOOD.replace("[optimizer]\nlearning_rate = 0.1\n", ""))
    assert errors(path, "optimizer.kind=adam") == [line]


def test_a_nested_table(write):
    [line] = errors(write(GOOD + "[train.more]\na = 1\n"))
    assert line.startswith("c.toml:11: `train.more` = {a = 1}: unknown key")


def test_nesting_at_the_limit_of_the_parser_is_shown(write):
    for depth in range(200, 1000, 50):
        for line in errors(write(GOOD + f"seed = {'[' * depth}{']' * depth}\n")):
            assert len(line) < 300


def test_to_dict_holds_what_counts(good):
    tables = to_dict(load(good, [*NETWORK, "model.activation=['relu', 'tanh']"]))
    assert tables["optimizer"].keys() == {"kind", "learning_rate", "schedule", "warmup_steps"}
    assert tables["model"]["activation"] == ["relu", "tanh"]
    assert "epochs" not in tables["train"]
    assert json.loads(json.dumps(tables)) == tables


SPECIAL = st.sampled_from(
    ['"', "\\", "\n", "'''", '"""', "[", "{a=1}", "\x7f", "\x00", "=", "#", "9" * 5000, "[" * 2000]
)
VALUES = st.one_of(
    st.text(max_size=8),
    st.lists(SPECIAL, max_size=4).map("".join),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["true", "1979-05-27", "[1, [2, {}]]", "0x" + "f" * 9999, "{a.b = 1}", "1e400", "-0"]),
)
KEYS = st.one_of(
    st.sampled_from([f"{table}.{key}" for table, model in TABLES.items() for key in model.model_fields]),
    st.text(max_size=6),
    st.sampled_from(["data", "data.kind", "x.y", "train.step", ".", "a..b"]),
)
FUZZ = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZ
@given(st.lists(st.tuples(KEYS, VALUES).map("=".join), max_size=4))
def test_any_override_loads_or_is_a_config_error(good, overrides):
    try:
        config = load(good, overrides)
    except ConfigError as error:
        lines = error.lines
    else:
        lines = ["--set: "]
        assert tomllib.loads(to_toml(config)) == to_dict(config)
    assert lines
    assert all(line.startswith("--set: ") or "is missing" in line or "(the default)" in line for line in lines)


@FUZZ
@given(st.lists(st.tuples(KEYS, VALUES).map(" = ".join), max_size=4).map("\n".join))
def test_any_file_loads_or_is_a_config_error(write, text):
    assert all(line.startswith("c.toml") for line in errors(write(text)))


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
FRACTIONS = st.floats(0, 1, exclude_max=True)


@FUZZ
@given(TEXTS, FRACTIONS, st.floats(math.ulp(0), 1e6), st.lists(st.integers(1, 10**6), min_size=1, max_size=3))
def test_round_trip(tmp_path, text, fraction, rate, widths):
    config = Config(
        data=schema.DataConfig(name="iris", features=[text], validation_fraction=fraction),
        model=schema.ModelConfig(kind="network", widths=widths),
        loss=schema.LossConfig(kind="huber", delta=rate),
        optimizer=schema.OptimizerConfig(kind="adamw", learning_rate=rate, beta1=fraction),
        train=schema.TrainConfig(epochs=widths[0]),
    )
    path = tmp_path / "r.toml"
    path.write_text(to_toml(config), encoding="utf-8", newline="")
    assert load(path) == config


@pytest.mark.parametrize(
    ("parts", "size", "near"),
    [(1, 7, None), (7, 7, None), (4, 30, "3 and 5 do"), (2, 7, "1 does"), (8, 7, "7 does"), (3, 442, "2 does"), (100, 442, "34 does")],
)  # fmt: skip
def test_parts_that_are_not_equal_name_the_nearest_that_are(parts, size, near):
    assert indivisible(parts, size, "a batch of") == (near and f"must divide a batch of = {size}, as {near}")
