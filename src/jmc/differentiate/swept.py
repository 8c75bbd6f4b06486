"""An equation without a rule, as a function whose Jacobian is swept."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax.extend.core import JaxprEqn
from jax.extend.core import primitives as p

from jmc.differentiate.branches import Branches
from jmc.differentiate.closed import with_closed_forms
from jmc.differentiate.jvp import as_function
from jmc.differentiate.known import is_complex
from jmc.differentiate.links import CORE, equation_links
from jmc.differentiate.opaque import Opaque
from jmc.differentiate.operation import Value
from jmc.differentiate.references import uses_references


def swept(
    eqn: JaxprEqn,
    operands: Sequence[Value | None],
    moving: Sequence[int],
    differentiable: Sequence[int],
    gradient: bool,
) -> tuple[Opaque, Sequence[Any] | None]:
    """The equation as a function of its moving operands, and its results if they had to be evaluated with it.

    Raises what JAX raises if it has no derivative.
    """
    # in the program of a JVP it is linear in the tangents, so that its Jacobian is the same everywhere
    avals: list[Any] = [atom.aval for atom in eqn.invars]
    arrays = [jnp.zeros(a.shape, a.dtype) if v is None else v.array for v, a in zip(operands, avals, strict=True)]
    apply = as_function(with_closed_forms(eqn))

    def both(*moved: Any) -> tuple[list[Any], Sequence[Any]]:
        filled = list(arrays)
        for k, array in zip(moving, moved, strict=True):
            filled[k] = array
        found = apply(*filled)
        return [found[j] for j in differentiable], found

    def f(*moved: Any) -> list[Any]:
        return both(*moved)[0]

    complex_linear = eqn.primitive in CORE or (
        eqn.primitive is p.fft_p and is_complex(eqn.invars[0].aval) and is_complex(eqn.outvars[0].aval)
    )
    branches = eqn.primitive is p.cond_p and not gradient
    made = Branches if branches else Opaque
    function = made(f, [jnp.asarray(arrays[k]) for k in moving], complex_linear=complex_linear)
    mode = function.mode()
    if mode == "both" and uses_references(eqn):
        mode = function.reverse_only()
    if mode == "reverse" and function.columns_only and not gradient:
        raise TypeError("forward mode, which complex numbers need here, through a function that has only a custom vjp")
    if not gradient or mode == "forward":  # gradients are pulled back, but for these
        links = equation_links(eqn, moving)
        if links is not None:
            function.links = {(differentiable.index(j), moving.index(k)): pairs for (j, k), pairs in links.items()}
    if isinstance(function, Branches):
        function.programs, function.index, function.operands = eqn.params["branches"], arrays[0], arrays[1:]
        function.moving, function.differentiable = [k - 1 for k in moving], differentiable
    pulled = mode == "reverse" or (gradient and mode == "both")
    return function, function.evaluated(both) if pulled and None not in operands else None
