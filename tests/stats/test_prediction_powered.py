"""Corrected means against another library, closed forms, and simulations of what they
promise.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtrit

from benchmarks.corrected_means import RATE, SimulatedJudge, judged_rows
from themis_lib.stats.clusters import Floats
from themis_lib.stats.intervals import mean_interval
from themis_lib.stats.prediction_powered import (
    JudgedRows,
    corrected_difference,
    corrected_mean,
)


def labelled_and_others(
    table: tuple[int, int, int, int], others: tuple[int, int]
) -> Any:
    """Labels, their scores, and the scores of the other rows.

    `table` counts hits, misses, false alarms and correct rejections.
    """
    labels = np.repeat([1.0, 1, 0, 0], table)
    scores = np.repeat([1.0, 0, 1, 0], table)
    return labels, scores, np.repeat([1.0, 0], others)


def uniform(labels: Floats, scores: Floats, others: Floats) -> JudgedRows:
    count = len(labels) + len(others)
    return JudgedRows(
        np.concatenate([scores, others]),
        np.concatenate([labels, np.full(len(others), np.nan)]),
        np.full(count, len(labels) / count),
    )


# `evalstats` 0.3.3, `ppi.correct(np.mean, …, backend="analytic")`: with `power_tune` it
# shrinks λ towards 1 for few labels, which moves its ends a little.
EVALSTATS = [
    ((101, 11, 18, 70), (650, 469), (0.49811938710359444, 0.6038396129322307)),
    ((50, 6, 9, 35), (700, 519), (0.47497539535112226, 0.6228403490265524)),
]


@pytest.mark.parametrize(("table", "others", "ends"), EVALSTATS)
def test_intervals_are_those_of_evalstats(table: Any, others: Any, ends: Any) -> None:
    """Within 0.002: other degrees of freedom, and Wilson's shape in place of Student's."""
    found = corrected_mean(uniform(*labelled_and_others(table, others)))

    assert ends == pytest.approx((found.low, found.high), abs=0.002)


@pytest.mark.parametrize(("table", "others", "ends"), EVALSTATS)
def test_estimate_is_that_of_the_paper(table: Any, others: Any, ends: Any) -> None:
    """PPI++, example 6.1: λ = Cov(Y, f) / ((1 + n/N) Var(f)) for the scores of N rows
    apart from the n labelled ones. Ours multiplies the mean of both together, and is
    larger by (N + n) / N.
    """
    labels, scores, rest = labelled_and_others(table, others)
    n, count = len(labels), len(rest)
    every = np.concatenate([scores, rest])
    tuning = np.cov(labels, scores)[0, 1] / ((1 + n / count) * every.var(ddof=1))

    found = corrected_mean(uniform(labels, scores, rest))

    assert tuning == pytest.approx(found.tuning * count / (n + count), rel=0.01)
    expected = labels.mean() + tuning * (rest.mean() - scores.mean())
    assert expected == pytest.approx(found.mean, abs=1e-3)
    assert every.mean() == pytest.approx(found.raw_mean)


def test_plain_difference_when_the_judge_only_shifts() -> None:
    """λ is near 1 for a judge that is always 0.2 too high, and the shift comes off."""
    truth = np.tile(np.linspace(0.1, 0.7, 5), 30)
    labels = np.where(np.arange(150) % 3 == 0, truth, np.nan)

    found = corrected_mean(JudgedRows(truth + 0.2, labels, np.ones(150)))

    assert (0.6, 0.4) == (pytest.approx(found.raw_mean), pytest.approx(found.mean))
    assert 1.0 == pytest.approx(found.tuning)


def test_every_row_labelled_is_the_mean_of_the_labels() -> None:
    labels = np.repeat([1.0, 0.0], [30, 20])

    found = corrected_mean(JudgedRows(np.ones(50), labels, np.ones(50)))

    alone = mean_interval(labels)
    assert alone.mean == pytest.approx(found.mean)
    assert (alone.low, alone.high) == pytest.approx((found.low, found.high), abs=0.01)


def test_judge_without_variance_leaves_the_labels_alone() -> None:
    labels = np.concatenate([np.repeat([1.0, 0.0], [15, 10]), np.full(75, np.nan)])

    found = corrected_mean(JudgedRows(np.ones(100), labels, np.ones(100)))

    assert (1.0, 0.0) == (found.raw_mean, found.tuning)
    assert 0.6 == pytest.approx(found.mean)
    assert 20 < found.labels_worth < 26


def test_labels_that_all_agree_do_not_prove_the_judge_perfect() -> None:
    """Half a label on either side contradicts: the interval stays wider than the raw
    one.
    """
    scores = np.tile([1.0, 0.0], 200)
    labels = np.where(np.arange(400) < 30, scores, np.nan)

    found = corrected_mean(JudgedRows(scores, labels, np.ones(400)))

    raw = mean_interval(scores)
    assert 0.5 == pytest.approx(found.mean)
    assert found.high - found.low > 1.2 * (raw.high - raw.low)


def test_grades_that_all_agree_have_no_interval() -> None:
    """Nothing says how far other grades would be off."""
    scores = np.tile([0.25, 0.5, 0.75], 50)
    labels = np.where(np.arange(150) < 30, scores, np.nan)

    found = corrected_mean(JudgedRows(scores, labels, np.ones(150)))

    assert 0.5 == pytest.approx(found.mean)
    assert (None, None, None) == (found.low, found.high, found.method)


@pytest.mark.parametrize("labels", [0, 1, 2])
def test_hardly_any_labels(labels: int) -> None:
    """Without a label there is no corrected mean; with two there is no interval."""
    scores = np.tile([1.0, 0.0], 20)

    found = corrected_mean(
        JudgedRows(scores, np.where(np.arange(40) < labels, 1.0, np.nan), np.ones(40))
    )

    assert (40, labels, 0.5) == (found.n, found.labels, found.raw_mean)
    assert (found.mean is None) == (labels == 0)
    assert (None, None) == (found.low, found.high)


def test_no_rows() -> None:
    found = corrected_mean(JudgedRows(np.array([]), np.array([]), np.array([])))

    assert (0, 0, None, None) == (found.n, found.labels, found.raw_mean, found.mean)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0, None])),
        min_size=6,
        max_size=40,
    ),
    st.floats(0.01, 100),
)
def test_only_ratios_of_probabilities_count(
    rows: list[tuple[float, float | None]], factor: float
) -> None:
    scores = np.array([score for score, _ in rows])
    labels = np.array([np.nan if label is None else label for _, label in rows])
    probabilities = np.linspace(0.1, 0.9, len(rows))

    one = corrected_mean(JudgedRows(scores, labels, probabilities))
    other = corrected_mean(JudgedRows(scores, labels, factor * probabilities))

    assert one.mean == pytest.approx(other.mean)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-9)
    if one.low is not None:
        assert 0 <= one.low <= one.mean <= one.high <= 1
        assert one.mean == pytest.approx(
            np.clip(one.pseudo_values.mean(), 0, 1), abs=1e-9
        )


def test_rows_that_are_known_need_no_label() -> None:
    """They keep their score, and stand for no other row."""
    random = np.random.default_rng(0)
    judged = judged_rows(SimulatedJudge(0.9, 0.8), random)
    alone = corrected_mean(judged)
    count, known = len(judged.scores), 281

    found = corrected_mean(
        JudgedRows(
            np.append(judged.scores, np.zeros(known)),
            np.append(judged.labels, np.full(known, np.nan)),
            np.append(judged.probabilities, np.ones(known)),
            known=np.append(np.zeros(count, bool), np.ones(known, bool)),
        )
    )

    share = count / (count + known)
    assert share * alone.mean == pytest.approx(found.mean)
    assert share * alone.raw_mean == pytest.approx(found.raw_mean)
    assert 100 == found.labels


def test_samples_are_averaged_within_their_case() -> None:
    """Each sample twice is no more data; a case of many samples counts once."""
    judged = judged_rows(SimulatedJudge(0.9, 0.8), np.random.default_rng(1))
    one = corrected_mean(judged)
    twice = JudgedRows(
        np.repeat(judged.scores, 2),
        np.repeat(judged.labels, 2),
        np.repeat(judged.probabilities, 2),
        cases=np.repeat(np.arange(len(judged.scores)), 2),
    )

    found = corrected_mean(twice)

    assert (one.n, 2 * one.labels) == (found.n, found.labels)
    assert one.freedom == found.freedom
    assert one.mean == pytest.approx(found.mean)
    assert one.standard_error == pytest.approx(found.standard_error, rel=0.03)


def test_clusters_count_as_dependent() -> None:
    """Copies of a case in one cluster are no more data; without clusters they look so."""
    judged = judged_rows(SimulatedJudge(0.9, 0.8), np.random.default_rng(2))
    cases = np.arange(len(judged.scores))
    copies = JudgedRows(
        np.repeat(judged.scores, 4),
        np.repeat(judged.labels, 4),
        np.repeat(judged.probabilities, 4),
    )

    one = corrected_mean(judged)
    found = corrected_mean(copies, clusters=np.repeat(cases, 4))
    ignored = corrected_mean(copies)

    assert "cluster t" == found.method
    assert one.standard_error == pytest.approx(found.standard_error, rel=0.03)
    assert ignored.standard_error < 0.6 * found.standard_error


def test_one_label_of_several_samples_is_one() -> None:
    """A case whose samples show the same is labelled once: nothing is known but that."""
    judged = judged_rows(SimulatedJudge(0.9, 0.8), np.random.default_rng(1))
    one = corrected_mean(judged)
    cases = np.repeat(np.arange(len(judged.scores)), 3)

    found = corrected_mean(
        JudgedRows(
            np.repeat(judged.scores, 3),
            np.repeat(judged.labels, 3),
            np.repeat(judged.probabilities, 3),
            cases=cases,
            items=cases,
        )
    )

    assert (one.labels, one.freedom) == (found.labels, found.freedom)
    assert (one.low, one.high) == pytest.approx((found.low, found.high), abs=1e-9)


def shared_texts(
    random: np.random.Generator, *, labels: int
) -> tuple[JudgedRows, float]:
    """600 cases that give one of 200 texts, some of which are labelled; and the truth."""
    truth = (random.random(200) < 0.6).astype(np.float64)
    scores = np.where(random.random(200) < 0.85, truth, 1 - truth)
    texts = random.choice(200, 600, p=random.dirichlet(np.ones(200)))
    drawn = np.isin(texts, random.choice(200, labels, replace=False))
    marked = np.where(drawn, truth[texts], np.nan)
    rows = JudgedRows(scores[texts], marked, np.full(600, labels / 200), items=texts)
    return rows, float(truth[texts].mean())


def test_cases_of_one_label_are_wrong_together() -> None:
    """Labels of ten texts are ten, in however many cases these are."""
    rows, _ = shared_texts(np.random.default_rng(0), labels=10)

    found = corrected_mean(rows)
    ignored = corrected_mean(replace(rows, items=None))

    assert 10 >= found.labels > found.freedom
    assert ignored.labels > 20
    assert found.high - found.low > 1.5 * (ignored.high - ignored.low)


def test_texts_that_are_all_labelled_add_no_error() -> None:
    """Which of them were drawn is no chance any more: the cases alone are."""
    rows, truth = shared_texts(np.random.default_rng(0), labels=200)

    found = corrected_mean(rows)

    alone = mean_interval(rows.labels)
    assert truth == pytest.approx(found.mean)
    assert alone.high - alone.low == pytest.approx(found.high - found.low, rel=0.05)


@pytest.mark.parametrize("probability", [0.0, -0.5, np.nan])
def test_labelled_row_that_could_not_be_drawn_is_refused(probability: float) -> None:
    with pytest.raises(ValueError, match="inclusion probability"):
        JudgedRows(np.ones(3), np.ones(3), np.array([0.5, probability, 0.5]))


def test_score_that_is_missing_is_refused() -> None:
    with pytest.raises(ValueError, match="scores hold NaN"):
        JudgedRows(np.array([1.0, np.nan]), np.ones(2), np.ones(2))


def two_runs(random: np.random.Generator, gain: float, same_rows: bool) -> Any:
    """The corrected means of two judged runs of the same cases."""
    count, labels = 1319, 100
    luck = random.random(count)
    found = []
    drawn = random.choice(count, labels, replace=False)
    for rate, flattery in ((0.55, 0.0), (0.55 + gain, 0.1)):
        truth = luck < rate
        right = np.where(truth, 0.9, 0.8 - flattery)
        scores = np.where(random.random(count) < right, truth, ~truth).astype(float)
        marked = np.full(count, np.nan)
        if not same_rows:
            drawn = random.choice(count, labels, replace=False)
        marked[drawn] = truth[drawn]
        found.append(corrected_mean(JudgedRows(scores, marked, np.ones(count))))
    return found


def test_difference_of_corrected_means() -> None:
    baseline, candidate = two_runs(np.random.default_rng(0), 0.1, same_rows=True)

    found = corrected_difference(baseline, candidate)

    assert candidate.mean - baseline.mean == pytest.approx(found.difference)
    assert found.low < found.difference < found.high
    assert (100, "t") == (found.units, found.method)
    # Of the same labelled cases: far below the error of two independent means.
    apart = np.hypot(baseline.standard_error, candidate.standard_error)
    assert found.standard_error < 0.9 * apart


def test_difference_from_itself_is_nothing() -> None:
    (run, _) = two_runs(np.random.default_rng(0), 0.1, same_rows=True)

    found = corrected_difference(run, run)

    assert 0 == found.difference
    assert 1.0 == pytest.approx(found.p_value)


def test_labels_that_are_all_alike_tell_no_difference() -> None:
    """Rounding is no difference, and no error: 45 and 30 labels of 1 are both 1."""
    random = np.random.default_rng(0)
    means = []
    for labels in (45, 30):
        scores = (random.random(60) < 0.7).astype(np.float64)
        marked = np.where(np.arange(60) < labels, 1.0, np.nan)
        rows = JudgedRows(scores, marked, np.full(60, labels / 60))
        means.append(corrected_mean(rows))

    found = corrected_difference(*means)

    assert [1.0, 1.0] == [mean.mean for mean in means]
    assert (0.0, 0.0, None, None) == (
        found.difference,
        found.standard_error,
        found.low,
        found.p_value,
    )


def test_difference_without_labels_has_no_numbers() -> None:
    (run, _) = two_runs(np.random.default_rng(0), 0.1, same_rows=True)
    bare = corrected_mean(
        JudgedRows(np.ones(1319), np.full(1319, np.nan), np.ones(1319))
    )

    found = corrected_difference(run, bare)

    assert (None, None, None) == (found.difference, found.low, found.p_value)


def test_difference_over_other_cases_is_refused() -> None:
    (run, _) = two_runs(np.random.default_rng(0), 0.1, same_rows=True)
    fewer = corrected_mean(JudgedRows(np.ones(9), np.ones(9), np.ones(9)))

    with pytest.raises(ValueError, match="over the same cases"):
        corrected_difference(run, fewer)


_RUNS = 2000


def share_that_holds(truth: float, intervals: Any) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("drawing", ["uniform", "active"])
def test_corrected_interval_covers_where_the_raw_one_does_not(drawing: Any) -> None:
    """Sensitivity 0.9, specificity 0.8, 1,319 cases, 100 labels."""
    random = np.random.default_rng(0)
    judge = SimulatedJudge(0.9, 0.8, drawing=drawing)
    corrected, raw = [], []
    for _ in range(_RUNS):
        rows = judged_rows(judge, random)
        found = corrected_mean(rows)
        corrected.append((found.low, found.high))
        found = mean_interval(rows.scores)
        raw.append((found.low, found.high))

    assert 0.93 <= share_that_holds(RATE, corrected) <= 0.97
    assert 0.28 <= share_that_holds(RATE, raw) <= 0.42


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_active_labels_without_their_probabilities_do_not_cover() -> None:
    """Negative control: rows that are doubted are labelled more often, and without their
    probabilities they stand for too many.
    """
    random = np.random.default_rng(0)
    judge = SimulatedJudge(0.95, 0.6, drawing="active")
    found = []
    for _ in range(_RUNS // 4):
        rows = judged_rows(judge, random)
        ignored = JudgedRows(rows.scores, rows.labels, np.ones(len(rows.scores)))
        mean = corrected_mean(ignored)
        found.append((mean.low, mean.high))

    assert share_that_holds(RATE, found) < 0.85


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_few_labels_that_agree_do_not_cover_without_doubt() -> None:
    """Negative control: the spread of the pseudo-values alone is no error of 20 labels
    that contradict the judge once, or never.
    """
    random = np.random.default_rng(0)
    judge = SimulatedJudge(0.95, 0.95, labels=20, rate=0.9)
    found, bare = [], []
    for _ in range(_RUNS // 4):
        mean = corrected_mean(judged_rows(judge, random))
        found.append((mean.low, mean.high))
        values = mean.pseudo_values
        reach = stdtrit(mean.freedom, 0.975) * values.std(ddof=1) / np.sqrt(mean.n)
        bare.append((mean.mean - reach, mean.mean + reach))

    assert share_that_holds(0.9, found) >= 0.93
    assert share_that_holds(0.9, bare) < 0.8


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_useless_judge_costs_nothing() -> None:
    """Its interval is as wide as that of the labels alone, within 5 %."""
    random = np.random.default_rng(0)
    widths, alone = [], []
    for _ in range(_RUNS // 4):
        rows = judged_rows(SimulatedJudge(0.5, 0.5), random)
        found = corrected_mean(rows)
        widths.append(found.high - found.low)
        found = mean_interval(rows.labels[rows.is_labelled])
        alone.append(found.high - found.low)

    assert np.mean(widths) < 1.05 * np.mean(alone)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_grades_are_covered() -> None:
    """A rubric of five grades, with a judge that is generous and noisy."""
    random = np.random.default_rng(0)
    grades, shares = np.linspace(0, 1, 5), [0.05, 0.15, 0.2, 0.35, 0.25]
    found = []
    for _ in range(_RUNS // 2):
        truth = random.choice(grades, 800, p=shares)
        scores = np.clip(truth + random.choice([0, 0, 0.25, -0.25, 0.25], 800), 0, 1)
        labels = np.where(np.arange(800) < 60, truth, np.nan)
        mean = corrected_mean(JudgedRows(scores, labels, np.ones(800)))
        found.append((mean.low, mean.high))

    assert 0.93 <= share_that_holds(float(grades @ shares), found) <= 0.97


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("same_rows", [True, False])
@pytest.mark.parametrize("gain", [0.0, 0.05])
def test_differences_are_covered(gain: float, same_rows: bool) -> None:
    """The judge flatters the candidate by far more than there is between the runs."""
    random = np.random.default_rng(0)
    found, raw = [], []
    for _ in range(_RUNS // 2):
        baseline, candidate = two_runs(random, gain, same_rows)
        item = corrected_difference(baseline, candidate)
        found.append((item.low, item.high))
        raw.append(candidate.raw_mean - baseline.raw_mean)

    assert 0.93 <= share_that_holds(gain, found) <= 0.985
    assert abs(np.mean(raw) - gain) > 0.015


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("labels", [25, 60])
def test_labels_that_cases_share_are_covered(labels: int) -> None:
    """Negative control: taken as a label for each case, they do not cover."""
    random = np.random.default_rng(0)
    found, ignored = [], []
    for _ in range(_RUNS // 4):
        rows, truth = shared_texts(random, labels=labels)
        mean, bare = corrected_mean(rows), corrected_mean(replace(rows, items=None))
        found.append(mean.low <= truth <= mean.high)
        ignored.append(bare.low <= truth <= bare.high)

    assert np.mean(found) >= 0.95
    assert np.mean(ignored) < 0.85
