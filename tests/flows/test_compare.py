"""The command that compares: what it shows, writes and refuses, and how it ends."""

from __future__ import annotations

import csv
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import Result
from typer.testing import CliRunner

from flows.compare import app
from tests.support.compared_runs import case, run_of, scored
from tests.support.corrected_runs import people, strangers_answer
from tests.support.labelling import give_labels, judged_run
from themis_lib import RunStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of three experiments on the same 60 cases: low, high, and equal to low."""
    folder = tmp_path_factory.mktemp("compare") / "store"
    opened = RunStore(str(folder))
    for name, right in (("low", 20), ("high", 50), ("twin", 20)):
        cases = [
            case(f"q{at}", float(at < right), topic="a" if at % 2 else "b")
            for at in range(60)
        ]
        run_of(opened, cases, name=name, model=name, slices=["topic"])
    run_of(opened, {"elsewhere": scored([1, 0])}, name="elsewhere")
    return folder


def command(store: Path, *arguments: str) -> Result:
    return CliRunner().invoke(
        app, [*arguments, "--store", str(store)], env={"COLUMNS": "160"}
    )


def test_comparison_is_shown(store: Path) -> None:
    """Runs by name are compared: conclusion, difference, interval, p, power, identity
    and flips are on the screen.
    """
    result = command(store, "low", "high", "--slice", "topic", "--delta", "0.1")

    assert 0 == result.exit_code, result.output
    for text in (
        "3 better",
        "topic=a",
        "+0.5000",
        "McNemar, exact",
        "4 of 5 comparisons",
        "0.1000 takes",
        '"low" → "high"',
        "30 score(s) rose, 0 fell",
        "q20",
    ):
        assert text in result.stdout


def test_equal_runs_are_the_same_and_clusters_are_named(store: Path) -> None:
    """Two runs without a flip are the same; a cluster column is named with how many
    there are.
    """
    result = command(store, "low", "twin", "--cluster-by", "topic")

    assert 0 == result.exit_code, result.output
    assert "1 same" in result.stdout
    assert "'topic' count as dependent: 2 clusters" in result.stdout


def test_files_are_written(store: Path, tmp_path: Path) -> None:
    """Markdown, CSV with every digit, and LaTeX are written where asked."""
    files = {
        name: tmp_path / f"comparison.{name}" for name in ("markdown", "csv", "latex")
    }

    result = command(
        store,
        "low",
        "high",
        "twin",
        *(text for name in files for text in (f"--{name}", str(files[name]))),
    )

    assert 0 == result.exit_code, result.output
    assert files["markdown"].read_text().startswith("# low: 1 better, 1 same\n")
    rows = list(csv.DictReader(files["csv"].open()))
    assert [("60", "0.5", "better"), ("60", "0.0", "same")] == [
        (row["n"], row["difference"], row["conclusion"]) for row in rows
    ]
    assert r"\toprule" in files["latex"].read_text()
    assert "+0.5000" in files["latex"].read_text()


GATES = {
    "m >= 0.5": (0, None),
    "m no worse than BASELINE by 0.02": (0, None),
    "m no worse than twin by 0.02": (0, None),
    "m >= 0.95": (5, "failure"),
    "m >= 0.8": (6, "error"),
    "m >= 0.9 on topic=b": (6, "error"),
}


@pytest.mark.parametrize("text", GATES)
def test_gates_end_in_their_exit_code(text: str, store: Path, tmp_path: Path) -> None:
    """Pass is 0, fail 5, and data that cannot tell 6; JUnit XML says the same."""
    code, element = GATES[text]

    result = command(
        store, "low", "high", "--gate", text, "--junit", str(tmp_path / "gates.xml")
    )

    (case_,) = ET.parse(tmp_path / "gates.xml").getroot()[0]
    assert code == result.exit_code, result.output
    assert text in result.stdout
    assert (text, element or "system-out") == (case_.get("name"), case_[0].tag)


def test_gates_of_several_runs_stay_apart(store: Path, tmp_path: Path) -> None:
    """With more than one candidate the screen and the JUnit file say which run a gate
    is about.
    """
    arguments = ["--gate", "m >= 0.5", "--junit", str(tmp_path / "gates.xml")]

    result = command(store, "low", "high", "twin", *arguments)

    assert 5 == result.exit_code, result.output
    suites = ET.parse(tmp_path / "gates.xml").getroot()
    assert ["0", "1"] == [suite.get("failures") for suite in suites]
    lines = [line.strip() for line in result.stdout.splitlines()]
    headings = []
    for suite in suites:
        headings += [
            at
            for at, line in enumerate(lines)
            if line.endswith(f"  {suite.get('name')}")
            and lines[at + 1].startswith("gate ")
        ]
    below = [lines[at + 1] for at in headings]
    assert ["gate pass", "gate fail"] == [line[:9] for line in below]


def test_threshold_on_a_slice_takes_a_summary_of_it(store: Path) -> None:
    """A slice that only this comparison makes has no mean of its own to judge."""
    bad = command(
        store, "elsewhere", "low", "--slice", "kind", "--gate", "m >= 0.5 on kind=a"
    )

    assert (2, True) == (bad.exit_code, "no dataset or slice 'kind=a'" in bad.stderr)


def test_a_gate_that_fails_goes_before_one_that_cannot_tell(store: Path) -> None:
    """With several gates the worst outcome is the exit code."""
    result = command(
        store, "low", "high", *(part for text in GATES for part in ("--gate", text))
    )

    assert 5 == result.exit_code


REFUSED = {
    "unknown run": (["low", "hihg"], "did you mean 'high'?"),
    "one run": (["low"], "name at least one more run"),
    "the same run": (["low", "low"], "named twice"),
    "nothing in common": (["low", "elsewhere"], "no case in common"),
    "unknown slice": (["low", "high", "--slice", "topik"], "did you mean 'topic'?"),
    "malformed gate": (
        ["low", "high", "--gate", "m => 0.8"],
        "gate 'm => 0.8': write 'METRIC >= 0.8'",
    ),
    "unknown metric": (["low", "high", "--gate", "mm >= 0.8"], "did you mean 'm'?"),
    "gate with itself": (
        ["low", "high", "--gate", "m no worse than high by 0"],
        "compared with itself",
    ),
    "no gates for JUnit": (
        ["low", "high", "--junit", "gates.xml"],
        "give at least one --gate",
    ),
    "no delta": (["low", "high", "--delta", "0"], "give a difference above 0"),
    "unwritable file": (
        ["low", "high", "--csv", "/dev/null/x.csv"],
        "'/dev/null/x.csv' cannot be written",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line_and_exit_code_2(name: str, store: Path) -> None:
    """What cannot be compared or judged is one line that says what to do."""
    arguments, expected = REFUSED[name]

    result = command(store, *arguments)

    assert 2 == result.exit_code, result.output
    assert expected in result.stderr
    assert 1 == len(result.stderr.strip().splitlines())


def test_store_without_runs_is_bad_input(tmp_path: Path) -> None:
    """A store that is empty, or was misspelt, is named."""
    result = command(tmp_path / "nowhere", "low", "high")

    assert (2, True) == (result.exit_code, "has no rows and no runs" in result.stderr)


@pytest.fixture(scope="module")
def labelled_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two judged runs whose means people correct in opposite directions."""
    folder = tmp_path_factory.mktemp("labelled") / "store"
    opened = RunStore(str(folder))
    before = judged_run(opened, count=120, name="before")
    after = judged_run(opened, count=120, name="after", model=strangers_answer)
    give_labels(before, 60, value=people(before, strict=20))
    give_labels(after, 60, value=people(after, strict=2))
    return folder


def test_corrected_means_are_compared_and_gated(labelled_store: Path) -> None:
    """Equal to the judge, worse to people; the gate goes by people too."""
    gates = ("--gate", "corrected(correct) no worse than baseline by 0.05")

    raw = command(labelled_store, "before", "after")
    corrected = command(labelled_store, "before", "after", "--corrected", *gates)

    assert "1 same" in raw.stdout
    assert "1 worse" in corrected.stdout
    assert "60 and 60 labels" in corrected.stdout
    assert "gate fail" in corrected.stdout
    assert 5 == corrected.exit_code


def test_corrected_comparison_without_labels_is_refused(labelled_store: Path) -> None:
    """One line, which says which run to label and how."""
    store = RunStore(str(labelled_store))
    other = judged_run(store, count=5, name="unlabelled", model=str.upper)

    result = command(labelled_store, "before", "unlabelled", "--corrected")

    assert 2 == result.exit_code
    assert f"themis label {other.run_id} --metric correct --store" in result.output
    assert 1 == len(result.output.strip().splitlines())
