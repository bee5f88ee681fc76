"""The runs of a store over time: which are listed, what changed, and how a metric
went.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.counted_runs import ran
from tests.support.stores import OpenStore
from tests.test_edit_costs import base
from themis_lib import InMemoryRunStore, InputError, RunResult, RunStatus, SummaryRow
from themis_lib.report.history import (
    PastRun,
    Series,
    past_runs,
    series_of,
    ticks_over,
    unreadable_runs,
)


def row(
    mean: float | None,
    low: float | None = None,
    high: float | None = None,
    *,
    metric_id: str = "m",
) -> SummaryRow:
    return SummaryRow(
        dataset_id="d",
        slice="all",
        metric_id=metric_id,
        n=10,
        errors=0,
        mean=mean,
        standard_error=None,
        low=low,
        high=high,
        interval_method=None,
    )


def series(*rows: SummaryRow, changed: tuple[int, ...] = ()) -> Series:
    """A series of made-up scores, a run a day; the settings of the runs at some places
    differ from the run before.
    """
    manifest = ran(InMemoryRunStore()).manifest
    began = datetime(2026, 1, 1, tzinfo=UTC)
    runs = [
        PastRun(
            manifest.model_copy(
                update={
                    "run_id": f"run-{at}",
                    "started_at": (began + timedelta(days=at)).isoformat(),
                    "name": "e",
                }
            ),
            (scored,),
            f"run-{at - 1}" if at else None,
            ("model: 1 → 2",) if at in changed else (),
        )
        for at, scored in enumerate(rows)
    ]
    return Series("e", "m", "d", tuple(zip(runs, rows, strict=True)))


def test_runs_are_listed_in_order_with_what_changed(open_store: OpenStore) -> None:
    """On every store: oldest first, with the scores and what differs from the
    experiment's run before.
    """
    store = open_store()
    first = ran(store)
    other = ran(store, name="other")
    changed = ran(store, generation__prompt_spec__prefix="p", seeds=[11, 13])
    same = ran(store, generation__prompt_spec__prefix="p", seeds=[11, 13])

    runs = past_runs(open_store())

    assert [run.run_id for run in (first, other, changed, same)] == [
        run.manifest.run_id for run in runs
    ]
    assert [None, None, first.run_id, changed.run_id] == [run.before for run in runs]
    expected = ("seeds[1]: 12 → 13", 'generate.prompt_spec.prefix: null → "p"')
    assert [(), (), expected, ()] == [run.changes for run in runs]
    assert [row.mean for row in first.summary] == [row.mean for row in runs[0].scores]


def test_filters_keep_what_changed_since_the_run_before() -> None:
    """A run that is left out is still what the next one is compared with."""
    store = InMemoryRunStore()
    ran(store)
    cut = ran(store, evaluation__metrics__0__scale=2.0)
    ran(store, name="other")
    last = ran(store)
    since = datetime.fromisoformat(last.manifest.started_at)

    runs = past_runs(store, name="costs", status=RunStatus.COMPLETED, since=since)

    assert [(last.run_id, cut.run_id)] == [
        (run.manifest.run_id, run.before) for run in runs
    ]
    expected = (
        'score[first].metric.fingerprint: "2.0" → "1.0"',
        "`attribute scale` changed",
    )
    assert expected == runs[0].changes
    assert [] == past_runs(store, status=RunStatus.FAILED)
    with pytest.raises(
        InputError, match=r"has no run of an experiment 'cost'; did you mean 'costs'\?"
    ):
        past_runs(store, name="cost")


def test_scores_are_those_over_all_cases() -> None:
    """Slices are left out of a history."""
    store = InMemoryRunStore()
    result = ran(store, evaluation__slices=["topic"])

    assert 3 == len(result.summary)
    assert ["all"] == [row.slice for row in past_runs(store)[0].scores]


def test_damage_is_no_obstacle() -> None:
    """A run whose summary cannot be read has no scores; one whose record cannot be read
    is named.
    """
    store = InMemoryRunStore()
    first, second = ran(store), ran(store)
    store.replace(f"runs/{first.run_id}/summary.parquet", b"PAR1")
    store.replace("runs/broken/manifest.json", b"{")

    runs = past_runs(store)

    assert [0, 1] == [len(run.scores) for run in runs]
    assert [first.run_id, second.run_id] == [run.manifest.run_id for run in runs]
    assert ["broken"] == unreadable_runs(store)


def test_series_are_one_for_each_dataset() -> None:
    """The points of a series are the runs that have the metric on its dataset."""
    store = InMemoryRunStore()
    spec = base(Path("unused"))
    ran(store, spec)
    spec["datasets"].append({**spec["datasets"][0], "dataset_id": "others"})
    both = ran(store, spec)

    found = series_of(past_runs(store), "first")

    assert [("numbers", 2), ("others", 1)] == [
        (one.dataset_id, len(one.points)) for one in found
    ]
    assert both.run_id == found[1].points[0][0].manifest.run_id


def test_experiments_have_series_of_their_own() -> None:
    """They may mean different things by one name; a metric that nobody has is an error
    that names what there is.
    """
    store = InMemoryRunStore()
    ran(store)
    ran(store, name="other")

    with pytest.raises(
        InputError,
        match=r"none of 2 run\(s\) has a metric 'fist'; did you mean 'first'",
    ):
        series_of(past_runs(store), "fist")
    found = series_of(past_runs(store), "first")
    assert [("costs", 1), ("other", 1)] == [
        (one.name, len(one.points)) for one in found
    ]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.integers(3, 8))
def test_ticks_enclose_all_values(values: list[float], most: int) -> None:
    """Ticks are evenly spaced, at most as many as asked for, and no value lies beyond
    them.
    """
    ticks = ticks_over([row(value) for value in values], most=most)

    steps = {
        round((after - before) / (ticks[1] - ticks[0]), 6)
        for before, after in pairwise(ticks)
    }
    slack = 1e-6 * (ticks[-1] - ticks[0])
    assert 2 <= len(ticks) <= most
    assert {1.0} == steps
    assert ticks[0] - slack <= min(values)
    assert max(values) <= ticks[-1] + slack


def test_ticks_are_round() -> None:
    """Some examples, also where there is nothing to enclose."""
    assert [0.5, 0.55, 0.6, 0.65, 0.7] == ticks_over([row(0.6, 0.52, 0.68)], most=5)
    assert [0.95, 1.0, 1.05] == ticks_over([row(1.0)], most=3)
    assert [0.0, 0.5, 1.0] == ticks_over([row(None)], most=3)


def test_run_under_way_has_no_scores() -> None:
    """A run that has not ended is listed without scores."""
    store = InMemoryRunStore()
    result: RunResult = ran(store)
    store.remove(f"runs/{result.run_id}/summary.parquet")

    assert [()] == [run.scores for run in past_runs(store)]
