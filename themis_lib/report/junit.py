"""Gates as JUnit XML, which continuous integration shows as tests."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from themis_lib.errors import ConfigError
from themis_lib.runs.manifest import GateOutcome, GateRecord
from themis_lib.runs.summary import ALL_CASES

#: The characters that XML 1.0 does not have, not even escaped.
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: A test that was not decided is an error and not a failure.
_ELEMENTS = {GateOutcome.FAIL: "failure", GateOutcome.UNDERPOWERED: "error"}


def check_junit(
    file: Path | None,
    gates: Sequence[str] | None,
) -> None:
    """Refuse a file that could not be written, or that nothing would be written to.
    Raises `ConfigError`.
    """
    if file is not None and not gates:
        raise ConfigError("--junit writes how gates end; give at least one --gate")
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        raise ConfigError(
            f"--junit {str(file)!r}: there is no folder {str(file.parent)!r} for it, or it is a folder"
        )


def junit_xml(gates: Mapping[str, Sequence[GateRecord]]) -> str:
    """A suite for each run, by its name, with a test case for each gate and place: a
    failure where it failed, an error where the data cannot tell.
    """
    root = ET.Element("testsuites")
    for name, records in gates.items():
        _add_suite(root, name, records)
    ET.indent(root)
    return (
        ET.tostring(
            root,
            encoding="unicode",
            xml_declaration=True,
        )
        + "\n"
    )


def _add_suite(
    root: ET.Element,
    name: str,
    records: Sequence[GateRecord],
) -> None:
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
        place = (
            record.dataset_id
            if record.slice == ALL_CASES
            else f"{record.dataset_id} {record.slice}"
        )
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_xml_text(place),
            name=_xml_text(record.gate),
        )
        if record.outcome in _ELEMENTS:
            verdict = ET.SubElement(
                case,
                _ELEMENTS[record.outcome],
                type=record.outcome.value,
                message=_xml_text(record.reason),
            )
            verdict.text = _xml_text(record.reason)
        else:
            ET.SubElement(case, "system-out").text = _xml_text(record.reason)


def _xml_text(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
