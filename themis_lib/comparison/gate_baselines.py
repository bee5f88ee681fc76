"""The runs that gates compare with: named ones, and the last good one.

`last good` (or `baseline`) is the latest earlier run of the same experiment that
completed and passed its gates, if it had any. So a change that a gate holds up is
accepted by one run without gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from themis_lib.comparison.gate import Gate, check_names, parse_gate
from themis_lib.errors import ConfigError, StoreError, nearest
from themis_lib.runs.find_run import find_run, in_time
from themis_lib.runs.manifest import GateOutcome, Manifest, RunStatus, manifests
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.results import RunResult
from themis_lib.storage.store import RunStore

BASELINE = "baseline"
LAST_GOOD = "last good"


@dataclass(frozen=True)
class ReadyGate:
    """A gate that was checked, with the run that it compares with; null where it needs
    none, or there is none yet.

    Cases with one value of the metadata column `cluster_by` count as dependent in that
    comparison.
    """

    gate: Gate
    baseline: RunResult | None = None
    cluster_by: str | None = None


def ready_gates(
    texts: Sequence[str],
    *,
    pipeline: Pipeline,
    store: RunStore,
) -> list[ReadyGate]:
    """Gates for a run to come: every name in them checked, every baseline found, before
    anything is generated.

    Raises `InputError` that names the gate and the nearest valid choice.
    """
    if texts and pipeline.until_stage != "reduce":
        raise ConfigError(
            f"gates need scores; run until 'reduce' and not only until {pipeline.until_stage!r}"
        )
    experiment = pipeline.experiment
    ready = []
    for gate in map(parse_gate, texts):
        check_names(
            gate,
            metric_ids=[stage.metric_id for stage in pipeline.scores],
            columns=experiment.evaluation.slices,
            dataset_ids=[dataset.dataset_id for dataset in experiment.datasets],
        )
        ready.append(ReadyGate(gate, _baseline_of(gate, experiment.name, store)))
    return ready


def check_baseline(
    gate: Gate,
    baseline: RunResult,
) -> None:
    """Refuse a run that a gate cannot compare with. Raises `ConfigError` where that run
    lacks the metric.
    """
    manifest = baseline.manifest
    if not _has_scores(manifest, gate.metric_id):
        known = [
            record.stage[6:-1]
            for record in manifest.stages
            if record.stage.startswith("score[")
        ]
        ended = (
            manifest.status is not RunStatus.RUNNING
            and manifest.until_stage == "reduce"
        )
        why = nearest(gate.metric_id, known) if ended else "it did not come to its end"
        raise ConfigError(
            f"gate {gate.text!r}: run {baseline.run_id!r} has no scores of {gate.metric_id!r}; {why}"
        )


def last_good(
    store: RunStore,
    experiment: str,
    metric_id: str,
) -> RunResult | None:
    """The latest run of an experiment that completed with this metric and passed its
    gates, if it had any.
    """
    for manifest in reversed(in_time(manifests(store))):
        good = manifest.status is RunStatus.COMPLETED and manifest.gate_outcome in (
            None,
            GateOutcome.PASS,
        )
        if manifest.name == experiment and good and _has_scores(manifest, metric_id):
            return RunResult(store, manifest.run_id, manifest)
    return None


def _baseline_of(
    gate: Gate,
    experiment: str,
    store: RunStore,
) -> RunResult | None:
    if gate.baseline is None:
        return None
    if gate.baseline.lower() in (LAST_GOOD, BASELINE):
        return last_good(store, experiment, gate.metric_id)
    try:
        found = find_run(store, gate.baseline)
    except StoreError as error:
        raise StoreError(f"gate {gate.text!r}: {error}") from None
    check_baseline(gate, found)
    return found


def _has_scores(
    manifest: Manifest,
    metric_id: str,
) -> bool:
    """Whether a run has ended with scores under a metric."""
    ended = (
        manifest.status is not RunStatus.RUNNING and manifest.until_stage == "reduce"
    )
    return ended and any(
        record.stage == f"score[{metric_id}]" for record in manifest.stages
    )
