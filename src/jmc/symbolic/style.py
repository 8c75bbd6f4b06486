"""How formulas look: in Unicode, and in LaTeX."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from jmc.symbolic.dims import Dim
from jmc.symbolic.tensor import Number

GREEK = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "eps": "ε", "eta": "η", "theta": "θ",
    "lam": "λ", "lamda": "λ", "lambda_": "λ", "lmbda": "λ", "mu": "μ", "nu": "ν", "rho": "ρ", "sigma": "σ", "tau": "τ",
    "phi": "φ", "psi": "ψ", "omega": "ω", "Sigma": "Σ", "Lambda": "Λ", "Phi": "Φ", "Theta": "Θ", "Omega": "Ω",
    "xi": "ξ", "kappa": "κ", "zeta": "ζ", "chi": "χ", "Psi": "Ψ", "Gamma": "Γ", "Delta": "Δ",
}  # fmt: skip
_SPELT = {"lam": "lambda", "lamda": "lambda", "lambda_": "lambda", "lmbda": "lambda", "eps": "varepsilon"}
_LATEX_GREEK = {name: f"\\{_SPELT.get(name, name)}" for name in GREEK}
_SUPER = str.maketrans("0123456789-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁻")
SUB = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True)
class Style:
    """The signs of a notation, and templates with {0} for what stands in them."""

    kind: str
    minus: str
    times: str
    odot: str
    oslash: str
    kron: str
    transpose: str
    inverse: str
    inverse_transpose: str
    bracket: str
    diag: str
    trace: str
    norm: str
    frobenius: str
    root: str
    ones: str
    eye: str
    vec: str
    commutation: str
    partial: str
    delta: str
    total: str
    prime: str
    rows: str
    tri: str
    triu: str
    sub: str
    call: str
    fraction: Callable[[str, str], str]
    raised: Callable[[str, str], str]
    size: Callable[[Dim], str]
    name: Callable[[str], str]
    function: Callable[[str], str]


def _parts(symbol: str) -> tuple[str, str]:
    """A name and the digits at its end."""
    bare = symbol.rstrip("\0")
    stem = bare.rstrip("0123456789")
    return (stem.rstrip("_") or stem, bare[len(stem) :]) if stem else (bare, "")


def _text_name(symbol: str) -> str:
    stem, digits = _parts(symbol)
    return GREEK.get(stem, stem) + digits.translate(SUB)


def _latex_name(symbol: str) -> str:
    stem, digits = _parts(symbol)
    if stem in _LATEX_GREEK:
        shown = _LATEX_GREEK[stem] if stem not in ("Alpha", "Beta") else stem
    elif len(stem) == 1:
        shown = stem
    else:
        head, _, rest = stem.partition("_")
        shown = rf"\mathrm{{{head}}}" if len(head) > 1 else head
        if rest:
            return rf"{shown}_{{\mathrm{{{rest.replace('_', ',')}}}{digits}}}"
    return f"{shown}_{{{digits}}}" if digits else shown


def _size(dim: Dim, times: str, minus: str, name: Callable[[str], str]) -> str:
    words = [name(word) if word.isidentifier() else word.replace("-", minus) for word in str(dim).split()]
    return " ".join(words).replace(" * ", times)


def _text_raised(base: str, exponent: str) -> str:
    return base + exponent.translate(_SUPER) if exponent.lstrip("−").isdigit() else f"{base}^({exponent})"


def _text_fraction(above: str, below: str) -> str:
    return f"{above}/{below}"


TEXT = Style(
    kind="text", minus="−", times=" ", odot=" ⊙ ", oslash=" ⊘ ", kron=" ⊗ ", transpose="{0}ᵀ", inverse="{0}⁻¹",
    inverse_transpose="{0}⁻ᵀ", bracket="({0})", diag="diag({0})", trace="tr({0})", norm="‖{0}‖", frobenius="‖{0}‖_F",
    root="√{0}", ones="𝟏", eye="I", vec="vec({0})", commutation="𝐊", partial="∂", delta="δ_{0}", total="Σ_{0}",
    prime="′", rows="{0}[{1}]", tri="tril", triu="triu", size=lambda dim: _size(dim, " ", "−", _text_name),
    sub="{0}_{1}", call="{0}({1})", fraction=_text_fraction, raised=_text_raised, name=_text_name,
    function=lambda name: name,
)  # fmt: skip
LATEX = Style(
    kind="latex", minus="-", times=r"\, ", odot=r" \odot ", oslash=r" \oslash ", kron=r" \otimes ",
    transpose=r"{0}^{{\top}}", inverse="{0}^{{-1}}", inverse_transpose=r"{0}^{{-\top}}", bracket=r"\left({0}\right)",
    diag=r"\operatorname{{diag}}\left({0}\right)", trace=r"\operatorname{{tr}}\left({0}\right)",
    norm=r"\left\|{0}\right\|", frobenius=r"\left\|{0}\right\|_F", root=r"\sqrt{{{0}}}", ones=r"\mathbf{1}", eye="I",
    vec=r"\operatorname{{vec}}\left({0}\right)", commutation=r"\mathbf{K}", partial=r"\partial ",
    delta=r"\delta_{{{0}}}", total=r"\sum_{{{0}}}",
    prime="'", rows="{0}[{1}]", tri=r"\operatorname{tril}", triu=r"\operatorname{triu}",
    size=lambda dim: _size(dim, r"\, ", "-", _latex_name), sub="{0}_{{{1}}}",
    call=r"{0}\left({1}\right)", fraction=lambda above, below: rf"\frac{{{above}}}{{{below}}}",
    raised=lambda base, exponent: f"{{{base}}}^{{{exponent}}}", name=_latex_name,
    function=lambda name: rf"\operatorname{{{name}}}",
)  # fmt: skip


def above_and_below(coefficient: Number, shown: Callable[[Number], str]) -> tuple[list[str], list[str]]:
    """What a positive coefficient puts above a fraction line and below it: nothing for 1."""
    if not isinstance(coefficient, Fraction):
        return [shown(coefficient)], []
    above, below = coefficient.numerator, coefficient.denominator
    return [str(above)] if above != 1 else [], [str(below)] if below != 1 else []


def number(value: Number, style: Style = TEXT) -> str:
    """The number in the fewest characters that say what it is: a fraction, a multiple of π, digits."""
    if isinstance(value, Fraction) and max(abs(value.numerator), value.denominator) > 10**7:
        value = float(value)
    if isinstance(value, Fraction):
        whole = str(abs(value.numerator))
        shown = whole if value.denominator == 1 else style.fraction(whole, str(value.denominator))
        return f"{style.minus}{shown}" if value < 0 else shown
    if not math.isfinite(value):
        infinity = r"\infty" if style.kind == "latex" else "∞"
        return {math.inf: infinity, -math.inf: style.minus + infinity}.get(value, "nan")
    ratio = Fraction(value / math.pi if abs(value) < 10**7 else 0).limit_denominator(64)
    if ratio != 0 and math.isclose(float(ratio) * math.pi, value, rel_tol=1e-14):
        pi = r"\pi" if style.kind == "latex" else "π"
        over = pi if abs(ratio.numerator) == 1 else f"{abs(ratio.numerator)}{pi}"
        sign = style.minus if ratio < 0 else ""
        return sign + (over if ratio.denominator == 1 else style.fraction(over, str(ratio.denominator)))
    near = Fraction(value * abs(value) * math.pi if abs(value) < 10**7 else 0).limit_denominator(64)
    if near != 0 and math.isclose(float(near), value * abs(value) * math.pi, rel_tol=1e-14):
        pi = r"\pi" if style.kind == "latex" else "π"
        below = pi if near.denominator == 1 else f"{near.denominator}{pi}"
        below = f"({below})" if style.kind == "text" and near.denominator != 1 else below
        inside = style.fraction(str(abs(near.numerator)), below)
        shown = style.root.format(inside if style.kind == "latex" else f"({inside})")
        return style.minus + shown if value < 0 else shown
    digits, _, exponent = f"{value:.6g}".partition("e")
    if not exponent:
        return digits.replace("-", style.minus)
    ten = style.raised("10", str(int(exponent)).replace("-", style.minus))
    return (ten if digits == "1" else f"{digits}·{ten}").replace("-", style.minus)


def number_code(value: Number) -> str:
    """The number in Python, to the last digit."""
    if isinstance(value, Fraction):
        if max(abs(value.numerator), value.denominator) > 2**53:
            return repr(float(value))
        return str(value.numerator) if value.denominator == 1 else f"{value.numerator} / {value.denominator}"
    return repr(float(value)) if math.isfinite(value) else f'float("{value}")'
