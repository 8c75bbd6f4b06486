"""What a suite asks: a question at some size, the right answer, and the programs that compete for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import jax

Program = Callable[..., Any]


@dataclass(frozen=True)
class Contender:
    """A program that takes the arguments of its case.

    - ``package``: whose it is, a name that `--peers` takes. "jmc" and "hand" (a formula written by someone who knows
      the structure) always take part.
    - ``compiled``: whether `jax.jit` compiles it; if not, it is called as it is.
    - ``read``: makes what the reference returns of what the program returns, and of the arguments; it is not timed.
    - ``prepare``: makes the program's own arguments of the case's, before anything is timed.
    """

    run: Program
    package: str = "jax"
    compiled: bool = True
    read: Callable[..., Any] | None = None
    prepare: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None


@dataclass(frozen=True)
class Case:
    """One question. The first of the ``contenders`` is jmc's; every ratio is another's time by that of jmc.

    ``reference`` computes the answer from the arguments in float64; where it is None there is nothing to compare, as
    when a process starts. ``flops`` are the floating-point operations of the first contender's formula, by hand; 0 if
    there is none. ``tolerance`` replaces the dtype's own, relative to the largest entry.
    """

    args: tuple[Any, ...]
    contenders: Mapping[str, Contender]
    reference: Program | None
    flops: float = 0.0
    tolerance: float | None = None


@dataclass(frozen=True)
class Series:
    """A case at sizes n that grow: ``make(n, draw)`` builds it.

    ``headline`` is the size of which people speak, ``sizes`` are those of a CPU, and ``large`` is what an accelerator
    is asked besides, as far as its memory reaches: `bytes_at(n)` is what the largest contender holds.
    """

    make: Callable[[int, "Draw"], Case]
    sizes: tuple[int, ...]
    headline: int
    large: tuple[int, ...] = ()
    bytes_at: Callable[[int], float] = field(default=lambda n: 16.0 * n * n)


@dataclass(frozen=True)
class Draw:
    """Normal random arrays of one dtype; the same shape and seed give the same numbers in every dtype."""

    dtype: Any

    def __call__(self, *shape: int, seed: int = 0, scale: float = 1.0) -> "jax.Array":
        import jax.numpy as jnp

        values = np.random.default_rng([seed, *shape]).normal(size=shape)
        return jnp.asarray((scale * values).astype(np.float32), self.dtype)


def jax_modes(f: Program, *, hessian: bool = False) -> dict[str, Contender]:
    """JAX's own ways to the dense array: both modes of a Jacobian, both nestings of a Hessian."""
    import jax

    if hessian:
        nested = jax.jacrev(jax.grad(f))
        return {"jax.hessian": Contender(jax.hessian(f)), "jacrev(grad)": Contender(nested)}
    return {"jacfwd": Contender(jax.jacfwd(f)), "jacrev": Contender(jax.jacrev(f))}
