"""Would the proofs notice? Every closed form of the catalogue is spoilt in every small way, and proved again.

    python benchmarks/mutation.py [FAMILY …] [--json FILE] [--workers N]

A mutant is a closed form with one change to its code: a sign flipped, a factor or a term dropped, a number or the whole
halved, a transpose added or taken away, two labels of an einsum exchanged, a comparison turned round; in the formula
itself and in the helpers of its file. Mutants that cannot be evaluated, or whose shape is another, are void; those
that are equal to the closed form at points other than the proof's are equivalent. Of the others the proof must reject
all: at one point, or else at the three of `jmc.check(rule)`. One that is far off at the first, from what is proved, is
rejected without asking every oracle again. With families named, theirs are replaced in a FILE that exists.
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
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
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
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and node.value not in (0, 1):
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


def mutated_functions(function: Any, own: Callable[[Any], bool]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Mutants of a function of the catalogue: of its code, what it closes over, and helpers that are its ``own``."""
    if isinstance(function, functools.partial):
        for what, twin in mutated_functions(function.func, own):
            yield what, functools.partial(twin, *function.args, **function.keywords)
        return
    if not of_catalogue(function):
        return
    path = inspect.getsourcefile(function) or ""
    found = node_of(function, tree_of(path))
    if found is not None and not function.__closure__:
        for what, twin in mutants(found):
            yield what, evaluated(twin, function, path)
    closure = function.__closure__ or ()
    for k, cell in enumerate(closure):
        for what, twin in mutated_functions(cell.cell_contents, own):
            cells = (*closure[:k], types.CellType(twin), *closure[k + 1 :])
            yield what, rebound(function, function.__globals__, cells)
    for name, helper in helpers(function).items():
        if own(helper):
            for what, twin in mutated_functions(helper, own):
                yield f"{name}: {what}", rebound(function, function.__globals__ | {name: twin}, function.__closure__)


def of_catalogue(function: Any) -> bool:
    """A plain function in one of its files, not one that is registered."""
    plain = isinstance(function, types.FunctionType) and not hasattr(function, "__wrapped__")
    return plain and function.__module__.startswith("jmc.catalogue.")


def helpers(function: types.FunctionType) -> dict[str, Any]:
    """The functions of the catalogue that its code names."""
    found = {name: function.__globals__.get(name) for name in sorted(named(function.__code__))}
    return {name: helper for name, helper in found.items() if of_catalogue(helper)}


def reached(function: Any, met: set[Any]) -> None:
    """Add to ``met`` all helpers that a formula uses."""
    if isinstance(function, functools.partial):
        reached(function.func, met)
    elif of_catalogue(function):
        for cell in function.__closure__ or ():
            reached(cell.cell_contents, met)
        for helper in {*helpers(function).values()} - met:
            met.add(helper)
            reached(helper, met)


@functools.cache
def owners() -> dict[Any, str]:
    """For each helper the rule that answers for it: the first that uses it, in its own file if there is one."""
    found: dict[Any, str] = {}
    for at_home in (True, False):
        for rule in every_rule():
            met: set[Any] = set()
            for formula in (*rule.jacobians, *rule.vjps, rule.derivative):
                reached(formula, met)
            for helper in met:
                if not at_home or helper.__module__.endswith(f".{rule.family}"):
                    found.setdefault(helper, rule.name)
    return found


def every_rule() -> list[Any]:
    """The rules of the catalogue, and those of second derivatives."""
    from jmc.catalogue.registry import rules
    from jmc.checking.campaign import with_seconds

    return with_seconds(rules.records())


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
    met: set[Any] = set()

    def own(helper: Any) -> bool:
        """Whether to spoil it here, which is done once for a formula."""
        new = helper not in met and owners()[helper] == rule.name
        met.add(helper)
        return new

    for k in rule.argnums:
        one = replace(rule, argnum=k, vjps=(), derivative=None)
        formula = rule.jacobians[k] or rule.derivative
        kinds = {"jacobian": formula, "vjp": rule.vjps[k] if rule.vjps else None}
        for kind, function in kinds.items():
            met.clear()
            for what, twin in mutated_functions(function, own):
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


@dataclass
class Result:
    """How many mutants of a rule met which end, and those that no proof noticed."""

    rule: str
    family: str
    counts: Counter[str] = field(default_factory=Counter)
    survivors: list[str] = field(default_factory=list)


def verdict(mutant: Any, true: dict[int, Any]) -> str:
    """void, equivalent, caught or survived."""
    import numpy as np

    from jmc.checking.oracles import double_precision
    from jmc.checking.proof import check

    def pairs(seed: int) -> list[tuple[Any, Any]]:
        found = matrices(mutant, seed)
        if [a.shape for a in found[0]] != [b.shape for b in true[seed][0]]:
            raise ValueError("of another shape")
        return [pair for both in zip(found, true[seed], strict=True) for pair in zip(*both, strict=False)]

    with double_precision(), np.errstate(all="ignore"):
        try:
            if any(_far(a, b) for a, b in pairs(SEEN_SEED)):
                return "caught"
            if all(_same(a, b) for seed in UNSEEN_SEEDS for a, b in pairs(seed)):
                return "equivalent"
        except Exception:  # whatever a spoilt formula raises: nobody could have stated it
            return "void"
    try:
        noticed = not check(mutant, points=1, seed=SEEN_SEED).ok or not check(mutant, seed=SEEN_SEED).ok
        return "caught" if noticed else "survived"
    except Exception:
        return "caught"


def _far(a: Any, b: Any) -> bool:
    import numpy as np

    return not np.max(np.abs(a - b), initial=0) <= FAR * np.max(np.abs(b), initial=0)


def _same(a: Any, b: Any) -> bool:
    """Equal but for rounding; a number in a tail, relative to itself."""
    import numpy as np

    return np.allclose(a, b, rtol=1e-9, atol=1e-12 if np.ndim(b) else 0, equal_nan=True)


def examine(name: str) -> Result:
    """What became of the mutants of one rule."""
    from jmc.catalogue.registry import rules
    from jmc.checking.oracles import double_precision

    rule = rules[name]
    result = Result(rule.name, rule.family)
    with double_precision():
        true = {k: {s: matrices(replace(rule, argnum=k), s) for s in (SEEN_SEED, *UNSEEN_SEEDS)} for k in rule.argnums}
    for what, mutant in spoilt(rule):
        found = verdict(mutant, true[mutant.argnum])
        result.counts[found] += 1
        if found == "survived":
            result.survivors.append(what)
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", metavar="FAMILY", nargs="*")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    options = parser.parse_args()
    from jmc.catalogue.registry import rules

    names = [rule.name for rule in every_rule() if not options.families or rule.family in options.families]
    families: dict[str, dict[str, Any]] = {}
    if options.families and options.json and options.json.exists():
        families = json.loads(options.json.read_text())["families"]
    families |= {family: {"counts": Counter(), "survivors": {}} for family in {rules[name].family for name in names}}
    context = multiprocessing.get_context("spawn")
    with context.Pool(options.workers, maxtasksperchild=40) as pool:  # what a process has compiled stays in its memory
        for result in pool.imap(examine, names):
            family = families[result.family]
            family["counts"] += result.counts
            if result.survivors:
                family["survivors"][result.rule] = result.survivors
            print(result.family, result.rule, dict(result.counts), flush=True)
            for survivor in result.survivors:
                print("   survived:", survivor)
    total = sum((Counter(family["counts"]) for family in families.values()), Counter[str]())
    rate = total["caught"] / max(1, total["caught"] + total["survived"])
    print(dict(total), f"{rate:.2%} caught")
    if options.json:
        found = {"rate": rate, "total": total, "families": dict(sorted(families.items()))}
        options.json.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return 1 if rate < 0.99 else 0


if __name__ == "__main__":
    sys.exit(main())
