"""Whether two answers are the same mathematics, however they are written."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import Field, NonNegativeInt

from themis_lib.builtins.expected import ExpectedMetric, shown
from themis_lib.builtins.libraries import LibraryBuiltin
from themis_lib.builtins.math_processes import compare
from themis_lib.builtins.parsers import as_text
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, ParsedOutput, Score, ScoreError
from themis_lib.cpus import available_cpus
from themis_lib.errors import TransientError
from themis_lib.stages.calls import in_thread

_Row: TypeAlias = tuple[ParsedOutput, Case, ScoreContext]

_DELIMITED = re.compile(r"\$|\\[(\[]|\\boxed")
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,} +[A-Za-z]{2,}")


@dataclass(frozen=True)
class MathEquivalence(LibraryBuiltin, ExpectedMetric):
    r"""1 where the value is the same mathematics as the expected output, else 0, by
    math-verify (Kydlíček 2025).

    Both are LaTeX or a plain expression, as `builtin/math_answer` reads it, or a text
    that holds it in `$…$`, `\(…\)`, `\[…\]` or `\boxed{…}`, or names it in prose. Of a
    list of accepted answers any counts. `float_rounding` is the number of decimals that
    floats agree in; without `strict`, variables may have other names.

    Each comparison runs in a process beside this one and may take `max_cpu_s` seconds
    of processor time; past that the row is an error that says so. (POSIX systems only.)
    """

    component_id: ClassVar[str] = "builtin/math_equivalence"
    version: ClassVar[str] = "1"
    libraries: ClassVar[tuple[str, ...]] = (
        "math-verify",
        "latex2sympy2_extended",
        "sympy",
        "antlr4-python3-runtime",
    )

    float_rounding: NonNegativeInt = 6
    strict: bool = True
    max_cpu_s: Annotated[
        float,
        Field(
            gt=0,
            allow_inf_nan=False,
        ),
    ] = 10.0

    def score_batch(
        self,
        parsed: Sequence[ParsedOutput],
        cases: Sequence[Case],
        contexts: Sequence[ScoreContext],
    ) -> list[Score | ScoreError | Exception]:
        """The score of each row, or why there is none; every core has a share of the
        rows.
        """
        rows = list(
            zip(
                parsed,
                cases,
                contexts,
                strict=True,
            )
        )
        shares = asyncio.run(self._scores_of_shares(rows, available_cpus()))
        return [shares[at % len(shares)][at // len(shares)] for at in range(len(rows))]

    async def _scores_of_shares(
        self,
        rows: Sequence[_Row],
        count: int,
    ) -> list[list[Score | ScoreError | Exception]]:
        shares = (
            in_thread(self._score_rows, rows[first::count]) for first in range(count)
        )
        return list(await asyncio.gather(*shares))

    def _score_rows(self, rows: Sequence[_Row]) -> list[Score | ScoreError | Exception]:
        found: list[Score | ScoreError | Exception] = []
        for row in rows:
            try:
                found.append(self.score(*row))
            except TransientError as error:
                found.append(error)
        return found

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        accepted = [
            _delimit_math(item)
            for item in (expected if isinstance(expected, list) else [expected])
        ]
        if not accepted:
            return ScoreError(reason="the expected output is empty")
        answer = compare(
            value=_delimit_math(value),
            expected=accepted,
            float_rounding=self.float_rounding,
            strict=self.strict,
            cpu_s=self.max_cpu_s,
        )
        if answer is None:
            return ScoreError(
                reason=f"not decided in {self.max_cpu_s:g} s of processor time: {shown(value)}"
            )
        if answer["unreadable"] == "expected":
            return ScoreError(
                reason=f"the expected output holds no mathematics: {shown(expected)}"
            )
        if answer["unreadable"] == "value":
            return ScoreError(reason=f"the value holds no mathematics: {shown(value)}")
        return Score(value=float(answer["equal"]))


def _delimit_math(value: Any) -> str:
    r"""A text in which math-verify finds the mathematics: alone in `$…$`, unless it
    says itself where it stands.

    >>> _delimit_math(r"\sqrt{3}"), _delimit_math("The answer is 3"), _delimit_math(1e30)
    ('$\\sqrt{3}$', 'The answer is 3', '$1000000000000000000000000000000$')
    """
    if isinstance(value, float):
        value = f"{Decimal(repr(value)):f}"
    text = as_text(value)
    if _DELIMITED.search(text) or ("\\" not in text and _PROSE.search(text)):
        return text
    return f"${text}$"
