from jmc.symbolic.article import TITLE, derivations
from jmc.symbolic.page import page

# What the article prints, its errata mended.
PRINTED = {
    "§2: the power rule": "3 x²",
    "§2: a sum": "2 x + 3",
    "§2: the logarithm of a square": "2/x",
    "§3: a partial derivative of a product": "6 x y",
    "§3: the other one": "3 x²",
    "§4: 2x + y⁸ by y": "8 y⁷",
    "§4.1: the identity function": "I",
    "§4.2: an element-wise sum": "I",
    "§4.2: an element-wise difference": "−I",
    "§4.2: an element-wise product": "diag(x)",
    "§4.2: an element-wise quotient": "−diag(w ⊘ (x ⊙ x))",
    "§4.3: a number added to a vector": "𝟏",
    "§4.3: a vector times a number": "z I",
    "§4.3: the same by the number": "x",
    "§4.4: the sum of a vector": "𝟏ᵀ",
    "§4.4: the sum of a vector times a number": "𝟏ᵀ x",
    "§4.5.1: the chain rule for one variable": "2 x cos(x²)",
    "§4.5.1: a chain of four": "6 x² cos(x³)/sin(x³)",
    "§4.5.2: two paths": "1 + 2 x",
    "§4.5.2: total derivatives": "cos(x + x²) (1 + 2 x)",
    "§4.5.2: a product of two paths": "3 x²",
    "§4.5.3: a vector of functions": "(2/x) e₁ + 3 cos(3 x) e₂",
    "§5: a dot product": "xᵀ",
    "§5: the affine function by its weights": "xᵀ",
    "§5: the affine function by its bias": "1",
    "§5: the activation by the weights": "1[wᵀ x + b > 0] xᵀ",
    "§5: the activation by the bias": "1[wᵀ x + b > 0]",
    "§6.1: the cost by the weights": "(2/N) (1[z > 0] ⊙ (relu(z) − y))ᵀ X",
    "§6.2: the cost by the bias": "(2/N) 1[z > 0]ᵀ (relu(z) − y)",
}


def test_the_article_is_derived_from_code():
    found = derivations()
    formulas = {title: derivation.formula for title, _, derivation in found}
    assert {title: formulas.get(title) for title in PRINTED} == PRINTED
    shown = page(TITLE, found)
    assert shown.count("<article") == len(found) == len(PRINTED) + 2
    assert "{{" not in shown
