"""Exit codes of the commands that run or compare evaluations."""

from __future__ import annotations

from collections.abc import Iterable

from themis_lib.errors import BudgetError, InputError
from themis_lib.runs.manifest import GateOutcome, RunStatus
from themis_lib.runs.results import RunResult

# Scripts and CI jobs depend on these numbers: none may change.
COMPLETED = 0
FAILED = 1
BAD_INPUT = 2
FAILED_ROWS = 3
OUT_OF_BUDGET = 4
GATE_FAILED = 5
GATE_UNDERPOWERED = 6
WAITING = 7
# As a shell reports a process that Ctrl-C ended: 128 + SIGINT.
INTERRUPTED = 130

#: What each number says, for the documentation.
MEANINGS = {
    COMPLETED: "Completed.",
    FAILED: "Failed. For `themis store check`: something is wrong with the store. For "
    "`themis verify`: rows differ, or a model has changed. For `themis certify`: answers "
    "differ.",
    BAD_INPUT: "Bad input. Nothing was generated.",
    FAILED_ROWS: "Completed, but rows failed. Run again to retry them.",
    OUT_OF_BUDGET: "Stopped at its budget. What was paid for is kept.",
    GATE_FAILED: "A gate failed.",
    GATE_UNDERPOWERED: "No gate failed, but for one of them, or for a difference that "
    "`--until-decided` asks about, the data cannot tell. For `themis verify`: nothing "
    "differs, but no call to a model came to anything. For `themis certify`: nothing "
    "differs, but some way of asking had no answer.",
    WAITING: "Rows are in batches at a provider. Run again to take them up.",
    INTERRUPTED: "Stopped by Ctrl-C. Every finished row is kept.",
}

# The most urgent first, for several runs at once.
_URGENCY = (
    FAILED,
    BAD_INPUT,
    OUT_OF_BUDGET,
    GATE_FAILED,
    GATE_UNDERPOWERED,
    FAILED_ROWS,
    WAITING,
    COMPLETED,
)
_OF_STATUS = {
    RunStatus.COMPLETED: COMPLETED,
    RunStatus.PARTIAL_FAILURE: FAILED_ROWS,
    RunStatus.WAITING: WAITING,
}
_OF_GATES = {
    GateOutcome.FAIL: GATE_FAILED,
    GateOutcome.UNDERPOWERED: GATE_UNDERPOWERED,
}


def run_code(result: RunResult) -> int:
    """Return the exit code of a run: failed > gates > undecided > failed rows."""
    code = _OF_STATUS.get(result.status, FAILED)
    # A run that failed has nothing for gates to judge, and one that waits not yet.
    if code in (FAILED, WAITING):
        return code
    return gates_code(result.manifest.gate_outcome) or _stop_code(result) or code


def _stop_code(result: RunResult) -> int:
    """Return the exit code of a run that was to stop when decided, and was not."""
    sequential = result.manifest.sequential
    if sequential is None:
        return COMPLETED
    if sequential.is_out_of_budget:
        return OUT_OF_BUDGET
    verdicts = [item.verdict for item in sequential.questions]
    return GATE_UNDERPOWERED if "undecided" in verdicts else COMPLETED


def error_code(error: BaseException) -> int:
    """Return the exit code of what stopped a run."""
    if isinstance(error, InputError):
        return BAD_INPUT
    return OUT_OF_BUDGET if isinstance(error, BudgetError) else FAILED


def worst_code(codes: Iterable[int]) -> int:
    """Return the most urgent of some exit codes: a failure before failed rows.

    >>> worst_code([0, 3, 5])
    5
    """
    return min(codes, key=_URGENCY.index)


def gates_code(outcome: GateOutcome | None) -> int:
    """Return the exit code of the worst outcome of some gates; 0 if all passed.

    >>> gates_code(None), gates_code(GateOutcome.PASS), gates_code(GateOutcome.FAIL)
    (0, 0, 5)
    """
    if outcome is None:
        return COMPLETED
    return _OF_GATES.get(outcome, COMPLETED)
