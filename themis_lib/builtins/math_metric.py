"""Whether two answers are the same mathematics, however they are written."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from pydantic import NonNegativeInt

from themis_lib.bounded.patterns import Seconds
from themis_lib.bounded.processes import Workers
from themis_lib.builtins.expected import ExpectedMetric, shown
from themis_lib.builtins.libraries import LibraryBuiltin
from themis_lib.builtins.math_texts import as_latex, without_marks
from themis_lib.builtins.math_words import same_words
from themis_lib.builtins.parsers import as_text
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import Case, ParsedOutput, Score, ScoreError
from themis_lib.cpus import available_cpus
from themis_lib.errors import TransientError
from themis_lib.stages.calls import in_thread

_Row: TypeAlias = tuple[ParsedOutput, Case, ScoreContext]
_Outcome: TypeAlias = Score | ScoreError | Exception

_WORKERS = Workers(
    Path(__file__).with_name("math_worker.py"),
    task="compares mathematics",
)
_DELIMITED = re.compile(
    r"\$"
    r"|\\[(\[]"
    r"|\\boxed"
)
# Two words in a row that are no LaTeX commands, such as `The answer`.
_PROSE = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,} +[A-Za-z]{2,}")


@dataclass(frozen=True)
class MathEquivalence(LibraryBuiltin, ExpectedMetric):
    r"""1 where the value is the same mathematics as the expected output, else 0.

    The comparison is that of math-verify (Kydlíček 2025).

    Both are LaTeX or a plain expression, as `builtin/math_answer` reads it, or a text
    with the mathematics in `$…$`, `\(…\)`, `\[…\]` or `\boxed{…}`, or in prose. Of a
    list of accepted answers any counts. Currencies, units, thousands separators and the
    marks of Markdown are ignored. Answers in words are compared as words.

    `float_rounding` is the number of decimals that floats agree in; those that are
    smaller also agree in three digits. Without `strict`, variables may have other
    names.

    Each comparison runs in a separate process and may take `max_cpu_s` seconds of
    processor time. If it takes longer, the row is an error that says so. (POSIX systems
    only.)
    """

    component_id: ClassVar[str] = "builtin/math_equivalence"
    version: ClassVar[str] = "2"
    # math-verify parses with latex2sympy2 and antlr4, and decides with sympy: another
    # version of any of them can change a verdict.
    libraries: ClassVar[tuple[str, ...]] = (
        "math-verify",
        "latex2sympy2_extended",
        "sympy",
        "antlr4-python3-runtime",
    )

    float_rounding: NonNegativeInt = 6
    strict: bool = True
    max_cpu_s: Seconds = 10.0

    def score_batch(
        self,
        parsed: Sequence[ParsedOutput],
        cases: Sequence[Case],
        contexts: Sequence[ScoreContext],
    ) -> list[_Outcome]:
        """Return the score of each row, or the reason there is none.

        The rows are divided among all cores.
        """
        rows = list(
            zip(
                parsed,
                cases,
                contexts,
                strict=True,
            )
        )
        count = available_cpus()

        async def score_shares() -> list[list[_Outcome]]:
            calls = []
            for first in range(count):
                share = rows[first::count]
                # A thread only waits for its process, so threads use every core.
                calls.append(in_thread(self._score_rows, share))
            return list(await asyncio.gather(*calls))

        shares = asyncio.run(score_shares())
        outcomes = []
        # Share n has the rows n, n + count, …; the outcomes are in the order of rows.
        for position in range(len(rows)):
            row, first = divmod(position, count)
            share = shares[first]
            outcomes.append(share[row])
        return outcomes

    def _score_rows(self, rows: Sequence[_Row]) -> list[_Outcome]:
        outcomes: list[_Outcome] = []
        for row in rows:
            try:
                outcomes.append(self.score(*row))
            except TransientError as error:
                # One killed process must not cost the other rows their scores.
                outcomes.append(error)
        return outcomes

    def _score_value(
        self,
        value: Any,
        expected: Any,
    ) -> Score | ScoreError:
        items = expected if isinstance(expected, list) else [expected]
        if not items:
            return ScoreError(reason="the expected output is empty")
        text = _answer_text(value)
        accepted = list(map(_answer_text, items))
        in_words = [same_words(text, item) for item in accepted]
        if True in in_words:
            return Score(value=1.0)
        # Words that are not the answer: nothing is left that could be equal.
        if None not in in_words:
            return Score(value=0.0)
        undecided = []
        for item, is_same in zip(accepted, in_words, strict=True):
            if is_same is None:
                undecided.append(_delimit_math(item))
        answer = _WORKERS.ask(
            value=_delimit_math(text),
            expected=undecided,
            float_rounding=self.float_rounding,
            strict=self.strict,
            cpu_s=self.max_cpu_s,
        )
        if answer is None:
            return ScoreError(
                reason=f"not decided in {self.max_cpu_s:g} s of processor time: "
                f"{shown(value)}"
            )
        unreadable = answer["unreadable"]
        if unreadable == "expected":
            return ScoreError(
                reason=f"the expected output holds no mathematics: {shown(expected)}"
            )
        if unreadable == "value":
            return ScoreError(reason=f"the value holds no mathematics: {shown(value)}")
        return Score(value=float(answer["equal"]))


def _answer_text(value: Any) -> str:
    """Return an answer as text, without what surrounds the mathematics.

    >>> _answer_text(1e30), _answer_text("**73**")
    ('1000000000000000000000000000000', '73')
    """
    # `1e+30` would be read as a product with Euler's number.
    if isinstance(value, float):
        decimal = Decimal(repr(value))
        value = f"{decimal:f}"
    return without_marks(as_text(value))


def _delimit_math(text: str) -> str:
    r"""Return a text in which math-verify finds the mathematics.

    It is put between dollar signs unless the text says itself where the mathematics is.

    >>> _delimit_math(r"\sqrt{3}"), _delimit_math("The answer is 3")
    ('$\\sqrt{3}$', 'The answer is 3')
    """
    # Words in a text with commands are LaTeX, as in `12\text{ and }13`.
    if "\\" not in text and _PROSE.search(text):
        return text
    latex = as_latex(text)
    if _DELIMITED.search(latex):
        return latex
    return f"${latex}$"
