"""The experiments of a policy: prepared, run or found in their store, and judged."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flows.parameters import EvaluateParameters
from flows.preparing import PreparedRun, prepare_run
from themis_lib import InputError, RunResult, RunStatus, ThemisError
from themis_lib.comparison.gate_baselines import ReadyGate, ready_gates
from themis_lib.comparison.gate_outcomes import judge
from themis_lib.comparison.policy import Policy, PolicyExperiment
from themis_lib.comparison.policy_verdict import (
    PolicyGate,
    PolicyRun,
    missing_records,
    policy_gates,
    policy_run,
)
from themis_lib.core.secrets import hide_values
from themis_lib.data.cut import content_digest
from themis_lib.data.datasets import case_tables
from themis_lib.errors import ConfigError, StoreError
from themis_lib.identity.digests import set_digest
from themis_lib.runs.manifest import GateRecord, manifests, write_manifest

#: Runs an experiment and returns its result.
Running = Callable[[EvaluateParameters], RunResult]


@dataclass(frozen=True)
class PolicyJob:
    """An experiment of a policy that can run, its gates checked."""

    policy: Policy
    entry: PolicyExperiment
    parameters: EvaluateParameters
    prepared: PreparedRun
    advisory: list[ReadyGate]

    @property
    def name(self) -> str:
        """The experiment's name, under which reports show it."""
        return self.prepared.experiment.name


@dataclass(frozen=True)
class JudgedJob:
    """What a policy has on one of its experiments; `seconds` is how long it took."""

    run: PolicyRun
    gates: list[PolicyGate]
    result: RunResult | None
    seconds: float


def prepare_jobs(
    path: Path,
    policy: Policy,
    store: str | None,
    *,
    until_decided: bool = False,
) -> list[PolicyJob]:
    """Load and check all experiments of a policy, and the names in all their gates.

    `store` wins over the policy's. With `until_decided`, each experiment that has
    required gates stops when they are decided. Raise `ConfigError` that names the
    experiment.
    """
    jobs: list[PolicyJob] = []
    places: dict[str, int] = {}
    for number, entry in enumerate(policy.experiments):
        if until_decided and entry.required:
            entry = entry.model_copy(update={"until_decided": True})
        place = f"{path}: experiments[{number}]"
        try:
            job = _prepare_job(policy, entry, store or policy.store)
        except InputError as error:
            raise ConfigError(f"{place}: {_message(error, entry)}") from None
        if job.name in places:
            raise ConfigError(
                f"{place}: experiments[{places[job.name]}] is called {job.name!r}, too; "
                "give one of them another name: `overrides: [name=…]`"
            )
        places[job.name] = number
        jobs.append(job)
    return jobs


def _prepare_job(
    policy: Policy,
    entry: PolicyExperiment,
    store: str | None,
) -> PolicyJob:
    parameters = EvaluateParameters(
        experiment=entry.experiment,
        store=store,
        limit=entry.limit,
        max_cost=entry.max_cost,
        gates=entry.required,
        gate_by=policy.by,
        until_decided=entry.until_decided,
        overrides=entry.overrides,
    )
    prepared = prepare_run(parameters)
    if prepared.store.in_memory:
        raise ConfigError(
            "the store `memory` ends with this command; give a folder or a URL"
        )
    prepared.store.check_writable()
    advisory = ready_gates(
        entry.advisory,
        pipeline=prepared.pipeline,
        store=prepared.store,
        by=policy.by,
    )
    return PolicyJob(
        policy,
        entry,
        parameters,
        prepared,
        advisory,
    )


def run_job(
    job: PolicyJob,
    run: Running,
) -> JudgedJob:
    """Run an experiment of a policy and judge it.

    What stops the run fails its gates. The record of the run has the outcomes of the
    required gates as the policy takes them, so that no run becomes the last good one
    whose result is missing.
    """
    began = time.monotonic()
    try:
        result = run(job.parameters)
    except ThemisError as error:
        return _missing_job(job, _message(error, job.entry), began)
    judged = _judged_job(
        job,
        result,
        result.manifest.gates,
        judge(result, job.advisory),
        began,
    )
    records = [gate.record for gate in judged.gates if gate.is_required]
    if records != result.manifest.gates:
        manifest = result.manifest.model_copy(update={"gates": records})
        write_manifest(result.store, manifest)
    return judged


def judge_job(job: PolicyJob) -> JudgedJob:
    """Judge the latest run of an experiment as it is now; without one its gates fail."""
    began = time.monotonic()
    try:
        result = _find_result(job)
    except StoreError as error:
        return _missing_job(job, _message(error, job.entry), began)

    def judged(texts: Sequence[str]) -> list[GateRecord]:
        ready = ready_gates(
            texts,
            pipeline=job.prepared.pipeline,
            store=job.prepared.store,
            by=job.policy.by,
            run=result.manifest,
        )
        return judge(result, ready)

    return _judged_job(
        job,
        result,
        judged(job.entry.required),
        judged(job.entry.advisory),
        began,
    )


def _message(
    error: ThemisError,
    entry: PolicyExperiment,
) -> str:
    """Return an error's text without the values of the experiment's `${NAME}`.

    A log of GitHub's masks secrets, a comment on a pull request does not.
    """
    file = Path(entry.experiment).read_text(encoding="utf-8", errors="replace")
    return hide_values(str(error), spec=[file, *entry.overrides])


def _find_result(job: PolicyJob) -> RunResult:
    """Return the latest run of the same computation on the same cases.

    Raise `StoreError` if there is none.
    """
    store = job.prepared.store
    fingerprint = job.prepared.pipeline.resolved(store).fingerprint
    data: dict[str, str] = {}
    for dataset in job.prepared.experiment.datasets:
        tables = case_tables(dataset, files=job.prepared.pipeline.part_files())
        data[dataset.dataset_id] = set_digest(map(content_digest, tables))
    for manifest in reversed(manifests(store)):
        is_same = manifest.name == job.name and manifest.experiment == fingerprint
        has_ended = manifest.status is not RunStatus.RUNNING
        known = manifest.data
        if job.entry.until_decided and manifest.sequential is not None:
            known = manifest.sequential.data
        if is_same and has_ended and known == data:
            return RunResult(store, manifest.run_id, manifest)
    raise StoreError(
        f"store {store.public_url!r} has no run of {job.name!r} as it is now, on its "
        "cases as they are now"
    )


def _missing_job(
    job: PolicyJob,
    problem: str,
    began: float,
) -> JudgedJob:
    """Return the job of which every gate fails, since there is no run."""
    gates = _take_gates(
        job,
        missing_records(job.entry.required, job.policy, problem),
        missing_records(job.entry.advisory, job.policy, problem),
    )
    run = PolicyRun(experiment=job.name, problem=problem)
    return JudgedJob(run, gates, None, time.monotonic() - began)


def _judged_job(
    job: PolicyJob,
    result: RunResult,
    required: Sequence[GateRecord],
    advisory: Sequence[GateRecord],
    began: float,
) -> JudgedJob:
    reason = None
    if result.status is RunStatus.FAILED:
        reason = f"the run failed: {result.failure or 'no row succeeded'}"
    elif result.status is RunStatus.WAITING:
        reason = "the run waits for batches at a provider; run it again"
    if reason is not None:
        # Also gates on metrics that have scores: such a run is no result.
        required = missing_records(job.entry.required, job.policy, reason)
        advisory = missing_records(job.entry.advisory, job.policy, reason)
    gates = _take_gates(job, required, advisory)
    return JudgedJob(
        policy_run(job.name, result),
        gates,
        result,
        time.monotonic() - began,
    )


def _take_gates(
    job: PolicyJob,
    required: Sequence[GateRecord],
    advisory: Sequence[GateRecord],
) -> list[PolicyGate]:
    gates: list[PolicyGate] = []
    for records, is_required in ((required, True), (advisory, False)):
        gates += policy_gates(
            records,
            job.policy,
            experiment=job.name,
            is_required=is_required,
        )
    return gates
