"""What a metric makes of a value and an expected output."""

from __future__ import annotations

from typing import Any

from tests.support.golden_builtins import SCORE, case_expecting
from themis_lib.core.models import ParsedOutput, Score, ScoreError


def verdict(metric: Any, value: Any, expected: Any) -> Score | ScoreError:
    """Return what the metric says of a value."""
    return metric.score(ParsedOutput(value=value), case_expecting(expected), SCORE)


def score(metric: Any, value: Any, expected: Any) -> float | None:
    """Return the score. Fail where there is none."""
    result = verdict(metric, value, expected)
    assert isinstance(result, Score), result
    return result.value


def reason(metric: Any, value: Any, expected: Any) -> str:
    """Return the reason there is no score. Fail where there is one."""
    result = verdict(metric, value, expected)
    assert isinstance(result, ScoreError), result
    return result.reason
