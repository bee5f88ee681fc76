"""Exit codes, which scripts depend on."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flows import exit_codes
from themis_lib.runs.manifest import GateOutcome, RunStatus
from themis_lib.runs.sequential import (
    Ended,
    SequentialQuestion,
    SequentialRecord,
    Verdict,
)


@pytest.mark.parametrize(
    ("status", "gate", "expected"),
    [
        (RunStatus.COMPLETED, None, 0),
        (RunStatus.COMPLETED, GateOutcome.PASS, 0),
        (RunStatus.COMPLETED, GateOutcome.FAIL, 5),
        (RunStatus.COMPLETED, GateOutcome.UNDERPOWERED, 6),
        (RunStatus.PARTIAL_FAILURE, None, 3),
        (RunStatus.PARTIAL_FAILURE, GateOutcome.FAIL, 5),
        (RunStatus.FAILED, None, 1),
        (RunStatus.FAILED, GateOutcome.FAIL, 1),
    ],
)
def test_run_code(status: RunStatus, gate: GateOutcome | None, expected: int) -> None:
    """A failed run is failed whatever its gates; gates win over failed rows."""
    result: Any = SimpleNamespace(
        status=status, manifest=SimpleNamespace(gate_outcome=gate, sequential=None)
    )

    assert expected == exit_codes.run_code(result)


@pytest.mark.parametrize(
    ("verdict", "ended", "expected"),
    [
        ("worse", "decided", 0),
        ("undecided", "futile", 6),
        ("undecided", "data", 6),
        ("undecided", "budget", 4),
    ],
)
def test_code_of_a_run_that_was_to_stop_when_decided(
    verdict: Verdict, ended: Ended, expected: int
) -> None:
    """A decision is a success, whichever it is; none is that of data that cannot tell."""
    question = SequentialQuestion(
        metric_id="m",
        dataset_id="d",
        alpha=0.05,
        null=0,
        lowest=0,
        highest=1,
        cases=9,
        verdict=verdict,
        ended=ended,
    )
    record = SequentialRecord(alpha=0.05, questions=[question])
    manifest = SimpleNamespace(gate_outcome=None, sequential=record)
    result: Any = SimpleNamespace(status=RunStatus.COMPLETED, manifest=manifest)

    assert expected == exit_codes.run_code(result)


def test_codes_are_a_promise() -> None:
    """No number may change."""
    assert {
        "COMPLETED": 0,
        "FAILED": 1,
        "BAD_INPUT": 2,
        "FAILED_ROWS": 3,
        "OUT_OF_BUDGET": 4,
        "GATE_FAILED": 5,
        "GATE_UNDERPOWERED": 6,
        "WAITING": 7,
        "INTERRUPTED": 130,
    } == {
        name: value
        for name, value in vars(exit_codes).items()
        if name.isupper() and isinstance(value, int)
    }


def test_every_code_has_a_meaning() -> None:
    """The documentation says them all."""
    codes = {value for value in vars(exit_codes).values() if isinstance(value, int)}

    assert codes == set(exit_codes.MEANINGS)
