"""The README's figures, from the committed results: `python benchmarks/figures.py` prints them."""

import json
import statistics
from collections.abc import Callable
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def first_light_table(record: dict) -> str:
    """Markdown: per case and contender the microseconds per step and the ratio to the scan, with its interval."""
    lines = ["| 1000 steps of | by | µs per step | × scan |", "|---|---|---|---|"]
    for case, measured in record["cases"].items():
        for name, contender in measured["contenders"].items():
            seconds, ratio = contender["seconds_per_call"]["median"], contender["ratio"]
            times = f"{ratio['median']:.3g} [{ratio['low']:.3g}, {ratio['high']:.3g}]"
            first = name == measured["reference"]
            lines.append(f"| {case} | {name} | {1e6 * seconds / record['steps']:.3g} | {'1' if first else times} |")
    return "\n".join(lines)


def engine_table(record: dict) -> str:
    """Markdown: per case its structure, and how many times the best AD mode and an expert's program take."""
    lines = ["| case | structure | AD ÷ dense | AD ÷ structured | expert ÷ jmc |", "|---|---|---|---|---|"]
    for case in record["cases"]:
        rows = [row for row in record["table"] if row["case"] == case]
        (structure,) = [row["measured"] for row in rows if row["what"] == "structure"]

        def figure(*ends: str, start: str = "", rows: list = rows) -> str:
            """The first of these lines, with its interval."""
            for end in ends:
                for row in rows:
                    if row["what"].endswith(f"÷ {end}") and row["what"].startswith(start):
                        return f"{row['measured']} {row['interval']}"
            return ""

        ours = ("computed", "row_norms", "row_gram", "structured")
        against_ad = [row for row in rows if not row["what"].startswith(("expert", "trace", "eager"))]
        cells = [figure("dense", rows=against_ad), figure(*ours, rows=against_ad), figure(*ours, start="expert")]
        lines.append(f"| {case} | {structure.split(', ')[0]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def bench_table(record: dict) -> str:
    """Markdown: per suite in how many cases, at the sizes people speak of, jmc is ahead, and where it is behind."""
    from jmc.bench.summary import lines

    found = [line for line in lines(record) if line.headline and line.verdict]
    shown = ["| suite | cases | jmc ahead | even | behind | fastest other ÷ jmc, median |", "|---|---|---|---|---|---|"]
    for suite in dict.fromkeys(line.suite for line in found):
        own = [line for line in found if line.suite == suite]
        behind = [f"{line.case} ({line.verdict})" for line in own if line.verdict not in ("jmc", "even")]
        ahead, even = (sum(line.verdict == verdict for line in own) for verdict in ("jmc", "even"))
        ratio = statistics.median(line.versus.median for line in own if line.versus is not None)
        shown.append(f"| {suite} | {len(own)} | {ahead} | {even} | {', '.join(behind) or 'none'} | {ratio:.3g} |")
    return "\n".join(shown)


def mutation_line(record: dict) -> str:
    """How many spoilt closed forms the proofs reject."""
    total = record["total"]
    spoilt = total["caught"] + total["survived"]
    return f"Of {spoilt:,} closed forms spoilt by one small change, the proofs reject all but {total['survived']}"


def cutest_line(record: dict) -> str:
    """How many Hessians are right, how few numbers those of 50 variables and more take, and their times."""
    found = record["summary"]
    large, times = found["n ≥ 50"], found["jax.hessian ÷ structured, n ≥ 50"]
    return (
        f"Of {found['problems']} Hessians of CUTEst, {found['right']} are right; of the {large['problems']} with 50 "
        f"variables or more, {large['stored in ≤ 20 % of dense']} take at most 20 % of the dense numbers (median "
        f"{100 * large['median of stored ÷ dense']:.1f} %), and `jax.hessian` takes {times['run, median']:.3g} times "
        "as long (median)"
    )


def check_line(record: dict) -> str:
    """What `jmc.check` and its peers make of derivatives by hand, right and wrong."""
    wrong, right = ([case for case in record["cases"] if case["right"] == kind] for kind in (False, True))
    same = [case for case in right if "equal" in case["kinds"]]

    def share(cases: list, holds: Callable[[dict], bool]) -> str:
        return f"{100 * sum(map(holds, cases)) / len(cases):.1f} %"

    alarms = sum(case["verdict"] in ("wrong", "failed") for case in right)
    unseen = {what: figure.split("  ")[-1].strip() for what, figure in record["unseen"]["fifth"].items()}
    return (
        f"Of {len(wrong)} wrong derivatives written by hand `jmc.check` judges "
        f"{share(wrong, lambda case: case['verdict'] == 'wrong')} wrong, names the right kind of mistake first in "
        f"{share(wrong, lambda case: case['rank'] == 1)} and among three in "
        f"{share(wrong, lambda case: (case['rank'] or 9) <= 3)}; of {len(right)} right ones it calls {alarms} wrong. "
        f"Of the fifth set of these, when it had never been seen: {unseen['wrong ones: judged wrong']}, "
        f"{unseen['wrong ones: right kind first']}, {unseen['wrong ones: among the first three']}, and "
        f"{unseen['right ones: false alarms']} of the right ones called wrong. "
        f"`check_grads` rejects {share(wrong, lambda case: case['check_grads'] != 'accepted')} of the wrong ones, and "
        f"{share(same, lambda case: case['check_grads'] != 'accepted')} of those that are right under JAX's own "
        f"conventions; `chex.assert_numerical_grads` {share(wrong, lambda case: case['chex'] != 'accepted')} and "
        f"{share(same, lambda case: case['chex'] != 'accepted')}"
    )


def formulas_line(record: dict) -> str:
    """How many rules come out of `jmc.derive` as short as the catalogue has them."""
    counts = record["summary"]["counts"]
    return (
        f"Derived from their primals alone, {counts['as short']} of {sum(counts.values())} rules come out equal to "
        "their closed form and at most 1.5 × as long"
    )


SHOWN = {
    "bench_cpu.json": bench_table,
    "check.json": check_line,
    "catalogue_formulas.json": formulas_line,
    "first_light.json": first_light_table,
    "engine.json": engine_table,
    "cutest.json": cutest_line,
    "mutation.json": mutation_line,
}


def shown() -> dict[str, str]:
    """What the README shows of each file of results."""
    return {name: show(json.loads((RESULTS / name).read_text())) for name, show in SHOWN.items()}


if __name__ == "__main__":
    print(*shown().values(), sep="\n\n")
