"""F1, precision, recall and Matthews' correlation are those of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.scored_corpora import labelled, statistics, summed
from themis_lib import ComponentError
from themis_lib.builtins.classification import (
    CorpusF1,
    CorpusPrecision,
    CorpusRecall,
    Matthews,
)

sklearn = pytest.importorskip("sklearn.metrics")

NAMED, WANTED = labelled(np.random.default_rng(0), 300)
#: Answers of which some name a class that no case expects.
STRAYING = ["none of them" if at % 7 == 0 else name for at, name in enumerate(NAMED)]


def score(metric: Any, named: Any, wanted: Any) -> float:
    """The score of a data set."""
    value = metric.corpus_score([summed(statistics(metric, named, wanted))])
    return float(value)


@pytest.mark.parametrize("named", [NAMED, STRAYING], ids=["classes", "strays"])
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (CorpusF1, sklearn.f1_score),
        (CorpusPrecision, sklearn.precision_score),
        (CorpusRecall, sklearn.recall_score),
    ],
)
def test_averages_are_those_of_scikit_learn(
    metric: Any, reference: Any, average: Any, named: Any
) -> None:
    """Means are over the classes that cases expect; micro is over all decisions."""
    labels = None if average == "micro" else sorted(set(WANTED))

    expected = reference(WANTED, named, average=average, labels=labels, zero_division=0)

    assert expected == pytest.approx(score(metric(average=average), named, WANTED))


@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
def test_labels_restrict_the_average(average: Any) -> None:
    """Also to a class that nobody expects or names, whose F1 is 0."""
    labels = ["A", "C", "Z"]

    expected = sklearn.f1_score(
        WANTED, NAMED, average=average, labels=labels, zero_division=0
    )

    found = score(CorpusF1(average=average, labels=labels), NAMED, WANTED)
    assert expected == pytest.approx(found)


def test_positive_is_the_score_of_one_class() -> None:
    """That of scikit-learn's binary average."""
    expected = sklearn.f1_score(
        [it == "B" for it in WANTED], [it == "B" for it in NAMED]
    )

    assert expected == pytest.approx(score(CorpusF1(positive="B"), NAMED, WANTED))


@pytest.mark.parametrize("settings", [{"positive": "e\u0301"}, {"labels": ["e\u0301"]}])
def test_classes_of_settings_are_composed_too(settings: Any) -> None:
    """As those of answers are, so that a file's Unicode form makes no difference."""
    assert 1.0 == score(CorpusF1(**settings), ["é", "a"], ["é", "a"])


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_lists_are_sets_of_classes(average: Any) -> None:
    """Multi-label F1 is that of scikit-learn's indicator matrices."""
    random = np.random.default_rng(1)
    wanted = random.random((200, 4)) < 0.4
    named = wanted ^ (random.random((200, 4)) < 0.2)
    lists = [
        [np.array(list("ABCD"))[row].tolist() for row in each]
        for each in (named, wanted)
    ]

    expected = sklearn.f1_score(wanted, named, average=average)

    assert expected == pytest.approx(score(CorpusF1(average=average), *lists))


@pytest.mark.parametrize("named", [NAMED, STRAYING], ids=["classes", "strays"])
def test_matthews_is_that_of_scikit_learn(named: Any) -> None:
    """For more than two classes it is Gorodkin's."""
    expected = sklearn.matthews_corrcoef(WANTED, named)

    assert expected == pytest.approx(score(Matthews(), named, WANTED))


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (
            CorpusF1(),
            lambda named: sklearn.f1_score(
                WANTED, named, average="macro", labels=sorted(set(WANTED))
            ),
        ),
        (Matthews(), lambda named: sklearn.matthews_corrcoef(WANTED, named)),
    ],
    ids=["f1", "matthews"],
)
def test_case_without_an_answer_names_no_class(metric: Any, reference: Any) -> None:
    """It is a miss of its class and no false alarm: a class of its own in scikit-learn."""
    rows = statistics(metric, NAMED[40:], WANTED[40:])
    rows += [metric.unanswered(wanted) for wanted in WANTED[:40]]

    expected = reference(["no answer"] * 40 + NAMED[40:])

    assert expected == pytest.approx(metric.corpus_score([summed(rows)]))


def test_classes_are_texts_and_the_json_of_other_values() -> None:
    """Composed accents and 4 against "4" make no difference; case does."""
    metric = CorpusF1()

    values = statistics(
        metric, ["café", 4, True, "a"], ["cafe\u0301", "4", "true", "A"], key="value"
    )

    assert [1.0, 1.0, 1.0, 0.0] == values


def test_no_class_at_all_has_no_score() -> None:
    """NaN, which a summary shows as none."""
    assert np.isnan(CorpusF1().corpus_score([{}]))
    assert np.isnan(Matthews().corpus_score([{}]))
    assert 0.0 == score(Matthews(), ["A", "A"], ["A", "B"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": []}, "names no class"),
        ({"labels": ["a"], "positive": "a"}, "leave out labels"),
        ({"average": "makro"}, "average='makro'"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings: Any, message: str) -> None:
    """The message names the setting."""
    with pytest.raises(ComponentError, match=message):
        CorpusF1(**settings)
