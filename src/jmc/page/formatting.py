"""Numbers as a reader of a page likes them: thin spaces, true minus signs, four significant figures."""

import math
import re
from collections.abc import Sequence
from typing import Any

ABSENT = "–"
_THIN = "\u202f"  # narrow, and no line breaks at it
_UNITS = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_NOT_TEXT = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f]")


def number(value: Any, digits: int = 4) -> str:
    """``digits`` significant figures of a float, every digit of an int, a dash for None and nan."""
    if value is None or math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if isinstance(value, int) or value == 0:
        return _grouped(f"{int(value):,}")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = int(exponent)
    if -4 <= power <= 6:
        return _grouped(f"{round(value, digits - 1 - power):,.{max(digits - 1 - power, 0)}f}")
    return f"{_grouped(mantissa)}{_THIN}×{_THIN}10{str(power).translate(_SUPERSCRIPT)}"


def tick(value: float) -> str:
    """A round number beside an axis: no more digits than it needs."""
    text = number(float(f"{value:.6g}"), 6)
    mantissa, times, power = text.partition(f"{_THIN}×{_THIN}")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return power if times and mantissa == "1" else f"{mantissa}{times}{power}"


def percent(share: Any) -> str:
    """A share of one as a percentage with one decimal; 100 and 0 only where it is all or none."""
    if share is None or math.isnan(share):
        return ABSENT
    shown = f"{100 * share:.1f}"
    if share in (0, 1):
        shown = f"{100 * share:.0f}"
    elif shown in ("0.0", "100.0"):
        shown = "0.1" if shown == "0.0" else "99.9"
    return f"{shown}{_THIN}%"


def duration(seconds: Any) -> str:
    """Three figures in the unit that suits: ns, µs, ms, s, min, h."""
    if seconds is None or not math.isfinite(seconds):
        return ABSENT
    if seconds < 120:
        unit, scale = next(((unit, scale) for unit, scale in _UNITS if seconds >= scale), _UNITS[-1])
        return f"{number(seconds / scale, 3)}{_THIN}{unit}"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes}{_THIN}min {rest}{_THIN}s"
    return f"{minutes // 60}{_THIN}h {minutes % 60}{_THIN}min"


def shape(sizes: Sequence[int]) -> str:
    """``64 × 10``, and ``scalar`` for no axes."""
    return f"{_THIN}×{_THIN}".join(map(number, sizes)) or "scalar"


def clean(text: str) -> str:
    """The text with a replacement character for all that neither HTML nor SVG may hold."""
    return _NOT_TEXT.sub("\ufffd", text)


def short(text: str, length: int = 24) -> str:
    """One line of at most ``length`` characters, for a label."""
    line = " ".join(clean(text).split())
    return line if len(line) <= length else f"{line[: length - 1].rstrip()}…"


def _grouped(text: str) -> str:
    return text.replace(",", _THIN).replace("-", "−")
