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
        yield f"{text} halved", ast.Constant(node.value / 2)
        yield f"{text} doubled", ast.Constant(node.value * 2)
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


def mutated_functions(function: Any, path: str, tree: ast.Module) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Mutants of a function of the file: of its own code, of functions it closes over, of helpers that it names."""
    if isinstance(function, functools.partial):  # a formula with its options
        for what, twin in mutated_functions(function.func, path, tree):
            yield what, functools.partial(twin, **function.keywords)
    if not isinstance(function, types.FunctionType):
        return
    found = node_of(function, tree)
    if found is not None and not function.__closure__:
        for what, twin in mutants(found):
            yield what, evaluated(twin, function.__globals__, path)
    for k, cell in enumerate(function.__closure__ or ()):
        for what, twin in mutated_functions(cell.cell_contents, path, tree):
            cells = [*function.__closure__[:k], types.CellType(twin), *function.__closure__[k + 1 :]]
            yield what, types.FunctionType(function.__code__, function.__globals__, closure=tuple(cells))
    helpers = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.decorator_list}
    for name in function.__code__.co_names:
        helper = function.__globals__.get(name)
        if name in helpers and isinstance(helper, types.FunctionType):
            for what, twin in mutants(helpers[name]):
                changed = function.__globals__ | {name: evaluated(twin, function.__globals__, path)}
                closure = function.__closure__
                yield f"{name}: {what}", types.FunctionType(function.__code__, changed, closure=closure)


def evaluated(node: Any, names: dict[str, Any], path: str) -> Callable[..., Any]:
    """The function that a lambda or a def is, with these global names."""
    if isinstance(node, ast.Lambda):
        return eval(compile(ast.fix_missing_locations(ast.Expression(node)), path, "eval"), names)
    own: dict[str, Any] = {}
    exec(compile(ast.fix_missing_locations(ast.Module([node], [])), path, "exec"), dict(names), own)
    return own[node.name]


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

    path = inspect.getsourcefile(inspect.unwrap(rule.f)) or ""
    tree = ast.parse(Path(path).read_text())
    for k in rule.argnums:
        one = replace(rule, argnum=k, vjps=(), derivative=None)
        formula = rule.jacobians[k] or rule.derivative
        kinds = {"jacobian": formula, "vjp": rule.vjps[k] if rule.vjps else None}
        for kind, function in kinds.items():
            for what, twin in mutated_functions(function, path, tree):
                where = f"∂/∂{rule.parameters[k].name}, {kind}: {what}"
                if kind == "vjp":
                    vjps = tuple(twin if i == k else None for i in range(len(rule.parameters)))
                    yield where, replace(one, jacobians=(None,) * len(rule.parameters), vjps=vjps)
                elif rule.jacobians[k] is None:
                    yield where, replace(one, derivative=twin)
                else:
                    jacobians = tuple(twin if i == k else None for i in range(len(rule.parameters)))
                    yield where, replace(one, jacobians=jacobians)


def matrices(rule: Any, seed: int) -> list[Any]:
    """The closed form's dense arrays at the point that a proof with this seed takes first."""
    import jax
    import numpy as np

    rng = np.random.default_rng
    args = rule.sample(rng([seed, 0]), sizes=rule.sizes(rng([seed, 0])))
    maps = jax.tree.leaves(rule.jacobian(*args), is_leaf=lambda leaf: hasattr(leaf, "dense"))
    return [np.asarray(J.dense()) for J in maps]


def verdict(mutant: Any, true: dict[int, list[Any]]) -> str:
    """void, equivalent, caught or survived."""
    import numpy as np

    from jmc.checking.oracles import double_precision
    from jmc.checking.proof import check

    with double_precision(), np.errstate(all="ignore"):
        try:
            found = {seed: matrices(mutant, seed) for seed in true}
        except Exception:  # whatever a spoilt formula raises: nobody could have stated it
            return "void"
    if len(found[SEEN_SEED]) != len(true[SEEN_SEED]):
        return "void"
    pairs = {seed: list(zip(found[seed], true[seed], strict=True)) for seed in true}
    if any(a.shape != b.shape for a, b in pairs[SEEN_SEED]):
        return "void"
    if all(np.allclose(a, b, rtol=1e-9, atol=1e-12) for seed in UNSEEN_SEEDS for a, b in pairs[seed]):
        return "equivalent"
    if any(not np.max(np.abs(a - b), initial=0) <= FAR * np.max(np.abs(b), initial=0) for a, b in pairs[SEEN_SEED]):
        return "caught"
    try:
        return "survived" if check(mutant, points=1, seed=SEEN_SEED).ok else "caught"
    except Exception:
        return "caught"


def examine(name: str) -> dict[str, Any]:
    """What became of the mutants of one rule."""
    from dataclasses import replace

    from jmc.catalogue.registry import rules
    from jmc.checking.oracles import double_precision

    rule = rules[name]
    counts = dict.fromkeys(("void", "equivalent", "caught", "survived"), 0)
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
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        for result in pool.map(examine, names, chunksize=4):
            results.append(result)
            print(result["family"], result["rule"], {k: v for k, v in result.items() if isinstance(v, int)}, flush=True)
            for survivor in result["survivors"]:
                print("   survived:", survivor)
    total = {key: sum(r[key] for r in results) for key in ("void", "equivalent", "caught", "survived")}
    total["rate"] = total["caught"] / max(1, total["caught"] + total["survived"])
    print(total)
    if options.json:
        options.json.write_text(json.dumps({"total": total, "rules": results}, indent=1, ensure_ascii=False) + "\n")
    return 1 if total["rate"] < 0.99 else 0


if __name__ == "__main__":
    sys.exit(main())
