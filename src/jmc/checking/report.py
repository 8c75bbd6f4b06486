"""What a check found: a verdict, findings, and how much a green one is worth; for people and as JSON."""

import functools
import linecache
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jmc.checking import heatmap
from jmc.checking.hypotheses import Finding


@dataclass(frozen=True)
class Worst:
    """The entry with the largest error: of which argument, at which point, what is claimed and what is true."""

    name: str
    point: str
    index: tuple[int, ...]
    claimed: float
    true: float
    shape: str = ""

    def __str__(self) -> str:
        if self.shape:
            return f"∂/∂{self.name} {self.shape}"
        where = f"[{', '.join(map(str, self.index))}]" if self.index else ""
        values = f"{self.claimed:.9g}, but it is {self.true:.9g}"
        return f"largest error at (∂/∂{self.name}){where}: {values} ({self.point} point)"


@dataclass
class Report:
    """The outcome of :func:`jmc.check` for a hand-derived rule; ``str()`` reads well, and a notebook shows a heat map.

    Attributes:
        name, mode: of the function, and what was claimed: grad, jacobian, hessian, vjp or jvp.
        arguments: the names of the arrays in the arguments.
        verdict: ``"equal"``; ``"convention"``: right under another, named, convention; ``"wrong"``; or ``"undecided"``:
            there is no reliable reference at any point, and ``notes`` say why.
        findings: the mistakes that explain what was seen, per argument the likeliest first.
        worst: the entry with the largest error.
        oracles: that agree on the truth.
        points: the kinds of points that were compared.
        warnings: what about the given arguments hides mistakes.
        notes: where automatic differentiation is wrong, and where nothing was compared.
    """

    name: str
    mode: str
    arguments: list[str]
    verdict: str = "undecided"
    findings: list[Finding] = field(default_factory=list)
    worst: Worst | None = None
    oracles: list[str] = field(default_factory=list)
    points: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors_of: Callable[[], list[Any]] = field(default=list, repr=False)
    power_of: Callable[[], dict[str, Any]] = field(
        default=lambda: {"mutants": 0, "caught": 0, "missed": []}, repr=False
    )

    @property
    def ok(self) -> bool:
        """Whether the rule is right, under its own convention or another named one."""
        return self.verdict in ("equal", "convention")

    @functools.cached_property
    def power(self) -> dict[str, Any]:
        """How many mutants of the true derivative these points would have shown to be wrong, and which not."""
        return self.power_of()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "function": self.name,
            "mode": self.mode,
            "arguments": self.arguments,
            "verdict": self.verdict,
            "findings": [
                {
                    "kind": f.kind,
                    "argnum": f.argnum,
                    "argument": f.name,
                    "message": f.message,
                    "evidence": f.evidence if math.isfinite(f.evidence) else None,
                    "line": f.line,
                    "operation": f.operation,
                    "also": f.also,
                }
                for f in self.findings
            ],
            "worst": None if self.worst is None else str(self.worst),
            "oracles": self.oracles,
            "points": self.points,
            "warnings": self.warnings,
            "notes": self.notes,
            "power": self.power,
        }

    def _repr_html_(self) -> str:
        return heatmap.page(str(self), self.errors_of())

    def __str__(self) -> str:
        points = ", ".join(dict.fromkeys(self.points)) or "none"
        lines = [
            f"{self.mode} of {self.name}: {_VERDICTS[self.verdict]}",
            f"  compared at {len(self.points)} points ({points}) with {', '.join(self.oracles) or 'nothing'}",
        ]
        if self.worst is not None and not self.ok:
            lines.append(f"  {self.worst}")
        for name in dict.fromkeys(finding.name for finding in self.findings):
            kinds: dict[str, list[Finding]] = {}  # those that one explanation may be called
            for finding in self.findings:
                if finding.name == name:
                    kinds.setdefault(finding.message, []).append(finding)
            for k, (message, found) in enumerate(list(kinds.items())[:3]):
                called = " or ".join(finding.kind for finding in found)
                lines.append(f"  {'likely' if k == 0 else 'or'}: {called}: {message}")
                if k == 0 and (code := _code(found[0].line)):
                    lines.append(f"      {found[0].line}: {code}")
        if self.verdict == "equal" and self.power["mutants"]:
            power = self.power
            lines.append(f"  would have caught {power['caught']} of {power['mutants']} mistakes in it")
            lines += [f"    but not {text}" for text in power["missed"][:3]]
        lines += [f"  warning: {text}" for text in self.warnings]
        lines += [f"  note: {text}" for text in self.notes]
        return "\n".join(lines)


_VERDICTS = {
    "equal": "right",
    "convention": "right under another convention",
    "wrong": "WRONG",
    "undecided": "undecided",
}


def _code(line: str) -> str:
    """The text of ``file.py:12``, if a file of this name has been traced."""
    name, _, number = line.partition(":")
    if not number.isdecimal():
        return ""
    path = next((path for path in linecache.cache if path.endswith(f"/{name}")), None)
    return "" if path is None else linecache.getline(path, int(number)).strip()
