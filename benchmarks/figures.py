"""The README's figures, from the committed results: `python benchmarks/figures.py` prints them."""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "first_light.json"
ENGINE = Path(__file__).parent / "results" / "engine.json"
MUTATION = Path(__file__).parent / "results" / "mutation.json"


def table(record: dict) -> str:
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


def mutation_line(record: dict) -> str:
    """How many spoilt closed forms the proofs reject."""
    total = record["total"]
    spoilt = total["caught"] + total["survived"]
    return f"Of {spoilt:,} closed forms spoilt by one small change, the proofs reject all but {total['survived']}"


if __name__ == "__main__":
    shown = ((table, RESULTS), (engine_table, ENGINE), (mutation_line, MUTATION))
    print(*(show(json.loads(path.read_text())) for show, path in shown), sep="\n\n")
