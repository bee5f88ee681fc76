"""The verdict of a policy: how each of its gates ended, and what that means for all.

Each gate is decided by its own 95 % interval. To pass all required ones is an
intersection–union test (Berger 1982, "Multiparameter hypothesis testing and acceptance
sampling", Technometrics 24): the chance to pass wrongly is that of a single gate, however
many there are, so nothing is adjusted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from themis_lib.comparison.gate import parse_gate
from themis_lib.comparison.gate_records import placeless_record
from themis_lib.comparison.policy import Policy
from themis_lib.core.models import FrozenModel
from themis_lib.runs.manifest import GateOutcome, GateRecord, worst_outcome
from themis_lib.runs.results import RunResult


class PolicyGate(FrozenModel):
    """A gate of a policy in one place, and how it ended.

    Where the result is missing that it asks for, the gate fails.
    """

    experiment: str
    is_required: bool
    is_missing: bool
    record: GateRecord


class PolicyRun(FrozenModel):
    """The run of an experiment that a policy judges; `problem` is why there is none.

    `cases` counts those that it has, `total` those that there are: more where it stopped
    when it was decided.
    """

    experiment: str
    run_id: str | None = None
    location: str | None = None
    status: str | None = None
    cases: int = 0
    total: int = 0
    computed: int = 0
    cached: int = 0
    failed: int = 0
    cost_paid: float | None = None
    problem: str | None = None

    @property
    def case_count(self) -> str:
        """How many cases it has, and of how many: `240`, or `20 of 240`."""
        if self.cases == self.total:
            return f"{self.cases:,}"
        return f"{self.cases:,} of {self.total:,}"


class PolicyVerdict(FrozenModel):
    """How a policy ended: the worst outcome of its required gates."""

    policy: str
    outcome: GateOutcome
    gates: list[PolicyGate]
    runs: list[PolicyRun]

    @property
    def required(self) -> list[PolicyGate]:
        """The gates that decide."""
        return [gate for gate in self.gates if gate.is_required]

    @property
    def advisory(self) -> list[PolicyGate]:
        """The gates that are reported alone."""
        return [gate for gate in self.gates if not gate.is_required]


def policy_gates(
    records: Iterable[GateRecord],
    policy: Policy,
    *,
    experiment: str,
    is_required: bool,
) -> list[PolicyGate]:
    """Return the gates of an experiment as the policy takes their outcomes."""
    gates = []
    for record in records:
        is_missing = record.estimate is None
        # Without an estimate, only a gate passes that has no earlier run to compare with.
        is_first = is_missing and record.outcome is GateOutcome.PASS
        if is_missing and not (is_first and policy.no_baseline == "pass"):
            reason = record.reason
            if is_first:
                reason += "; run it once without gates, or set `no_baseline: pass`"
            changes = {"outcome": GateOutcome.FAIL, "reason": reason}
            record = record.model_copy(update=changes)
        gate = PolicyGate(
            experiment=experiment,
            is_required=is_required,
            is_missing=is_missing,
            record=record,
        )
        gates.append(gate)
    return gates


def missing_records(
    texts: Sequence[str],
    policy: Policy,
    reason: str,
) -> list[GateRecord]:
    """Return the records of gates that have no run to judge."""
    gates = [parse_gate(text, policy.by) for text in texts]
    return [placeless_record(gate, reason) for gate in gates]


def policy_verdict(
    name: str,
    policy: Policy,
    gates: Sequence[PolicyGate],
    runs: Sequence[PolicyRun],
) -> PolicyVerdict:
    """Return the verdict of a policy over the gates of all its experiments."""
    required = [gate.record for gate in gates if gate.is_required]
    # Never `None`: a policy has a required gate.
    outcome = worst_outcome(required) or GateOutcome.FAIL
    if outcome is GateOutcome.UNDERPOWERED and policy.underpowered is not None:
        outcome = GateOutcome(policy.underpowered)
    return PolicyVerdict(
        policy=name,
        outcome=outcome,
        gates=list(gates),
        runs=list(runs),
    )


def policy_run(
    experiment: str,
    result: RunResult,
) -> PolicyRun:
    """Return the facts of a run that a policy's reports show."""
    manifest = result.manifest
    cases = sum(manifest.datasets.values())
    sequential = manifest.sequential
    return PolicyRun(
        experiment=experiment,
        run_id=result.run_id,
        location=result.location,
        status=result.status.value,
        cases=cases,
        total=sum(sequential.total.values()) if sequential else cases,
        computed=sum(record.computed for record in manifest.stages),
        cached=sum(record.cached for record in manifest.stages),
        failed=sum(record.failed for record in manifest.stages),
        cost_paid=manifest.cost_paid,
        problem=result.failure,
    )
