import json
import tomllib
from pathlib import Path

import pytest

from jmc.cli import main

NEURON = str(Path(__file__).parents[2] / "configs/neuron.toml")
THREE = ["--set", "optimizer.learning_rat=0.1", "--set", "train.steps=true", "--set=model.width=-3"]


def test_config_errors_are_lines_on_standard_error(capsys):
    assert main(["train", NEURON, *THREE]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[1] for line in err.splitlines()] == [
        " `optimizer.learning_rat` = 0.1",
        " `train.steps` = true",
        " `model.width` = -3",
    ]


def test_config_errors_are_json_too(capsys):
    assert main(["train", NEURON, *THREE, "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out) == {"errors": err.splitlines()}
    assert len(err.splitlines()) == 3


def test_a_missing_file(capsys):
    assert main(["train", "none.toml"]) == 2
    assert capsys.readouterr().err == "none.toml: cannot be read: No such file or directory\n"


def test_print_config(capsys):
    assert main(["train", NEURON, "--print-config", "--set", "train.seed=7"]) == 0
    printed = capsys.readouterr().out
    assert tomllib.loads(printed)["train"]["seed"] == 7
    assert main(["train", NEURON, "--print-config", "--set", "train.seed=7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == tomllib.loads(printed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of CONFIG.toml and --resume RUN_DIR is required"),
        ([NEURON, "--resume", "x"], "one of CONFIG.toml and --resume RUN_DIR is required, not both"),
        (["--resume", "x", "--run-dir", "y"], "argument --run-dir: not allowed with argument --resume"),
        ([NEURON, "--dryrun"], "unknown argument --dryrun; did you mean --dry-run?"),
        ([NEURON, "--run-dri=x"], "unknown argument --run-dri=x; did you mean --run-dir?"),
        ([NEURON, "--set"], "argument --set: expected one argument"),
        ([NEURON, "train.steps=1"], "unknown argument train.steps=1; did you mean --set train.steps=1?"),
        ([NEURON, "--dry-run", "--print-config"], "not allowed with argument --dry-run"),
    ],
)
def test_bad_usage(capsys, arguments, message):
    assert main(["train", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith("usage: jmc train ")
    assert err.splitlines()[-1].startswith("jmc train: error: ")
    assert err.splitlines()[-1].endswith(message)


def test_help_shows_an_example(capsys):
    assert main(["train", "--help"]) == 0
    assert "jmc train configs/neuron.toml --set optimizer.learning_rate=0.05" in capsys.readouterr().out
