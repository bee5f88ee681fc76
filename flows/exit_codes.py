"""Exit codes of commands that run or compare evaluations."""

from __future__ import annotations

from themis_lib.runs.manifest import GateOutcome, RunStatus
from themis_lib.runs.results import RunResult

(
    COMPLETED,
    FAILED,
    BAD_INPUT,
    FAILED_ROWS,
    OUT_OF_BUDGET,
    GATE_FAILED,
    GATE_UNDERPOWERED,
) = range(7)
INTERRUPTED = 130

_OF_STATUS = {RunStatus.COMPLETED: COMPLETED, RunStatus.PARTIAL_FAILURE: FAILED_ROWS}
_OF_GATES = {GateOutcome.FAIL: GATE_FAILED, GateOutcome.UNDERPOWERED: GATE_UNDERPOWERED}


def run_code(result: RunResult) -> int:
    """The code of a run. One that failed has nothing for gates to judge; these go
    before single rows that failed.
    """
    code = _OF_STATUS.get(result.status, FAILED)
    return code if code == FAILED else gates_code(result.manifest.gate_outcome) or code


def gates_code(outcome: GateOutcome | None) -> int:
    """The code of the worst outcome of some gates; 0 where all passed, or there were
    none.
    """
    return 0 if outcome is None else _OF_GATES.get(outcome, 0)
