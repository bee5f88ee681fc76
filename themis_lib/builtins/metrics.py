"""Verdicts on a parsed value against what its case expects.

What a metric cannot judge, value or expectation, is a `ScoreError`, counted beside the
mean; 0 is a verdict.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import Field

from themis_lib.builtins.choices import check_choices
from themis_lib.builtins.expected import ExpectedMetric, accepted_texts, shown
from themis_lib.builtins.numbers import Percent, read_number
from themis_lib.builtins.parsers import as_text, compile_pattern
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, ParsedOutput, Score, ScoreError
from themis_lib.errors import ComponentError
from themis_lib.identity.digests import canonical_json

Tolerance: TypeAlias = Annotated[
    float,
    Field(
        ge=0,
        allow_inf_nan=False,
    ),
]


@dataclass(frozen=True)
class ExactMatch(ExpectedMetric):
    """1 where value and expected output are the same JSON value, else 0.

    Numbers are compared by value (1 is 1.0), nothing across types ("4" is not 4, true
    is not 1). `strip` and `ignore_case` apply to every text in both values.
    """

    component_id: ClassVar[str] = "builtin/exact_match"
    version: ClassVar[str] = "1"

    strip: bool = False
    ignore_case: bool = False

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score:
        left, right = self._as_comparable(value), self._as_comparable(expected)
        return Score(
            value=float(
                left == right
                if isinstance(left, str)
                else same_key(left) == same_key(right)
            )
        )

    def _as_comparable(self, value: Any) -> Any:
        if isinstance(value, str):
            value = value.strip() if self.strip else value
            return value.casefold() if self.ignore_case else value
        if isinstance(value, list):
            return [self._as_comparable(item) for item in value]
        if isinstance(value, dict):
            return {key: self._as_comparable(item) for key, item in value.items()}
        return value


#: The relative tolerance between numbers that are not both whole: what rounding to nine
#: digits leaves.
_REL_TOL = 1e-9


@dataclass(frozen=True)
class NumericMatch(ExpectedMetric):
    """1 where both sides, read as `builtin/number` reads them, are the same number,
    else 0.

    They are the same when |value - expected| is at most abs_tol + rel_tol · |expected|.
    Unless it is given, `rel_tol` is 1e-9 where a side has a fraction, and 0 between
    whole numbers: these agree to the last digit.
    """

    component_id: ClassVar[str] = "builtin/numeric_match"
    version: ClassVar[str] = "1"

    abs_tol: Tolerance = 0.0
    rel_tol: Tolerance | None = None
    percent: Percent = "number"

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        number, wanted = (
            read_number(side, percent=self.percent) for side in (value, expected)
        )
        if wanted is None:
            return ScoreError(
                reason=f"the expected output is no number: {shown(expected)}"
            )
        if number is None:
            return ScoreError(reason=f"the value is no number: {shown(value)}")
        return Score(value=float(number == wanted or self._is_close(number, wanted)))

    def _is_close(
        self,
        number: float,
        wanted: float,
    ) -> bool:
        rel_tol = self.rel_tol
        if rel_tol is None:
            rel_tol = (
                0.0 if isinstance(number, int) and isinstance(wanted, int) else _REL_TOL
            )
        distance = abs(Fraction(number) - Fraction(wanted))
        return distance <= Fraction(self.abs_tol) + Fraction(rel_tol) * abs(
            Fraction(wanted)
        )


@dataclass(frozen=True)
class Contains(ExpectedMetric):
    """1 where the expected text stands in the value, else 0; of a list of accepted
    texts, any of them.

    Values and expectations that are no text count as their canonical JSON.
    """

    component_id: ClassVar[str] = "builtin/contains"
    version: ClassVar[str] = "1"

    ignore_case: bool = False

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        accepted = [self._fold_case(text) for text in accepted_texts(expected)]
        if not accepted or "" in accepted:
            return ScoreError(reason="the expected output is empty")
        text = self._fold_case(as_text(value))
        return Score(value=float(any(wanted in text for wanted in accepted)))

    def _fold_case(self, text: str) -> str:
        return text.casefold() if self.ignore_case else text


@dataclass(frozen=True)
class RegexMatch(ExpectedMetric):
    """1 where a regular expression (Python's `re`) matches the value, else 0.

    The pattern is `pattern` for every case, or else each case's expected output. It may
    match anywhere in the value; `full` asks for all of it. A value that is no text
    counts as its canonical JSON.
    """

    component_id: ClassVar[str] = "builtin/regex_match"
    version: ClassVar[str] = "1"

    pattern: str | None = None
    full: bool = False

    def check_settings(self) -> None:
        """Raises `ComponentError` for a setting of another type or a malformed pattern."""
        super().check_settings()
        _ = self._compiled_pattern

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The value, and the expected output only where it is the pattern."""
        return ("value", "expected_output") if self.pattern is None else ("value",)

    @cached_property
    def _compiled_pattern(self) -> re.Pattern[str] | None:
        return (
            None
            if self.pattern is None
            else compile_pattern(self.pattern, where=self.component_id)
        )

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError:
        """The score, or why there is none."""
        if self._compiled_pattern is None or parsed.value is None:
            return super().score(parsed, case, ctx)
        return self._match_value(self._compiled_pattern, parsed.value)

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        if not isinstance(expected, str):
            return ScoreError(
                reason=f"the expected output is no pattern: {shown(expected)}"
            )
        try:
            pattern = compile_pattern(expected, where="the expected output")
        except ComponentError as error:
            return ScoreError(reason=str(error))
        return self._match_value(pattern, value)

    def _match_value(
        self,
        pattern: re.Pattern[str],
        value: Any,
    ) -> Score:
        text = as_text(value)
        return Score(
            value=float(
                bool(pattern.fullmatch(text) if self.full else pattern.search(text))
            )
        )


@dataclass(frozen=True)
class F1(ExpectedMetric):
    """The F1 of the tokens in value and expected text (SQuAD: Rajpurkar et al. 2016).

    Tokens are in lower case, without punctuation and articles, as in SQuAD's evaluation
    script. Of a list of accepted answers the best counts. What is no text counts as its
    canonical JSON.
    """

    component_id: ClassVar[str] = "builtin/f1"
    version: ClassVar[str] = "1"

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        accepted = accepted_texts(expected)
        if not accepted:
            return ScoreError(reason="the expected output is empty")
        tokens = _squad_tokens(as_text(value))
        return Score(
            value=max(_token_f1(tokens, _squad_tokens(wanted)) for wanted in accepted)
        )


@dataclass(frozen=True)
class ChoiceAccuracy(ExpectedMetric):
    """1 where value and expected output name the same option, else 0.

    An option is named by its letter (`B`, `b`, `(B)`, `B)`, `B. Paris`) or by its
    position counted from 0; where `choices` are digits, a number is the option's name.
    """

    component_id: ClassVar[str] = "builtin/choice_accuracy"
    version: ClassVar[str] = "1"

    choices: str = "ABCD"

    def check_settings(self) -> None:
        """Raises `ComponentError` unless `choices` are two or more different letters or
        digits.
        """
        super().check_settings()
        check_choices(self, self.choices)

    @cached_property
    def _label_pattern(self) -> re.Pattern[str]:
        return re.compile(
            rf"\s*\(?([{self.choices}])(?:\s*$|[).:]+(?:\s|$))", re.IGNORECASE
        )

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        wanted, option = self._find_option(expected), self._find_option(value)
        if wanted is None:
            return ScoreError(
                reason=f"the expected output names none of {self.choices!r}: {shown(expected)}"
            )
        if option is None:
            return ScoreError(
                reason=f"the value names none of {self.choices!r}: {shown(value)}"
            )
        return Score(value=float(option == wanted))

    def _find_option(self, value: Any) -> str | None:
        choices = self.choices.upper()
        if isinstance(value, int) and not isinstance(value, bool):
            if choices.isdigit():
                return str(value) if str(value) in choices else None
            return choices[value] if 0 <= value < len(choices) else None
        match = self._label_pattern.match(value) if isinstance(value, str) else None
        return match[1].upper() if match else None


def same_key(value: Any) -> str:
    """A text that JSON values share exactly when they are equal: canonical JSON, whole
    floats as integers.

    >>> same_key([1.0, True, "1"]) == same_key([1, True, "1"]), same_key(1) == same_key(True)
    (True, False)
    """
    return canonical_json(_with_whole_numbers(value))


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_whole_numbers(item) for key, item in value.items()}
    return value


_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def _squad_tokens(text: str) -> Counter[str]:
    return Counter(_ARTICLE.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _token_f1(
    tokens: Counter[str],
    wanted: Counter[str],
) -> float:
    if not tokens or not wanted:
        return float(tokens == wanted)
    return 2 * (tokens & wanted).total() / (tokens.total() + wanted.total())
