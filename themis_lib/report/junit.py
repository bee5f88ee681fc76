"""Gates, and cases without a score, as JUnit XML: continuous integration shows tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import (
    Mapping,
    Sequence,
)
from pathlib import Path
from xml.etree import ElementTree as ET

from themis_lib.errors import ConfigError
from themis_lib.inert import xml_text
from themis_lib.report.exports import check_file
from themis_lib.runs.manifest import (
    GateOutcome,
    GateRecord,
)
from themis_lib.runs.results import RunResult
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stages.missing import Missing

#: Cases listed for a run.
_MOST_CASES = 1_000
# A gate that the data could not decide is an error and not a failure.
_ELEMENTS = {
    GateOutcome.FAIL: "failure",
    GateOutcome.UNDERPOWERED: "error",
}


def check_junit(
    file: Path | None,
    gates: Sequence[str] | None,
) -> None:
    """Refuse a file that cannot be written, or that no gate would be written to.

    Call it before the run, so that its outcomes are not lost. Raises `ConfigError`.
    """
    if file is None:
        return
    if not gates:
        raise ConfigError("--junit writes how gates end; give at least one --gate")
    check_file("--junit", file)


def junit_xml(
    gates: Mapping[str, Sequence[GateRecord]],
    runs: Mapping[str, RunResult] | None = None,
    advisory: Mapping[str, Sequence[GateRecord]] | None = None,
) -> str:
    """Return the gates of runs, by the name of each run, as JUnit XML.

    Each run is a suite, with a test case for each gate and place. A gate that failed is
    a failure; one that the data cannot decide is an error. Of `runs`, by the same names,
    the cases without a score are a suite: those that failed are errors. Those without an
    answer are skipped, since gates judge them with the mean, or failures where the
    statistics forbid them. The first 1,000 are listed. `advisory` gates, by the same
    names, are suites in which what did not pass is skipped.
    """
    root = ET.Element("testsuites")
    for name, records in gates.items():
        outcomes = Counter(record.outcome for record in records)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=xml_text(name),
            tests=str(len(records)),
            failures=str(outcomes[GateOutcome.FAIL]),
            errors=str(outcomes[GateOutcome.UNDERPOWERED]),
        )
        for record in records:
            _add_case(suite, record, _ELEMENTS.get(record.outcome))
        if runs and name in runs:
            _add_missing_scores(root, name, runs[name])
    for name, records in (advisory or {}).items():
        _add_advisory(root, name, records)
    # Without it everything would be on one line.
    ET.indent(root)
    return (
        ET.tostring(
            root,
            encoding="unicode",
            xml_declaration=True,
        )
        + "\n"
    )


def _add_advisory(
    root: ET.Element,
    name: str,
    records: Sequence[GateRecord],
) -> None:
    """Add a suite of gates that fail no job, if there are any."""
    if not records:
        return
    not_passed = [item for item in records if item.outcome is not GateOutcome.PASS]
    suite = ET.SubElement(
        root,
        "testsuite",
        name=xml_text(f"{name}: advisory gates"),
        tests=str(len(records)),
        failures="0",
        errors="0",
        skipped=str(len(not_passed)),
    )
    for record in records:
        _add_case(suite, record, "skipped" if record in not_passed else None)


def _add_case(
    suite: ET.Element,
    record: GateRecord,
    element: str | None,
) -> None:
    """Add a gate: `element` says how it ended, `None` that it passed."""
    place = record.dataset_id
    if record.slice != ALL_CASES:
        place = f"{record.dataset_id} {record.slice}"
    case = ET.SubElement(
        suite,
        "testcase",
        classname=xml_text(place),
        name=xml_text(record.title),
    )
    reason = xml_text(record.reason)
    if element is not None:
        # Some systems show the attribute, some the text.
        conclusion = ET.SubElement(
            case,
            element,
            type=record.outcome.value,
            message=reason,
        )
    else:
        # JUnit has no reason for a test that passed.
        conclusion = ET.SubElement(case, "system-out")
    conclusion.text = reason


def _add_missing_scores(
    root: ET.Element,
    name: str,
    result: RunResult,
) -> None:
    """Add a suite with the cases of a run that have no score, if there are any."""
    table = result.table(
        "results",
        columns=["dataset_id", "case_id", "metric_id", "missing", "error"],
    )
    # Not by `where`: runs of version 0.1.0 have no such column.
    table = table.filter(table["missing"].is_valid())
    if not table.num_rows:
        return
    is_forbidden = result.manifest.statistics.no_answer == "fail"
    element_of = {
        Missing.FAILED.value: "error",
        Missing.NO_ANSWER.value: "failure" if is_forbidden else "skipped",
    }
    rows = table.slice(0, _MOST_CASES).to_pylist()
    counts = Counter(element_of[row["missing"]] for row in rows)
    suite = ET.SubElement(
        root,
        "testsuite",
        name=xml_text(f"{name}: cases without a score"),
        tests=str(len(rows)),
        failures=str(counts["failure"]),
        errors=str(counts["error"]),
        skipped=str(counts["skipped"]),
    )
    for row in rows:
        case = ET.SubElement(
            suite,
            "testcase",
            classname=xml_text(row["dataset_id"]),
            name=xml_text(f"{row['case_id']} [{row['metric_id']}]"),
        )
        reason = xml_text(row["error"] or "")
        message = f"{row['missing']}: {reason}"
        problem = ET.SubElement(
            case,
            element_of[row["missing"]],
            message=message,
        )
        problem.text = message
    if len(rows) < table.num_rows:
        said = ET.SubElement(suite, "system-out")
        more = table.num_rows - len(rows)
        said.text = xml_text(f"{more:,} more are in {result.location}")
