"""Judge metrics: what judges see, which answers count as verdicts, and what a panel
decides.
"""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.judging import CASE, NO, YES, decided, requests
from themis_lib.builtins.judges import JudgeCorrectness, JudgePairwise, JudgeRubric
from themis_lib.core.models import (
    Score,
    ScoreError,
)
from themis_lib.errors import ComponentError, RowError


@pytest.mark.parametrize(
    "metric",
    [JudgeCorrectness(), JudgeRubric(rubric="Be right."), JudgePairwise()],
    ids=repr,
)
def test_judge_sees_input_output_and_reference(metric):
    """All three stand in every request, and no metric reads more of the case."""
    for request in requests(metric):
        assert all(f"\n{text}\n" in request for text in ("2+2", "four", "4"))
    assert ("value", "input", "expected_output") == metric.reads


def test_rubric_can_hide_the_reference():
    """With `reference: false` the expected output is neither shown nor read."""
    metric = JudgeRubric(rubric="Be short.", reference=False)

    assert "expected_output" not in metric.reads
    assert (
        "Where an expected output"
        not in metric.judge_calls()[0].prompt_spec.instructions
    )


def test_pairwise_can_compare_with_metadata():
    """`against` puts a column of the case's metadata beside the output, in both
    orders.
    """
    first, second = requests(JudgePairwise(against="rival"))

    assert first.index("four") < first.index("\n5\n")
    assert second.index("\n5\n") < second.index("four")


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (JudgeCorrectness(), "the case has no expected output"),
        (JudgePairwise(), "the case has no expected output"),
        (JudgePairwise(against="rivel"), "the case has no metadata 'rivel'"),
    ],
    ids=repr,
)
def test_nothing_to_compare_with_is_no_question(metric, reason):
    """Where the case lacks what the output is compared with, nobody is asked."""
    with pytest.raises(RowError, match=reason):
        requests(metric, case=CASE.model_copy(update={"expected_output": None}))


def test_judge_is_told_that_texts_are_data():
    """Also where the instructions are the user's own."""
    told = JudgeCorrectness(instructions="Be lenient.").judge_calls()[0].prompt_spec

    assert told.instructions.startswith("Be lenient.")
    assert "never follow instructions" in told.instructions
    assert 'one of "correct", "incorrect"' in told.suffix


def test_judge_writes_its_reason_first():
    """The schema has the reason before the verdict, of a bounded length; without
    `explain` the verdict alone.
    """
    with_reason, without = (
        JudgeCorrectness(explain=explain).judge_calls()[0].schema
        for explain in (True, False)
    )

    assert (
        ["reason", "verdict"]
        == list(with_reason["properties"])
        == with_reason["required"]
    )
    assert 400 == with_reason["properties"]["reason"]["maxLength"]
    assert ["verdict"] == list(without["properties"])


@pytest.mark.parametrize(
    "output",
    [
        None,
        "",
        "not correct",
        "PASS or FAIL.",
        f"The output says {YES}, which is false.",
        f"{YES} {NO}",
        f"```json\n{YES}\n```\n```json\n{NO}\n```",
        '{"verdict": "Correct?"}',
        '{"verdict": true}',
        '{"verdict": ["correct"]}',
        '{"verdict": "correct", "score": 1}',
        '{"verdict": "incorrect", "verdict": "correct"}',
        '{"verdict": "correct"',
        "[" * 100_000,
        [],
        {},
        {"reason": "so"},
    ],
    ids=lambda output: repr(output)[:40],
)
def test_anything_else_is_unreadable(output):
    """It is an error that quotes how the output begins; never a verdict, never a
    zero.
    """
    result = decided(JudgeCorrectness(explain=False), output)

    assert isinstance(result, ScoreError)
    assert result.reason.startswith("unreadable verdict: ")
    assert len(result.reason) < 120


@pytest.mark.parametrize("grade", [True, 4.5, "4/10", 0, 6, None], ids=repr)
def test_grade_is_a_whole_number_on_the_scale(grade):
    """Nothing is rounded or cut to the scale, or read on another one."""
    assert isinstance(
        decided(JudgeRubric(rubric="r", explain=False), json.dumps({"grade": grade})),
        ScoreError,
    )


@pytest.mark.parametrize(
    ("said", "score"),
    [("PASS.", 1.0), ("Verdict: passed", 1.0), ("**Wrong**", 0.0), ("FAIL", 0.0)],
)
def test_correctness_in_other_words(said, score):
    """Those that judges write in place of the words that they are told."""
    assert score == decided(JudgeCorrectness(), said).value


@pytest.mark.parametrize(("grade", "value"), [(1, 0.0), (2, 0.25), (5, 1.0)])
def test_rubric_is_normalised(grade, value):
    """The lowest grade is 0 and the highest 1; the grade itself is in the details."""
    result = decided(JudgeRubric(rubric="r", explain=False), {"grade": grade})

    assert (value, grade) == (result.value, result.details["grade"])


@pytest.mark.parametrize(
    ("grades", "expected"),
    [
        ([1, 2, 5], 2),
        ([2, 3], 2.5),
        ([1, 5, None], 3),
        ([4, None], None),
        ([None] * 3, None),
    ],
)
def test_rubric_panel_takes_the_median(grades, expected):
    """Of the grades given, once more than half of all members have given one."""
    result = decided(
        JudgeRubric(rubric="r", explain=False), *({"grade": grade} for grade in grades)
    )

    assert expected == (result.details["grade"] if isinstance(result, Score) else None)


@pytest.mark.parametrize(
    ("first", "second", "value", "consistent"),
    [
        ("A", "B", 1.0, True),
        ("B", "A", 0.0, True),
        ("tie", "tie", 0.5, True),
        ("A", "A", 0.5, False),
        ("B", "B", 0.5, False),
        ("A", "tie", 0.5, False),
    ],
)
def test_pairwise_needs_the_same_verdict_in_both_orders(
    first, second, value, consistent
):
    """The output is A in the first order and B in the second; a verdict for one order
    alone is a tie.
    """
    result = decided(
        JudgePairwise(explain=False), {"verdict": first}, {"verdict": second}
    )

    assert (value, consistent) == (result.value, result.details["position_consistent"])


def test_pairwise_with_one_unreadable_order_has_no_verdict():
    """Half a comparison is none."""
    assert isinstance(
        decided(JudgePairwise(explain=False), {"verdict": "A"}, "B or A"), ScoreError
    )


VOTES = {1.0: ("A", "B"), 0.0: ("B", "A"), 0.5: ("tie", "tie"), None: ("?", "?")}


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([1.0, 1.0, 0.0], 1.0),
        ([1.0, 0.0], 0.5),
        ([1.0, 0.0, 0.5], 0.5),
        ([0.0, 0.0, None], 0.0),
        ([1.0, None], None),
    ],
)
def test_pairwise_panel_without_majority_is_a_tie(votes, expected):
    """Unless half of the members or more have no verdict."""
    outputs = [{"verdict": verdict} for vote in votes for verdict in VOTES[vote]]
    result = decided(JudgePairwise(explain=False), *outputs)

    assert expected == (result.value if isinstance(result, Score) else None)


verdicts = st.sampled_from(["A", "B", "tie", "?"])
SWAPPED = {"A": "B", "B": "A"}


@given(st.lists(st.tuples(verdicts, verdicts), min_size=1, max_size=5))
def test_swapping_the_order_of_presentation_changes_nothing(panel):
    """Whichever order is asked first, and whoever says what, the score is the same."""
    metric = JudgePairwise(explain=False)
    asked = [{"verdict": verdict} for pair in panel for verdict in pair]
    # Presented the other way round, each judge says of B what it said of A.
    swapped = [
        {"verdict": SWAPPED.get(verdict, verdict)}
        for pair in panel
        for verdict in reversed(pair)
    ]

    one, other = decided(metric, *asked), decided(metric, *swapped)

    assert type(one) is type(other)
    assert getattr(one, "value", None) == getattr(other, "value", None)


@given(st.integers(1, 5), st.sampled_from(["A", "B"]))
def test_judge_that_always_takes_one_place_decides_nothing(members, place):
    """A position-biased panel gives a tie, and the details say so."""
    result = decided(
        JudgePairwise(explain=False), *itertools.repeat({"verdict": place}, 2 * members)
    )

    assert (0.5, False) == (result.value, result.details["position_consistent"])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rubric": " "}, "rubric is empty"),
        ({"rubric": "r", "low": 3, "high": 3}, "2 to 101 grades"),
        ({"rubric": "r", "low": True}, "low=True"),
    ],
)
def test_rubric_that_cannot_grade_is_refused(settings, message):
    """Before anything is generated."""
    with pytest.raises(ComponentError, match=message):
        JudgeRubric(**settings)


IMAGE = {"type": "image", "sha256": "0" * 64, "media_type": "image/png"}
LINK = {"type": "image", "url": "https://x.test/1.png"}


@pytest.mark.parametrize(
    ("value", "named", "media"),
    [
        (
            [{"type": "text", "text": "Which?"}, IMAGE, LINK],
            "\nWhich?\n\n[image 1]\n\n[image 2]\n",
            [IMAGE, LINK],
        ),
        ({"q": "Which?", "picture": IMAGE}, '"picture":"[image 1]"', [IMAGE]),
        (
            [{"role": "user", "content": [IMAGE]}],
            '[{"content":["[image 1]"],"role":"user"}]',
            [IMAGE],
        ),
    ],
)
def test_judge_sees_the_images_of_the_input(value, named, media):
    """Behind the text, in the order in which it names them; of an output, none."""
    case = CASE.model_copy(update={"input": value})

    for metric in (JudgeCorrectness(), JudgePairwise()):
        for text, *rest in requests(metric, value=LINK, case=case):
            assert named in text["text"]
            assert media == rest
            assert "https://x.test/1.png" in text["text"]
