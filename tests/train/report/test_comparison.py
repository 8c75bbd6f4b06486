import json
from pathlib import Path

from pages import Outline

from jmc.train.persistence.runs import Run
from jmc.train.report.comparison import differences, labels, render, title

HOSTILE = "<script>alert(1)</script>"


def made(name="a", status="done", steps=20, rate=0.1, loss=0.5, r2=0.25, **fields):
    rows = [{"step": step, "loss": 1.0 / step, "validation_loss": loss, "validation_r2": r2} for step in (5, 10, 20)]
    given = {
        "directory": Path("/runs") / name,
        "status": status,
        "steps": steps,
        "metrics": {"train_loss": 2.0, "validation_loss": loss, "validation_r2": r2},
        "seconds": 1.5,
        "config": {"optimizer": {"learning_rate": rate, "kind": "sgd"}, "train": {"steps": 20}},
        "rows": rows,
    }
    return Run(**given | fields)


def cells(html, heading):
    """The rows of the table below a heading, as lists of text."""
    table = html[html.index(heading) :]
    table = table[table.index("<table>") : table.index("</table>") + len("</table>")]
    return [
        [
            cell.strip()
            for cell in Outline(part.replace("</th>", "</th>|").replace("</td>", "</td>|")).text.split("|")[:-1]
        ]
        for part in ("<tr>" + rest.split("</tr>")[0] + "</tr>" for rest in table.split("<tr>")[1:])
    ]


def test_runs_stand_side_by_side():
    html = render([made(), made("b", rate=0.2, loss=0.25), made("c", "unfinished", None, metrics={}, seconds=None)])
    header, first, second, third = cells(html, "Final metrics")
    assert header == ["run", "status", "steps", "validation R²", "validation loss", "training loss", "time in steps"]
    assert first[:2] + first[4:5] == ["a", "done", "0.5000"]
    assert second[4] == "0.2500"
    assert third == ["c", "unfinished", *["–"] * 5]
    assert cells(html, "What the configs differ in") == [
        ["key", "a", "b", "c"],
        ["optimizer.learning_rate", "0.1", "0.2", "0.1"],
    ]
    assert html.count("<strong>") == 1  # a column of equals has no best
    assert "<strong>0.2500</strong>" in html


def test_the_curves_are_together():
    html = render([made(), made("b", rows=[{"step": 7, "loss": 3.0}])])
    shown = [attrs["aria-label"] for tag, attrs in Outline(html).tags if tag == "svg" and "aria-label" in attrs]
    assert shown == ["validation loss against step, by run", "training loss against step, by run",
                     "validation R² against step, by run"]  # fmt: skip
    colours = [attrs["style"] for tag, attrs in Outline(html).tags if tag == "line"]
    assert [colour.split(";")[0] for colour in colours] == ["stroke: var(--class-0)", "stroke: var(--class-1)"]
    curves = html[html.index("training loss against step, by run") :]
    curves = curves[: curves.index("</svg>")]
    assert "var(--class-0)" in curves
    assert "var(--class-1)" in curves


def test_strokes_differ_in_28_runs():
    html = render([made(f"{i}") for i in range(28)])
    strokes = [attrs["style"] for tag, attrs in Outline(html).tags if tag == "line"]
    assert len(set(strokes)) == 28


def test_it_refers_to_nothing_outside_and_trusts_nobody():
    html = render([made(HOSTILE, HOSTILE, config={HOSTILE: {HOSTILE: HOSTILE}}, faults=(HOSTILE,)), made()])
    assert HOSTILE not in html
    tags = Outline(html).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe"}
    assert not [attrs for _, attrs in tags if {"src", "href"} & {*attrs} and not str(attrs.get("href")).startswith("#")]
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_equal_runs_give_equal_text():
    assert render([made(), made("b")]) == render([made(), made("b")])


def test_nothing_to_draw():
    text = Outline(
        render([made("d", "damaged", None, metrics={}, rows=[], config={}, faults=("result.json: gone",))])
    ).text
    assert "1 run compared" in text
    assert "damaged; result.json: gone" in text
    assert "No step was logged with a finite loss." in text
    assert "They are the same." in text


def test_folders_of_one_name_show_their_whole_path():
    runs = [made("x/a"), made("y/a"), made("b")]
    assert labels(runs) == ["/runs/x/a", "/runs/y/a", "b"]


def test_differences():
    runs = [
        made(),
        made(rate=1),
        made(rate=1.0, config={}),
        made(config={"train": {"steps": 20}, "data": {"name": "iris"}}),
    ]
    assert differences(runs) == {
        "optimizer.learning_rate": ["0.1", "1", "–", "–"],
        "optimizer.kind": ['"sgd"', '"sgd"', "–", "–"],
        "data.name": ["–", "–", "–", '"iris"'],
    }
    assert json.dumps(differences([made(), made(config={})])) == "{}"


def test_titles():
    assert [title(key) for key in ("validation_r2", "train_loss", "validation_accuracy")] == [
        "validation R²",
        "training loss",
        "validation accuracy",
    ]
