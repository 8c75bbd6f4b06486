import json

import pytest

from jmc.cli import main

SQUARES = ["sum((A @ x - b)**2)", "A: m, n", "x: n", "b: m", "--wrt", "x"]


def test_a_formula_and_its_certificate(capsys):
    assert main(["derive", *SQUARES]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "∂f/∂x = 2 Aᵀ (A x − b)"
    assert shown[1].startswith("  certified at 4 points (m = 3, n = 5 and m = 5, n = 7) against forward AD, reverse AD")


@pytest.mark.parametrize(
    ("option", "shown"),
    [
        ("--latex", r"\frac{\partial f}{\partial x} = 2\, A^{\top}\, \left(A\, x - b\right)"),
        ("--python", "    return 2 * (A.T @ (A @ x - b))"),
        ("--numpy", "import numpy as np"),
    ],
)
def test_other_forms(capsys, option, shown):
    assert main(["derive", *SQUARES, option]) == 0
    assert shown in capsys.readouterr().out.splitlines()


def test_max_of_two_is_taken_entry_by_entry(capsys):
    assert main(["derive", "max(0, w @ x + b)", "w: n", "x: n", "b:", "--wrt", "w"]) == 0
    assert "∂f/∂w = 1[wᵀ x + b > 0] x\n" in capsys.readouterr().out
    assert main(["derive", "min(x)", "x: n"]) == 0
    assert "onehot(argmin(x))" in capsys.readouterr().out


def test_json(capsys):
    assert main(["derive", *SQUARES, "--order", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["formula"], found["notation"], found["certificate"]["ok"]) == ("2 Aᵀ A", "matrix", True)


def test_functions_in_files(tmp_path, capsys):
    path = tmp_path / "energies.py"
    path.write_text("import jax.numpy as jnp\n\ndef loss(params, x):\n    return jnp.sum((params['W1'] @ x) ** 2)\n")
    assert main(["derive", f"{path}:loss", "params.W1: m, n", "x: n", "--wrt", "params.W1"]) == 0
    assert capsys.readouterr().out.startswith("∂loss/∂W₁ = 2 W₁ x xᵀ\n")
    assert main(["derive", f"{path}:gain", "x: n"]) == 2
    assert "must have a function `gain`, but has loss" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sum(A @ b)", "A: m, n", "b: m"], "`@` of A: (m, n) and b: (m)"),
        (["sum(A @ c)", "A: m, n", "b: m"], "`c` is neither an argument nor a constant"),
        (["sun(x)", "x: n"], "`sun` is not a function that is known; did you mean `sum`?"),
        (["x ^ 2", "x: n"], "a power is written **, not ^"),
        (["(x + ", "x: n"], "the expression cannot be read"),
        (["__import__('os').system('true')", "x: n"], "is not a method that is known"),
        (["[y for y in x]", "x: n"], "not part of the language"),
        (["x.__class__", "x: n"], "not part of the language"),
        (["x + y", "x: n", "y: m"], "`+` of x: (n) and y: (m)"),
        (["sum(max(x, 0))", "x: n"], "write `maximum(x, 0)` for the entries, or `max(x, axis=0)`"),
        (["x", "x n"], 'a shape must be like "A: m, n"'),
        (["x", "x: n", "--order", "0"], "`--order` must be at least 1"),
        (["x", "x: n", "--wrt", "y"], "`wrt` must name one of x"),
    ],
)
def test_bad_usage_is_one_message_with_the_place(capsys, arguments, message):
    assert main(["derive", *arguments]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert "Traceback" not in shown


def test_the_caret_stands_under_the_place(capsys):
    assert main(["derive", "sum(A @ x + A @ b)", "A: m, n", "x: n", "b: m"]) == 2
    *_, source, caret = capsys.readouterr().err.splitlines()
    assert source[caret.index("^") : caret.rindex("^") + 1] == "A @ b"


def test_several_results_are_printed_one_below_the_other(capsys, tmp_path):
    path = tmp_path / "two.py"
    path.write_text("def f(params):\n    return {'fit': params['x'] @ params['x'], 'size': 2 * params['x']}\n")
    assert main(["derive", f"{path}:f", "params.x: n", "--wrt", "params"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "=" in line and "∂" in line] == [
        "∂fit/∂x = 2 x",
        "∂size/∂x = 2 I",
    ]
    assert main(["derive", f"{path}:f", "params.x: n", "--json"]) == 0
    assert [d["formula"] for d in json.loads(capsys.readouterr().out)] == ["2 x", "2 I"]


def test_without_a_formula_the_code_is_3(capsys, tmp_path):
    path = tmp_path / "sorts.py"
    path.write_text("import jax.numpy as jnp\n\ndef f(x):\n    return jnp.sort(x)\n")
    assert main(["derive", f"{path}:f", "x: n"]) == 3
    assert "has no formula, and nothing is around it" in capsys.readouterr().err
