from jmc.catalogue.registry import rules
from jmc.catalogue.rule import entry
from jmc.checking.campaign import proofs, with_seconds
from jmc.linear import build


def test_processes_prove_what_one_process_proves():
    wanted = [*rules.families()["inverse"], rules["tanh"], rules["affine"]]
    assert len(wanted) > 8  # fewer are proved here
    several = sorted(proofs(wanted, workers=2, points=1), key=lambda proof: proof["name"])
    assert [proof["name"] for proof in several] == sorted(rule.name for rule in wanted)
    assert all(proof["ok"] for proof in several), [proof["failures"] for proof in several]
    [alone] = proofs([rules["bilinear form of the inverse"]], points=1)
    [among] = [proof for proof in several if proof["name"] == alone["name"]]
    for name, told in alone["oracles"].items():  # a program that is compiled anew may round another way
        assert among["oracles"][name]["comparisons"] == told["comparisons"]
        assert abs(among["oracles"][name]["max_error"] - told["max_error"]) < 1e-13
    assert among | {"oracles": {}} == alone | {"oracles": {}}


def test_a_rule_that_cannot_be_evaluated_is_not_proved(own_rules):
    rule = entry("a broken rule", "", "x: n", lambda x: x @ x, lambda x: x.missing)
    [proof] = proofs([rule])
    assert not proof["ok"]
    assert "AttributeError" in proof["failures"][0]


def test_second_derivatives_follow_their_rule(own_rules):
    rule = entry("a square", "", "x: n", lambda x: x @ x, lambda x: 2 * x, second=lambda x: 2 * build.identity(x.shape))
    assert [found.name for found in with_seconds([rule])] == ["a square", "a square, second derivative"]
    assert all(proof["ok"] for proof in proofs(with_seconds([rule]), points=1))
