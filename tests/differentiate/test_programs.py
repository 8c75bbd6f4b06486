"""Random programs against JAX: values, Jacobians, Hessians, and every method of a map with its dense form.

A program is Python source, one assignment a line, so that a failing example can be pasted and run. There are 60 of them,
always the same; ``JMC_PROGRAMS=5000`` draws that many new ones.
"""

import math
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from draws import normal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jax import lax

import jmc

MANY = int(os.environ.get("JMC_PROGRAMS", "0"))
LARGEST = 48
# The program that checks one example is large and runs once.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

ints = st.integers
shapes = st.lists(st.sampled_from([1, 2, 2, 3, 3, 4, 6, 0]), max_size=3).filter(lambda s: math.prod(s) <= LARGEST).map(tuple)
pick = st.sampled_from


def constant(*shape, seed=0):
    return normal(*shape, seed=seed, dtype="float64")


# The grammar. A production draws a right-hand side from the names and shapes of the values so far, or gives None.


def reshape(draw, name, shape, known):
    new, left = [], math.prod(shape)
    if left == 0:
        return f"jnp.reshape({name}, {draw(st.permutations(shape))})"
    while left > 1 or draw(ints(0, 3)) == 0:
        new.append(draw(pick([d for d in range(1, left + 1) if left % d == 0])))
        left //= new[-1]
    return f"jnp.reshape({name}, {tuple(new)})"


def transpose(draw, name, shape, known):
    return f"jnp.transpose({name}, {tuple(draw(st.permutations(range(len(shape)))))})"


def broadcast(draw, name, shape, known):
    full = [draw(ints(1, 3)) if n == 1 else n for n in shape]
    axis, size = draw(ints(0, len(shape))), draw(ints(1, 3))
    dims = tuple(d for d in range(len(shape) + 1) if d != axis)
    full.insert(axis, size)
    return f"lax.broadcast_in_dim({name}, {tuple(full)}, {dims})"


def strided(draw, name, shape, known):
    cuts = []
    for n in shape:
        low, high, step = draw(ints(0, max(n - 1, 0))), draw(ints(0, n)), draw(pick([1, 1, 2, 3]))
        cuts.append(draw(pick([":", f"{low}::{step}", f"{min(low, high)}:{max(low, high)}:{step}", "::-1", f"{low}::-{step}"])))
    return f"{name}[{', '.join(cuts)}]" if cuts else None


def padded(draw, name, shape, known):
    edges = [(draw(ints(-n + 1, 2)) if n else 0, draw(ints(0, 2)), draw(pick([0, 0, 1, 2]))) for n in shape]
    edges = [draw(pick([(low, high, hole), (high, low, hole)])) for low, high, hole in edges]
    other = next((other for other, s in known.items() if s == ()), "0.0")
    return f"lax.pad({name}, {other}, {edges})"


def concatenate(draw, name, shape, known):
    if not shape:
        return f"jnp.stack([{name}, 2 * {name}])"
    axis = draw(ints(0, len(shape) - 1))
    fits = [m for m, s in known.items() if len(s) == len(shape) and s[:axis] + s[axis + 1 :] == shape[:axis] + shape[axis + 1 :]]
    parts = draw(st.lists(pick([*fits, f"constant{shape!r}" if shape else name]), min_size=1, max_size=3))
    return f"jnp.concatenate([{', '.join([*parts, name])}], {axis})"


def contract(draw, name, shape, known):
    """dot_general with another value, itself or a constant, over any pairs of equal axes."""
    other = draw(pick([*known, "constant"]))
    if other == "constant":
        theirs = (*draw(st.permutations(shape)), draw(ints(1, 3)))[draw(ints(0, 1)) :]
        other = f"constant({', '.join(map(str, theirs))})"
    else:
        theirs = known[other]
    contracted, batch, used = [], [], set()
    for i, n in enumerate(shape):
        j = draw(pick([*(j for j, m in enumerate(theirs) if m == n and j not in used), None]))
        if j is not None:
            used.add(j)
            (contracted if draw(ints(0, 2)) else batch).append((i, j))
    numbers = tuple(tuple(zip(*draw(st.permutations(pairs)), strict=True)) or ((), ()) for pairs in (contracted, batch))
    operands = (name, other) if draw(st.booleans()) else (other, name)
    if operands[0] == other:
        numbers = tuple((right, left) for left, right in numbers)
    return f"lax.dot_general({operands[0]}, {operands[1]}, {numbers}) / 2"


def reduced(draw, name, shape, known):
    axes = tuple(d for d in range(len(shape)) if draw(st.booleans()))
    if 0 in shape:
        return f"jnp.sum({name}, {axes})"
    how = draw(pick(["sum", "sum", "sum", "max", "prod", "mean", "var"]))
    return f"jnp.{how}({name}, {axes}, keepdims={draw(st.booleans())})"


def scanned(draw, name, shape, known):
    if not shape:
        return None
    axis = draw(ints(0, len(shape) - 1))
    how = draw(pick(["cumsum", "cumsum", "cumsum", "cumprod", "cummax", "cumlogsumexp", "sort", "softmax"]))
    if how in ("sort", "softmax"):
        return f"{'jnp.sort' if how == 'sort' else 'jax.nn.softmax'}({name}, axis={axis})"
    return f"lax.{how}({name}, {axis}, reverse={draw(st.booleans())})"


def indices(draw, n, size):
    """Repeated, negative and out of range."""
    return f"np.array({draw(st.lists(ints(-n - 1, n + 1), min_size=1, max_size=4).map(lambda found: found[:size]))})"


def gather(draw, name, shape, known):
    if not shape:
        return None
    if len(shape) > 1 and draw(st.booleans()):
        i, j = draw(st.permutations(range(len(shape))))[:2]
        places = [":"] * len(shape)
        places[i], places[j] = indices(draw, shape[i], 2), f"np.array([{draw(ints(-1, shape[j]))}])"
        mode = draw(pick(["mode='clip'", "mode='fill', fill_value=0"]))
        return f"{name}.at[{', '.join(places)}].get({mode})"
    axis = draw(ints(0, len(shape) - 1))
    if shape[axis] == 0:
        return None
    mode = draw(pick(["mode='clip'", "mode='wrap'", "mode='fill', fill_value=0"]))
    return f"jnp.take({name}, {indices(draw, shape[axis], 4)}, axis={axis}, {mode})"


def scatter(draw, name, shape, known):
    if not shape or not shape[0]:
        return None
    into = draw(ints(1, 4))
    target = (into, *shape[1:])
    found = [m for m, s in known.items() if s == target]
    base = draw(pick([*found, f"constant{target!r}"]))
    where = draw(st.lists(ints(-into - 1, into + 1), min_size=shape[0], max_size=shape[0]))
    how = draw(pick(["add", "add", "add", "subtract", "set", "mul"]))
    if how in ("set", "mul"):
        where = sorted({i % into for i in where})
        return f"{base}.at[np.array({where})].{how}({name}[:{len(where)}], unique_indices=True)" if len(where) <= shape[0] else None
    return f"{base}.at[np.array({where})].{how}({name}, mode={draw(pick(['drop', 'clip']))!r})"


def dynamic(draw, name, shape, known):
    if not shape:
        return None
    axis = draw(ints(0, len(shape) - 1))
    start, size = draw(ints(-2, shape[axis] + 1)), draw(ints(0, shape[axis]))
    if draw(st.booleans()):
        return f"lax.dynamic_slice_in_dim({name}, {start}, {size}, {axis})"
    return f"lax.dynamic_update_slice_in_dim({name}, 3 * {name}[{', '.join([':'] * axis + [f':{size}'])}], {start}, {axis})"


def pointwise(draw, name, shape, known):
    return draw(
        pick(
            [
                "jnp.tanh({})", "jnp.sin({})", "jnp.exp(-{0} * {0})", "{0} * {0}", "{} * 1.5", "-{}", "jax.nn.relu({})",
                "jnp.maximum({}, 0.3)", "jnp.where({0} > 0.2, {0}, 0.5)", "{0} / (2 + {0} ** 2)", "jnp.abs({})",
                "jax.jit(jnp.cos)({})", "jax.checkpoint(jnp.arctan)({})", "jmc.silu({})", "lax.stop_gradient({0}) * {0}",
                "{0} - {0}", "jnp.sqrt(1 + {0} ** 2)", "jax.vmap(jnp.sin)({0}[None])[0]",
            ]
        )
    ).format(name)  # fmt: skip


def binary(draw, name, shape, known):
    fits = [m for m, s in known.items() if s == shape]
    other = draw(pick([*fits, *fits, f"constant({', '.join(map(str, shape))})"]))
    return draw(pick(["{} + {}", "{} - {}", "{} * {}", "{1} - jnp.tanh({0})", "{} / (1 + {} ** 2)", "jnp.maximum({}, {})"])).format(
        name, other
    )


def looped(draw, name, shape, known):
    kind = draw(pick(["scan", "fori", "cond"]))
    if kind == "fori" or not shape:
        return f"lax.fori_loop(0, {draw(ints(1, 3))}, lambda i, c: jnp.sin(c) * {draw(pick([name, '1.3']))} + c / 2, {name})"
    if kind == "cond":
        return f"lax.cond(jnp.sum({name}) > 0, jnp.sin, lambda z: z * z, {name})"
    row = f"constant({', '.join(map(str, shape[1:]))})"
    return f"lax.scan(lambda c, x: (jnp.tanh(c + x), c * x), {row}, {name}, reverse={draw(st.booleans())})[1]"


def masked(draw, name, shape, known):
    """Counting along axes, masks that are diagonals, windows."""
    if not shape:
        return None
    n, k = shape[-1], draw(ints(-2, 2))
    rows = draw(ints(1, 3))
    choices = [
        f"{name} * jnp.ones({shape})", f"{name} * jnp.full({shape}, 3.0)", f"jnp.where(jnp.arange({n}) == {k + 1}, {name}[..., :], 0)",
        f"{name}[..., None, :] * jnp.eye({rows}, {n}, {k})", f"jnp.where(jnp.eye({n}, dtype=bool), {name}[..., None], 1.0)",
    ]  # fmt: skip
    if len(shape) > 1:
        choices += [f"jnp.{f}({name}, {k})" for f in ("tril", "triu")] + [f"jnp.diagonal({name}, {k})", f"jnp.roll({name}, {k}, 1)"]
        choices += [f"jnp.trace({name}, {k})", f"jnp.tile({name}, {rows})", f"jnp.repeat({name}, {rows}, 0)"]
    if len(shape) == 1:
        choices += [f"jnp.diag({name}, {k})", f"jnp.convolve({name}, constant({rows}), 'same')", f"jnp.outer({name}, {name})"]
        choices += [f"lax.reduce_window({name}, 0.0, lax.add, ({rows},), (2,), 'SAME')", f"jnp.diff({name})"]
    made = draw(pick(choices))
    return made.replace("[..., None, :]", "[..., None, :]" if len(shape) == 1 else "[..., :1, :]")


GRAMMAR = (
    reshape, reshape, transpose, broadcast, strided, strided, padded, concatenate, contract, contract, contract, reduced,
    scanned, gather, scatter, dynamic, pointwise, pointwise, binary, binary, looped, masked, masked,
)  # fmt: skip


def function(source):
    """The function (v0, v1) ↦ the last values of the program."""
    code = compile(source, "<program>", "exec")

    def f(v0, v1):
        scope = {"jnp": jnp, "np": np, "lax": lax, "jax": jax, "jmc": jmc, "constant": constant, "v0": v0, "v1": v1}
        exec(code, scope)
        return scope["out"]

    return f


@st.composite
def programs(draw, longest=7, scalar=False):
    known = {"v0": draw(shapes), "v1": draw(shapes)}
    header = f"# {known['v0']}, {known['v1']}\n"
    source = ""
    for _ in range(draw(ints(1, longest))):
        name = draw(pick(list(known)[-3:]))
        made = draw(pick(GRAMMAR))(draw, name, known[name], known)
        if made is None:
            continue
        new = f"v{len(known)}"
        line = f"{new} = {made}\n"
        try:
            shape = abstract(source + line + f"out = {new}", known)
        except (TypeError, ValueError):  # as a reduction over no entries
            continue
        if math.prod(shape) > LARGEST:
            continue
        source, known[new] = source + line, shape
    last = list(known)[-1]
    if scalar:
        return header + source + f"out = jnp.sum(jnp.sin({last}) * constant({', '.join(map(str, known[last]))})) + 0 * jnp.sum(v0)"
    return header + source + f"out = {last}"


def abstract(source, known):
    args = [jax.ShapeDtypeStruct(known[name], "float64") for name in ("v0", "v1")]
    return jax.eval_shape(function(source), *args).shape


def arguments(source):
    return [constant(*shape, seed=k + 1) for k, shape in enumerate(eval(source.split("\n")[0].removeprefix("# ")))]


def run(f, *args):
    return jax.tree.map(np.asarray, jax.jit(f, compiler_options=QUICK)(*args))


def close(found, wanted, scale=1.0):
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11 * max(1.0, scale))


def check_jacobian(source):
    f, args = function(source), arguments(source)
    aval = jax.eval_shape(f, *args)
    u = constant(*aval.shape, seed=5)
    vs = [constant(*arg.shape, seed=6 + k) for k, arg in enumerate(args)]

    def everything(args, u, vs):
        value, Js = jmc.value_and_jacobian(f, (0, 1))(*args)
        maps = [
            {
                "dense": J.dense(), "mv": J.mv(v), "vm": J.vm(u), "T": J.T.dense(), "gram": J.gram().dense(),
                "row_gram": J.row_gram().dense(), "row_norms": J.row_norms(), "sum": (J + J).dense(),
            } | ({"diagonal": J.diagonal(), "trace": J.trace()} if J.in_shape == J.out_shape else {})
            for J, v in zip(Js, vs, strict=True)
        ]  # fmt: skip
        return value, f(*args), maps, jax.jacfwd(f, (0, 1))(*args)

    value, wanted, maps, references = run(everything, args, u, vs)
    close(value, wanted)
    for found, reference, v in zip(maps, references, vs, strict=True):
        check_map(found, reference, u, v)


def check_map(found, reference, u, v):
    scale = np.max(np.abs(reference), initial=0)
    close(found["dense"], reference, scale)
    J = reference.reshape(u.size, v.size)
    close(found["mv"], (J @ v.ravel()).reshape(u.shape), scale)
    close(found["vm"], (u.ravel() @ J).reshape(v.shape), scale)
    close(found["T"], J.T.reshape(v.shape + u.shape), scale)
    close(found["gram"], (J.T @ J).reshape(v.shape * 2), scale**2)
    close(found["row_gram"], (J @ J.T).reshape(u.shape * 2), scale**2)
    close(found["row_norms"] ** 2, np.sum(J**2, 1).reshape(u.shape), scale**2)
    close(found["sum"], 2 * reference, scale)
    if "diagonal" in found:
        close(found["diagonal"], np.diagonal(J).reshape(u.shape), scale)
        close(found["trace"], np.trace(J), scale * u.size)


def check_hessian(source):
    f, args = function(source), arguments(source)

    def everything(args):
        return jmc.dense(jmc.hessian(f, (0, 1))(*args)), jmc.grad(f, (0, 1))(*args), jax.grad(f, (0, 1))(*args), jax.hessian(f, (0, 1))(*args)

    hessians, gradients, wanted, references = run(everything, args)
    for found, reference in zip(gradients, wanted, strict=True):
        close(found, reference, np.max(np.abs(reference), initial=0))
    for found, reference in zip(jax.tree.leaves(hessians), jax.tree.leaves(references), strict=True):
        close(found, reference, np.max(np.abs(reference), initial=0))


def examples(count):
    return settings(
        max_examples=MANY or count,
        derandomize=not MANY,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


@examples(40)
@given(programs())
@pytest.mark.usefixtures("x64")
def test_jacobians_of_programs(source):
    check_jacobian(source)


@examples(20)
@given(programs(longest=4, scalar=True))
@pytest.mark.usefixtures("x64")
def test_hessians_and_gradients_of_programs(source):
    check_hessian(source)
