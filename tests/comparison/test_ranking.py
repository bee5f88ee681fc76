"""The ranking of runs: strengths, places, ties, missing scores, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.comparison.test_corpus_pair import run_saying
from tests.runs.test_corpus_summary import NAMED, WANTED, cases
from themis_lib import (
    ConfigError,
    GenerationResult,
    InMemoryRunStore,
    RunResult,
    rank_runs,
)
from themis_lib.stats.bradley_terry import strengths, win_chances

RANDOM = np.random.default_rng(0)
#: Which of 120 cases each of three models gets right, the last the least.
RIGHT = {
    name: (RANDOM.random(120) < rate).tolist()
    for name, rate in (("good", 0.8), ("middling", 0.6), ("poor", 0.3))
}


def runs_of(
    right: dict[str, Sequence[Any]],
    *,
    metric: Any = "builtin/exact_match",
    metadata: dict[str, Sequence[Any]] | None = None,
    **settings: Any,
) -> list[RunResult]:
    """A run for each model: `True` is a right answer, `None` none, `!` a failure."""
    store = InMemoryRunStore()
    said_by = {True: "yes", False: "no"}
    made = []
    for name, marks in right.items():
        said = [said_by.get(mark, mark) for mark in marks]
        rows = [
            case.model_copy(update={"input": [case.case_id]})
            for case in cases(said, ["yes"] * len(said), **(metadata or {}))
        ]
        made.append(run_saying(rows, said, metric, store, name=name, **settings))
    return made


def test_strengths_are_those_of_the_wins_case_by_case() -> None:
    """A tie is half a win for both; the strongest comes first."""
    ranking = rank_runs(*runs_of(RIGHT)[::-1])

    table = np.array(list(RIGHT.values()), float)
    points = np.array(
        [
            [
                sum((a > b) + 0.5 * (a == b) for a, b in zip(x, y, strict=True))
                for y in table
            ]
            for x in table
        ]
    )
    np.fill_diagonal(points, 0)
    expected = strengths(points)
    assert ["good", "middling", "poor"] == [run.name for run in ranking.runs]
    assert expected.tolist() == pytest.approx([run.strength for run in ranking.runs])
    assert win_chances(expected).tolist() == [
        pytest.approx(row) for row in ranking.chances
    ]
    first = ranking.runs[0]
    assert first.low < first.strength < first.high
    assert 240 == first.wins + first.losses + first.ties
    assert (1, 120, 1000) == (first.rank, ranking.cases, ranking.resamples)
    assert ranking.notes == []


def test_places_show_what_the_data_leave_open() -> None:
    """The worst of three is last for sure; two that are alike share both places."""
    alike = {"one": [1, 0] * 20, "two": [0, 1] * 20, "zero": [0, 0] * 20}
    ranking = rank_runs(
        *runs_of({name: [bool(it) for it in each] for name, each in alike.items()})
    )

    places = {
        run.name: (run.rank, run.best_rank, run.worst_rank) for run in ranking.runs
    }
    assert {"one": (1, 1, 2), "two": (1, 1, 2), "zero": (3, 3, 3)} == places
    assert 0.4 < ranking.runs[0].first_share < 0.6


def test_order_of_cases_and_runs_makes_no_difference() -> None:
    """The same strengths and intervals, digit for digit."""
    turned = {name: marks[::-1] for name, marks in RIGHT.items()}

    here, there = rank_runs(*runs_of(RIGHT)), rank_runs(*runs_of(turned))

    def numbers(ranking: Any) -> list[Any]:
        return [(run.name, run.strength, run.low, run.high) for run in ranking.runs]

    assert numbers(here) == numbers(there)


def test_perfect_winner_is_ranked_and_said() -> None:
    """Half a win against it keeps its strength finite."""
    ranking = rank_runs(*runs_of({"all": [True] * 30, "none": [False] * 30}))

    assert np.log(30.5 / 0.5) == pytest.approx(
        ranking.runs[0].strength - ranking.runs[1].strength
    )
    assert "no finite strengths" in ranking.notes[0]


def test_case_without_an_answer_loses_and_a_failed_one_is_left_out() -> None:
    """Unless cases without an answer are left out of means, too."""
    right = {
        "a": [None, "!", True, True, False],
        "b": [False, False, False, True, True],
    }

    counted = rank_runs(*runs_of(right))
    excluded = rank_runs(*runs_of(right, no_answer="exclude"))

    def counts(ranking: Any) -> Any:
        (run,) = (run for run in ranking.runs if run.name == "a")
        return run.wins, run.losses, run.ties

    assert (1, 2, 1) == counts(counted)
    assert (1, 1, 1) == counts(excluded)
    assert "1 case(s) failed and are left out" in counted.notes


def test_cases_of_a_cluster_are_drawn_together() -> None:
    """Four copies of each case add nothing: the intervals stay as wide."""
    alone = rank_runs(*runs_of(RIGHT))
    copied = rank_runs(
        *runs_of(
            {name: marks * 4 for name, marks in RIGHT.items()},
            metadata={"group": list(range(120)) * 4},
        ),
        cluster_by="group",
    )

    one, four = alone.runs[0], copied.runs[0]
    assert one.strength == pytest.approx(four.strength)
    assert one.high - one.low == pytest.approx(four.high - four.low, rel=0.1)


def test_clusters_are_those_of_the_first_run() -> None:
    """Another run may know its cases by less."""
    groups = {"group": list(range(60)) * 2}
    fewer = {"group": [0, *[None] * 119]}
    (good,) = runs_of({"good": RIGHT["good"]}, metadata=groups)
    (poor,) = runs_of({"poor": RIGHT["poor"]}, metadata=groups)
    (bare,) = runs_of({"poor": RIGHT["poor"]}, metadata=fewer)

    expected = rank_runs(good, poor, cluster_by="group").runs[0]
    actual = rank_runs(good, bare, cluster_by="group").runs[0]

    assert (expected.low, expected.high) == (actual.low, actual.high)


def test_lower_scores_win_where_lower_is_better() -> None:
    """As the metric says of itself."""

    class Errors:
        component_id, version, reads = "tests/errors", "1", ("value",)
        higher_is_better = False

        def fingerprint(self) -> str:
            return ""

        def score(self, parsed: Any, case: Any, ctx: Any) -> Any:
            from themis_lib import Score

            return Score(value=3.0 if parsed.value == "no" else 1.0)

    ranking = rank_runs(*runs_of(RIGHT, metric=Errors()))

    assert "good" == ranking.runs[0].name
    assert not ranking.higher_is_better


class Prefers:
    """A judge that finds `yes` better than `maybe`, and that better than `no`."""

    component_id, version, reads, deterministic = "tests/prefers", "1", ("input",), True

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Any, ctx: Any) -> GenerationResult:
        asked = str(case.input)
        places = [asked.index(f"answer {name}") for name in "AB"]
        worth = []
        for text in (asked[places[0] : places[1]], asked[places[1] :]):
            worth.append(2 * ("yes" in text) + ("maybe" in text))
        verdict = "A" if worth[0] > worth[1] else "B" if worth[0] < worth[1] else "tie"
        return GenerationResult(final_output=f'{{"verdict": "{verdict}"}}')


def test_pairwise_judge_plays_runs_against_its_rival() -> None:
    """What it compares with is in the ranking, between those that beat it and not."""
    metric = {
        "use": "builtin/judge_pairwise",
        "id": "pair",
        "judge": Prefers(),
        "explain": False,
    }
    store = InMemoryRunStore()
    made = []
    for name in ("poor", "good"):
        said = ["yes" if mark else "no" for mark in RIGHT[name]]
        rows = [
            case.model_copy(update={"input": [case.case_id]})
            for case in cases(said, ["maybe"] * 120)
        ]
        made.append(run_saying(rows, said, metric, store, name=name))

    ranking = rank_runs(*made)

    assert ["good", "expected output", "poor"] == [run.name for run in ranking.runs]
    good, rival, _ = ranking.runs
    wins = sum(RIGHT["good"])
    assert (wins, 120 - wins, 0) == (good.wins, good.losses, good.ties)
    assert np.log(wins / (120 - wins)) == pytest.approx(good.strength - rival.strength)
    assert rival.run_id is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda runs: rank_runs(runs[0]), "name two or more"),
        (lambda runs: rank_runs(runs[0], runs[0]), "named twice"),
        (lambda runs: rank_runs(*runs, metric_id="exact_mach"), "did you mean"),
        (lambda runs: rank_runs(*runs, cluster_by="topic"), "no case has metadata"),
        (lambda runs: rank_runs(*runs, resamples=0), "draw one or more"),
    ],
    ids=["alone", "twice", "misspelt metric", "unknown column", "no resamples"],
)
def test_what_cannot_be_ranked_is_refused(call: Any, message: str) -> None:
    """One error that says what to write instead."""
    with pytest.raises(ConfigError, match=message):
        call(runs_of(RIGHT))


def test_runs_that_share_no_case_have_no_common_scale() -> None:
    """The error names the groups."""
    store = InMemoryRunStore()
    made = []
    for name, expected in (("a", "yes"), ("b", "yes"), ("c", "no"), ("d", "no")):
        rows = cases(["yes", "no"], [expected] * 2)
        rows = [case.model_copy(update={"input": [case.case_id]}) for case in rows]
        made.append(
            run_saying(rows, ["yes", "no"], "builtin/exact_match", store, name=name)
        )

    with pytest.raises(ConfigError, match="no case connects 'a', 'b' with 'c', 'd'"):
        rank_runs(*made)


def test_metric_of_a_data_set_ranks_nothing() -> None:
    """A ranking compares cases; the metrics of cases are listed."""
    store = InMemoryRunStore()
    rows = cases(NAMED, WANTED)
    made = [
        run_saying(rows, NAMED, "builtin/corpus_f1", store, name=name) for name in "ab"
    ]

    with pytest.raises(ConfigError, match="'corpus_f1' is one score of all cases"):
        rank_runs(*made, metric_id="corpus_f1")
