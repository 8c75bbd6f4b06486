"""SIGKILL in the midst of training; `python benchmarks/faults.py --kills 30` is the long version of it."""

import subprocess
import sys
import time
from dataclasses import replace

from small_runs import begin, come_of, go_on, left_over

from jmc.train.config.loading import to_toml
from jmc.train.persistence import checkpoint

RUN = "import sys; from jmc.cli import main; sys.exit(main())"


def killed_after(config, directory, seconds):
    """Begins or resumes the run in a process that is killed so long after it has saved a new checkpoint."""
    (directory.parent / "test.toml").write_text(to_toml(config))
    arguments = (
        ["--resume", directory] if directory.exists() else [directory.parent / "test.toml", "--run-dir", directory]
    )
    saved = checkpoint.steps(directory / "checkpoints")[:1]
    with subprocess.Popen([sys.executable, "-c", RUN, "train", *arguments, "--quiet"]) as process:
        try:
            while checkpoint.steps(directory / "checkpoints")[:1] == saved:
                assert process.poll() is None
                time.sleep(0.001)
            time.sleep(seconds)
        finally:
            process.kill()
    assert process.returncode == -9
    assert not (directory / "result.json").exists()


def test_killed_twice(asked, tmp_path):
    config = replace(
        asked,
        train=asked.train.model_copy(update={"steps": 1_000_000, "log_every": 5_000}),
        checkpoint=asked.checkpoint.model_copy(update={"every_steps": 0, "every_seconds": 0.02}),
    )
    assert begin(config, tmp_path / "whole") == 0
    for seconds in (0.01, 0.08):
        killed_after(config, tmp_path / "run", seconds)
    assert go_on(config, tmp_path / "run") == 0
    assert come_of(tmp_path / "run") == come_of(tmp_path / "whole")
    assert left_over(tmp_path / "run") == []
