"""Panels of judges: whose vote counts, and what is kept of it."""

from __future__ import annotations

import json

import pytest

from tests.support.judging import NO, YES, decided
from themis_lib.builtins.judges import JudgeCorrectness
from themis_lib.builtins.panels import Vote, agreement, majority
from themis_lib.core.models import Score
from themis_lib.errors import RowError


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0], 1.0),
        ([1.0, 1.0, 0.0], 1.0),
        ([1.0, 0.0], None),
        ([1.0, None], None),
        ([0.0, 0.0, None], 0.0),
        ([None, None, 1.0], None),
        ([None, None], None),
        ([], None),
    ],
)
def test_majority_is_more_than_half_of_all_votes(
    values: list[float | None],
    expected: float | None,
) -> None:
    """A vote without a value still counts as a member."""
    assert expected == majority([Vote(value) for value in values])


def test_agreement_is_the_share_of_all_votes() -> None:
    """Also of those without a value."""
    votes = [Vote(1.0), Vote(1.0), Vote(0.0), Vote(error="refused")]

    assert 0.5 == agreement(votes, 1.0)
    assert 0.0 == agreement(votes, 0.5)


def test_reason_has_the_length_that_was_asked_for() -> None:
    """A judge that writes more does not make a row longer."""
    said = {"reason": "x" * 1000, "verdict": "correct"}

    result = decided(JudgeCorrectness(), said)

    assert ["x" * 400] == result.details["reasons"]


def test_own_instructions_keep_form_and_notice() -> None:
    """They replace the task, not what makes an answer readable."""
    own = JudgeCorrectness(instructions="Be lenient.").judge_calls()[0].prompt_spec
    built_in = JudgeCorrectness().judge_calls()[0].prompt_spec

    assert own.suffix == built_in.suffix
    assert own.instructions.partition("\n\n")[0] == "Be lenient."
    assert (
        own.instructions.partition("\n\n")[2]
        == (built_in.instructions.partition("\n\n")[2])
    )


@pytest.mark.parametrize(
    ("outputs", "expected"),
    [
        ([YES], 1.0),
        ([NO], 0.0),
        ([YES, YES, NO], 1.0),
        ([NO, "?", NO], 0.0),
        ([YES, NO], "no majority among 2 judges: 1 say correct, 1 say incorrect"),
        ([YES, NO, "?"], "no majority among 3 judges: 1 say correct, 1 say incorrect"),
        (
            [YES, YES, NO, "?"],
            "no majority among 4 judges: 2 say correct, 1 say incorrect",
        ),
        ([YES, "?"], '1 of 2 judges gave no verdict; unreadable verdict: "?"'),
        ([RowError("refused"), YES, "?"], "2 of 3 judges gave no verdict; refused"),
        ([], "no judge was asked"),
    ],
)
def test_correctness_panel_decides_by_majority_of_all_members(outputs, expected):
    """A member whose call failed or whose verdict cannot be read still counts as a
    member.
    """
    result = decided(JudgeCorrectness(explain=False), *outputs)

    assert expected == (result.value if isinstance(result, Score) else result.reason)


def test_details_hold_votes_reasons_and_agreement():
    """Each member's vote, null where there is none, the reasons, and the share that
    voted as decided.
    """
    outputs = [
        json.dumps({"reason": f"r{at}", "verdict": verdict})
        for at, verdict in enumerate(["correct"] * 2)
    ]

    result = decided(JudgeCorrectness(), *outputs, "?")

    assert {
        "votes": [1.0, 1.0, None],
        "reasons": ["r0", "r1"],
        "agreement": 2 / 3,
    } == result.details


def test_reason_can_always_be_kept():
    """A reason that is too long is cut, half a surrogate pair is escaped; neither costs
    the verdict.
    """
    result = decided(
        JudgeCorrectness(),
        '{"reason": "\\ud800' + "x" * 1000 + '", "verdict": "correct"}',
    )

    assert 1.0 == result.value
    json.dumps(result.details, ensure_ascii=False).encode()


def test_judge_is_no_setting_of_the_score():
    """Who is asked is in the keys of the verdicts; another judge that says the same
    costs no score.
    """
    assert (
        JudgeCorrectness(judge="builtin/demo_generator").fingerprint()
        == JudgeCorrectness().fingerprint()
    )
    assert "demo" not in repr(JudgeCorrectness(judge="builtin/demo_generator"))
