"""The base of metrics that compare a value with an expected output.

Also what such metrics share: the texts that an expected output accepts, and how their
messages show a value.
"""

from __future__ import annotations

from typing import Any, ClassVar

from themis_lib.builtins.parsers import as_text
from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, ParsedOutput, Score, ScoreError
from themis_lib.identity.digests import canonical_json

# Long enough to recognise a value by, short enough for a table of errors.
_SHOWN_CHARS = 60


class ExpectedMetric(Builtin):
    """A metric of a value against an expected output, where neither is missing.

    Subclasses implement `_score_value`.
    """

    reads: ClassVar[tuple[str, ...]] = (
        "value",
        "expected_output",
    )
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @property
    def needs_expected_output(self) -> bool:
        """Whether a setting does not take the place of the expected output."""
        return "expected_output" in self.reads

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError:
        """Return the score, or the reason there is none."""
        # A missing answer is not a wrong one: it is counted beside the mean.
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
    """Return the texts that an expected output accepts.

    A list accepts each of its items, any other value itself. Values other than text
    count as their canonical JSON.

    >>> accepted_texts("4"), accepted_texts(["4", 4.5])
    (['4'], ['4', '4.5'])
    """
    if not isinstance(expected, list):
        return [as_text(expected)]
    return [as_text(item) for item in expected]


def shown(value: Any) -> str:
    """Return a JSON value as text for a message, cut to 60 characters."""
    text = canonical_json(value)
    if len(text) <= _SHOWN_CHARS:
        return text
    # The ellipsis is one of the 60. Reasons are stored rows: this cut never changes.
    beginning = text[: _SHOWN_CHARS - 1]
    return f"{beginning}…"
