"""Metrics of a value against an expected output: what both must be, and how messages
show them.
"""

from __future__ import annotations

from typing import Any, ClassVar

from themis_lib.builtins.parsers import as_text
from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, ParsedOutput, Score, ScoreError
from themis_lib.identity.digests import canonical_json


class ExpectedMetric(Builtin):
    """A metric of a value that is there against an expected output that is there."""

    reads: ClassVar[tuple[str, ...]] = ("value", "expected_output")

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError:
        """The score, or why there is none."""
        if parsed.value is None:
            return ScoreError(reason="no answer")
        if case.expected_output is None:
            return ScoreError(reason="the case has no expected output")
        return self._score_value(parsed.value, case.expected_output)

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        raise NotImplementedError


def accepted_texts(expected: Any) -> list[str]:
    """The texts an expected output accepts: each of a list, or the one; what is no text
    as its canonical JSON.

    >>> accepted_texts("4"), accepted_texts(["4", 4.5])
    (['4'], ['4', '4.5'])
    """
    return [
        as_text(item)
        for item in (expected if isinstance(expected, list) else [expected])
    ]


def shown(value: Any) -> str:
    """A JSON value in a message, cut to 60 characters."""
    text = canonical_json(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
