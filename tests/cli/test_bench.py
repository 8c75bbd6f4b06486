import json
import re
from xml.etree import ElementTree

import pytest

from jmc.cli import main


@pytest.fixture(autouse=True)
def same_process(monkeypatch):
    """A command that started itself anew would take the tests with it."""
    monkeypatch.setattr("jmc.bench.timing.pin_process", lambda threads: None)
    monkeypatch.setattr("jmc.bench.machine.COPIED_BYTES", {"cpu": 2**16})
    monkeypatch.setattr("jmc.bench.machine.MATMUL", {"cpu": 16})


def run(capsys, *arguments):
    code = main(["bench", *arguments])
    done = capsys.readouterr()
    return code, done.out, done.err


@pytest.fixture
def few(monkeypatch):
    """Two cases in place of forty."""
    from jmc.bench.suites import jacobians

    kept = {name: jacobians.SERIES[name] for name in ("softmax, dense", "element-wise, diagonal")}
    monkeypatch.setattr(jacobians, "SERIES", kept)


def test_a_table_a_page_and_a_record(capsys, tmp_path, few):
    files = tmp_path / "new.json", tmp_path / "new.html"
    arguments = ("jacobians", "--peers", "jax", "--sizes", "7,11", "--budget", "60")
    code, out, err = run(capsys, *arguments, "--json", str(files[0]), "--html", str(files[1]))
    assert code == 0
    assert re.search(r"softmax, dense +11 +[\d.]+ \[[\d.]+, [\d.]+\] +jac(fwd|rev)", out)
    assert "4/4 jacobians" in err
    record = json.loads(files[0].read_text())
    assert {case["size"] for case in record["cases"]} == {7, 11}
    assert record["peaks"]["flops"] > 0
    assert record["machine"]["versions"]["jax"]
    page = files[1].read_text()
    assert "softmax, dense" in page
    assert not re.search(r"(src|href)=.https?:", page)
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg)
    assert page.count("<svg") == 3
    code, out, _ = run(capsys, *arguments, "--compare", str(files[0]))
    assert code in (0, 1)  # as the machine pleases
    assert "4 cases compared" in out
    for case in record["cases"]:
        for contender in case["contenders"].values():
            if contender["package"] == "jmc":
                contender["rounds"] = [taken / 1000 for taken in contender["rounds"]]
    files[0].write_text(json.dumps(record))
    code, out, _ = run(capsys, *arguments, "--compare", str(files[0]))
    assert code == 1
    assert out.count("slower: jacobians") == 4


def test_what_has_no_time_is_left_out_and_said(capsys, few):
    code, out, _ = run(capsys, "jacobians", "--peers", "jax", "--sizes", "7", "--budget", "0.01")
    assert code == 0
    assert "2 cases had no time" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["jacobian"], "unknown suite `jacobian` (allowed: jacobians,"),
        (["--peers", "tensorflow"], "unknown peer `tensorflow` (allowed: jax, numpy, torch, asdex, sklearn)"),
        (["--budget", "0"], "`--budget` must be positive, but got 0"),
        (["--threads", "-1"], "`--threads` must be positive, but got -1"),
        (["--sizes", "3,x"], "must be whole numbers with commas between them, but got '3,x'"),
        (["--sizes", "0"], "must be at least 1 each, but got '0'"),
        (
            ["--compare", "nothing.json"],
            "`--compare` must name a record that `jmc bench --json` wrote, but got nothing.json",
        ),
        (["--dtypes", "float32"], "did you mean --dtype?"),
    ],
)
def test_bad_usage(capsys, arguments, message):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert message in err


def test_a_wrong_answer_of_ours_is_a_failure(capsys, monkeypatch, few):
    from jmc.bench.suites import jacobians

    monkeypatch.setattr(jacobians.jmc, "softmax", lambda x: 2 * x, raising=False)
    monkeypatch.setattr("jmc.bench.suites.derivative.jmc.dense", lambda J: J.dense() * 1.01)
    code, _, err = run(capsys, "jacobians", "--peers", "jax", "--sizes", "7", "--budget", "20")
    assert code == 1
    assert "softmax, dense at 7: wrong, off by" in err
