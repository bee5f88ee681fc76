"""What missing scores count as between two runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.runs.test_summary import Stretched, answered
from themis_lib.comparison.missing_scores import Guess, MissingScores
from themis_lib.runs.score_groups import UNANSWERED
from themis_lib.runs.score_range import ScoreRange

SCORES = np.array([0.5, UNANSWERED, np.nan])


@pytest.mark.parametrize(
    ("no_answer", "errors", "guess", "before", "after"),
    [
        ("zero", "exclude", "left out", [0.5, 0, None], [0.5, 0, None]),
        ("zero", "zero", "left out", [0.5, 0, 0], [0.5, 0, 0]),
        ("zero", "exclude", "least", [0.5, 0, 1], [0.5, 0, 0]),
        ("zero", "exclude", "greatest", [0.5, 0, 0], [0.5, 0, 1]),
        ("zero", "zero", "least", [0.5, 0, 0], [0.5, 0, 0]),
        ("exclude", "exclude", "least", [0.5, None, 1], [0.5, None, 0]),
        ("unknown", "exclude", "left out", [0.5, None, None], [0.5, None, None]),
        ("unknown", "exclude", "least", [0.5, 1, 1], [0.5, 0, 0]),
    ],
)
def test_missing_scores_count_as_the_policies_say(
    no_answer: str, errors: str, guess: Guess, before: list[float], after: list[float]
) -> None:
    """Undecided ones have the score that makes the difference least, or greatest."""
    missing = MissingScores(ScoreRange(0, 1, 0), no_answer, errors)

    counted = missing.counted(SCORES, SCORES, guess)

    np.testing.assert_equal(np.array([before, after], float), np.array(counted))


@pytest.mark.parametrize(
    ("abilities", "baseline", "candidate", "expected"),
    [
        ({}, "1", "0", ScoreRange(0, 1, 0)),
        ({"score_range": (1, 5)}, "4", "3", ScoreRange(1, 5, 1)),
        ({"score_range": (0, 0.5)}, "0.5", "0.25", ScoreRange(0, 0.5, 0)),
        # The baseline shows that 0 to 1 is not the range, and -1 a worse score than 0.
        ({}, "5", "1", ScoreRange(0, 5, None)),
        ({}, "-1", "1", ScoreRange(-1, 1, None)),
        ({}, "0", "7", ScoreRange(0, 7, None)),
    ],
)
@pytest.mark.parametrize("policy", ["zero", "exclude"])
def test_range_is_that_of_the_metric(
    policy: str,
    abilities: dict[str, Any],
    baseline: str,
    candidate: str,
    expected: ScoreRange,
) -> None:
    """What it declares, widened by the scores of either run and by nothing else; where
    they show another range, the worst score is not known, whatever the baseline says.
    """
    before = answered(baseline, metric=Stretched(**abilities), no_answer=policy)
    after = answered(candidate, "none", metric=Stretched(**abilities))
    scores = np.array([float(baseline), float(candidate), UNANSWERED, np.nan])

    missing = MissingScores.of(before, after, "tests/stretched", scores)

    assert expected == missing.range
    assert ("unknown" if expected.worst is None else "zero") == missing.no_answer
