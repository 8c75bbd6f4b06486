"""A grammar of random programs, drawn by Hypothesis: Python source, one assignment a line, that can be pasted and run."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from draws import normal
from hypothesis import strategies as st
from jax import lax

import jmc

LARGEST = 48  # entries of a value

ints = st.integers
shapes = (
    st.lists(st.sampled_from([1, 2, 2, 3, 3, 4, 6, 0]), max_size=3).filter(lambda s: math.prod(s) <= LARGEST).map(tuple)
)
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
        cuts.append(
            draw(pick([":", f"{low}::{step}", f"{min(low, high)}:{max(low, high)}:{step}", "::-1", f"{low}::-{step}"]))
        )
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
    fits = [
        m
        for m, s in known.items()
        if len(s) == len(shape) and s[:axis] + s[axis + 1 :] == shape[:axis] + shape[axis + 1 :]
    ]
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
        return (
            f"{base}.at[np.array({where})].{how}({name}[:{len(where)}], unique_indices=True)"
            if len(where) <= shape[0]
            else None
        )
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
    return draw(
        pick(["{} + {}", "{} - {}", "{} * {}", "{1} - jnp.tanh({0})", "{} / (1 + {} ** 2)", "jnp.maximum({}, {})"])
    ).format(name, other)


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
        choices += [f"jnp.{f}({name}, {k})" for f in ("tril", "triu")] + [
            f"jnp.diagonal({name}, {k})",
            f"jnp.roll({name}, {k}, 1)",
        ]
        choices += [f"jnp.trace({name}, {k})", f"jnp.tile({name}, {rows})", f"jnp.repeat({name}, {rows}, 0)"]
    if len(shape) == 1:
        choices += [
            f"jnp.diag({name}, {k})",
            f"jnp.convolve({name}, constant({rows}), 'same')",
            f"jnp.outer({name}, {name})",
        ]
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
        return (
            header
            + source
            + f"out = jnp.sum(jnp.sin({last}) * constant({', '.join(map(str, known[last]))})) + 0 * jnp.sum(v0)"
        )
    return header + source + f"out = {last}"


@st.composite
def elementwise_programs(draw):
    shape = draw(shapes)
    known, source = {"v0": shape, "v1": shape}, ""
    for _ in range(draw(ints(1, 8))):
        name, new = draw(pick(list(known))), f"v{len(known)}"
        source += f"{new} = {draw(pick([pointwise, binary]))(draw, name, shape, known)}\n"
        known[new] = shape
    return f"# {shape}, {shape}\n{source}out = v{len(known) - 1} + jnp.sin(v0)"


def abstract(source, known):
    args = [jax.ShapeDtypeStruct(known[name], "float64") for name in ("v0", "v1")]
    return jax.eval_shape(function(source), *args).shape


def arguments(source):
    return [constant(*shape, seed=k + 1) for k, shape in enumerate(eval(source.split("\n")[0].removeprefix("# ")))]
