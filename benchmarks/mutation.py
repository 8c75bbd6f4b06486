"""Would the proofs notice? Every closed form of the catalogue is spoilt in every small way, and proved again.

    python benchmarks/mutation.py [FAMILY …] [--json FILE] [--workers N]

A mutant is a closed form with one change to its code: a sign flipped, a factor or a term dropped, a number or the whole
halved, a transpose added or taken away, two labels of an einsum exchanged, a comparison turned round; in the formula
itself and in the helpers of its file. Mutants that cannot be evaluated, or whose shape is another, are void; those
that are equal to the closed form at points other than the proof's are equivalent. Of the others the proof, at one
point, must reject all. One that is far off there, from what is proved, is rejected without asking every oracle again.
"""

import argparse
import ast
import copy
import functools
import inspect
import json
import multiprocessing
import os
import sys
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

SEEN_SEED, UNSEEN_SEEDS = 0, (101, 102, 103)
TAILS = (0.01, -0.01, 2.0, -2.0, 9.0, -9.0, 25.0, -25.0)
FAR = 1e-4


def variants(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every expression that differs from ``node`` at its root by one small change."""
    text = ast.unparse(node)
    if isinstance(node, ast.BinOp):
        left, right = node.left, node.right
        if isinstance(node.op, (ast.Add, ast.Sub)):
            other = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            yield f"sign in {text}", ast.BinOp(left, other, right)
            yield f"term dropped from {text}", left
            yield f"term dropped from {text}", right if isinstance(node.op, ast.Add) else ast.UnaryOp(ast.USub(), right)
        elif isinstance(node.op, ast.Mult):
            yield f"factor dropped from {text}", left
            yield f"factor dropped from {text}", right
        elif isinstance(node.op, ast.Div):
            yield f"divisor dropped from {text}", left
        elif isinstance(node.op, ast.MatMult):
            yield f"factor dropped from {text}", left
            yield f"factor dropped from {text}", right
            yield f"left operand transposed in {text}", ast.BinOp(_transposed(left), ast.MatMult(), right)
            yield f"right operand transposed in {text}", ast.BinOp(left, ast.MatMult(), _transposed(right))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield f"sign of {text}", node.operand
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield f"transpose dropped from {text}", node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "->" in node.value:
        for k, (a, b) in enumerate(zip(node.value, node.value[1:], strict=False)):
            if a.isalpha() and b.isalpha() and a != b:
                swapped = node.value[:k] + b + a + node.value[k + 2 :]
                yield f"labels {a}, {b} exchanged in {text}", ast.Constant(swapped)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value not in (0, 1):
        number: Any = node.value
        yield f"{text} halved", ast.Constant(number / 2)
        yield f"{text} doubled", ast.Constant(number * 2)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        turned = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE}.get(type(node.ops[0]))
        if turned is not None:
            yield f"{text} turned round", ast.Compare(node.left, [turned()], node.comparators)


def _transposed(node: Any) -> ast.expr:
    return ast.Attribute(node, "T", ast.Load())


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> Any:
        return self.new if node is self.old else self.generic_visit(node)


def mutants(tree: Any) -> Iterator[tuple[str, Any]]:
    """Copies of a lambda or a function, each with one change."""
    body = tree.body if isinstance(tree, ast.Lambda) else None
    if body is not None:
        for what, factor in (("the whole negated", -1), ("the whole halved", 0.5)):
            yield what, ast.Lambda(tree.args, ast.BinOp(ast.Constant(factor), ast.Mult(), body))
    for k, node in enumerate(ast.walk(tree)):
        for v in range(len(list(variants(node)))):
            twin = copy.deepcopy(tree)
            old = list(ast.walk(twin))[k]
            what, new = list(variants(old))[v]
            yield what, _Replace(old, new).visit(twin)


def mutated_functions(function: Any, met: set[Any]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Mutants of a function of the catalogue: of its own code, of what it closes over, of functions that it names.

    A function that is reached on several paths is spoilt on the first; ``met`` has those that were.
    """
    if isinstance(function, functools.partial):
        for what, twin in mutated_functions(function.func, met):
            yield what, functools.partial(twin, *function.args, **function.keywords)
        return
    if not isinstance(function, types.FunctionType) or not function.__module__.startswith("jmc.catalogue."):
        return
    path = inspect.getsourcefile(function) or ""
    found = node_of(function, tree_of(path))
    if found is not None and not function.__closure__:
        for what, twin in mutants(found):
            yield what, evaluated(twin, function, path)
    closed = function.__closure__ or ()
    for k, cell in enumerate(closed):
        for what, twin in mutated_functions(cell.cell_contents, met):
            cells = [*closed[:k], types.CellType(twin), *closed[k + 1 :]]
            yield what, rebound(function, function.__globals__, tuple(cells))
    for name in sorted(named(function.__code__)):
        helper = function.__globals__.get(name)
        if isinstance(helper, types.FunctionType) and helper not in met and not hasattr(helper, "__wrapped__"):
            met.add(helper)
            for what, twin in mutated_functions(helper, met):
                yield f"{name}: {what}", rebound(function, function.__globals__ | {name: twin}, function.__closure__)


def rebound(function: types.FunctionType, names: dict[str, Any], cells: Any) -> types.FunctionType:
    """The function with other globals and cells."""
    twin = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, cells)
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def named(code: types.CodeType) -> set[str]:
    """The names that a function's code and what is nested in it look up."""
    return {*code.co_names}.union(*(named(c) for c in code.co_consts if isinstance(c, types.CodeType)))


@functools.cache
def tree_of(path: str) -> ast.Module:
    return ast.parse(Path(path).read_text())


def evaluated(node: Any, function: types.FunctionType, path: str) -> Callable[..., Any]:
    """The function that a lambda or a def is, with the globals and the defaults of this one."""
    arguments = node.args
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [d and ast.Constant(None) for d in arguments.kw_defaults]
    if isinstance(node, ast.Lambda):
        code = compile(ast.fix_missing_locations(ast.Expression(node)), path, "eval")
        twin = eval(code, function.__globals__)
    else:
        own: dict[str, Any] = {}
        code = compile(ast.fix_missing_locations(ast.Module([node], [])), path, "exec")
        exec(code, dict(function.__globals__), own)
        twin = own[node.name]
    twin.__defaults__, twin.__kwdefaults__ = function.__defaults__, function.__kwdefaults__
    return twin


def node_of(function: types.FunctionType, tree: ast.Module) -> Any:
    """The lambda or def in the file's tree that the function was made by."""
    code = function.__code__
    if code.co_name != "<lambda>":
        return next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == code.co_name), None)
    starts = [(line, column) for line, _, column, _ in code.co_positions() if line is not None and column is not None]
    lambdas = [n for n in ast.walk(tree) if isinstance(n, ast.Lambda)]
    inside = [n for n in lambdas if all(_within(n, start) for start in starts if start != (code.co_firstlineno, 0))]
    return min(inside, key=lambda n: len(ast.unparse(n)), default=None)


def _within(node: ast.Lambda, start: tuple[int, int]) -> bool:
    return (node.lineno, node.col_offset) <= start <= (node.end_lineno or 0, node.end_col_offset or 0)


def spoilt(rule: Any) -> Iterator[tuple[str, Any]]:
    """The rule with each mutant of each of its closed forms."""
    from dataclasses import replace

    for k in rule.argnums:
        one = replace(rule, argnum=k, vjps=(), derivative=None)
        formula = rule.jacobians[k] or rule.derivative
        kinds = {"jacobian": formula, "vjp": rule.vjps[k] if rule.vjps else None}
        for kind, function in kinds.items():
            for what, twin in mutated_functions(function, set()):
                where = f"∂/∂{rule.parameters[k].name}, {kind}: {what}"
                if kind == "vjp":
                    vjps = tuple(twin if i == k else None for i in range(len(rule.parameters)))
                    yield where, replace(one, jacobians=(None,) * len(rule.parameters), vjps=vjps)
                elif rule.jacobians[k] is None:
                    yield where, replace(one, derivative=twin)
                else:
                    jacobians = tuple(twin if i == k else None for i in range(len(rule.parameters)))
                    yield where, replace(one, jacobians=jacobians)


def matrices(rule: Any, seed: int) -> tuple[list[Any], list[Any]]:
    """The closed form's dense arrays at the point that a proof with this seed takes first, and slopes in its tails."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jmc.checking.proof import EDGES

    rng = np.random.default_rng
    args = rule.sample(rng([seed, 0]), sizes=rule.sizes(rng([seed, 0])))
    maps = jax.tree.leaves(rule.jacobian(*args), is_leaf=lambda leaf: hasattr(leaf, "dense"))
    tails = []
    if rule.derivative is not None and rule.parameters[0].kind in (None, "wide"):
        points = [x for x in (EDGES if seed == SEEN_SEED else TAILS) if x not in rule.kinks_at]
        tails = list(np.asarray(rule.derivative(jnp.array(points), *args[1:])))
    return [np.asarray(J.dense()) for J in maps], tails


def verdict(mutant: Any, true: dict[int, Any]) -> str:
    """void, equivalent, caught or survived."""
    import numpy as np

    from jmc.checking.oracles import double_precision
    from jmc.checking.proof import check

    with double_precision(), np.errstate(all="ignore"):
        try:
            found = {seed: matrices(mutant, seed) for seed in true}
        except Exception:  # whatever a spoilt formula raises: nobody could have stated it
            return "void"
    if [a.shape for a in found[SEEN_SEED][0]] != [b.shape for b in true[SEEN_SEED][0]]:
        return "void"
    pairs = {
        seed: [(a, b) for k in range(2) for a, b in zip(found[seed][k], true[seed][k], strict=False)] for seed in true
    }
    if all(_same(a, b) for seed in UNSEEN_SEEDS for a, b in pairs[seed]):
        return "equivalent"
    if any(not np.max(np.abs(a - b), initial=0) <= FAR * np.max(np.abs(b), initial=0) for a, b in pairs[SEEN_SEED]):
        return "caught"
    try:
        return "survived" if check(mutant, points=1, seed=SEEN_SEED).ok else "caught"
    except Exception:
        return "caught"


def _same(a: Any, b: Any) -> bool:
    """Equal but for rounding; a number in a tail, relative to itself."""
    import numpy as np

    return np.allclose(a, b, rtol=1e-9, atol=1e-12 if np.ndim(b) else 0, equal_nan=True)


def examine(name: str) -> dict[str, Any]:
    """What became of the mutants of one rule."""
    from dataclasses import replace

    from jmc.catalogue.registry import rules
    from jmc.checking.oracles import double_precision

    rule = rules[name]
    counts: dict[str, int] = dict.fromkeys(("void", "equivalent", "caught", "survived"), 0)
    survivors = []
    with double_precision():
        true = {k: {s: matrices(replace(rule, argnum=k), s) for s in (SEEN_SEED, *UNSEEN_SEEDS)} for k in rule.argnums}
    for what, mutant in spoilt(rule):
        counts[result := verdict(mutant, true[mutant.argnum])] += 1
        if result == "survived":
            survivors.append(what)
    return {"rule": name, "family": rule.family, **counts, "survivors": survivors}


def main() -> int:
    from jmc.catalogue.registry import rules

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", metavar="FAMILY", nargs="*")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    records = [rule for rule in rules.records() if not options.families or rule.family in options.families]
    second = [rules[f"{rule.name}, second derivative"] for rule in records if rule.second is not None]
    names = [rule.name for rule in [*records, *second]]
    results = []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, context, max_tasks_per_child=10) as pool:
        for result in pool.map(examine, names, chunksize=4):
            results.append(result)
            print(result["family"], result["rule"], {k: v for k, v in result.items() if isinstance(v, int)}, flush=True)
            for survivor in result["survivors"]:
                print("   survived:", survivor)
    total: dict[str, float] = {
        key: sum(r[key] for r in results) for key in ("void", "equivalent", "caught", "survived")
    }
    total["rate"] = total["caught"] / max(1, total["caught"] + total["survived"])
    print(total)
    if options.json:
        options.json.write_text(json.dumps({"total": total, "rules": results}, indent=1, ensure_ascii=False) + "\n")
    return 1 if total["rate"] < 0.99 else 0


if __name__ == "__main__":
    sys.exit(main())
