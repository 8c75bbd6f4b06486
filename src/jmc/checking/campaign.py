"""Many proofs at once, in several processes, as they come."""

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

from jmc.catalogue.record import Rule
from jmc.catalogue.registry import rules
from jmc.checking.proof import POINTS, check

# A process of its own has nothing but the catalogue: it finds a rule by its name.
_FEW = 8
_QUICK = "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters"  # a third of the time to compile a program


def proofs(wanted: Sequence[Rule], workers: int | None = None, points: int = POINTS) -> Iterator[dict[str, Any]]:
    """The proof of each rule of the catalogue as a dict (``Proof.as_dict``), in the order in which they are done.

    Args:
        wanted: the rules.
        workers: how many processes; as many as there are processors if None, and none for a handful of rules.
        points: how many points are drawn for each.
    """
    workers = len(os.sched_getaffinity(0)) if workers is None else workers
    names = [rule.name for rule in wanted]
    if workers < 2 or len(names) <= _FEW:
        yield from (_proof(name, points) for name in names)
        return
    # spawned, since JAX's threads do not survive a fork
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _compile_quickly) as pool:
        try:
            for done in as_completed([pool.submit(_proof, name, points) for name in names]):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _compile_quickly() -> None:
    """Before the first program of the process, which reads it."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_QUICK}".strip()


def _proof(name: str, points: int) -> dict[str, Any]:
    try:
        return check(rules[name], points).as_dict()
    except Exception as error:  # a rule that cannot even be evaluated is one that is not proved
        message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        failed = {"ok": False, "oracles": {}, "agreeing": [], "structure": [], "notes": [], "failures": [message]}
        return {"name": name, "ids": list(rules[name].ids), **failed}


def with_seconds(records: Sequence[Rule]) -> list[Rule]:
    """The rules, each followed by that of its second derivative if it states one."""
    found = []
    for rule in records:
        found += [rule] if rule.second is None else [rule, rules[f"{rule.name}, second derivative"]]
    return found
