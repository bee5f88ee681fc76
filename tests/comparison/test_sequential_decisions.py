"""Questions look by look: verdicts, missing scores that speak against them, and when
nothing can decide any more.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from themis_lib import StatisticsConfig
from themis_lib.comparison.gate import parse_gate
from themis_lib.comparison.sequential_decisions import OpenQuestion
from themis_lib.comparison.sequential_questions import Question
from themis_lib.errors import FatalError
from themis_lib.runs.score_groups import UNANSWERED

DIFFERENCE = Question("m", "d", 0.0, 1.0, alpha=0.05, baseline_cell="base")
PLENTY = 10**9


def looked(
    after: Any,
    before: Any = None,
    *,
    question: Question = DIFFERENCE,
    cases: int = 1_000,
    affordable: int = PLENTY,
    **statistics: Any,
) -> OpenQuestion:
    item = OpenQuestion(question, StatisticsConfig(**statistics), cases)
    old = None if before is None else np.array(before, float)
    item.look(old, np.array(after, float), affordable=affordable)
    return item


def gate(text: str) -> Question:
    return replace(DIFFERENCE, gate=parse_gate(text), baseline_cell=None)


@pytest.mark.parametrize(
    ("question", "rises", "falls", "verdict"),
    [
        (DIFFERENCE, 12, 0, "better"),
        (DIFFERENCE, 0, 12, "worse"),
        (DIFFERENCE, 5, 4, "undecided"),
        (replace(DIFFERENCE, higher_is_better=False), 12, 0, "worse"),
        (replace(DIFFERENCE, delta=0.9), 5, 4, "same"),
        # What is better counts as that, also within delta.
        (replace(DIFFERENCE, delta=0.999), 12, 0, "better"),
    ],
)
def test_a_difference_is_decided_by_its_confidence_sequence(
    question: Question, rises: int, falls: int, verdict: str
) -> None:
    """Above 0, below it, or within ± delta."""
    before = [0.0] * rises + [1.0] * falls
    after = [1.0] * rises + [0.0] * falls

    found = looked(after, before, question=question)

    assert (verdict, verdict == "undecided") == (found.verdict, found.is_open)


def test_a_difference_is_decided_exactly_when_the_evidence_reaches_the_boundary() -> (
    None
):
    """Both say the same of 0: eight pairs that all rise come to E = 256/9."""
    for rises in range(1, 12):
        found = looked([1.0] * rises, [0.0] * rises)

        evidence = 2**rises / (rises + 1)
        assert evidence == pytest.approx(found.looks[0].e_value)
        assert (evidence >= 20) == (found.verdict == "better")


@pytest.mark.parametrize(
    ("text", "right", "verdict"),
    [
        ("m >= 0.5", 30, "pass"),
        ("m >= 0.5", 2, "fail"),
        ("m >= 0.5", 17, "undecided"),
        ("m <= 0.5", 2, "pass"),
    ],
)
def test_a_gate_is_decided_by_the_confidence_sequence_of_the_mean(
    text: str, right: int, verdict: str
) -> None:
    """It passes or fails on one side of the limit."""
    scores = [1.0] * right + [0.0] * (32 - right)

    assert verdict == looked(scores, question=gate(text)).verdict


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_failed_case_speaks_against_every_decision(side: str) -> None:
    """Of ten rises, and six cases that could have any score: those six might have
    fallen, or risen.
    """
    pair = {"before": [0.0] * 10 + [0.5] * 6, "after": [1.0] * 10 + [0.5] * 6}
    pair[side][10:] = [math.nan] * 6

    known = looked([1.0] * 10, [0.0] * 10)
    found = looked(pair["after"], pair["before"])

    assert ("better", "undecided") == (known.verdict, found.verdict)
    assert found.looks[0].low < known.looks[0].low
    assert found.looks[0].estimate == known.looks[0].estimate


def test_cases_without_an_answer_can_be_left_out() -> None:
    """Then they say nothing, for or against."""
    known = looked([1.0] * 10, [0.0] * 10)

    found = looked(
        [1.0] * 10 + [UNANSWERED] * 6, [0.0] * 10 + [1.0] * 6, no_answer="exclude"
    )

    assert replace_n(known, 16) == found.looks[0]


def replace_n(item: OpenQuestion, n: int) -> Any:
    return item.looks[0].model_copy(update={"n": n})


def test_a_policy_says_what_a_missing_score_counts() -> None:
    """Without an answer a case counts the worst score, failed ones 0 if so asked."""
    answered = looked([1.0] * 10 + [0.0] * 6, [0.0] * 10 + [1.0] * 6)
    unanswered = looked([1.0] * 10 + [UNANSWERED] * 6, [0.0] * 10 + [1.0] * 6)
    failed = looked([1.0] * 10 + [math.nan] * 6, [0.0] * 10 + [1.0] * 6, errors="zero")

    assert answered.looks == unanswered.looks == failed.looks


def test_it_is_given_up_when_no_case_that_is_left_can_decide() -> None:
    """Of 14 tied cases: seven more that all rise come to E = 16, eight to 28.4."""
    tied = [1.0] * 14

    assert "futile" == looked(tied, tied, cases=21).ended
    assert looked(tied, tied, cases=22).is_open


def test_it_is_given_up_when_the_budget_cannot_decide() -> None:
    """What is left of the money pays for seven more cases, or for eight."""
    tied = [1.0] * 14

    assert "budget" == looked(tied, tied, affordable=7).ended
    assert looked(tied, tied, affordable=8).is_open


def test_the_same_can_still_come_out_where_better_and_worse_cannot() -> None:
    """With a delta a run of ties goes on until it shows that nothing differs."""
    tied = [1.0] * 14
    question = replace(DIFFERENCE, delta=0.25)

    assert looked(tied, tied, question=question, cases=20).is_open
    assert "same" == looked(tied * 2, tied * 2, question=question, cases=30).verdict


def test_all_cases_without_a_decision_are_undecided() -> None:
    """That is an answer, too."""
    found = looked([1.0, 0.0] * 5, [0.0, 1.0] * 5, cases=10)

    assert ("undecided", "data") == (found.verdict, found.ended)


def test_a_score_outside_the_declared_range_stops_the_run() -> None:
    """The test would not hold."""
    with pytest.raises(FatalError, match="declares scores from 0 to 1"):
        looked([1.0, 1.5], [0.0, 0.0])
