"""The README's table of figures, from the committed results: `python benchmarks/figures.py` prints it."""

import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "first_light.json"


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


if __name__ == "__main__":
    print(table(json.loads(RESULTS.read_text())))
