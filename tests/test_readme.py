"""The README says what is so: its example prints what it shows, its figures are those of the committed results."""

import contextlib
import importlib.util
import io
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize(("code", "shown"), re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL))
@pytest.mark.usefixtures("own_rules")
def test_an_example_prints_what_is_shown(code, shown):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})
    assert [pytest.approx(float(n), rel=1e-5) for n in numbers(shown)] == [
        float(n) for n in numbers(printed.getvalue())
    ]
    assert re.sub(NUMBER, "#", shown) == re.sub(NUMBER, "#", printed.getvalue())


NUMBER = r"-?\d+\.\d*(?:e-?\d+)?"


def numbers(text):
    return re.findall(NUMBER, text)


def test_the_figures_are_those_of_the_results():
    spec = importlib.util.spec_from_file_location("figures", ROOT / "benchmarks" / "figures.py")
    figures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figures)
    words = " ".join(README.split())
    for name, shown in figures.shown().items():
        assert " ".join(shown.split()) in words, name


def test_its_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http|#)([^)]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_tails_are_as_told():
    import jax

    import jmc

    rows = dict(re.findall(r"^\| (\S+\(\d+\)) in float32 \| `[\d.]+` \| `([\d.e-]+)`", README, re.MULTILINE))
    assert float(rows["σ′(20)"]) == pytest.approx(float(jmc.grad(jmc.sigmoid)(20.0)), rel=1e-6)
    assert float(rows["tanh′(12)"]) == pytest.approx(float(jmc.grad(jmc.tanh)(12.0)), rel=1e-6)
    assert jax.grad(jax.nn.sigmoid)(20.0) == 0.0
    logits, label = jax.numpy.array([[20.0, 0.0]]), jax.numpy.array([0])
    assert jax.grad(lambda x: -jax.nn.log_softmax(x)[0, 0])(logits)[0, 0] == 0.0
    assert jmc.grad(jmc.softmax_cross_entropy_with_labels)(logits, label)[0, 0] == pytest.approx(
        -2.0611536e-09, rel=1e-6
    )
