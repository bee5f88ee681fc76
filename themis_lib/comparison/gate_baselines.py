"""The runs that gates compare with: named ones, and the last good one.

`last good` (or `baseline`) is the latest earlier run of the same experiment that
completed and passed its gates, if it had any. To accept a change that fails a gate, run
it once without gates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from themis_lib.comparison.gate import (
    Gate,
    check_names,
    parse_gate,
)
from themis_lib.core.option_names import GateBasis
from themis_lib.errors import (
    ConfigError,
    StoreError,
    nearest,
)
from themis_lib.runs.find_run import find_run
from themis_lib.runs.manifest import (
    GateOutcome,
    Manifest,
    RunStatus,
    manifests,
)
from themis_lib.runs.pipeline import Pipeline
from themis_lib.runs.results import RunResult
from themis_lib.storage.store import RunStore

BASELINE = "baseline"
LAST_GOOD = "last good"
_SCORE_STAGE = "score["


@dataclass(frozen=True)
class ReadyGate:
    """A checked gate with the run that it compares with.

    `baseline` is `None` for a gate that needs no run, or where there is none yet. Cases
    with one value of the metadata column `cluster_by` count as dependent in the
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
    by: GateBasis = "interval",
    run: Manifest | None = None,
) -> list[ReadyGate]:
    """Read the gates of a run to come: check every name and find every baseline.

    Call it before anything is generated. For a `run` that has ended, baselines are the
    runs before it. Raises `InputError`, which names the gate and the nearest valid
    choice.
    """
    if texts and pipeline.until_stage != "reduce":
        raise ConfigError(
            "gates need scores; run until 'reduce' and not only until "
            f"{pipeline.until_stage!r}"
        )
    experiment = pipeline.experiment
    metric_ids = [stage.metric_id for stage in pipeline.scores]
    dataset_ids = [dataset.dataset_id for dataset in experiment.datasets]
    ready = []
    for text in texts:
        gate = parse_gate(text, by)
        check_names(
            gate,
            metric_ids=metric_ids,
            dataset_ids=dataset_ids,
            columns=experiment.evaluation.slices,
        )
        baseline = _find_baseline(gate, experiment.name, store, run)
        ready.append(ReadyGate(gate, baseline))
    return ready


def _find_baseline(
    gate: Gate,
    experiment: str,
    store: RunStore,
    run: Manifest | None,
) -> RunResult | None:
    if gate.baseline is None:
        return None
    if gate.baseline.lower() in (LAST_GOOD, BASELINE):
        # `None` on the first night, which the gate passes with a note.
        return last_good(store, experiment, gate.metric_id, before=run)
    try:
        found = find_run(store, gate.baseline)
    except StoreError as error:
        # `find_run` does not know which of several gates names the run.
        raise StoreError(f"gate {gate.text!r}: {error}") from None
    check_baseline(gate, found, run)
    return found


def check_baseline(
    gate: Gate,
    baseline: RunResult,
    run: Manifest | None = None,
) -> None:
    """Refuse a baseline that a gate cannot compare with.

    Raises `ConfigError` where it lacks the metric, stopped early, or is the `run` itself.
    """
    # A run is never worse than itself: the gate could not fail.
    if run is not None and run.run_id == baseline.run_id:
        raise ConfigError(
            f"gate {gate.text!r}: run {run.run_id!r} would be compared with "
            "itself; name another"
        )
    # Found out now and not after hours of generation.
    manifest = baseline.manifest
    metric_ids = _scored_metrics(manifest)
    if not _was_reduced(manifest):
        why = "it did not come to its end"
    elif gate.metric_id not in metric_ids:
        why = nearest(gate.metric_id, metric_ids)
    else:
        return
    raise ConfigError(
        f"gate {gate.text!r}: run {baseline.run_id!r} has no scores of "
        f"{gate.metric_id!r}; {why}"
    )


def last_good(
    store: RunStore,
    experiment: str,
    metric_id: str,
    *,
    before: Manifest | None = None,
) -> RunResult | None:
    """Return the latest good run of an experiment that scored this metric, if any.

    A good run completed and passed its gates, if it had any. Another tool's log does
    not count, whatever name it was imported under, nor does a run that stopped when it
    was decided, before its last case. With `before`, only runs count that
    started before that one.
    """
    known = manifests(store)
    if before is not None:
        run_ids = [manifest.run_id for manifest in known]
        known = known[: run_ids.index(before.run_id)]
    for manifest in reversed(known):
        # Gates that were never judged count as underpowered, which is not good.
        passed = manifest.gate_outcome in (None, GateOutcome.PASS)
        completed = manifest.status is RunStatus.COMPLETED and _was_reduced(manifest)
        is_own = manifest.name == experiment and manifest.imported is None
        # A run that stopped when decided lacks cases that a later run would need.
        is_whole = manifest.sequential is None or not manifest.sequential.is_partial
        if not (is_own and is_whole and completed and passed):
            continue
        if metric_id in _scored_metrics(manifest):
            return RunResult(
                store,
                manifest.run_id,
                manifest,
            )
    return None


def _was_reduced(manifest: Manifest) -> bool:
    # A run that stops earlier, or is under way, has no score of a case yet.
    has_ended = manifest.status not in (RunStatus.RUNNING, RunStatus.WAITING)
    return has_ended and manifest.until_stage == "reduce"


def _scored_metrics(manifest: Manifest) -> list[str]:
    metric_ids = []
    for record in manifest.stages:
        if record.stage.startswith(_SCORE_STAGE):
            # The stage of a metric is called `score[METRIC]`.
            metric_ids.append(record.stage.removeprefix(_SCORE_STAGE)[:-1])
    return metric_ids
