import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jmc.cli import COMMANDS, main

PRINT = ["train", str(Path(__file__).parents[2] / "configs/neuron.toml"), "--print-config"]
HEAVY = {"jax", "numpy", "scipy", "sklearn", "matplotlib", "optax", "rich", "pydantic"}


def jmc(*arguments, **options):
    options = {"capture_output": True, "text": True, "timeout": 60} | options
    return subprocess.run([sys.executable, "-m", "jmc", *arguments], **options)


def loaded_by(*arguments):
    """The heavy packages that are in `sys.modules` after the command, and its exit code."""
    code = f"import sys, jmc.cli; c = jmc.cli.main({[*arguments]!r}); print(c, *{HEAVY!r} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    exit_code, *modules = done.stdout.splitlines()[-1].split()
    return int(exit_code), set(modules)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["check", "--help"],
        ["rules", "--help"],
        ["runs", "--help"],
        ["report", "--help"],
    ],
)
def test_help_loads_nothing_heavy(arguments):
    assert loaded_by(*arguments) == (0, set())


def test_a_bad_command_line_loads_nothing_heavy():
    assert loaded_by("trian") == (2, set())


def test_a_bad_config_loads_pydantic_alone(tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text("[train]\nstep = nan\n")
    assert loaded_by("train", str(path), "--set", "model.kind=neutron") == (2, {"pydantic"})


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name, summary in COMMANDS.items():
        assert f"  {name}  " in out
        assert summary in out


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"jmc {importlib.metadata.version('jmc')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "jmc: error: a command is required: {commands}"),
        (
            ["trian"],
            "jmc: error: unknown command `trian`; did you mean `train`? (allowed: {commands})",
        ),
        (
            ["TRAIN"],
            "jmc: error: unknown command `TRAIN`; did you mean `train`? (allowed: {commands})",
        ),
        (["zzz"], "jmc: error: unknown command `zzz` (allowed: {commands})"),
        (["--verison"], "jmc: error: unknown argument --verison; did you mean --version?"),
        (["-x"], "jmc: error: unknown argument -x"),
    ],
)
def test_bad_usage_is_one_line_under_the_usage(capsys, arguments, message):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0].startswith("usage: jmc ")
    assert err.splitlines()[1:] == [message.format(commands=", ".join(COMMANDS))]


def test_python_m_jmc_is_jmc():
    done = jmc("trian")
    assert done.returncode == 2
    assert "did you mean `train`?" in done.stderr


def test_an_interrupt_is_130(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("jmc.cli.train.run", interrupted)
    assert main(["train", "c.toml"]) == 130
    assert capsys.readouterr().err == "jmc: interrupted\n"


@pytest.fixture(params=["", "1"], ids=["buffered", "unbuffered"])
def buffering(request, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", request.param)


@pytest.mark.usefixtures("buffering")
def test_a_reader_that_has_gone_is_no_error():
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as pipe:
        done = jmc(*PRINT, stdout=pipe, stderr=subprocess.PIPE, capture_output=False)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.usefixtures("buffering")
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_6():
    with open("/dev/full", "wb") as full:
        done = jmc(*PRINT, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert (done.returncode, done.stderr) == (6, "jmc: standard output: No space left on device\n")
