"""What missing scores count as between two runs."""

from __future__ import annotations

import numpy as np
import pytest

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
