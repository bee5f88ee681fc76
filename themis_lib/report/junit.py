"""Gates as JUnit XML, which continuous integration shows as tests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import (
    Mapping,
    Sequence,
)
from pathlib import Path
from xml.etree import ElementTree as ET

from themis_lib.errors import ConfigError
from themis_lib.runs.manifest import (
    GateOutcome,
    GateRecord,
)
from themis_lib.runs.summary import ALL_CASES

# The characters that XML 1.0 does not allow, not even escaped (section 2.2).
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
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
    if file.is_dir() or not file.parent.is_dir():
        raise ConfigError(
            f"--junit {str(file)!r}: there is no folder {str(file.parent)!r} for it, "
            "or it is a folder"
        )


def junit_xml(gates: Mapping[str, Sequence[GateRecord]]) -> str:
    """Return the gates of runs, by the name of each run, as JUnit XML.

    Each run is a suite, with a test case for each gate and place. A gate that failed is
    a failure; one that the data cannot decide is an error.
    """
    root = ET.Element("testsuites")
    for name, records in gates.items():
        outcomes = Counter(record.outcome for record in records)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_xml_text(name),
            tests=str(len(records)),
            failures=str(outcomes[GateOutcome.FAIL]),
            errors=str(outcomes[GateOutcome.UNDERPOWERED]),
        )
        for record in records:
            _add_case(suite, record)
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


def _add_case(
    suite: ET.Element,
    record: GateRecord,
) -> None:
    place = record.dataset_id
    if record.slice != ALL_CASES:
        place = f"{record.dataset_id} {record.slice}"
    case = ET.SubElement(
        suite,
        "testcase",
        classname=_xml_text(place),
        name=_xml_text(record.title),
    )
    reason = _xml_text(record.reason)
    if record.outcome in _ELEMENTS:
        # Some systems show the attribute, some the text.
        conclusion = ET.SubElement(
            case,
            _ELEMENTS[record.outcome],
            type=record.outcome.value,
            message=reason,
        )
    else:
        # JUnit has no reason for a test that passed.
        conclusion = ET.SubElement(case, "system-out")
    conclusion.text = reason


def _xml_text(text: str) -> str:
    # ElementTree would write such characters, and no parser could read the file.
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
