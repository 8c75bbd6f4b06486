import ast

from jmc.catalogue import code
from jmc.catalogue.registry import rules
from jmc.catalogue.rule import entry


def test_the_statement_of_a_row_is_its_call():
    text = code.statement(rules["K-61"])
    assert text.startswith('entry(\n    "bilinear form of the inverse"')
    assert isinstance(ast.parse(text).body[0], ast.Expr)


def test_the_code_of_a_function_has_its_decorator_and_the_helpers_it_names():
    text = code.decorated(rules["softmax"])
    assert text.index("def softmax_vjp") < text.index("@rule(") < text.index("def softmax(")
    assert "def tanh" not in text


def test_names_from_other_files_are_explained():
    assert code.imported(rules["W-MS-4"])["curve"].startswith("x ↦ φ(xp) of a scalar")
    assert "u" not in code.imported(rules["W-MS-4"])


def test_every_rule_of_the_catalogue_shows_its_code_and_place():
    for rule in rules.records():
        text = code.decorated(rule)
        assert ast.parse(text).body, rule.name
        assert any(made in text for made in ("entry(", "@rule(", "@elementwise(")), rule.name
        path, _, line = code.place(rule).rpartition(":")
        assert path.endswith(f"{rule.family}.py")
        assert int(line) > 0


def test_a_rule_typed_at_a_prompt_has_no_code(own_rules):
    namespace = {"entry": entry}
    exec('r = entry("typed", "", "x: n", lambda x: x @ x, lambda x: 2 * x)', namespace)
    assert code.statement(namespace["r"]) == code.decorated(namespace["r"]) == code.place(namespace["r"]) == ""
