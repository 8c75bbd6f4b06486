import re

import numpy as np
import pytest
from pages import Outline

from jmc.train.learning.evaluation import Evaluation, GradientCheck
from jmc.train.report.page import render

HOSTILE = "<script>alert(1)</script>"
TIMINGS = {"load_seconds": 1.2, "compile_seconds": 0.9, "run_seconds": 0.016, "total_seconds": 4.2}
RESULT = {
    "status": "done",
    "diverged_at_step": None,
    "steps": 5000,
    "stopped_early": False,
    "parameters_step": 5000,
    "best": None,
    "train": {"loss": 2845.1, "r2": 0.527, "rmse": 53.3, "mae": 43.2},
    "validation": {"loss": 2912.7, "r2": 0.4736, "rmse": 53.97, "mae": 42.9},
    "parameters": 11,
    "params_sha256": "9f86d081",
    "dtype": "float32",
    "compute_dtype": "float32",
    "gradient": "closed_form",
    "device": "cpu",
    "versions": {"jmc": "0.1.0", "jax": "0.10.2"},
    "timings": TIMINGS | {"microseconds_per_step": 3.26},
}
CLASSIFIED = RESULT | {
    "train": {"loss": 0.1, "accuracy": 1.0},
    "validation": {"loss": 0.2, "accuracy": 0.975},
}
ROWS = [
    {"step": 50 * i, "loss": 100.0 / i, "validation_loss": 110.0 / i, "validation_r2": 0.5 - 1 / i}
    for i in range(1, 20)
]
CHECKS = (GradientCheck("w", (10,), 12.3, 3.1e-6, 2.9e-8), GradientCheck("b", (), 0.1, 7e-7, 6.1e-8))


def regression(n=30, d=3, **changes):
    X = np.random.default_rng(0).normal(size=(n, d))
    names = tuple(f"x{i}" for i in range(d))
    fields = {
        "task": "regression",
        "split": "validation",
        "feature_names": names,
        "class_names": (),
        "target_name": "progression",
        "X": X,
        "y": X.sum(axis=1),
        "prediction": X.sum(axis=1) + 0.5,
        "examples": n,
        "predict": lambda X: X.sum(axis=1),
        "gradient_checks": CHECKS,
    }
    return Evaluation(**fields | changes)


def classification(n=30, d=3, k=3, **changes):
    y = np.arange(n) % k
    fields = {
        "task": "classification",
        "class_names": tuple(f"class {i}" for i in range(k)),
        "y": y,
        "prediction": np.where(np.arange(n) == 0, 1, y),
        "predict": lambda X: (X[:, 0] > 0).astype(int),
    }
    return regression(n, d, **fields | changes)


FIELDS = {
    "name": "neuron",
    "config_toml": '[model]\nkind = "neuron"  # one unit\n',
    "rows": [],
    "result": RESULT,
    "evaluation": regression(),
}


def page(evaluation=FIELDS["evaluation"], **changes):
    result = RESULT if evaluation.task == "regression" else CLASSIFIED
    return render(**FIELDS | {"evaluation": evaluation, "result": result} | changes)


@pytest.fixture(scope="module")
def one():
    return page(rows=ROWS)


def labels(html):
    return [attributes["aria-label"] for tag, attributes in Outline(html).tags if tag == "svg"]


@pytest.fixture(scope="module")
def two_features():
    names = {"feature_names": (HOSTILE, "$x_1"), "class_names": ("<b>", "&amp;", HOSTILE)}
    return page(classification(d=2, **names), rows=ROWS)


def test_the_page_is_the_same_each_time(one):
    assert page(rows=ROWS) == one
    assert one.startswith('<!DOCTYPE html>\n<html lang="en">')


def test_nothing_comes_from_elsewhere(one, two_features):
    for html in (one, two_features):
        tags = Outline(html).tags
        assert not {"script", "link", "img", "iframe", "object", "base", "form"} & {tag for tag, _ in tags}
        assert not re.search(r"https?:|//|@import|url\((?!#)", html)
        for _, attributes in tags:
            assert attributes.get("href", "#").startswith("#")
            assert not {"src", "srcset", "action"} & set(attributes)
            assert not any(key.startswith("on") for key in attributes)
        ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
        assert len(ids) == len(set(ids))


def test_names_are_text(two_features):
    assert HOSTILE not in two_features
    text = Outline(two_features).text
    assert "<b>" in text
    assert "&amp;" in text
    hostile = page(
        regression(target_name=HOSTILE, gradient_checks=(GradientCheck(HOSTILE, (), 1.0, 0.0, 0.0),)),
        name=HOSTILE,
        config_toml=f'[data]\ntarget = "{HOSTILE}"\n',
        result=RESULT | {"device": HOSTILE, "versions": {HOSTILE: HOSTILE}, "params_sha256": HOSTILE},
    )
    assert HOSTILE not in hostile
    assert Outline(hostile).text.count(HOSTILE) >= 7


def test_what_html_may_not_hold_is_replaced():
    html = page(regression(target_name="a\x00\ud800"), name="b\x1b")
    assert "b\ufffd: R²" in html
    assert html.encode("utf-8").count(b"\x00") == 0


def test_the_headline_and_the_cards(one):
    text = Outline(one).text
    assert "neuron: R² 0.474 on 30 validation examples" in text
    for figure in ("0.4736", "training 0.5270", "53.97", "42.90", "2 913", "5 000", "3.26 µs", "compile apart: 900 ms"):
        assert figure in text
    assert "97.5 % accuracy on 30 validation examples" in Outline(page(classification())).text
    assert "on 1 validation example " in Outline(page(regression(1))).text


def test_without_a_validation_part():
    rows = [{"step": row["step"], "loss": row["loss"]} for row in ROWS]
    html = page(regression(split="training"), rows=rows, result=RESULT | {"validation": None})
    text = Outline(html).text
    assert "R² 0.527 on 30 training examples" in text
    assert "validation" not in text
    assert labels(html) == ["Loss against step", "Predicted against true"]


def test_divergence_names_its_step(one):
    broken = {"status": "diverged", "diverged_at_step": 1432, "steps": 1431, "parameters_step": 1431}
    text = Outline(page(result=RESULT | broken)).text
    assert "neuron: diverged at step 1 432" in text
    assert "The loss was no longer finite at step 1 432. Training stopped there" in text
    assert "those after step 1 431" in text
    assert "no longer finite" not in one


def test_figures_suit_the_task(one, two_features):
    curves = ["Loss against step", "R² against step"]
    assert labels(one) == [*curves, "Predicted against true"]
    surface = labels(page(regression(d=2)))
    assert surface == ["Predicted against true", "Predicted value over the two features"]
    assert labels(two_features) == [*curves, "Predicted class over the two features"]
    assert labels(page(classification(d=1))) == labels(page(classification(d=3))) == []


def test_the_confusion_matrix():
    text = Outline(page(classification())).text
    assert "class 0 9 1 0 90.0 % class 1 0 10 0 100 % class 2 0 0 10 100 %" in text
    assert "29 of 30 are right. The most frequent mistake: class 0 taken for class 1, once." in text


def test_a_class_without_examples_has_no_recall():
    evaluation = classification(n=1, y=np.array([0]), prediction=np.array([0]))
    assert "class 1 0 0 0 – class 2 0 0 0 –" in Outline(page(evaluation)).text


def test_of_many_classes_the_most_confused_pairs():
    html = page(classification(n=60, k=21))
    assert '<table class="matrix">' not in html
    assert "true predicted examples share of the class class 0 class 1 1 33.3 %" in Outline(html).text


def test_gradients_beside_each_other(one):
    text = Outline(one).text
    assert "They agree to 6.1 × 10⁻⁸ of the gradient’s norm" in text
    assert "Two neighbouring float32 numbers differ by up to 1.2 × 10⁻⁷" in text
    assert "w 10 12.30 3.1 × 10⁻⁶ 2.9 × 10⁻⁸ b scalar 0.1000 7.0 × 10⁻⁷ 6.1 × 10⁻⁸" in text


@pytest.mark.parametrize(
    ("normwise", "sentence"),
    [(0.0, "equal to the last bit"), (0.2, "They differ by 0.20 of"), (float("nan"), "cannot be compared")],
)
def test_agreement_is_not_claimed_where_there_is_none(normwise, sentence):
    checks = (CHECKS[0],) if normwise else ()
    checks += (GradientCheck("v", (2, 3), 1.0, normwise, normwise),)
    assert sentence in Outline(page(regression(gradient_checks=checks))).text


def test_the_config_is_whole_and_highlighted():
    toml = '[a]\nkey = "x # no comment"  # a comment\nb.c = [1, 2]\n'
    html = page(config_toml=toml)
    block = html[html.index("<pre>") : html.index("</pre>")]
    assert Outline(f"{block}</pre>").words != []
    assert "".join(Outline(f"{block}</pre>").words) == toml
    assert re.findall(r'<span class="(\w+)">', block) == ["table", "key", "string", "comment", "key"]


@pytest.mark.parametrize(
    ("rows", "drawn"),
    [
        ([], []),
        ([{"step": 1, "loss": None}], []),
        ([{"step": 1, "loss": float("nan"), "validation_r2": None}], []),
        ([{"step": 1, "loss": 2.0, "validation_loss": None}], ["Loss against step"]),
        ([{"step": i, "loss": 1.0} for i in range(5000)], ["Loss against step"]),
    ],
)
def test_few_and_many_rows(rows, drawn):
    html = page(rows=rows)
    assert labels(html) == [*drawn, "Predicted against true"]
    assert ("No step was logged" in html) == (not drawn)
    assert len(html) < 100_000


def test_what_is_missing_is_a_dash():
    nothing = dict.fromkeys(RESULT["validation"], None) | {"r2": float("nan")}
    timings = dict.fromkeys(RESULT["timings"], None)
    text = Outline(page(result=RESULT | {"validation": nothing, "timings": timings})).text
    assert "R² – on 30 validation examples" in text
    assert "validation RMSE –" in text
    assert "time per step –" in text


def test_predictions_that_are_not_finite():
    html = page(regression(d=2, prediction=np.full(30, np.nan), predict=lambda X: np.full(len(X), np.inf)))
    assert labels(html) == []


def test_of_many_examples_some_are_drawn_and_it_says_so(one):
    assert "2 000 of 3 000 are drawn" in Outline(page(regression(3000))).text
    assert "are drawn" not in one
