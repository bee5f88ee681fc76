"""The random order of cases: the same everywhere, and that of no outcome."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.support.deciding import guesses
from themis_lib import Experiment
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.random_order import OrderedCases, in_random_order, look_ends


def ordered(numbers: list[int], *, seed: int = 0, **changes: Any) -> OrderedCases:
    spec = guesses("memory", cases=300)
    every = spec["datasets"][0]["cases"]
    cases = [{**every[at], "case_id": f"{place}"} for place, at in enumerate(numbers)]
    spec["datasets"][0]["cases"] = cases
    spec["runtime"] = {"shard_size": 7}
    spec |= changes
    experiment = experiment_from_spec(Experiment, spec, where="spec")
    store = experiment.open_store()
    shards = list(experiment.compile().shards(store))
    return in_random_order(shards, store, seed)["numbers"]


def inputs(cases: OrderedCases) -> list[str]:
    return [content[1] for content in cases.contents]


def test_the_order_of_the_file_does_not_matter() -> None:
    """Nor do ids: the order is by what cases ask and expect, and every case is in it."""
    numbers = list(range(60))

    forwards, backwards = ordered(numbers), ordered(numbers[::-1])

    assert forwards.contents == backwards.contents
    assert sorted(inputs(forwards)) == sorted(f'"{number}"' for number in numbers)


def test_another_seed_is_another_order() -> None:
    """Of the same cases."""
    first, second = ordered(list(range(60))), ordered(list(range(60)), seed=1)

    assert inputs(first) != inputs(second)
    assert set(inputs(first)) == set(inputs(second))


def test_cases_that_are_added_keep_the_others_in_their_order() -> None:
    """So a run on data that grew goes on where the one before stopped."""
    few, many = inputs(ordered(list(range(40)))), inputs(ordered(list(range(90))))

    assert few == [item for item in many if item in set(few)]


def test_equal_cases_are_told_apart_and_have_the_keys_of_a_full_run() -> None:
    """Each keeps the occurrence number that it has in the order of the file."""
    cases = ordered([3, 1, 3, 3])

    threes = [content[3] for content in cases.contents if content[1] == '"3"']
    rows = zip(
        cases.table["input"].to_pylist(),
        cases.table["occurrence"].to_pylist(),
        strict=True,
    )
    assert sorted(threes) == [0, 1, 2]
    assert sorted(number for text, number in rows if text == '"3"') == [0, 1, 2]


def test_every_position_is_equally_likely() -> None:
    """Over 400 seeds the mean position of a case is the middle, as that of a shuffle."""
    spec = guesses("memory", cases=20)
    experiment = experiment_from_spec(Experiment, spec, where="spec")
    store = experiment.open_store()
    shards = list(experiment.compile().shards(store))
    positions = []
    for seed in range(400):
        cases = in_random_order(shards, store, seed)["numbers"]
        positions.append(inputs(cases).index('"7"'))

    # The error of the mean of 400 positions is 5.77 / 20.
    assert abs(np.mean(positions) - 9.5) < 4 * 5.77 / 20


@given(st.integers(0, 5_000))
def test_looks_grow_and_end_with_the_cases(cases: int) -> None:
    """Each is larger than the last by an eighth, and by two cases at least."""
    ends = look_ends(cases)

    steps = np.diff([0, *ends])
    assert ends[-1:] == ([cases] if cases else [])
    assert (steps > 0).all()
    for end, step in zip(ends[:-2], steps[1:-1], strict=False):
        assert step == max(2, end // 8)
