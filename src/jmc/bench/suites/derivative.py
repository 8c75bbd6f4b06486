"""A derivative as a case: jmc's map, JAX's modes, asdex, and the formula of someone who knows the structure."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jmc
from jmc.bench.case import Case, Contender, Program, jax_modes


def dense(
    f: Program,
    args: tuple[Any, ...],
    hand: Program,
    *,
    hessian: bool = False,
    flops: float = 0.0,
    plain: Program | None = None,
    others: Mapping[str, Contender] | None = None,
) -> Case:
    """The dense array of the derivative of ``f`` with respect to its first argument; ``hand`` computes it, too.

    ``plain`` is ``f`` without functions of jmc's, for all others.
    """
    maps, plain = _maps(f, hessian), plain or f
    contenders = {
        "jmc": Contender(lambda *args: jmc.dense(maps(*args)), "jmc"),
        "by hand": Contender(hand, "hand"),
        **jax_modes(plain, hessian=hessian),
        **_asdex(plain, hessian, "dense"),
        **(others or {}),
    }
    return Case(args, contenders, hand, flops)


def structured(
    f: Program,
    args: tuple[Any, ...],
    hand: Program,
    expand: Callable[..., Any],
    *,
    hessian: bool = False,
    flops: float = 0.0,
    plain: Program | None = None,
    modes: bool = True,
) -> Case:
    """What of the derivative has to be computed: jmc's map, and what ``hand`` computes with the same content.

    ``expand(numbers, *args)`` makes the dense array of the latter. JAX's modes compute the dense array, for want of
    another form, if they take part; asdex one that holds what is not zero. Arguments of ``f`` that are parts of a map
    are not computed, and so not returned.
    """
    maps, plain = _maps(f, hessian), plain or f

    def computed(*args: Any) -> Any:
        given = {id(leaf) for leaf in jax.tree.leaves(args)}
        return [leaf for leaf in jax.tree.leaves(maps(*args)) if id(leaf) not in given] or jnp.zeros(0)

    contenders = {
        "jmc": Contender(computed, "jmc", read=lambda _, *args: jmc.dense(jax.jit(maps)(*args))),
        "by hand": Contender(hand, "hand", read=expand),
        **(jax_modes(plain, hessian=hessian) if modes else {}),
        **(_asdex(plain, hessian, "bcoo") if modes else {}),
    }
    return Case(args, contenders, lambda *args: expand(hand(*args), *args), flops)


def _maps(f: Program, hessian: bool) -> Program:
    return jmc.hessian(f) if hessian else jmc.jacobian(f)


def _asdex(f: Program, hessian: bool, form: str) -> dict[str, Contender]:
    """asdex detects the pattern of zeros, colours it, and fills it: the first two, at these shapes, are not timed."""

    def prepare(args: tuple[Any, ...]) -> tuple[Any, ...]:
        import asdex  # pyright: ignore[reportMissingImports] - a peer, of its own environment

        find = asdex.hessian if hessian else asdex.jacobian
        return (jax.jit(find(f, *args, output_format=form)), *args)

    def read(found: Any, *_: Any) -> Any:
        return found.todense() if form == "bcoo" else found

    return {"asdex": Contender(lambda found, *args: found(*args), "asdex", False, read, prepare)}


def torch_modes(f: Callable[..., Any], *, hessian: bool = False) -> dict[str, Contender]:
    """torch.func's ways to the dense array, for ``f`` as written in torch: eager, and compiled."""
    if hessian:
        return {
            "torch hessian": in_torch(lambda torch: torch.func.hessian(f)),
            "torch hessian, compiled": in_torch(lambda torch: torch.compile(torch.func.hessian(f))),
        }
    return {
        "torch jacfwd": in_torch(lambda torch: torch.func.jacfwd(f)),
        "torch jacrev": in_torch(lambda torch: torch.func.jacrev(f)),
        "torch jacrev, compiled": in_torch(lambda torch: torch.compile(torch.func.jacrev(f))),
    }


def in_torch(make: Callable[[Any], Callable[..., Any]]) -> Contender:
    """``make(torch)`` is a program on tensors; it is given those of the case, with as many threads as all others."""

    def prepare(args: tuple[Any, ...]) -> tuple[Any, ...]:
        import torch  # pyright: ignore[reportMissingImports] - a peer, of its own environment

        on_gpu = jax.default_backend() == "gpu"
        torch.set_num_threads(int(os.environ.get("NPROC", "1")))
        tensors = jax.tree.map(lambda leaf: torch.from_numpy(np.array(leaf)).to("cuda" if on_gpu else "cpu"), args)
        program = make(torch)

        def waited(*args: Any) -> Any:
            found = program(*args)
            torch.cuda.synchronize()
            return found

        return (waited if on_gpu else program, *tensors)

    def read(found: Any, *_: Any) -> Any:
        return jax.tree.map(lambda tensor: tensor.detach().cpu().numpy(), found)

    return Contender(lambda program, *tensors: program(*tensors), "torch", False, read, prepare)


def put(J: jax.Array, values: jax.Array, offset: int = 0) -> jax.Array:
    """Adds a diagonal: into a large array much faster than by comparing row and column everywhere."""
    rows = jnp.arange(len(values)) + max(-offset, 0)
    return J.at[rows, rows + offset].add(values, unique_indices=True, mode="promise_in_bounds")
