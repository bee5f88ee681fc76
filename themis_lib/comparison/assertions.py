"""Assertions on runs, for tests."""

from __future__ import annotations

from typing import get_args

from themis_lib.comparison.compare import compare
from themis_lib.comparison.gate import Gate, check_names, parse_gate
from themis_lib.comparison.gate_baselines import (
    BASELINE,
    LAST_GOOD,
    ReadyGate,
    check_baseline,
    last_good,
)
from themis_lib.comparison.gate_regressions import judge_regression
from themis_lib.core.option_names import GateBasis
from themis_lib.errors import ConfigError, InputError, nearest
from themis_lib.runs.find_run import find_run
from themis_lib.runs.manifest import GateOutcome, GateRecord
from themis_lib.runs.results import RunResult
from themis_lib.runs.summary import ALL_CASES


def assert_no_worse(
    run: RunResult,
    baseline: RunResult | str = LAST_GOOD,
    *,
    metric: str,
    margin: float,
    on: str | None = None,
    by: GateBasis = "interval",
) -> None:
    """Assert that a metric did not fall by more than `margin` from a baseline.

    The same as the gate `METRIC no worse than BASELINE by MARGIN`, paired by case; the
    metric `corrected(METRIC)` is its mean corrected by labels of people.
    `baseline` is a run, or a name of one in the store of `run`; by default the last good
    run before it. `on` is one data set, or one slice `COLUMN=VALUE`. By the interval,
    data that cannot tell fail the assertion; so does a result that is missing.

    Raises `AssertionError` with the numbers, and `InputError` for an unknown metric,
    place or baseline.
    """
    # Pytest then shows the line of the test, and none of these.
    __tracebackhide__ = True
    if by not in get_args(GateBasis):
        raise ConfigError(f"by={by!r}; {nearest(by, get_args(GateBasis))}")
    name = baseline if isinstance(baseline, str) else baseline.run_id
    place = "" if on is None else f" on {on}"
    gate = parse_gate(f"{metric} no worse than {name} by {margin}{place}", by)
    _check_names(gate, run)
    found = baseline
    if isinstance(found, str):
        found = _find_baseline(run, found, gate.metric_id)
    check_baseline(gate, found, run.manifest)
    places = []
    for row in run.summary:
        if row.metric_id == gate.metric_id and gate.is_for(row.dataset_id, row.slice):
            places.append((row.dataset_id, row.slice))
    records = judge_regression(run, ReadyGate(gate, found), found, places)
    bad = [item for item in records if item.outcome is not GateOutcome.PASS]
    if bad:
        raise AssertionError(
            _failure_text(run, found, bad, corrected=gate.is_corrected)
        )


def _check_names(
    gate: Gate,
    run: RunResult,
) -> None:
    metric_ids: set[str] = set()
    dataset_ids: set[str] = set()
    columns: set[str] = set()
    for row in run.summary:
        metric_ids.add(row.metric_id)
        dataset_ids.add(row.dataset_id)
        if row.slice != ALL_CASES:
            columns.add(row.slice.partition("=")[0])
    check_names(
        gate,
        metric_ids=metric_ids,
        dataset_ids=dataset_ids,
        columns=columns,
    )


def _find_baseline(
    run: RunResult,
    name: str,
    metric: str,
) -> RunResult:
    if name.lower() not in (LAST_GOOD, BASELINE):
        return find_run(run.store, name)
    manifest = run.manifest
    found = last_good(run.store, manifest.name, metric, before=manifest)
    if found is None:
        raise ConfigError(
            f"run {run.run_id!r}: no earlier run of {manifest.name!r} with {metric!r} "
            "completed and passed its gates; name a baseline, or run it once before"
        )
    return found


def _failure_text(
    run: RunResult,
    baseline: RunResult,
    records: list[GateRecord],
    *,
    corrected: bool,
) -> str:
    """Return what did not pass and why, with p and how to see more."""
    lines = []
    for record in records:
        where = record.dataset_id
        if record.slice != ALL_CASES:
            where = f"{record.dataset_id} {record.slice}"
        lines.append(f"{record.outcome.value}: {record.title} ({where})")
        lines.append(f"  {record.reason}")
        lines += _test_lines(run, baseline, record, corrected=corrected)
    store = run.store.public_url
    command = f"themis compare {baseline.run_id} {run.run_id} --store {store}"
    lines.append(f"see more: {command}{' --corrected' if corrected else ''}")
    return "\n".join(lines)


def _test_lines(
    run: RunResult,
    baseline: RunResult,
    record: GateRecord,
    *,
    corrected: bool,
) -> list[str]:
    """Return the means and the test of the difference that a record is about."""
    columns = []
    if record.slice != ALL_CASES:
        columns.append(record.slice.partition("=")[0])
    try:
        comparison = compare(baseline, run, slices=columns, corrected=corrected)
    except InputError:
        # The record says that they cannot be compared, and why.
        return []
    for item in comparison.differences:
        place = (item.dataset_id, item.slice, item.metric_id)
        has_test = item.test is not None and item.p_value is not None
        if place == (record.dataset_id, record.slice, record.metric_id) and has_test:
            return [
                f"  mean {item.baseline_mean:.4f} → {item.candidate_mean:.4f}, "
                f"{item.improved:,} rose and {item.worsened:,} fell, "
                f"p {item.p_value:.2g} of no difference ({item.test})"
            ]
    return []
