"""Derivatives written by hand, right and wrong, that `check.py` asks `jmc.check` about; and the proof that they are so.

    python benchmarks/check_cases.py [NAME …]

The proof, in float64 against JAX: what is called right agrees, or agrees once the named convention is undone; what is
called wrong differs, and where a kind can be read off the numbers (a sign, a constant, an ignored cotangent) it is
the kind that the case names.
"""

import inspect
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partialmethod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

EQUAL = "equal"
KINDS = (
    "sign",
    "constant_factor",
    "mean_vs_sum",
    "missing_sum",
    "transposed_layout",
    "transposed_operand",
    "cotangent_ignored",
    "nonlinear_in_cotangent",
    "missing_factor",
    "extra_factor",
    "wrong_point",
    "diagonal_only",
    "missing_term",
    "wrong_term",
    "swapped_arguments",
    "wrong_axis",
    "zero",
    "pass_through",
    "region",
    "tail_accuracy",
    "kink_convention",
    "symmetric_argument",
    "log_parameter",
    "conjugate",
)
CONVENTIONS = ("transposed_layout", "kink_convention", "symmetric_argument", "log_parameter", "conjugate")
RIGHT, WRONG = 1e-8, 1e-3  # normwise for what agrees, in some entry for what does not

Kind = Any  # "equal", ("convention", name), a kind, a tuple of two kinds, or a frozenset of any of these


@dataclass(frozen=True)
class Case:
    """A claim about the derivative of `f`, in the form that `jmc.check` takes it under the keyword `mode`.

    Under "own" the claim is what `f`'s own custom rule says. A frozenset of kinds leaves the choice between them; a
    tuple of two kinds names two mistakes. `witness` is a point where a claim is wrong that elsewhere is right,
    `primal` the function behind a custom rule inside f, and `precision` what the arguments' own dtype allows.
    """

    name: str
    f: Callable[..., Any]
    args: tuple[Any, ...]
    mode: str
    claim: Callable[..., Any] | None
    argnums: int | tuple[int, ...]
    kind: Kind
    note: str
    witness: tuple[Any, ...] | None = None
    primal: Callable[..., Any] | None = None
    precision: float = 2e-4

    @property
    def kinds(self) -> tuple[Any, ...]:
        """Every kind that would be a right answer."""
        listed = tuple(self.kind) if isinstance(self.kind, frozenset) else (self.kind,)
        return tuple(k for kind in listed for k in ((kind,) if isinstance(kind, str) or named(kind) else two(kind)))

    @property
    def right(self) -> bool:
        return all(kind == EQUAL or named(kind) for kind in self.kinds)


def named(kind: Kind) -> bool:
    return isinstance(kind, tuple) and kind[0] == "convention"


def two(kind: tuple[Kind, ...]) -> tuple[str, ...]:
    return tuple(k for each in kind for k in (each if isinstance(each, frozenset) else (each,)))


def label(kind: Kind) -> str:
    if isinstance(kind, frozenset):
        return " or ".join(sorted(map(label, kind)))
    return kind if isinstance(kind, str) else f"convention {kind[1]}" if named(kind) else " and ".join(map(label, kind))


class Cases(list[Case]):
    """Collects the functions that it decorates: `@cases.vjp(f, args, kind, note)`."""

    def claimed(
        self, mode: str, f: Any, args: Sequence[Any], kind: Kind, note: str, argnums: Any = 0, **more: Any
    ) -> Any:
        def take(claim: Any) -> Any:
            self.append(Case(claim.__name__, f, tuple(args), mode, claim, argnums, kind, note, **more))
            return claim

        return take

    grad = partialmethod(claimed, "grad")
    jacobian = partialmethod(claimed, "jacobian")
    hessian = partialmethod(claimed, "hessian")
    vjp = partialmethod(claimed, "vjp")
    jvp = partialmethod(claimed, "jvp")

    def own(self, name: str, f: Any, args: Sequence[Any], kind: Kind, note: str, argnums: Any = 0, **more: Any) -> None:
        self.append(Case(name, f, tuple(args), "own", None, argnums, kind, note, **more))


class Draw:
    """Generic arguments in float32, a new one at each call."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)

    def __call__(self, *shape: int, scale: float = 1.0, dtype: Any = "float32") -> jax.Array:
        return jnp.asarray(scale * self.rng.normal(size=shape), dtype)

    def positive(self, *shape: int) -> jax.Array:
        return jnp.asarray(0.4 + 1.6 * self.rng.uniform(size=shape), "float32")

    def unit(self, *shape: int) -> jax.Array:
        return jnp.asarray(0.1 + 0.8 * self.rng.uniform(size=shape), "float32")

    def below(self, k: int, *shape: int) -> jax.Array:
        return jnp.asarray(self.rng.integers(0, k, size=shape), "int32")

    def mask(self, *shape: int) -> jax.Array:
        """Zeros and ones, of each at least one."""
        bits = self.rng.permutation(np.arange(int(np.prod(shape))) % 3 > 0)
        return jnp.asarray(bits.reshape(shape), "float32")

    def simplex(self, *shape: int) -> jax.Array:
        p = 0.1 + self.rng.uniform(size=shape)
        return jnp.asarray(p / p.sum(-1, keepdims=True), "float32")

    def regular(self, n: int) -> jax.Array:
        """Square and well conditioned, with a positive determinant."""
        return jnp.asarray(self.rng.normal(size=(n, n)) / n**0.5 + 3 * np.eye(n), "float32")

    def spd(self, n: int) -> jax.Array:
        a = self.rng.normal(size=(n, n))
        return jnp.asarray(a @ a.T / n + np.eye(n), "float32")

    def triangular(self, n: int) -> jax.Array:
        return jnp.asarray(np.tril(self.rng.normal(size=(n, n)), -1) + np.diag(1 + self.rng.uniform(size=n)), "float32")

    def complex(self, *shape: int) -> jax.Array:
        return jnp.asarray(self.rng.normal(size=shape) + 1j * self.rng.normal(size=shape), "complex64")


def inexact(a: Any) -> bool:
    return jnp.issubdtype(a.dtype, jnp.inexact)


def concrete(tree: Any, seed: int = 5) -> Any:
    """Normal numbers for every ShapeDtypeStruct."""
    rng = np.random.default_rng(seed)

    def value(a: Any) -> Any:
        return jnp.asarray(rng.normal(size=a.shape), a.dtype) if isinstance(a, jax.ShapeDtypeStruct) else a

    return jax.tree.map(value, tree)


def widened(tree: Any) -> Any:
    """In float64 or complex128; integers as they are."""

    def wide(a: Any) -> Any:
        a = jnp.asarray(a)
        if jnp.issubdtype(a.dtype, jnp.complexfloating):
            return a.astype("complex128")
        return a.astype("float64") if inexact(a) else a

    return jax.tree.map(wide, tree)


def cotangent(f: Callable[..., Any], args: Sequence[Any], seed: int = 11) -> Any:
    rng = np.random.default_rng(seed)

    def like(a: Any) -> Any:
        u = rng.normal(size=a.shape)
        return jnp.asarray(
            u + 1j * rng.normal(size=a.shape) if jnp.issubdtype(a.dtype, jnp.complexfloating) else u, a.dtype
        )

    return jax.tree.map(like, jax.eval_shape(f, *args))


def primal(case: Case) -> Callable[..., Any]:
    """The function without its custom rule."""
    return case.primal or (inspect.unwrap(case.f) if case.mode == "own" else case.f)


def positions(case: Case) -> tuple[int, ...]:
    return (case.argnums,) if isinstance(case.argnums, int) else tuple(case.argnums)


def dense(tree: Any) -> list[Any]:
    is_map = lambda J: hasattr(J, "dense")
    return [J.dense() if is_map(J) else jnp.asarray(J) for J in jax.tree.leaves(tree, is_leaf=is_map)]


def pulled_back(f: Callable[..., Any], args: Sequence[Any], u: Any, wrt: Sequence[int]) -> list[Any]:
    """Uᵀ J for the arguments `wrt`, one tree for each."""

    def of(*moved: Any) -> Any:
        whole = list(args)
        for i, a in zip(wrt, moved, strict=True):
            whole[i] = a
        return f(*whole)

    return list(jax.vjp(of, *(args[i] for i in wrt))[1](u))


def pair(case: Case, args: Sequence[Any], u: Any = None) -> tuple[list[Any], list[Any], Any]:
    """The leaves of what is claimed and of what JAX gives, and the cotangent or tangent that both were asked with."""
    f = primal(case)
    if case.mode in ("grad", "jacobian", "hessian"):
        true = {"grad": jax.grad, "jacobian": jax.jacobian, "hessian": jax.hessian}[case.mode](f, case.argnums)(*args)
        return dense(case.claim(*args)), dense(true), None  # pyright: ignore[reportOptionalCall] - not "own"
    if case.mode == "jvp":
        u = cotangent(lambda *a: a, args) if u is None else u
        return dense(case.claim(args, u)), dense(jax.jvp(f, args, u)[1]), u  # pyright: ignore[reportOptionalCall] - not "own"
    u = cotangent(f, args) if u is None else u
    if case.mode == "own":
        wrt = positions(case)
        return dense(pulled_back(case.f, args, u, wrt)), dense(pulled_back(f, args, u, wrt)), u
    given = case.claim(args, u)  # pyright: ignore[reportOptionalCall] - not "own"
    wrt = [i for i, g in enumerate(given) if g is not None]
    return dense([given[i] for i in wrt]), dense(pulled_back(f, args, u, wrt)), u


def error(claimed: Sequence[Any], true: Sequence[Any], least: float | None = None) -> float:
    """The largest error, in norm leaf by leaf; in entries, each against the true one or `least` of the largest."""
    if [c.shape for c in claimed] != [t.shape for t in true]:
        return np.inf
    worst = 0.0
    for c, t in zip(claimed, true, strict=True):
        c, t = np.asarray(c).astype(complex), np.asarray(t).astype(complex)
        if not t.size:
            continue
        if not np.isfinite(t).all():
            raise ValueError("JAX's own derivative is not finite")
        if not np.isfinite(c).all():
            return np.inf
        size = np.abs(t).max()
        per_entry = np.abs(c - t) / np.maximum(np.abs(t), max(size * (least or 0), 1e-300))
        worst = max(worst, np.abs(c - t).max() / (size or 1) if least is None else per_entry.max())
    return float(worst)


def differing(claimed: Sequence[Any], true: Sequence[Any]) -> list[tuple[Any, Any]]:
    return [(c, t) for c, t in zip(claimed, true, strict=True) if error([c], [t]) > RIGHT]


def ratio(c: Any, t: Any) -> float | None:
    """The constant k with c = k t, if there is one."""
    if c.shape != t.shape or not jnp.any(t):
        return None
    k = float(jnp.vdot(t, c) / jnp.vdot(t, t))
    return k if error([c], [k * t]) < RIGHT else None


def told_by_numbers(case: Case, args: Sequence[Any], claimed: list[Any], true: list[Any], u: Any) -> str | None:
    """What contradicts the kind that the case names, for the kinds whose meaning is an equation."""
    kind = case.kind if isinstance(case.kind, str) else ""
    wrong = differing(claimed, true)
    ratios = [ratio(c, t) for c, t in wrong]
    truth = {
        "sign": lambda: all(k and abs(k + 1) < RIGHT for k in ratios),
        "constant_factor": lambda: all(k and abs(k + 1) > RIGHT for k in ratios),
        "mean_vs_sum": lambda: all(k and min(abs(round(k) - k), abs(round(1 / k) - 1 / k)) < RIGHT for k in ratios),
        "zero": lambda: all(not np.any(c) for c, _ in wrong),
        "pass_through": lambda: all(error([c], [jax.tree.leaves(u)[0]]) < RIGHT for c, _ in wrong),
        "transposed_layout": lambda: all(error([c.T], [t]) < RIGHT for c, t in wrong),
        "swapped_arguments": lambda: error(claimed[::-1], true) < RIGHT,
    }
    if kind in truth and not truth[kind]():
        return f"is not {kind}"
    if case.mode in ("vjp", "jvp", "own"):
        v = cotangent((lambda *a: a) if case.mode == "jvp" else primal(case), args, seed=12)
        twice = pair(case, args, jax.tree.map(lambda a: -2 * a, u))[0]
        other, both = pair(case, args, v)[0], pair(case, args, jax.tree.map(jnp.add, u, v))[0]
        added = [a + b for a, b in zip(claimed, other, strict=True)]
        linear = error(twice, [-2 * c for c in claimed]) < RIGHT and error(both, added) < RIGHT
        ignored = error(twice, claimed) < RIGHT and not all(not np.any(c) for c in claimed)
        if ignored != (kind == "cotangent_ignored") or (linear or ignored) != (kind != "nonlinear_in_cotangent"):
            return f"linear: {linear}, ignores the cotangent: {ignored}"
    return None


def under(convention: str, case: Case, args: Sequence[Any], true: list[Any]) -> list[list[Any]]:
    """What the true derivative is called under another convention; for a kink it is the point that matters."""
    axes = jax.tree.leaves(jax.eval_shape(case.f, *args))[0].ndim
    wrt = [args[i] for i in positions(case)]
    return {
        "transposed_layout": lambda: [[jnp.moveaxis(t, range(axes), range(-axes, 0)) for t in true]],
        "symmetric_argument": lambda: [
            [t + t.T - jnp.diag(jnp.diag(t)) for t in true],
            [(t + t.T) / 2 for t in true],
        ],
        "log_parameter": lambda: [[t * a for t, a in zip(true, wrt, strict=True)]],
        "conjugate": lambda: [[jnp.conj(t) for t in true], [jnp.conj(t) / 2 for t in true], [t / 2 for t in true]],
        "kink_convention": lambda: [true],
    }[convention]()


def between(case: Case, args: Sequence[Any]) -> bool:
    """At a kink: is what the claim says of each result, along any direction, between the slopes on its two sides?"""
    rng = np.random.default_rng(3)
    f, step = primal(case), 1e-6
    out = jax.eval_shape(f, *args)
    for u in [jnp.zeros(out.size).at[k].set(1).reshape(out.shape) for k in range(min(out.size, 5))]:
        claimed, _, _ = pair(case, args, u)
        given = case.claim(args, u) if case.claim and case.mode == "vjp" else ()
        wrt = [i for i, g in enumerate(given) if g is not None] or positions(case)
        for _ in range(5):
            direction = {i: rng.normal(size=args[i].shape) for i in wrt}

            def along(h: float, u: Any = u, direction: Any = direction) -> Any:
                moved = [a + h * direction[i] if i in direction else a for i, a in enumerate(args)]
                return jnp.vdot(u, f(*moved))

            slope = sum(jnp.vdot(c, d) for c, d in zip(claimed, direction.values(), strict=True))
            sides = sorted([(along(step) - along(0)) / step, (along(0) - along(-step)) / step])
            if not sides[0] - 1e-4 <= slope <= sides[1] + 1e-4:
                return False
    return True


def fault(case: Case) -> str | None:
    """What is wrong with the case itself; None if nothing is."""
    unknown = [k for k in case.kinds if k != EQUAL and (k[1] if named(k) else k) not in KINDS]
    if unknown:
        return f"no such kind: {unknown}"
    own = concrete(case.args)
    with jax.enable_x64(True):
        args = widened(own)
        claimed, true, u = pair(case, args)
        if case.right:
            names = [k[1] for k in case.kinds if named(k)]
            forms = [true] * (EQUAL in case.kinds) + [form for n in names for form in under(n, case, args, true)]
            worst = min(error(claimed, form) for form in forms)
            if worst > RIGHT:
                return f"is called right, but differs by {worst:.1e}"
            if "kink_convention" in names and (case.witness is None or not between(case, widened(case.witness))):
                return "its value at the kink is not between the slopes"
        else:
            where = widened(case.witness) if case.witness is not None else args
            if case.witness is not None:
                claimed, true, u = pair(case, where)
            worst = error(claimed, true, 0.0 if case.witness is not None else 1e-3)
            if worst < WRONG:
                return f"is called wrong, but differs by {worst:.1e} only"
            if case.witness is None and (told := told_by_numbers(case, where, claimed, true, u)):
                return told
    if case.right and EQUAL in case.kinds:
        at_home = [np.asarray(c, "complex128") for c in pair(case, own)[0]]
        if (worst := error(at_home, [np.asarray(t) for t in true])) > case.precision:
            return f"at its own precision it differs by {worst:.1e}"
    return None


def halves() -> dict[str, list[Case]]:
    """The sets by name: two halves of one list, and three more."""
    import check_cases_fifth
    import check_cases_first
    import check_cases_fourth
    import check_cases_second
    import check_cases_third

    sets = {
        "first": check_cases_first,
        "second": check_cases_second,
        "third": check_cases_third,
        "fourth": check_cases_fourth,
        "fifth": check_cases_fifth,
    }
    return {name: list(module.CASES) for name, module in sets.items()}


def main(only: Sequence[str]) -> int:
    faults = 0
    seen: Counter[str] = Counter()
    for half, cases in halves().items():
        counts: Counter[str] = Counter()
        for case in cases:
            seen[case.name] += 1
            counts[label(case.kind)] += 1
            if only and case.name not in only:
                continue
            try:
                told = fault(case)
            except Exception as problem:  # a case that cannot be run is at fault as well
                told = f"{type(problem).__name__}: {str(problem)[:300]}"
            if told:
                faults += 1
                print(f"{half}: {case.name}: {told}")
        right = sum(case.right for case in cases)
        print(f"{half}: {len(cases) - right} wrong, {right} right")
        print("   ", ", ".join(f"{kind} {n}" for kind, n in sorted(counts.items())))
        missing = set(KINDS) - {k[1] if named(k) else k for case in cases for k in case.kinds}
        if missing:
            faults += 1
            print(f"    of these kinds there is none: {sorted(missing)}")
    if twice := [name for name, n in seen.items() if n > 1]:
        faults += 1
        print(f"two cases of one name: {twice}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
