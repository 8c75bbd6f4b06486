"""Derivations from the primals of the catalogue, compared with its own closed forms: equal, and how much longer?

``python benchmarks/catalogue_formulas.py [WORD]`` derives every rule (whose name has the word) by each argument, holds
the result to the closed form at arguments of the rule's own, in float64, and counts operators in both formulas. The
results are written to ``benchmarks/results/catalogue_formulas.json``.
"""

import json
import sys
import time
from collections import Counter
from pathlib import Path

import jax
import numpy as np

import jmc

RESULTS = Path(__file__).parent / "results" / "catalogue_formulas.json"
LONGER = 1.5


def shapes(found, wrt):
    """The shapes of a rule's arguments, with facts about all but the one that moves, whose entries are free."""
    return [
        " ".join([", ".join(map(str, argument.shape)), *(argument.facts if argument.name != wrt else ())])
        for argument in found.given.arguments
    ]


def arguments(rule, found):
    """Arguments from the rule's domain, at sizes of its own."""
    sizes = {axis: found.given.sizes.shape(dims, 0) for axis, dims in found.axes.items() if not axis.isdecimal()}
    sizes = {axis: size if axis.startswith("*") else size[0] for axis, size in sizes.items()}
    return rule.sample(0, "float64", sizes)


def compared(rule, found, k):
    """For each output of a rule its derivative by one argument, derived and as the catalogue states it."""
    wrt = rule.parameters[k].name
    derived = jax.tree.leaves(
        jmc.derive(rule.f, wrt)(*shapes(found, wrt)), is_leaf=lambda d: isinstance(d, jmc.Derivation)
    )
    rows = []
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        args = arguments(rule, found)
        maps = rule.map(k, *args)
        for d, J, closed in zip(
            derived, maps if isinstance(maps, tuple) else (maps,), found.derivatives[wrt], strict=True
        ):
            expected = np.squeeze(np.asarray(J.dense()))
            value = np.squeeze(np.asarray(d.function(*(np.squeeze(np.asarray(a)) for a in args))))
            same = value.shape == expected.shape
            error = (
                np.abs(value - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-3) if same else None
            )
            closed_size = None if closed.cotangent else closed.size
            rows.append({"formula": d.formula, "size": d.size, "closed": closed_size, "error": error})
    return rows


def measured(rule):
    """What becomes of a rule: its rows by argument, or why there are none."""
    found = jmc.formula(rule)
    rows, refused = {}, {}
    for k in rule.argnums:
        name = rule.parameters[k].name
        try:
            rows[name] = compared(rule, found, k)
        except jmc.NoFormula as refusal:
            refused[name] = f"{type(refusal).__name__}: {refusal}".replace(str(Path(__file__).parents[1]) + "/", "")
        except (TypeError, ValueError) as error:
            refused[name] = f"{type(error).__name__}: {str(error).splitlines()[0]}"
    return {"rows": rows, "refused": refused, "verdict": verdict(rows, refused)}


def verdict(rows, refused):
    """ "refused", "unequal", "longer" or "as short", by the worst of the rule's derivatives."""
    every = [row for found in rows.values() for row in found]
    if refused:
        return "refused"
    if any(row["error"] is None or row["error"] > 1e-7 for row in every):
        return "unequal"
    return (
        "longer"
        if any(row["closed"] is not None and row["size"] > LONGER * row["closed"] for row in every)
        else "as short"
    )


def main(word=""):
    """Compares, prints a line for each rule, and writes the results."""
    results, start = {}, time.perf_counter()
    for rule in jmc.rules.records():
        if word in rule.name:
            results[rule.name] = measured(rule)
            print(f"{results[rule.name]['verdict']}: {rule.name} {results[rule.name]['refused'] or ''}", flush=True)
    counts = Counter(result["verdict"] for result in results.values())
    share = counts["as short"] / len(results)
    print(
        f"{counts['as short']} of {len(results)} rules ({100 * share:.1f} %) equal and at most {LONGER} × as long",
        dict(counts),
    )
    if not word:
        versions = {"jax": jax.__version__, "numpy": np.__version__}
        summary = {
            "counts": dict(counts),
            "share": share,
            "seconds": round(time.perf_counter() - start),
            "versions": versions,
        }
        RESULTS.write_text(json.dumps({"summary": summary, "rules": results}, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
