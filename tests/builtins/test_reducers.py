"""Reducers: which sample counts, or what the samples amount to."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.golden_builtins import SAMPLES, candidates
from themis_lib.builtins.reducers import (
    AllPass,
    BestOfN,
    First,
    MajorityVote,
    Max,
    Mean,
    PassAtK,
)
from themis_lib.core.contexts import ReduceContext
from themis_lib.core.models import Candidate, ReducedCandidate
from themis_lib.errors import ComponentError

REDUCERS = [
    First(),
    MajorityVote(),
    BestOfN(),
    BestOfN(higher_is_better=False),
    Mean(),
    Max(),
    PassAtK(k=2),
    AllPass(),
]
FAILED = (None, None, "parse: no number in the output")


def reduced(
    reducer: Any, samples: list[Candidate], metric_id: str | None = "accuracy"
) -> ReducedCandidate:
    return reducer.reduce(samples, ReduceContext(metric_id))


def scored(*scores: float | None) -> list[Candidate]:
    """Samples with these scores; those without one failed."""
    reason = "generate: TransientError: 503"
    return candidates(
        *((None, score, None if score is not None else reason) for score in scores)
    )


def unanswered(*scores: float | None) -> list[Candidate]:
    """Samples with these scores; those without one have no answer."""
    reason = "parse: no number in the output"
    return candidates(
        *((None, score, None if score is not None else reason) for score in scores)
    )


@pytest.mark.parametrize(("higher_is_better", "mean"), [(True, 0.25), (False, 0.75)])
def test_mean_counts_a_missing_answer_as_the_worst_score(
    higher_is_better: bool, mean: float
) -> None:
    """Which of 0 and 1 that is depends on what the metric declares."""
    context = ReduceContext("error_rate", higher_is_better)

    assert mean == Mean().reduce(unanswered(0.5, None), context).score


def test_first_takes_sample_0_and_its_score():
    """The other samples do not matter."""
    result = reduced(First(), candidates((4, 0.25, None), (5, 1.0, None)))

    assert ReducedCandidate(score=0.25, sample_index=0, value=4) == result


def test_first_does_not_skip_a_sample_that_failed():
    """Where sample 0 has no score the result has none, with its reason: skipping would
    choose by outcome.
    """
    result = reduced(First(), candidates(FAILED, (5, 1.0, None)))

    assert ReducedCandidate(score=None, sample_index=0, error=FAILED[2]) == result


def test_majority_is_the_value_most_samples_agree_on():
    """The score is that of the first sample that holds the winning value."""
    samples = candidates((5, 0.0, None), (4, 0.75, None), (4, 0.5, None))

    result = reduced(MajorityVote(), samples)

    expected = ReducedCandidate(
        score=0.75, sample_index=1, value=4, details={"votes": 2, "of": 3}
    )
    assert expected == result


def test_majority_tie_goes_to_the_value_that_appears_first():
    """A tie is broken by sample order, not by arrival or by value."""
    samples = candidates((5, 0.0, None), (4, 1.0, None), (4, 1.0, None), (5, 0.0, None))

    assert 5 == reduced(MajorityVote(), samples).value
    assert 5 == reduced(MajorityVote(), samples[::-1]).value


def test_samples_without_a_value_or_with_an_error_do_not_vote():
    """Three failures do not outvote one answer, and are not counted among the votes
    cast.
    """
    samples = candidates(
        FAILED, FAILED, (7, None, "the judge gave no verdict"), (4, 1.0, None)
    )

    result = reduced(MajorityVote(), samples)

    assert (4, 1.0, {"votes": 1, "of": 1}) == (
        result.value,
        result.score,
        result.details,
    )


@pytest.mark.parametrize(
    ("values", "winner", "votes"),
    [
        ([True, 1, 1.0], 1, 2),
        (["4", 4, 4.0], 4, 2),
        ([{"a": 1, "b": 2}, {"b": 2.0, "a": 1}], {"a": 1, "b": 2}, 2),
        ([False, 0, None], False, 1),
    ],
)
def test_values_vote_together_when_they_are_equal_json(values, winner, votes):
    """1 and 1.0 agree whatever the order of keys; true and 1, or "4" and 4, do not."""
    result = reduced(
        MajorityVote(), candidates(*((value, 1.0, None) for value in values))
    )

    assert (winner, votes) == (result.value, result.details["votes"])
    assert isinstance(winner, bool) == isinstance(result.value, bool)


@given(
    st.lists(st.sampled_from([1, 2, 3, "1", None]), min_size=1, max_size=12),
    st.randoms(),
)
def test_majority_follows_its_rule(values, rng):
    """No value has more votes than the winner, and none of those with as many appears
    before it.
    """
    samples = candidates(*((value, 0.5, None) for value in values))
    rng.shuffle(samples)

    result = reduced(MajorityVote(), samples)

    votes = {repr(value): values.count(value) for value in values if value is not None}
    if not votes:
        assert result.value is None
        return
    leaders = [
        name for name in map(repr, values) if votes.get(name) == max(votes.values())
    ]
    assert leaders[0] == repr(result.value)
    assert values.index(result.value) == result.sample_index


def test_best_of_n_takes_the_highest_score():
    """Ties go to the earlier sample; samples without a score are left out."""
    assert (3, 0.5) == chosen(BestOfN(), scored(None, 0.25, 0.0, 0.5, 0.5))


def test_best_of_n_takes_the_lowest_score_where_lower_is_better():
    """A distance or a loss is best when it is least."""
    assert (2, 0.0) == chosen(
        BestOfN(higher_is_better=False), scored(None, 0.25, 0.0, 0.5, 0.0)
    )


def test_max_takes_the_highest_score_and_its_sample():
    """The aggregate is the score of one sample, which is named."""
    assert (1, 0.75) == chosen(Max(), scored(-1.0, 0.75, 0.75, None))


def test_mean_is_over_the_samples_that_have_a_score():
    """A failed sample is not scored as wrong; the result belongs to no one sample."""
    assert (None, 0.5) == chosen(Mean(), scored(1.0, 0.0, None))


@pytest.mark.parametrize(
    ("reducer", "expected"),
    [
        (Mean(), 1 / 3),
        (Mean(no_answer="exclude"), 1.0),
        (PassAtK(k=1), 1 / 3),
        (PassAtK(k=1, no_answer="exclude"), 1.0),
        (PassAtK(k=3), 1.0),
        (AllPass(), 0.0),
        (AllPass(no_answer="exclude"), 1.0),
    ],
    ids=repr,
)
def test_sample_without_an_answer_did_not_pass(reducer, expected):
    """Left out, it would raise the score of a case that was answered once in three."""
    result = reduced(reducer, unanswered(1.0, None, None))

    assert pytest.approx(expected) == result.score


@pytest.mark.parametrize("reducer", [Mean(), PassAtK(k=1), AllPass()], ids=repr)
def test_case_without_any_answer_has_no_score(reducer):
    """The summary counts it, by its own policy."""
    result = reduced(reducer, unanswered(None, None))

    assert (None, "parse: no number in the output") == (result.score, result.error)


def test_mean_knows_no_worst_score_beyond_0_to_1():
    """There 0 may be better than what an answer would have scored."""
    assert -2.0 == reduced(Mean(), unanswered(-1.0, None, -3.0)).score
    assert 5.0 == reduced(Mean(), unanswered(5.0, None)).score


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_sample_without_an_answer_passes_no_threshold(threshold):
    """Scores may be below 0, and so may what is asked of them."""
    samples = unanswered(0.0, None)

    assert 0.5 == reduced(PassAtK(k=1, threshold=threshold), samples).score
    assert 0.0 == reduced(AllPass(threshold=threshold), samples).score


def test_failed_sample_is_left_out_beside_one_without_an_answer():
    """Nobody knows what it would have said."""
    [wrong] = unanswered(None)
    right, failed = scored(1.0, None)
    samples = [
        sample.model_copy(update={"sample_index": at})
        for at, sample in enumerate([right, wrong, failed])
    ]

    assert 0.5 == reduced(Mean(), samples).score
    assert {"n": 2, "c": 1} == reduced(PassAtK(k=1), samples).details


def test_mean_does_not_depend_on_rounding():
    """The sum is exact, so that the order of samples cannot show in the last digit."""
    assert 0.1 == reduced(Mean(), scored(*[0.1] * 10)).score


def chosen(reducer: Any, samples: list[Candidate]) -> tuple[int | None, float | None]:
    result = reduced(reducer, samples)
    return result.sample_index, result.score


@pytest.mark.parametrize("reducer", REDUCERS, ids=repr)
@pytest.mark.parametrize("samples", SAMPLES)
def test_order_of_arrival_does_not_matter(reducer, samples):
    """Samples are taken by their index, in whatever order they are handed over."""
    inorder = candidates(*samples)
    shuffled = random.Random(0).sample(inorder, len(inorder))

    assert reduced(reducer, inorder) == reduced(reducer, shuffled)


@pytest.mark.parametrize("reducer", REDUCERS, ids=repr)
def test_no_score_at_all_is_a_null_with_the_first_reason(reducer):
    """Nothing was judged, so there is no score, never a 0."""
    result = reduced(reducer, candidates(FAILED, (None, None, "another reason")))

    assert (None, FAILED[2]) == (result.score, result.error)


@pytest.mark.parametrize("reducer", REDUCERS, ids=repr)
def test_without_a_metric_a_missing_score_is_no_error(reducer):
    """No score was asked for; first and majority still choose a sample."""
    result = reduced(
        reducer,
        candidates((4, None, None), (5, None, None), (5, None, None)),
        metric_id=None,
    )

    choice = {"builtin/first": (0, 4), "builtin/majority_vote": (1, 5)}.get(
        reducer.component_id, (None, None)
    )
    assert (None, None, *choice) == (
        result.score,
        result.error,
        result.sample_index,
        result.value,
    )


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        (10, 3, 5, 0.9166667),
        (200, 13, 10, 0.497551114731),
        (5, 0, 2, 0.0),
        (5, 5, 5, 1.0),
        (1, 1, 1, 1.0),
    ],
)
def test_pass_at_k_has_the_published_values(n, c, k, expected):
    """The estimator of Chen et al. 2021."""
    result = reduced(PassAtK(k=k), scored(*[1.0] * c, *[0.0] * (n - c)))

    assert pytest.approx(expected, abs=5e-8) == result.score
    assert {"n": n, "c": c} == result.details


@pytest.mark.parametrize("reducer", [PassAtK(k=3), AllPass(k=3)])
def test_too_few_samples_give_no_estimate(reducer):
    """n < k is a null that says what is missing; failed samples do not count as
    samples.
    """
    result = reduced(reducer, scored(1.0, None, 1.0))

    assert result.score is None
    assert "needs 3 samples with a score; there are 2" in result.error


@pytest.mark.parametrize(
    "reducer", [PassAtK(k=1, threshold=0.5), AllPass(k=1, threshold=0.5)]
)
def test_threshold_says_which_scores_pass(reducer):
    """A score of the threshold passes."""
    assert 0.75 == reduced(reducer, scored(0.5, 0.75, 0.25, 1.0)).score


@pytest.mark.parametrize(
    ("scores", "expected"), [((1.0, 1.0), 1.0), ((1.0, 0.0), 0.0), ((1.0, None), 1.0)]
)
def test_all_pass_without_k_asks_for_every_scored_sample(scores, expected):
    """Without `k` it is all of them, however many there are."""
    assert expected == reduced(AllPass(), scored(*scores)).score


def test_k_is_an_attribute():
    """What compiles an experiment compares `k` with the samples there will be."""
    assert (3, 2, None) == (PassAtK(k=3).k, AllPass(k=2).k, AllPass().k)


@pytest.mark.parametrize(
    ("reducer", "setting"),
    [
        (PassAtK, {"k": "3"}),
        (PassAtK, {"k": 0}),
        (PassAtK, {"k": True}),
        (PassAtK, {"k": 1.0}),
        (PassAtK, {"k": 1, "threshold": "1"}),
        (PassAtK, {"k": 1, "threshold": float("nan")}),
        (AllPass, {"k": -1}),
        (BestOfN, {"higher_is_better": "no"}),
    ],
)
def test_unfit_setting_is_refused(reducer, setting):
    """One line that names the component, the setting and its value."""
    name, value = list(setting.items())[-1]

    with pytest.raises(ComponentError) as raised:
        reducer(**setting)

    assert str(raised.value).startswith(f"{reducer.component_id}: {name}={value!r}: ")


@pytest.mark.parametrize("reducer", REDUCERS, ids=repr)
def test_only_reducers_of_values_read_values(reducer):
    """A value that changes while its score stays does not reduce again what looks at
    scores alone.
    """
    reads_value = reducer.component_id in ("builtin/first", "builtin/majority_vote")

    assert (("value", "score") if reads_value else ("score",)) == reducer.reads
