import json
import re

import jax
import pytest
from pages import Outline

from jmc.catalogue.registry import rules
from jmc.cli import main
from jmc.cli import rules as command


def run(capsys, *arguments):
    code = main(["rules", *arguments])
    done = capsys.readouterr()
    return code, done.out, done.err


def test_families_with_counts(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    for family, found in rules.families().items():
        assert re.search(rf"^ *{family} +{len(found)} ", out, re.MULTILINE)
    assert re.search(rf"^ *all +{len(rules.records())} +{len(rules.ids())}\b", out, re.MULTILINE)
    code, out, _ = run(capsys, "--json")
    assert sum(row["ids"] for row in json.loads(out)) == len(rules.ids())


def test_a_page_has_all_that_is_known_of_a_rule(capsys):
    code, out, _ = run(capsys, "K-61")
    assert code == 0
    for text in (
        "bilinear form of the inverse",
        "X: (n, n) invertible",
        "eq. 61",
        "-inv(X).T @ outer(a, b)",
        "inverse.py",
    ):
        assert text in out
    assert "∂f/∂X: (n, n), numerator layout n × n" in out


def test_formulas_in_unicode_and_latex(capsys):
    _, out, _ = run(capsys, "K-61")
    assert "  f = aᵀ X⁻¹ b\n  ∂f/∂X = −X⁻ᵀ a bᵀ X⁻ᵀ\n" in out
    code, out, _ = run(capsys, "K-61", "--latex")
    assert (code, out) == (0, json.loads(run(capsys, "K-61", "--json")[1])["latex"] + "\n")
    assert r"f &= a^{\top}\, X^{-1}\, b" in out


def test_rules_in_formulas_as_a_page(capsys, tmp_path):
    path = tmp_path / "rules.html"
    code, out, _ = run(capsys, "inner inverse", "--html", str(path))
    assert (code, path.exists()) == (2, False)
    code, out, _ = run(capsys, "--search", "bilinear inverse", "--html", str(path))
    assert (code, out) == (0, f"{path}\n")
    page = path.read_text()
    outline = Outline(page)
    articles = [attributes for tag, attributes in outline.tags if tag == "article"]
    assert "∂f/∂X = −X⁻ᵀ a bᵀ X⁻ᵀ" in articles[0]["data-text"]
    assert sum(tag == "math" for tag, _ in outline.tags) >= 2
    assert not re.search(r"(src|href)=\"(?!#)|url\(|@import|https?://(?!www.w3.org/1998/Math)", page)
    code, _, err = run(capsys, "K-61", "--html", str(tmp_path))
    assert code == 2
    assert "`--html` must name a file that can be written" in err


@pytest.mark.parametrize("name", ["K-60", "K-59", "P-4.2.5", "neuron", "softmax", "K-76"])
@pytest.mark.parametrize("layout", ["numerator", "denominator"])
def test_the_snippet_of_a_page_runs(capsys, name, layout):
    _, out, _ = run(capsys, name, "--layout", layout)
    snippet = out[out.index("import jax, jmc") :]
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        exec(snippet, {})
    assert "proved" in capsys.readouterr().out


def test_a_page_as_json(capsys):
    code, out, _ = run(capsys, "softmax", "--json", "--layout", "denominator")
    page = json.loads(out)
    assert code == 0
    assert page["derivatives"] == [
        {
            "of": "∂f/∂x",
            "shape": "(*n, k, *n, k)",
            "table": "*n·k × *n·k",
            "structure": page["derivatives"][0]["structure"],
        }
    ]
    assert "block_diagonal" in page["derivatives"][0]["structure"]


def test_a_family_lists_its_rules(capsys):
    code, out, _ = run(capsys, "inverse", "--json")
    assert code == 0
    assert json.loads(out)["family"] == "inverse"  # a rule has the same name, and is meant
    code, out, _ = run(capsys, "loss", "--json")
    assert "huber" in {row["name"] for row in json.loads(out)}


def test_search_finds_words_in_names_and_code(capsys):
    code, out, _ = run(capsys, "--search", "outer inverse", "--json")
    assert code == 0
    assert "bilinear form of the inverse" in {row["name"] for row in json.loads(out)}
    code, out, err = run(capsys, "--search", "perpetuum mobile")
    assert (code, out) == (0, "")
    assert "perpetuum mobile" in err


def test_what_is_unknown_is_said_with_a_guess(capsys):
    code, out, err = run(capsys, "sofmax")
    assert (code, out) == (2, "")
    assert "`sofmax` must be the name or the id of a rule" in err
    assert "'softmax'" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--search", "x", "--verify"], "--search takes no NAME and no --verify"),
        (["softmax", "--latex", "--json"], "--html and --latex take neither each other nor --json or --verify"),
        (["--verfy"], "did you mean --verify?"),
        (["softmax", "--layout", "rows"], "--layout: invalid choice"),
        (["--verify", "--workers", "0"], "`--workers` must be at least 1, but got 0"),
    ],
)
def test_bad_usage(capsys, arguments, message):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in err


def test_verify_tabulates_the_errors_by_oracle(capsys):
    code, out, _ = run(capsys, "--verify", "K-61")
    assert code == 0
    assert "1 of 1 proved" in out
    for oracle in ("Ridders", "forward AD", "reverse AD", "complex step"):
        assert oracle in out
    code, out, _ = run(capsys, "--verify", "K-61", "--json")
    result = json.loads(out)
    assert code == 0
    assert result["summary"] == {"rules": 1, "ids": 1, "failed": 0, "ids_with_three_oracles": 1}
    assert result["rules"][0]["ids"] == ["K-61"]


def test_verify_tells_what_is_not_proved(capsys, monkeypatch):
    failed = {
        "name": "inverse",
        "ok": False,
        "oracles": {},
        "agreeing": [],
        "notes": [],
        "failures": ["forward AD: off"],
    }
    monkeypatch.setattr("jmc.checking.campaign.proofs", lambda *_: iter([failed]))
    code, out, _ = run(capsys, "--verify", "K-60")
    assert code == command.NOT_PROVED
    assert "NOT PROVED: inverse: forward AD: off" in out


def test_interrupted_proofs_end_with_130(capsys, monkeypatch):
    def proofs(*_):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("jmc.checking.campaign.proofs", proofs)
    assert run(capsys, "--verify", "K-60")[0] == 130
