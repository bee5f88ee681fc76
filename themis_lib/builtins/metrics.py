"""Verdicts on a parsed value against what its case expects.

What a metric cannot judge, value or expectation, is a `ScoreError`, counted beside the
mean. A score of 0 is a verdict.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import Field

from themis_lib.bounded.patterns import MAX_CPU_S, Seconds, match_texts
from themis_lib.builtins.expected import ExpectedMetric, accepted_texts, shown
from themis_lib.builtins.parsers import as_text, compile_pattern
from themis_lib.builtins.reasons import NoNumber
from themis_lib.builtins.shared_settings import Percent, check_choices
from themis_lib.builtins.text_forms import composed, folded, plain
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, ParsedOutput, Score, ScoreError
from themis_lib.errors import ComponentError, RowError
from themis_lib.identity.digests import canonical_json

Tolerance: TypeAlias = Annotated[
    float,
    Field(
        ge=0,
        allow_inf_nan=False,
    ),
]
_Pattern: TypeAlias = re.Pattern[str]
_Verdict: TypeAlias = Score | ScoreError


@dataclass(frozen=True)
class ExactMatch(ExpectedMetric):
    """1 where value and expected output are the same JSON value, else 0.

    Numbers are compared by value (1 is 1.0), nothing across types ("4" is not 4, true
    is not 1). Texts are the same if Unicode calls them so: accents may be composed or
    not.

    `strip` and `ignore_case` apply to every text in both values. With either, readers
    decide what is the same: invisible characters, typographic quotes and dashes, and
    wide letters make no difference.
    """

    component_id: ClassVar[str] = "builtin/exact_match"
    version: ClassVar[str] = "2"

    strip: bool = False
    ignore_case: bool = False

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score:
        left = self._normalise_texts(value)
        right = self._normalise_texts(expected)
        # Most answers are text, whose equality needs no canonical JSON.
        if isinstance(left, str):
            return Score(value=float(left == right))
        is_same = same_key(left) == same_key(right)
        return Score(value=float(is_same))

    def _normalise_texts(self, value: Any) -> Any:
        if isinstance(value, str):
            if self.ignore_case:
                value = folded(value)
            elif self.strip:
                value = plain(value)
            else:
                value = composed(value)
            return value.strip() if self.strip else value
        if isinstance(value, list):
            return [self._normalise_texts(item) for item in value]
        if isinstance(value, dict):
            # Keys are names, not texts: they stay as they are.
            normalised = {}
            for key, item in value.items():
                normalised[key] = self._normalise_texts(item)
            return normalised
        return value


#: The relative tolerance between numbers that are not both whole: the error that
#: rounding to nine digits leaves.
_REL_TOL = 1e-9


@dataclass(frozen=True)
class NumericMatch(ExpectedMetric):
    """1 where both sides, read as by `builtin/number`, are the same number, else 0.

    They are the same when |value - expected| is at most abs_tol + rel_tol · |expected|.
    `rel_tol` defaults to 1e-9 if either side has a fraction. Between whole numbers it
    defaults to 0: they agree to the last digit.
    """

    component_id: ClassVar[str] = "builtin/numeric_match"
    version: ClassVar[str] = "2"

    abs_tol: Tolerance = 0.0
    rel_tol: Tolerance | None = None
    percent: Percent = "number"

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> _Verdict:
        # Late, as in the parsers.
        from themis_lib.builtins.numbers import read_number

        number = read_number(
            value,
            percent=self.percent,
        )
        wanted = read_number(
            expected,
            percent=self.percent,
        )
        # A fault of the data set is named first: no value can be judged by it.
        if isinstance(wanted, NoNumber):
            return _no_verdict("the expected output", expected, wanted)
        if isinstance(number, NoNumber):
            return _no_verdict("the value", value, number)
        # Most right answers are equal, and fractions are slow.
        if number == wanted:
            return Score(value=1.0)
        rel_tol = self.rel_tol
        if rel_tol is None:
            are_whole = isinstance(number, int) and isinstance(wanted, int)
            rel_tol = 0.0 if are_whole else _REL_TOL
        # Fractions are exact: floats overflow, and round whole numbers above 2**53.
        exact = Fraction(wanted)
        distance = abs(Fraction(number) - exact)
        allowed = Fraction(rel_tol) * abs(exact)
        allowed += Fraction(self.abs_tol)
        return Score(value=float(distance <= allowed))


def _no_verdict(
    side: str,
    value: Any,
    read: NoNumber,
) -> ScoreError:
    reason = f" ({read.reason})" if read.reason else ""
    return ScoreError(reason=f"{side} is no number{reason}: {shown(value)}")


@dataclass(frozen=True)
class Contains(ExpectedMetric):
    """1 where the value contains the expected text, else 0.

    Of a list of accepted texts any counts. Values and expectations other than text
    count as their canonical JSON. How accents are composed, invisible characters,
    typographic quotes and dashes, and wide letters make no difference.
    """

    component_id: ClassVar[str] = "builtin/contains"
    version: ClassVar[str] = "2"

    ignore_case: bool = False

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> _Verdict:
        normalise = folded if self.ignore_case else plain
        accepted = list(map(normalise, accepted_texts(expected)))
        # Every text contains the empty one, so it would make every value right.
        if not accepted or "" in accepted:
            return ScoreError(reason="the expected output is empty")
        text = normalise(as_text(value))
        for wanted in accepted:
            if wanted in text:
                return Score(value=1.0)
        return Score(value=0.0)


@dataclass(frozen=True)
class RegexMatch(ExpectedMetric):
    """1 where a regular expression (Python's `re`) matches the value, else 0.

    The pattern is `pattern` for every case, or else each case's expected output. It may
    match anywhere in the value; with `full` it must match all of it. A value other than
    text counts as its canonical JSON.

    A match may take `max_cpu_s` seconds of processor time. If it takes longer, the row
    is an error that says so.
    """

    component_id: ClassVar[str] = "builtin/regex_match"
    version: ClassVar[str] = "1"
    later_settings: ClassVar[frozenset[str]] = frozenset({"max_cpu_s"})

    pattern: str | None = None
    full: bool = False
    max_cpu_s: Seconds = MAX_CPU_S

    def check_settings(self) -> None:
        """Raise `ComponentError` for a mistyped setting or a malformed pattern."""
        super().check_settings()
        # Compiling raises for a malformed pattern.
        _ = self._compiled_pattern

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The value, and the expected output only if it is the pattern."""
        if self.pattern is None:
            return ("value", "expected_output")
        return ("value",)

    @cached_property
    def _compiled_pattern(self) -> _Pattern | None:
        if self.pattern is None:
            return None
        return compile_pattern(
            self.pattern,
            where=self.component_id,
        )

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> _Verdict:
        """Return the score, or the reason there is none."""
        if self._compiled_pattern is None or parsed.value is None:
            return super().score(parsed, case, ctx)
        # The expected output is not read here, so a missing one is no error.
        return self._match_pattern(self._compiled_pattern, parsed.value)

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> _Verdict:
        if not isinstance(expected, str):
            return ScoreError(
                reason=f"the expected output is no pattern: {shown(expected)}"
            )
        try:
            pattern = compile_pattern(
                expected,
                where="the expected output",
            )
        except ComponentError as error:
            # One malformed case must not stop the others.
            return ScoreError(reason=str(error))
        return self._match_pattern(pattern, value)

    def _match_pattern(
        self,
        pattern: _Pattern,
        value: Any,
    ) -> _Verdict:
        try:
            texts = match_texts(
                pattern,
                as_text(value),
                which=None if self.full else 0,
                cpu_s=self.max_cpu_s,
            )
        except RowError as error:
            return ScoreError(reason=f"{error}, or raise max_cpu_s")
        return Score(value=float(texts is not None))


@dataclass(frozen=True)
class F1(ExpectedMetric):
    """The F1 of the tokens in value and expected text (SQuAD: Rajpurkar et al. 2016).

    Tokens are without regard to case, without punctuation and articles. In ASCII they
    are those of SQuAD's evaluation script, which is `builtin/squad_f1`; here they are
    those of every script, one for each character of scripts without spaces (MLQA: Lewis
    et al. 2020). Texts of punctuation alone are compared as they are.

    Of a list of accepted answers the best counts. Values other than text count as their
    canonical JSON.
    """

    component_id: ClassVar[str] = "builtin/f1"
    version: ClassVar[str] = "2"

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> _Verdict:
        accepted = accepted_texts(expected)
        if not accepted:
            return ScoreError(reason="the expected output is empty")
        from themis_lib.builtins.token_overlap import token_overlap

        text = folded(as_text(value))
        scores = []
        for wanted in accepted:
            scores.append(token_overlap(text, folded(wanted)))
        return Score(value=max(scores))


@dataclass(frozen=True)
class ChoiceAccuracy(ExpectedMetric):
    """1 where value and expected output name the same option, else 0.

    An option is named by its letter (`B`, `b`, `(B)`, `B)`, `B. Paris`) or by its
    position counted from 0. If `choices` are digits, a number is the option's name.
    Wide letters and brackets and invisible characters make no difference.
    """

    component_id: ClassVar[str] = "builtin/choice_accuracy"
    version: ClassVar[str] = "2"

    choices: str = "ABCD"

    def check_settings(self) -> None:
        """Raise `ComponentError` unless `choices` are distinct letters or digits."""
        super().check_settings()
        check_choices(self, self.choices)

    @cached_property
    def _option_label(self) -> _Pattern:
        # The letter alone, or with `)`, `.` or `:` before a text: `B Paris` names none,
        # as a sentence may begin with `A`.
        return re.compile(
            rf"\s*\(?([{self.choices}])(?:\s*$|[).:]+(?:\s|$))",
            re.IGNORECASE,
        )

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> _Verdict:
        wanted = self._read_option(expected)
        if wanted is None:
            known = repr(self.choices)
            return ScoreError(
                reason=f"the expected output names none of {known}: {shown(expected)}"
            )
        option = self._read_option(value)
        if option is None:
            known = repr(self.choices)
            return ScoreError(
                reason=f"the value names none of {known}: {shown(value)}",
            )
        return Score(value=float(option == wanted))

    def _read_option(self, value: Any) -> str | None:
        choices = self.choices.upper()
        # In Python `True` is an integer, in JSON it is not.
        if isinstance(value, bool):
            return None
        if isinstance(value, int):
            if choices.isdigit():
                name = str(value)
                return name if name in choices else None
            # Python would count a negative position from the end.
            if 0 <= value < len(choices):
                return choices[value]
            return None
        if not isinstance(value, str):
            return None
        match = self._option_label.match(plain(value))
        return match[1].upper() if match else None


def same_key(value: Any) -> str:
    """Return a text that JSON values share exactly when they are equal.

    It is canonical JSON with whole floats written as integers.

    >>> same_key([1.0, True, "1"]) == same_key([1, True, "1"])
    True
    >>> same_key(1) == same_key(True)
    False
    """
    return canonical_json(_with_whole_numbers(value))


def _with_whole_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_whole_numbers(item) for item in value]
    if isinstance(value, dict):
        replaced = {}
        for key, item in value.items():
            replaced[key] = _with_whole_numbers(item)
        return replaced
    return value
