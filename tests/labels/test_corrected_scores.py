"""The means of a run corrected by labels, from its store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.corrected_runs import people, people_mean, strangers_answer
from tests.support.labelling import (
    CORRECT,
    RUBRIC,
    answers_right_or_wrong,
    cases,
    contains_judge,
    give_labels,
    grading_judge,
    judged_run,
)
from themis_lib import (
    ConfigError,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    InMemoryRunStore,
    RowError,
    RunResult,
    StatisticsConfig,
    compare,
    corrected_score,
    corrected_scores,
)
from themis_lib.components.functions import as_generator
from themis_lib.labels.draws import UNIFORM_SHARE, inclusion_probabilities
from themis_lib.labels.labelled_scores import labelled_scores
from themis_lib.stats.prediction_powered import JudgedRows, corrected_mean


def labelled_run(count: int = 200, labels: int = 60, **changes: Any) -> RunResult:
    run = judged_run(InMemoryRunStore(), count=count)
    give_labels(run, labels, value=people(run), **changes)
    return run


@pytest.mark.parametrize("method", ["uniform", "active"])
def test_labels_correct_the_mean(method: Any) -> None:
    """The judge accepts what people would not: the raw interval is too high."""
    run = labelled_run(method=method)
    truth = people_mean(run)

    found = corrected_score(run, "correct")

    assert (200, 60, 0) == (found.n, found.labels, found.outside)
    assert found.raw_low > truth
    assert found.low < truth < found.high
    assert found.raw_mean == run.summary[0].mean
    assert found.labels_worth > 50
    assert found.is_enough


def test_numbers_are_those_of_the_statistics() -> None:
    """Scores, labels and probabilities go to the estimator as they are stored."""
    run = labelled_run(method="active")
    table = labelled_scores(run, "correct")
    rows = JudgedRows(
        table["score"].to_numpy(),
        table["label"].to_numpy(),
        table["inclusion_probability"].to_numpy(),
    )

    found = corrected_score(run, "correct")

    expected = corrected_mean(rows)
    assert (expected.mean, expected.low, expected.high) == (
        found.mean,
        found.low,
        found.high,
    )


def test_labels_change_no_stored_table() -> None:
    """They come after the run: its summary, its tables and its record stay."""
    run = judged_run(InMemoryRunStore(), count=30)
    before = {name: run.table(name) for name in ("summary", "results", "scores")}
    assert [] == corrected_scores(run)

    give_labels(run, 20, value=people(run))

    assert 1 == len(corrected_scores(run))
    fresh = RunResult(run.store, run.run_id)
    assert all(before[name].equals(fresh.table(name)) for name in before)
    assert run.manifest == fresh.manifest


def test_sensitivity_specificity_and_kappa() -> None:
    """People reject one in five of what the judge accepts, and nothing that it rejects
    is right to them.
    """
    trust = corrected_score(labelled_run(), "correct").trust

    assert (1.0, None) == (trust.sensitivity.rate, trust.labellers)
    assert 0.4 < trust.specificity.low < trust.specificity.rate < 1
    assert 0.3 < trust.agreement.kappa < 1


def test_labellers_who_differ() -> None:
    """Their mean corrects, their majority counts for sensitivity, and alpha is theirs."""
    run = labelled_run()
    give_labels(run, 40, labeller="ben", value=people(run, strict=3))

    found = corrected_score(run, "correct")

    assert 60 == found.labels
    assert 40 == found.trust.labellers.units
    assert 0 < found.trust.labellers.alpha < 1
    assert found.trust.sensitivity.n + found.trust.specificity.n < 60


def test_grades_have_a_kappa_and_no_sensitivity() -> None:
    run = judged_run(InMemoryRunStore(), count=40, metric=RUBRIC, judge=grading_judge)
    give_labels(run, 25, value=lambda item: int(item[0], 16) % 5 / 4)

    found = corrected_score(run, "tone")

    assert (25, None, None) == (
        found.labels,
        found.trust.sensitivity,
        found.trust.specificity,
    )
    assert "t" == found.interval_method


def sliced_run(**statistics: Any) -> RunResult:
    made = []
    for number, case in enumerate(cases(120)):
        level = "hard" if number % 2 else "easy"
        metadata = {"level": level, "page": str(number // 6)}
        made.append(case.model_copy(update={"metadata": metadata}))
    metric = {**CORRECT, "judge": as_generator(contains_judge)}
    run = Experiment(
        generation=GenerationConfig(generator=as_generator(answers_right_or_wrong)),
        datasets=[Dataset(dataset_id="sums", cases=made)],
        evaluation=EvaluationConfig(
            parsers=["builtin/text"],
            metrics=[metric],
            slices=["level"],
            statistics=StatisticsConfig(**statistics),
        ),
    ).run(InMemoryRunStore())
    give_labels(run, 60, value=people(run))
    return run


def test_slices_have_their_own_labels() -> None:
    whole, easy, hard = corrected_scores(sliced_run())

    assert ["all", "level=easy", "level=hard"] == [
        item.slice for item in (whole, easy, hard)
    ]
    assert (120, 60) == (whole.n, easy.n)
    assert whole.labels == easy.labels + hard.labels
    assert whole.low < whole.mean < whole.high


def test_clusters_are_those_of_the_statistics() -> None:
    found = corrected_scores(sliced_run(cluster_by="page"))[0]

    assert "cluster t" == found.interval_method


def fails_some(text: str) -> str:
    number = int(text.split()[2])
    if number % 10 == 1:
        raise RowError("the model refused: no")
    if number % 10 == 2:
        raise RowError("the server is broken")
    return answers_right_or_wrong(text)


def test_missing_scores_count_as_in_the_summary() -> None:
    """A case without an answer counts 0 for certain; one that failed could be anything."""
    run = judged_run(InMemoryRunStore(), count=100, model=fails_some)
    give_labels(run, 40, value=people(run))

    found = corrected_score(run, "correct")

    row = run.summary[0]
    assert (90, 10, 10) == (row.n, row.no_answer, row.errors)
    assert 90 == found.n
    assert found.least < found.mean < found.greatest
    assert found.possible_low < found.low < found.high < found.possible_high
    # Ten of the ninety are known to be 0.
    assert found.mean < 0.9 * people_mean(run) + 0.1


@pytest.mark.parametrize(("labels", "is_enough"), [(2, False), (19, False), (20, True)])
def test_few_labels_are_not_enough(labels: int, is_enough: bool) -> None:
    assert (
        is_enough == corrected_score(labelled_run(labels=labels), "correct").is_enough
    )


def test_without_labels_it_says_how_to_label() -> None:
    run = judged_run(InMemoryRunStore())

    with pytest.raises(
        ConfigError, match=f"themis label {run.run_id} --metric correct"
    ):
        corrected_score(run, "correct")


@pytest.mark.parametrize(
    ("metric_id", "message"), [("corect", "did you mean 'correct'"), ("", "no metric")]
)
def test_unknown_metric_is_refused(metric_id: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        corrected_score(labelled_run(), metric_id)


def test_one_score_of_all_cases_is_refused() -> None:
    """Labels of rows correct the mean of rows, which such a metric does not have."""
    judged = labelled_run(count=40, labels=30)
    metric = {"use": "builtin/corpus_f1", "id": "f1"}
    run, other = (
        judged_run(judged.store, count=40, metric=metric, name=name) for name in "ab"
    )

    with pytest.raises(ConfigError, match="'f1' is one score of all cases"):
        give_labels(run, 30)
    with pytest.raises(ConfigError, match="'f1' is one score of all cases"):
        corrected_score(run, "f1")
    with pytest.raises(ConfigError, match="'f1' is one score of all cases"):
        compare(run, other, corrected=True)
    assert [] == corrected_scores(run)


def says_otherwise_where_wrong(text: str) -> str:
    """The same texts as the other model's where that is right, and other wrong ones."""
    number = int(text.split()[2])
    if number % 3:
        return answers_right_or_wrong(text)
    return f"It could be {2 * number + 3}."


def test_labels_found_by_content_alone_do_not_bias() -> None:
    """Another run's labels are found for equal texts, which are the right ones here: a
    sample of them is none of all texts. They are counted as outside, and change nothing.
    """
    store = InMemoryRunStore()
    other = judged_run(store, count=200)
    give_labels(other, 150, value=people(other))
    run = judged_run(store, count=200, model=says_otherwise_where_wrong, name="new")

    (only_found,) = corrected_scores(run)
    assert (0, None) == (only_found.labels, only_found.mean)
    assert only_found.outside > 90

    # Negative control: taken as a sample of this run, they say far too much.
    table = labelled_scores(run, "correct")
    labels = table["label"].to_numpy()
    naive = corrected_mean(
        JudgedRows(table["score"].to_numpy(), labels, np.ones(len(labels)))
    )
    truth = people_mean(run)
    assert naive.low > truth

    give_labels(run, 60, value=people(run))
    alone = judged_run(InMemoryRunStore(), count=200, model=says_otherwise_where_wrong)
    give_labels(alone, 60, value=people(alone))
    found, expected = corrected_score(run, "correct"), corrected_score(alone, "correct")
    assert (expected.mean, expected.low, expected.high) == (
        found.mean,
        found.low,
        found.high,
    )
    assert found.low < truth < found.high


def test_labels_of_another_run_with_the_same_texts_count() -> None:
    """Its draw could have drawn every item of this run."""
    store = InMemoryRunStore()
    first = judged_run(store, count=100)
    give_labels(first, 40, value=people(first))

    again = judged_run(store, count=100, name="again")
    stranger = judged_run(store, count=100, model=strangers_answer, name="stranger")

    assert 40 == corrected_score(again, "correct").labels
    assert [] == corrected_scores(stranger)


def test_a_label_of_equal_samples_counts_once() -> None:
    """Five samples with the same text are one item: six labels of them are six, and too
    few.
    """
    one = judged_run(InMemoryRunStore(), count=60)
    many = judged_run(InMemoryRunStore(), count=60, samples=5)
    for run in (one, many):
        give_labels(run, 6, value=people(run))

    found, expected = corrected_score(many, "correct"), corrected_score(one, "correct")

    assert (6, False) == (found.labels, found.is_enough)
    assert expected.trust == found.trust
    assert (expected.low, expected.high) == pytest.approx((found.low, found.high))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("labels", [40, 100])
def test_draws_for_labelling_are_covered(labels: int) -> None:
    """Order sampling of a fixed size, with weights that go by the judge's uncertainty: its
    inclusion probabilities are close enough for intervals to hold.
    """
    random = np.random.default_rng(0)
    count, found = 800, []
    for _ in range(1000):
        trust = random.beta(4, 1, count)
        truth = random.random(count) < 0.6
        scores = np.where(random.random(count) < trust, truth, ~truth).astype(float)
        uncertain = np.sqrt(trust * (1 - trust))
        weights = (1 - UNIFORM_SHARE) * uncertain / uncertain.mean() + UNIFORM_SHARE
        drawn = np.argsort((1 - random.random(count)) / weights)[:labels]
        marked = np.full(count, np.nan)
        marked[drawn] = truth[drawn]
        rows = JudgedRows(scores, marked, inclusion_probabilities(weights, labels))
        mean = corrected_mean(rows)
        found.append(mean.low <= 0.6 <= mean.high)

    assert 0.93 <= np.mean(found) <= 0.98
