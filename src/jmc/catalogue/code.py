"""What a rule's code says: the statement that registers it, and the functions of its file that it names."""

import ast
import dis
import functools
import inspect
from collections.abc import Iterator
from types import CodeType
from typing import Any

from jmc.catalogue.record import Rule

MAKERS = ("entry", "rule", "elementwise", "Function", "LinearMap")  # with which rules are made


def statement(rule: Rule) -> str:
    """The source of the rule: the primal and, next to it, its derivative. Empty where no file has it."""
    found = _statement(rule)
    return "" if found is None else ast.get_source_segment(_text(rule), found) or ""


def decorated(rule: Rule) -> str:
    """The statement with its decorators, and before it the functions and constants of the same file that it names."""
    found = _statement(rule)
    if found is None:
        return ""
    top = {name: node for node in _tree(rule).body for name in _names(node)}
    lines = _text(rule).splitlines()
    wanted = {id(found): found}
    open_ = [found]
    while open_:
        for name in {node.id for node in ast.walk(open_.pop()) if isinstance(node, ast.Name)}:
            if (node := top.get(name)) is not None and id(node) not in wanted:
                wanted[id(node)] = node
                open_.append(node)
    return "\n\n".join(
        "\n".join(lines[_first(node) - 1 : node.end_lineno]) for node in sorted(wanted.values(), key=_first)
    )


def imported(rule: Rule) -> dict[str, str]:
    """What jmc's functions are that this code has from other files, in a line each."""
    code = _parsed(decorated(rule))
    own = inspect.unwrap(rule.f)
    names = {node.id for node in ast.walk(code) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    names -= {name for node in code.body for name in _names(node)}
    found = {name: own.__globals__[name] for name in sorted(names & own.__globals__.keys())}
    lines = {
        name: (getattr(value, "about", "") or inspect.getdoc(value) or "").split("\n", 1)[0]
        for name, value in found.items()
        if callable(value)
        and getattr(value, "__module__", "").startswith("jmc.")
        and value.__module__ != own.__module__
    }
    return {name: line for name, line in lines.items() if line and name not in MAKERS}


def place(rule: Rule) -> str:
    """The file and line of the statement."""
    found = _statement(rule)
    return f"{inspect.getsourcefile(inspect.unwrap(rule.f))}:{_first(found)}" if found is not None else ""


def expression(function: Any) -> str:
    """What a lambda returns, as code; empty where no file has it."""
    code = function.__code__
    tree = _parsed(_read(inspect.getsourcefile(function)))
    starts = [(line, column) for line, _, column, _ in code.co_positions() if line is not None and column]
    if not starts:  # Python 3.12 gives a constant that is returned no place
        first, *rest = list(dis.get_instructions(code))[1:]
        return repr(first.argval) if first.opname == "RETURN_CONST" and not rest else ""
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Lambda)
        and all((node.lineno, node.col_offset) <= start < (node.end_lineno, node.end_col_offset) for start in starts)
    ]
    return ast.unparse(max(around, key=lambda node: (node.lineno, node.col_offset)).body) if around else ""


def _statement(rule: Rule) -> Any:
    code = getattr(inspect.unwrap(rule.f), "__code__", None)
    if not isinstance(code, CodeType):
        return None
    return next((n for n in _tree(rule).body if _first(n) <= code.co_firstlineno <= (n.end_lineno or 0)), None)


def _first(node: Any) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


def _names(node: Any) -> Iterator[str]:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield node.name
    elif isinstance(node, ast.Assign):
        targets = (leaf for target in node.targets for leaf in ast.walk(target))
        yield from (leaf.id for leaf in targets if isinstance(leaf, ast.Name))


def _text(rule: Rule) -> str:
    return _read(inspect.getsourcefile(inspect.unwrap(rule.f)))


def _tree(rule: Rule) -> ast.Module:
    return _parsed(_text(rule))


@functools.cache
def _read(path: str | None) -> str:
    if path is None:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


@functools.cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)
