"""What a run records of where it ran."""

from __future__ import annotations

import platform
from importlib.metadata import version

from themis_lib.runs import provenance


def test_versions_are_of_what_is_loaded() -> None:
    """Of a library that no module of this process uses, nothing is said."""
    found = provenance.versions()

    assert version("pyarrow") == found["pyarrow"]
    assert platform.python_version() == found["python"]
    assert {} == provenance.versions_of(["no-such-library"])


def test_machine_has_no_name() -> None:
    """Processor, system and interpreter; the name of a machine is nobody's business."""
    found = provenance.machine()

    assert {"interpreter", "system", "architecture", "processor"} == set(found)
    assert platform.node() not in " ".join(found.values()).split()
