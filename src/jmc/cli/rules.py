"""`jmc rules`: the catalogue at the shell; a rule's code, a search, and the proofs on demand."""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmc.cli import BAD_USAGE, parse
from jmc.cli.console import console

if TYPE_CHECKING:
    from jmc.catalogue.record import Rule

EXAMPLE = """\
examples:
  jmc rules                         the families, and how many rules each has
  jmc rules softmax                 a rule by its name, a family by its file
  jmc rules K-57                    a rule by the number that a source gives it
  jmc rules K-57 --layout mixed     its derivative as the table that most cookbooks print
  jmc rules K-57 --latex            its formulas, read from its code, in LaTeX
  jmc rules --html rules.html       every rule in formulas, as one page that can be searched
  jmc rules --search "log det"      rules whose name, source or code says so
  jmc rules --verify trace          prove a family, a rule, or (with no name) everything

Results go to standard output, progress to standard error.
exit codes: 0 done, 1 a rule is not proved, 2 bad usage or no such rule, 130 interrupted
"""
NOT_PROVED = 1
LAYOUTS = ("numerator", "denominator", "mixed")


def run(arguments: Sequence[str]) -> int:
    """Runs `jmc rules` with the arguments that follow it and returns the exit code."""
    parser = _parser()
    options = parse(parser, arguments)
    if options.search is not None and (options.name or options.verify):
        parser.error("--search takes no NAME and no --verify")
    if sum(map(bool, (options.html, options.latex, options.json or options.verify))) > 1:
        parser.error("--html and --latex take neither each other nor --json or --verify")
    for name in ("points", "workers"):
        if (number := getattr(options, name)) is not None and number < 1:
            parser.error(f"`--{name}` must be at least 1, but got {number}")

    from jmc.catalogue.registry import UnknownRule, rules

    families = rules.families()
    try:
        if options.name is None:
            found = rules.records()
        elif options.name in families and (options.verify or options.name not in rules):
            found = families[options.name]
        else:
            found = [rules[options.name]]
    except UnknownRule as unknown:
        if options.name in _notation():
            return _show_notation(options.name, options.json)
        print(f"jmc rules: {unknown} (families: {', '.join(families)})", file=sys.stderr)
        return BAD_USAGE
    if options.verify:
        return _verify(found, options)
    if options.search is not None:
        found = _matching(found, options.search)
    if options.html is not None:
        return _write(found, options.html)
    if options.latex:
        return _show_latex(found)
    if options.search is not None:
        return _list(found, options.json, f"no rule says {options.search!r}")
    if options.name is None:
        return _show_families(families, options.json)
    if options.name in families and options.name not in rules:
        return _list(found, options.json)
    from jmc.cli.rule_page import as_dict, show

    if options.json:
        print(json.dumps(as_dict(found[0], options.layout), ensure_ascii=False))
    else:
        show(found[0], options.layout)
    return 0


def _matching(found: Sequence["Rule"], text: str) -> list["Rule"]:
    """Rules that have every word, or the words run together, in what is said about them or in their code."""
    from jmc.catalogue.code import statement
    from jmc.catalogue.registry import rules

    words = text.casefold().split()

    def says(rule: "Rule") -> bool:
        about = f"{rule.name} {' '.join(rules.ids_of(rule))} {rule.family} {rule.source} {rule.conditions}"
        text = f"{about} {rule.f.__doc__ or ''} {statement(rule)}".casefold()
        return all(word in text for word in words) or "".join(words) in text.replace(" ", "").replace("_", "")

    return [rule for rule in found if says(rule)]


def _list(found: Sequence["Rule"], as_json: bool, nothing: str = "") -> int:
    from jmc.catalogue.registry import rules

    rows = [(rule.name, rules.ids_of(rule), rule.family) for rule in found]
    if as_json:
        print(json.dumps([{"name": n, "ids": i, "family": f} for n, i, f in rows], ensure_ascii=False))
        return 0
    if not rows:
        print(nothing, file=sys.stderr)
        return 0
    _table(["rule", "family", "ids"], [[name, family, " ".join(ids)] for name, ids, family in rows])
    return 0


def _show_families(families: dict[str, list["Rule"]], as_json: bool) -> int:
    from jmc.catalogue.registry import rules

    ids = Counter(rules[identity].family for identity in rules.ids())
    rows = [(name, len(found), ids[name]) for name, found in families.items()]
    if as_json:
        print(json.dumps([{"family": n, "rules": r, "ids": i} for n, r, i in rows]))
        return 0
    total = ["all", str(sum(r for _, r, _ in rows)), str(sum(i for _, _, i in rows))]
    body = [[n, str(r), str(i)] for n, r, i in rows]
    _table(["family", "rules", "ids of the sources"], [*body, total], right=(1, 2), ruled_off=len(body))
    print(f"and {len(_notation())} ids that are notation, definitions or procedures; `jmc rules NAME` shows one of any")
    return 0


def _notation() -> dict[str, str]:
    from jmc.catalogue.notation import NOTATION

    return NOTATION


def _show_notation(identity: str, as_json: bool) -> int:
    text = _notation()[identity]
    print(json.dumps({"id": identity, "notation": text}, ensure_ascii=False) if as_json else f"{identity}: {text}")
    return 0


def _write(found: Sequence["Rule"], path: str) -> int:
    from jmc.symbolic.reference import reference

    page = reference(_watched(found, len(found), "reading"))
    try:
        Path(path).write_text(page, encoding="utf-8")
    except OSError as error:
        print(f"jmc rules: `--html` must name a file that can be written, but got {path!r}: {error}", file=sys.stderr)
        return BAD_USAGE
    print(path)
    return 0


def _show_latex(found: Sequence["Rule"]) -> int:
    from jmc.symbolic.catalogue import formula

    for rule in found:
        print(formula(rule).latex)
    return 0


def _verify(found: Sequence["Rule"], options: argparse.Namespace) -> int:
    from jmc.catalogue.registry import rules
    from jmc.checking.campaign import proofs, with_seconds

    wanted = with_seconds(found)
    done = list(_watched(proofs(wanted, options.workers, options.points), len(wanted)))
    by_name = {proof["name"]: proof for proof in done}
    results = [by_name[rule.name] | {"ids": rules.ids_of(rule), "family": rule.family} for rule in wanted]
    failed = [result for result in results if not result["ok"]]
    ids = {identity: result for result in results for identity in result["ids"]}
    summary = {
        "rules": len(results),
        "ids": len(ids),
        "failed": len(failed),
        "ids_with_three_oracles": sum(len(result["agreeing"]) >= 3 for result in ids.values()),
    }
    if options.json:
        print(json.dumps({"summary": summary, "rules": results}, ensure_ascii=False))
    else:
        _show_proofs(results)
        three = f"{summary['ids_with_three_oracles']} of {len(ids)} ids by three oracles or more"
        print(f"{len(results) - len(failed)} of {len(results)} proved, {three}")
    return NOT_PROVED if failed else 0


def _show_proofs(results: Sequence[dict[str, Any]]) -> None:
    oracles = list(dict.fromkeys(name for result in results for name in result["oracles"]))
    rows = []
    for result in results:
        errors = [result["oracles"].get(name) for name in oracles]
        shown = ["" if error is None else f"{error['max_error']:.0e}" for error in errors]
        rows.append([result["name"], " ".join(result["ids"]), "proved" if result["ok"] else "NOT PROVED", *shown])
    _table(["rule", "ids", "", *oracles], rows, right=range(3, 3 + len(oracles)))
    for result in results:
        for kind in ("failures", "notes"):
            for line in result[kind]:
                print(f"{'note' if kind == 'notes' else 'NOT PROVED'}: {result['name']}: {line}")


def _watched(items: Any, total: int, doing: str = "proving") -> Any:
    """The items, with a bar on a terminal."""
    from rich.progress import track

    shown = console(stderr=True)
    return track(items, doing, total, console=shown, transient=True) if shown.is_terminal else items


def _table(
    header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = (), ruled_off: int | None = None
) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, name in enumerate(header):
        table.add_column(name, justify="right" if k in right else "left", overflow="fold")
    for k, row in enumerate(rows):
        table.add_row(*row, end_section=ruled_off == k + 1)
    console().print(table, markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jmc rules",
        description="The catalogue: every rule with its closed form as code, where it comes from, and its proof.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="a rule's name, an id of a source, or a family")
    parser.add_argument(
        "--layout", choices=LAYOUTS, default=LAYOUTS[0], help="in which derivatives are laid out as tables"
    )
    parser.add_argument("--search", metavar="TEXT", help="list the rules whose name, source or code has these words")
    parser.add_argument("--latex", action="store_true", help="print the formulas in LaTeX")
    parser.add_argument("--html", metavar="FILE", help="write the rules in formulas as one self-contained page")
    parser.add_argument("--verify", action="store_true", help="hold the closed forms to every oracle")
    parser.add_argument("--points", metavar="N", type=int, default=3, help="random points per rule (default: 3)")
    parser.add_argument("--workers", metavar="N", type=int, help="processes for --verify (default: one per processor)")
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    return parser
