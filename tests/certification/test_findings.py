"""Answers compared: where texts part, and what that does to a score."""

from __future__ import annotations

import pytest

from themis_lib.certification.arrangements import Arrangement, arrangements
from themis_lib.certification.findings import Answers, Findings, PromptName
from themis_lib.certification.pairs import compared
from themis_lib.certification.readings import Reading, Token


def reading(*words: str, logprob: float | None = None) -> Reading:
    tokens = [Token(word, logprob) for word in words]
    return Reading("".join(words), tokens, is_rated=logprob is not None)


def findings(*texts: list[str | None]) -> Findings:
    """Findings of prompts, each with a text for each way of asking."""
    ways = [
        Arrangement("alone"),
        *(
            Arrangement(f"way {at}", compared_with="alone")
            for at in range(1, len(texts[0]))
        ),
    ]
    answers = []
    for at, way in enumerate(ways):
        found = [None if row[at] is None else reading(row[at] or "") for row in texts]
        answers.append(Answers(way, found, {}, "now"))
    names = [PromptName("d", str(at)) for at in range(len(texts))]
    return Findings(names, answers)


@pytest.mark.parametrize(
    ("expected", "got", "first", "differing"),
    [
        (("a", "b"), ("a", "b"), None, 0),
        (("a", "b"), ("a", "c"), 1, 1),
        (("a", "b"), ("a",), 1, 1),
        (("a", "b", "c"), ("x", "b", "y"), 0, 2),
        ((), ("a",), 0, 1),
    ],
)
def test_texts_part_at_the_first_other_token(
    expected: tuple[str, ...],
    got: tuple[str, ...],
    first: int | None,
    differing: int,
) -> None:
    """Places behind it count as they are: a text that goes on alike is alike there."""
    pair = compared(reading(*expected), reading(*got))

    assert (first, differing) == (pair.first, pair.tokens_differ)


def test_equal_texts_of_other_tokens_are_equal() -> None:
    """The same text cut otherwise is no difference."""
    pair = compared(reading("ab", "c"), reading("a", "bc"))

    assert pair.same_text
    assert 0 == pair.tokens_differ


def test_log_probabilities_count_up_to_where_texts_part() -> None:
    """Behind it they are of another context."""
    one = Reading("abc", [Token("a", -1.0), Token("b", -2.0), Token("c", -3.0)], True)
    other = Reading("abd", [Token("a", -1.0), Token("x", -9.0), Token("d", -8.0)], True)

    assert [0.0] == list(compared(one, other).shifts)


def test_score_that_moves_most_is_the_one_that_splits_texts_evenly() -> None:
    """Four answers, two of each of two texts: the sample variance of 0, 0, 1, 1."""
    noise = findings(["a", "b", "a", "b"]).noise

    assert noise is not None
    assert pytest.approx(1 / 3) == noise.variance
    assert 1.0 == noise.share


def test_answer_that_is_missing_is_left_out() -> None:
    """It is no text of its own, and no prompt without a pair is counted."""
    found = findings(["a", None, "a"], [None, "a", "b"], ["a", "a", "b"])

    assert (2, 1) == found.by_prompt
    assert [1, 1, 0] == [check.failed for check in found.checks]
    assert [1, 2] == [check.compared for check in found.checks[1:]]
    assert found.noise is not None


def test_ways_of_asking_fit_the_prompts() -> None:
    """No more at once than there are prompts, and each way has a key of its own."""
    few, many = arrangements(3), arrangements(100, rounds=2)

    assert 3 == max(way.at_once for way in few)
    assert 64 == max(way.at_once for way in many)
    assert len(many) == len({str(way.identity) for way in many})
    assert sorted(many[7].order(100)) == list(range(100))
    assert list(many[7].order(100)) != list(range(100))
