"""`assert_no_worse`: what passes, and what a failure says."""

from __future__ import annotations

import uuid

import pytest

from tests.support.compared_runs import StatedScore, run_of, scored
from themis_lib import ConfigError, RunStore, StoreError, assert_no_worse

GOOD = scored([1] * 80 + [0] * 20)


@pytest.fixture
def store() -> RunStore:
    return RunStore(f"memory://{uuid.uuid4().hex}")


def test_equal_run_is_no_worse(store: RunStore) -> None:
    """Named as a run, by its id, or as the last good one."""
    before, now = run_of(store, GOOD), run_of(store, GOOD)

    for baseline in (before, before.run_id, "last good"):
        assert_no_worse(now, baseline, metric="m", margin=0)
    assert_no_worse(now, metric="m", margin=0)


def test_worse_run_says_numbers_interval_p_and_how_to_see_more(
    store: RunStore,
) -> None:
    before = run_of(store, GOOD)
    now = run_of(store, scored([1] * 50 + [0] * 50), model="m2")

    with pytest.raises(AssertionError) as failure:
        assert_no_worse(now, before, metric="m", margin=0.05)

    assert [
        f"fail: m no worse than {before.run_id} by 0.05 (d)",
        f"  difference -0.3000 (-0.3866 to -0.2016) from run {before.run_id!r} on "
        "100 case(s): the whole interval fails",
        "  mean 0.8000 → 0.5000, 0 rose and 30 fell, p 1.9e-09 of no difference "
        "(McNemar, exact)",
        f"see more: themis compare {before.run_id} {now.run_id} "
        f"--store {store.public_url}",
    ] == str(failure.value).splitlines()


def test_data_that_cannot_tell_fail(store: RunStore) -> None:
    """Unless the mean alone is to decide."""
    before = run_of(store, scored([1] * 8 + [0] * 2))
    now = run_of(store, scored([1] * 7 + [0] * 3), model="m2")

    with pytest.raises(AssertionError, match="underpowered: m no worse than"):
        assert_no_worse(now, before, metric="m", margin=0.15)
    assert_no_worse(now, before, metric="m", margin=0.15, by="mean")


def test_place_is_a_data_set_or_a_slice(store: RunStore) -> None:
    """Without one, every data set counts."""
    good = {"a": GOOD, "b": GOOD}
    bad = {"a": GOOD, "b": scored([1] * 50 + [0] * 50)}
    before, now = run_of(store, good), run_of(store, bad, model="m2")

    assert_no_worse(now, before, metric="m", margin=0.05, on="a")
    with pytest.raises(AssertionError, match=r"\(b\)"):
        assert_no_worse(now, before, metric="m", margin=0.05)


def test_missing_score_fails(store: RunStore) -> None:
    """A run without a single score is not as good as another."""
    before = run_of(store, GOOD)
    now = run_of(store, scored([None] * 100), model="m2")

    with pytest.raises(AssertionError, match="underpowered"):
        assert_no_worse(now, before, metric="m", margin=0.5, by="mean")


def test_unknown_names_are_errors_and_not_failures(store: RunStore) -> None:
    """Of a metric, a place or a baseline, with the nearest one."""
    before, now = run_of(store, GOOD), run_of(store, GOOD)

    with pytest.raises(ConfigError, match="did you mean 'm'"):
        assert_no_worse(now, before, metric="mm", margin=0)
    with pytest.raises(ConfigError, match="no dataset or slice 'dd'"):
        assert_no_worse(now, before, metric="m", margin=0, on="dd")
    with pytest.raises(StoreError, match="has no run 'nothing'"):
        assert_no_worse(now, "nothing", metric="m", margin=0)
    with pytest.raises(ConfigError, match="margin of 0 or more"):
        assert_no_worse(now, before, metric="m", margin=-0.1)
    with pytest.raises(ConfigError, match="did you mean 'interval'"):
        assert_no_worse(now, before, metric="m", margin=0, by="intervals")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="compared with itself"):
        assert_no_worse(now, now, metric="m", margin=0)


def test_first_run_has_no_baseline(store: RunStore) -> None:
    """It does not pass unnoticed, and a later one does not count as earlier."""
    first = run_of(store, GOOD)
    run_of(store, GOOD)

    with pytest.raises(ConfigError, match="no earlier run of 'stated' with 'm'"):
        assert_no_worse(first, metric="m", margin=0.1)


def test_baseline_without_the_metric_is_refused(store: RunStore) -> None:
    before = run_of(store, GOOD, metrics={"other": StatedScore()})
    now = run_of(store, GOOD)

    with pytest.raises(ConfigError, match="has no scores of 'm'"):
        assert_no_worse(now, before, metric="m", margin=0.1)
