"""Every config in configs/ reaches the validation figure that its comment states."""

import json
import re
from pathlib import Path

import pytest

from jmc.cli import main

CONFIGS = sorted((Path(__file__).parents[1] / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_reaches_what_its_comment_states(path, tmp_path, capsys):
    stated = re.search(r"^# Reaches (\w+) ([\d.]+) on the validation part\.$", path.read_text(), re.MULTILINE)
    assert stated
    assert main(["train", str(path), "--run-dir", str(tmp_path / "run"), "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["validation"][stated[1]] >= float(stated[2])


def test_the_six_are_there():
    names = {"neuron", "neuron_momentum", "neuron_adam", "logistic", "mlp_digits", "layer_wine"}
    assert names <= {path.stem for path in CONFIGS}
