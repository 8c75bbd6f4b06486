import io
import re

import pytest

from jmc.train.report.progress import note, progress

COLOUR = re.compile(r"\x1b\[(?:\d+;)*[349]\d")


def row(step, **figures):
    return {"step": step, "loss": 0.5, "steps_per_second": 2.0} | figures


def show(steps, quiet, every=1, **figures):
    with progress(steps, quiet=quiet) as advance:
        for step in range(every, steps + 1, every):
            advance(row(step, **figures))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def on_terminal(monkeypatch, *arguments, **options):
    """What `show` writes to a terminal of 120 columns."""
    for name, value in {"TERM": "xterm", "COLUMNS": "120"}.items():
        monkeypatch.setenv(name, value)
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", terminal)
        show(*arguments, **options)
    return terminal.getvalue()


def test_a_note_goes_to_standard_error(capsys):
    note("hello", quiet=False)
    note("nothing", quiet=True)
    assert capsys.readouterr() == ("", "hello\n")


def test_quiet_says_nothing(capsys):
    show(5, quiet=True)
    assert capsys.readouterr() == ("", "")


def test_quiet_says_nothing_on_a_terminal(monkeypatch):
    assert on_terminal(monkeypatch, 5, quiet=True) == ""


@pytest.mark.parametrize(("steps", "every", "lines"), [(1000, 10, 10), (3, 1, 3), (1, 1, 1), (40, 20, 2)])
def test_at_most_ten_lines_elsewhere(capsys, steps, every, lines):
    show(steps, quiet=False, every=every)
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == lines
    assert err.splitlines()[-1].startswith(f"step {steps:,}/{steps:,} · 2 steps/s · 0 s left · loss 0.5")
    assert "\x1b" not in err


def test_a_line_says_how_far_how_fast_and_how_well(capsys):
    show(2000, quiet=False, every=1000, validation_loss=0.25, validation_accuracy=None, validation_rmse=3.0)
    assert capsys.readouterr().err.splitlines()[0] == (
        "step 1,000/2,000 · 2 steps/s · 500 s left · loss 0.5 · validation loss 0.25"
    )


def test_a_bar_on_a_terminal_leaves_nothing_behind(capsys, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = on_terminal(monkeypatch, 2000, quiet=False, every=1000, validation_r2=0.75)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "2,000/2,000 steps" in text
    assert "loss 0.5 · validation r2 0.75" in text
    assert COLOUR.search(shown)
    assert shown.endswith("\x1b[2K")  # which erases the line the bar was on
    assert capsys.readouterr().out == ""


def test_no_color_is_honoured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    shown = on_terminal(monkeypatch, 10, quiet=False)
    assert "10/10 steps" in shown
    assert not COLOUR.search(shown)
