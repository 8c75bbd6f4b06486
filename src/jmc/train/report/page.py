"""`report.html`: one self-contained page that says how a training run went."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jmc.page.formatting import duration, number, percent
from jmc.page.template import Plate, filled, plates
from jmc.train.report import figures
from jmc.train.report.confusion import confusion

if TYPE_CHECKING:
    from markupsafe import Markup

    from jmc.train.learning.evaluation import Evaluation, GradientCheck

METRICS = {"r2": "R²", "accuracy": "accuracy", "rmse": "RMSE", "mae": "MAE", "loss": "loss"}
_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
_TOML = re.compile(
    r"""(?P<table>^\[.*\]$)|(?P<key>^[\w.-]+(?=\s*=))|(?P<string>"(?:[^"\\\n]|\\.)*"|'[^'\n]*')|(?P<comment>\#.*$)""",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Card:
    """A key figure, what it is, and a word beside it."""

    label: str
    value: str
    note: str = ""


def render(
    *,
    name: str,
    config_toml: str,
    rows: Sequence[Mapping[str, Any]],
    result: Mapping[str, Any],
    evaluation: "Evaluation",
) -> str:
    """The page as HTML without a reference to anything outside it; equal arguments give equal text.

    ``rows`` are the lines of metrics.jsonl in the order of their ``step``, ``result`` is that of result.json.
    A figure that is None or nan is shown as a dash.
    """
    return filled(
        "jmc.train.report",
        "report.html.j2",
        name=name,
        headline=_headline(result, evaluation),
        result=result,
        cards=_cards(result, evaluation),
        learning=_learning(rows),
        predictions=_predictions(evaluation),
        confusion=confusion(evaluation.y, evaluation.prediction, evaluation.class_names)
        if evaluation.task == "classification"
        else None,
        sample=_sample(evaluation),
        checks=evaluation.gradient_checks,
        agreement=_agreement(evaluation.gradient_checks, result["compute_dtype"]),
        config=_highlighted(config_toml),
    )


def _headline(result: Mapping[str, Any], evaluation: "Evaluation") -> str:
    if result["status"] == "diverged":
        return f"diverged at step {number(result['diverged_at_step'])}"
    many = evaluation.examples
    examples = f"{number(many)} {evaluation.split} example{'s' * (many != 1)}"
    metrics = _metrics(result, evaluation)
    if evaluation.task == "classification":
        return f"{percent(metrics.get('accuracy'))} accuracy on {examples}"
    return f"R² {number(metrics.get('r2'), 3)} on {examples}"


def _sample(evaluation: "Evaluation") -> str:
    """What to say where predictions were made for a sample only."""
    if len(evaluation.y) == evaluation.examples:
        return ""
    return (
        f"The metrics above are of all {number(evaluation.examples)} {evaluation.split} examples; the curves, and what "
        f"follows here, of a random sample of {number(len(evaluation.y))} of them."
    )


def _metrics(result: Mapping[str, Any], evaluation: "Evaluation") -> Mapping[str, Any]:
    return result["validation" if evaluation.split == "validation" else "train"] or {}


def _cards(result: Mapping[str, Any], evaluation: "Evaluation") -> list[Card]:
    metrics, training, timings = _metrics(result, evaluation), result["train"] or {}, result["timings"]
    cards = []
    for key, label in METRICS.items():
        if key in metrics:
            show = percent if key == "accuracy" else number
            note = f"training {show(training.get(key))}" if evaluation.split == "validation" else ""
            cards.append(Card(f"{evaluation.split} {label}", show(metrics[key]), note))
    compiled = f"compile apart: {duration(timings['compile_seconds'])}"
    per_step = timings["microseconds_per_step"]
    return [
        *cards,
        Card("steps", number(result["steps"]), f"in {duration(timings['run_seconds'])}"),
        Card("time per step", duration(None if per_step is None else per_step / 1e6), compiled),
    ]


def _learning(rows: Sequence[Mapping[str, Any]]) -> list[Plate]:
    def column(key: str) -> list[Any]:
        return [row.get(key) for row in rows]

    steps, validation, r2 = column("step"), column("validation_loss"), column("validation_r2")
    about_loss = "The loss on the training batches, averaged between two points"
    if any(value is not None for value in validation):
        about_loss += ", and on the validation examples"
    about_r2 = "R² on the validation examples: 1 is exact, 0 no better than their mean."
    if figures.is_cut(r2):
        about_r2 += " Values below −1 are cut off."
    about_accuracy = "The share of the validation examples whose class is predicted."
    return plates(
        [
            (figures.loss_curve(steps, column("loss"), validation), f"{about_loss}."),
            (figures.metric_curve(steps, r2, "R²"), about_r2),
            (figures.metric_curve(steps, column("validation_accuracy"), "accuracy"), about_accuracy),
        ]
    )


def _predictions(evaluation: "Evaluation") -> list[Plate]:
    X, y, prediction = evaluation.X, evaluation.y, evaluation.prediction
    several, drawings = f"{evaluation.split} examples", []
    drawn = figures.MOST_SCATTER_POINTS
    thinned = f" {number(drawn)} of {number(evaluation.examples)} are drawn, evenly spread." if len(y) > drawn else ""
    if evaluation.task == "regression":
        caption = "Each point is an example; on the line the prediction is exact."
        errors = np.abs(y - prediction)
        if errors.size and np.isfinite(errors).all():
            caption += f" Half of the {several} are predicted to within {number(float(np.median(errors)), 3)}."
        svg = figures.predicted_against_true(y, prediction, evaluation.target_name)
        drawings.append((svg, caption + thinned))
    if X.shape[1] != 2:
        return plates(drawings)
    if evaluation.task == "regression":
        svg = figures.predicted_surface(X, y, evaluation.predict, evaluation.feature_names)
        caption = (
            "The shade is what the model predicts from the two features. "
            f"The points are the {several}, shaded by their true value on the same scale: "
            "where a point melts into the shade, the model is right."
        )
    else:
        svg = figures.decision_regions(
            X, y, y != prediction, evaluation.predict, evaluation.feature_names, evaluation.class_names
        )
        caption = (
            "The shade is the class the model predicts from the two features. "
            f"The points are the {several} by their true class; a ring marks one that is predicted wrong."
        )
    return plates([*drawings, (svg, caption + thinned)])


def _agreement(checks: Sequence["GradientCheck"], dtype: str) -> str:
    worst = max((check.normwise for check in checks), key=lambda figure: (math.isnan(figure), figure), default=0.0)
    if not math.isfinite(worst):
        return "They cannot be compared: a gradient is not finite."
    if worst == 0:
        return "They are equal to the last bit."
    verb = "agree to" if worst < 1e-3 else "differ by"
    text = f"They {verb} {number(worst, 2)} of the gradient’s norm, or better."
    if dtype in _EPSILON:
        text += (
            f" Two neighbouring {dtype} numbers differ by up to {number(_EPSILON[dtype], 2)} of their size; "
            "where a gradient has nearly vanished, its terms cancel and their rounding weighs more."
        )
    return text


def _highlighted(toml: str) -> "Markup":
    """The text escaped, with spans around table names, keys, strings and comments."""
    from markupsafe import Markup, escape

    pieces, end = [], 0
    for token in _TOML.finditer(toml):
        pieces += [
            escape(toml[end : token.start()]),
            Markup('<span class="{}">{}</span>').format(token.lastgroup, token[0]),
        ]
        end = token.end()
    return Markup("").join([*pieces, escape(toml[end:])])
