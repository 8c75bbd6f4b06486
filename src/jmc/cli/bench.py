"""`jmc bench`: the suites measured against everyone else, within a budget, as a table, a page and JSON."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jmc.cli import BAD_USAGE, parse
from jmc.cli.console import console

if TYPE_CHECKING:
    from jmc.bench.timing import Estimate

EXAMPLE = """\
suites:
  jacobians, hessians   dense arrays, and what of them has to be computed
  gradients, training   closed forms, and steps of gradient descent
  ntk                   per-example norms, tangent kernels, Gauss-Newton products
  startup               from the shell to the first result

examples:
  jmc bench --budget 120                       all suites, the sizes people speak of first
  jmc bench jacobians --peers jax,asdex --json new.json
  jmc bench --compare old.json                 exit 1 where jmc is slower than it was

Every contender is held to the answer in float64 before it is timed; all have the same threads, malloc and precision of
products, and take turns. Ratios are their time ÷ jmc's, with an interval of 95 %.
exit codes: 0 done, 1 a regression or a wrong answer of jmc's, 2 bad usage, 6 storage failed, 130 interrupted
"""
REGRESSION = 1
DTYPES = ("float32", "float64", "bfloat16")


def run(arguments: Sequence[str]) -> int:
    """Runs `jmc bench` with the arguments that follow it and returns the exit code."""
    parser = _parser()
    options = parse(parser, arguments)
    for name in ("budget", "threads"):
        if (number := getattr(options, name)) <= 0:
            parser.error(f"`--{name}` must be positive, but got {number:g}")

    from jmc.bench.run import PEERS, SUITES
    from jmc.bench.timing import pin_process

    for what, given, known in (("suite", options.suites, SUITES), ("peer", options.peers, PEERS)):
        if unknown := [name for name in given if name not in known]:
            parser.error(f"unknown {what} `{unknown[0]}` (allowed: {', '.join(known)})")
    old = _old(options.compare, options.dtype, parser) if options.compare else None
    if options.device:
        os.environ["JAX_PLATFORMS"] = "cuda" if options.device == "gpu" else options.device
    pin_process(options.threads)
    try:
        record = _measured(options, options.suites or list(SUITES))
    except RuntimeError as error:
        if not options.device:
            raise
        print(f"jmc bench: `--device` must be one that JAX finds, but got {options.device!r}: {error}", file=sys.stderr)
        return BAD_USAGE
    if options.json:
        options.json.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    if options.html:
        from jmc.bench.page import render

        options.html.write_text(render(record))
    _show(record)
    return max(_wrong(record), _compared(old, record) if old else 0)


def _old(path: Path, dtype: str, parser: argparse.ArgumentParser) -> Any:
    try:
        found = json.loads(path.read_text())
        if not {"cases", "machine", "dtype"} <= found.keys():
            raise ValueError("it has other keys")
    except (OSError, ValueError, AttributeError) as error:
        parser.error(f"`--compare` must name a record that `jmc bench --json` wrote, but got {path}: {error}")
    if found["dtype"] != dtype:
        parser.error(f"`--compare` must name a record of {dtype}, but got one of {found['dtype']}")
    return found


def _measured(options: argparse.Namespace, suites: Sequence[str]) -> dict[str, Any]:
    import jax

    from jmc.bench.machine import memory_bytes
    from jmc.bench.run import plan, run
    from jmc.cli.bench_progress import watching

    jax.config.update("jax_cpu_enable_async_dispatch", False)  # a call is over when it returns
    large = jax.default_backend() != "cpu"
    items = plan(suites, options.sizes, large, memory_bytes())
    with watching() as watch:
        return run(
            items, dtype=options.dtype, peers=options.peers, budget=options.budget, threads=options.threads, watch=watch
        )


def _wrong(record: dict[str, Any]) -> int:
    from jmc.bench.summary import failures

    for line in failures(record):
        print(f"jmc bench: {line}", file=sys.stderr)
    return REGRESSION if failures(record) else 0


def _compared(old: dict[str, Any], new: dict[str, Any]) -> int:
    from jmc.bench.regression import changes

    try:
        found = list(changes(old, new))
    except ValueError as error:
        print(f"jmc bench: {error}", file=sys.stderr)
        return BAD_USAGE
    slower = [change for change in found if change.regressed]
    for change in (*slower, *(change for change in found if change.improved)):
        word = "slower" if change.regressed else "faster"
        relative = f", relative to {change.against}" if change.against else ""
        print(f"{word}: {change.suite}, {change.case} at {change.size}: {_span(change.ratio)} of what it was{relative}")
    print(f"{len(found)} cases compared, {len(slower)} slower, {sum(c.improved for c in found)} faster")
    return REGRESSION if slower else 0


def _show(record: dict[str, Any]) -> None:
    from rich import box
    from rich.table import Table

    from jmc.bench.run import absent
    from jmc.bench.summary import lines

    shown = console()
    found = list(lines(record))
    for suite in dict.fromkeys(line.suite for line in found):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title=suite, title_justify="left")
        for name in (
            "case",
            "n",
            "others ÷ jmc",
            "fastest other",
            "by hand ÷ jmc",
            "jmc takes",
            "of the peak",
            "ahead",
        ):
            table.add_column(name, justify="right" if name in ("n", "of the peak") else "left")
        for line in found:
            if line.suite == suite and line.headline:
                table.add_row(
                    line.case,
                    f"{line.size:,}",
                    _span(line.versus),
                    line.rival or "",
                    _span(line.by_hand),
                    _duration(line.seconds),
                    "" if line.roof is None else f"{line.roof:.0%}",
                    {"jmc": "jmc", "even": "even", "": ""}.get(line.verdict, f"[red]{line.verdict}[/red]"),
                )
        shown.print(table)
        for line in found:
            if line.suite == suite and line.headline:
                for note in line.notes:
                    shown.print(f"{line.case}: {note}", markup=False, style="dim")
    machine, peaks = record["machine"], record["peaks"]
    shown.print(
        f"{machine['device']} · {machine['threads'] or 'all'} threads · {record['dtype']} · "
        f"products {peaks['flops']:.3g} FLOP/s, copies {peaks['bandwidth']:.3g} B/s in this process · "
        f"{len(record['cases'])} cases in {record['taken']:.0f} s of {record['budget']:.0f} s",
        markup=False,
    )
    if missing := absent(record):
        shown.print(f"not installed, and so not measured: {', '.join(missing)}", markup=False)
    if left := record["left_out"]:
        shown.print(f"{len(left)} cases had no time: a larger --budget measures them", markup=False)


def _span(estimate: "Estimate | None") -> str:
    if estimate is None:
        return ""
    if estimate.low == estimate.high:
        return f"{estimate.median:.3g}"
    return f"{estimate.median:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]"


def _duration(estimate: "Estimate | None") -> str:
    if estimate is None:
        return ""
    from jmc.bench.timing import UNITS

    unit, size = next((unit for unit in UNITS if estimate.median >= unit[1]), UNITS[-1])
    return f"{estimate.median / size:.3g}{unit}"


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _sizes(text: str) -> list[int]:
    try:
        found = [int(float(size)) for size in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be whole numbers with commas between them, but got {text!r}") from None
    if not found or min(found) < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1 each, but got {text!r}")
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jmc bench",
        description="Measure derivatives and training against everyone else, after holding all to the same answer.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("suites", metavar="SUITE", nargs="*", help="which suites (default: all)")
    parser.add_argument(
        "--peers",
        type=_names,
        default=["jax", "numpy", "torch", "asdex", "sklearn"],
        help="who takes part besides jmc and formulas by hand: of jax, numpy, torch, asdex, sklearn (default: all)",
    )
    parser.add_argument("--dtype", choices=DTYPES, default=DTYPES[0])
    parser.add_argument(
        "--sizes", metavar="N,N", type=_sizes, default=[], help="these sizes in place of each case's own"
    )
    parser.add_argument("--budget", metavar="SECONDS", type=float, default=300.0, help="for all of it (default: 300)")
    parser.add_argument("--threads", metavar="N", type=int, default=1, help="of every contender on a CPU (default: 1)")
    parser.add_argument("--device", choices=("cpu", "gpu", "tpu"), help="where to measure (default: JAX's own choice)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write everything measured")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write a page with growth curves and the roofline")
    parser.add_argument(
        "--compare", metavar="OLD.json", type=Path, help="exit 1 where jmc is slower than in this record"
    )
    return parser
