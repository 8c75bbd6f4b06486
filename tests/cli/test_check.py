import json

import pytest

from jmc.cli import main

MODULE = """\
import jax
import jax.numpy as jnp

def layer(W, x):
    return jnp.tanh(W @ x)

def backward(args, u):
    W, x = args
    s = u * (1 - jnp.tanh(W @ x) ** 2)
    return s[:, None] * x[None], W.T @ s

def forgetful(args, u):
    W, x = args
    return u[:, None] * x[None], W.T @ (u * (1 - jnp.tanh(W @ x) ** 2))

def size(x):
    return jnp.sum(jnp.abs(x))

def signs(x):
    return jnp.sign(x)

def nowhere(x):
    return jnp.sum(jnp.log(-jnp.square(x) - 1))

@jax.custom_vjp
def doubled(x):
    return 2 * x

doubled.defvjp(lambda x: (2 * x, None), lambda _, u: (3 * u,))

def number(x):
    return x.missing
"""


@pytest.fixture
def module(tmp_path):
    path = tmp_path / f"derivatives_{tmp_path.name}.py"
    path.write_text(MODULE)
    return str(path)


def run(capsys, *arguments):
    code = main(["check", *arguments])
    done = capsys.readouterr()
    return code, done.out, done.err


AT = "W: (5, 7), x: (7,)"


def test_a_right_rule(capsys, module):
    code, out, _ = run(capsys, f"{module}:layer", "--vjp", f"{module}:backward", "--at", AT)
    assert code == 0
    assert "vjp of layer: right" in out
    assert "would have caught" in out


def test_a_wrong_rule_names_the_mistake_and_its_line(capsys, module):
    code, out, _ = run(capsys, f"{module}:layer", "--vjp", f"{module}:forgetful", "--at", AT)
    assert code == 1
    assert "likely: missing_factor" in out
    assert "∂/∂W is the true derivative if the slope of `tanh` is left out" in out
    assert "return jnp.tanh(W @ x)" in out


def test_json(capsys, module):
    code, out, _ = run(capsys, f"{module}:layer", "--vjp", f"{module}:forgetful", "--at", AT, "--json")
    report = json.loads(out)
    assert code == 1
    assert report["verdict"] == "wrong"
    assert report["findings"][0]["kind"] == "missing_factor"
    assert report["findings"][0]["argnum"] == 0


def test_a_convention_has_its_code_and_can_be_accepted(capsys, module):
    arguments = [f"{module}:size", "--grad", f"{module}:signs", "--at", "x: [0.0, 1.0, -2.0]"]
    assert run(capsys, *arguments)[0] == 4
    assert run(capsys, *arguments, "--accept", "denominator,kink")[0] == 0
    assert run(capsys, *arguments, "--accept", "denominator")[0] == 4


def test_undecided(capsys, module):
    code, out, _ = run(capsys, f"{module}:nowhere", "--grad", f"{module}:signs", "--at", "x: (3,)")
    assert code == 3
    assert "undecided" in out


def test_the_rule_that_a_function_carries(capsys, module):
    code, out, _ = run(capsys, f"{module}:doubled", "--at", "x: (3,)")
    assert code == 1
    assert "constant_factor: ∂/∂x is 3/2 times what it must be" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["{}:layer", "--vjp", "{}:backwards", "--at", AT],
            "must have a function `backwards`, but has layer, backward",
        ),
        (["{}", "--at", AT], "a function must be given as FILE.py:NAME or MODULE:NAME"),
        (["nothing.py:f", "--at", AT], "nothing.py: no such file"),
        (["no_such_package.at_all:f", "--at", AT], "ModuleNotFoundError"),
        (
            ["{}:layer", "--vjp", "{}:backward", "--at", "W: five"],
            "`--at` must give `W` a shape like (5, 7) or a value",
        ),
        (["{}:layer", "--vjp", "{}:backward", "--at", "W: (5, 7) flaot32"], "`--at` must give `W` a shape and a dtype"),
        (["{}:layer", "--vjp", "{}:backward", "--at", "W: (5, 6), x: (7,)"], "layer: TypeError: "),
        (["{}:layer", "--at", AT], "since `f` carries none of its own"),
        (["{}:number", "--grad", "{}:signs", "--at", "x: (3,)"], "AttributeError"),
    ],
)
def test_bad_usage_is_one_line(capsys, module, arguments, message):
    code, out, err = run(capsys, *[argument.format(module) for argument in arguments])
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["m.py:f", "--grad", "m.py:g", "--vjp", "m.py:h", "--at", "x: (3,)"], "names the rule, but got 2"),
        (["m.py:f", "--at", "x: (3,)", "--accept", "kinks"], "`--accept` must name denominator, kink, "),
        (["m.py:f"], "the following arguments are required: --at"),
    ],
)
def test_bad_options(capsys, arguments, message):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in err


def test_a_broken_file_is_one_line(capsys, tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("1 / 0\n")
    code, _, err = run(capsys, f"{path}:f", "--at", "x: (3,)")
    assert code == 2
    assert err == f"jmc check: {path}: ZeroDivisionError: division by zero\n"
