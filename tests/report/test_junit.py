"""JUnit XML, parsed back as continuous integration does."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.runs.test_summary import answered
from themis_lib import ConfigError, RunResult
from themis_lib.report.junit import check_junit, junit_xml
from themis_lib.runs.manifest import GateOutcome, GateRecord


def record(
    outcome: str,
    gate: str = "m >= 0.8",
    reason: str = "because",
    slice_name: str = "all",
) -> GateRecord:
    return GateRecord(
        gate=gate,
        metric_id="m",
        dataset_id="d",
        slice=slice_name,
        outcome=GateOutcome(outcome),
        estimate=0.5,
        low=0.4,
        high=0.6,
        reason=reason,
    )


def test_outcomes_are_test_cases() -> None:
    """A gate that passed is a test that passed, one that failed a failure, one that
    cannot tell an error.
    """
    (suite,) = ET.fromstring(
        junit_xml({"nightly": [record("pass"), record("fail"), record("underpowered")]})
    )

    assert {
        "name": "nightly",
        "tests": "3",
        "failures": "1",
        "errors": "1",
    } == suite.attrib
    assert [["system-out"], ["failure"], ["error"]] == [
        [child.tag for child in case] for case in suite
    ]
    assert [("d", "m >= 0.8")] * 3 == [
        (case.get("classname"), case.get("name")) for case in suite
    ]
    assert ["because"] * 2 == [case[0].get("message") for case in suite[1:]]


def test_each_run_is_a_suite() -> None:
    """The gates of several runs stay apart under the runs' names."""
    suites = ET.fromstring(
        junit_xml({"one": [record("pass")], "two": [record("fail"), record("pass")]})
    )

    assert [("one", "0"), ("two", "1")] == [
        (suite.get("name"), suite.get("failures")) for suite in suites
    ]


def test_any_text_is_well_formed() -> None:
    """Signs of XML come back as text, and characters that it does not have as escapes."""
    text = 'a < b & "c" \x00\x1b\ud800 Größe 🙂'

    suite = ET.fromstring(
        junit_xml({text: [record("fail", gate=text, reason=text, slice_name=text)]})
    )[0]

    expected = 'a < b & "c" \\x00\\x1b\\ud800 Größe 🙂'
    assert [expected, f"d {expected}", expected] == [
        suite.get("name"),
        suite[0].get("classname"),
        suite[0][0].get("message"),
    ]


def test_file_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    """A folder that is not there, a folder in place of a file, or no gates: found
    before anything runs.
    """
    for file, gates in (
        (tmp_path / "no/where.xml", ["m > 0"]),
        (tmp_path, ["m > 0"]),
        (tmp_path / "gates.xml", []),
    ):
        with pytest.raises(ConfigError, match="--junit"):
            check_junit(file, gates)

    check_junit(tmp_path / "gates.xml", ["m > 0"])
    check_junit(None, None)


def test_cases_without_a_score_are_listed() -> None:
    """A failed one is an error; one without an answer is skipped, since the gate judges
    it with the mean, or a failure where it may not be.
    """
    said = ("1", "none", "fail", "2")
    lenient, strict = answered(*said), answered(*said, no_answer="fail")

    of_lenient, of_strict = [
        ET.fromstring(junit_xml({"run": [record("pass")]}, {"run": result}))[1]
        for result in (lenient, strict)
    ]

    assert {
        "name": "run: cases without a score",
        "tests": "2",
        "failures": "0",
        "errors": "1",
        "skipped": "1",
    } == of_lenient.attrib
    assert [("1 [numeric_match]", "skipped"), ("2 [numeric_match]", "error")] == [
        (case.get("name"), case[0].tag) for case in of_lenient
    ]
    assert "failed: generate: RuntimeError" in (of_lenient[1][0].get("message") or "")
    assert ["failure", "error"] == [case[0].tag for case in of_strict]


def test_run_with_all_scores_lists_no_case() -> None:
    """There is no empty suite."""
    run = answered("1", "2")

    assert 1 == len(ET.fromstring(junit_xml({"run": [record("pass")]}, {"run": run})))


def test_cases_beyond_the_most_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the place of all, well-formed whatever its name."""
    monkeypatch.setattr("themis_lib.report.junit._MOST_CASES", 1)
    monkeypatch.setattr(RunResult, "location", "runs/\x1b<a>")

    text = junit_xml({"run": [record("pass")]}, {"run": answered("1", "none", "fail")})

    suite = ET.fromstring(text)[1]
    assert "1" == suite.get("tests")
    assert ["1 more are in runs/\\x1b<a>"] == [
        said.text for said in suite.findall("system-out")
    ]
