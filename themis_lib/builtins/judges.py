"""Metrics that ask models: LLM-as-judge (Zheng et al. 2023).

A judge decides by the expected output, by a rubric, or between two answers. It answers
in a fixed form; an answer in any other form is an error of the row, never a zero.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from pydantic import JsonValue

from themis_lib.builtins.panels import (
    Details,
    PanelMetric,
    Vote,
    agreement,
    majority,
)
from themis_lib.builtins.verdicts import VerdictForm, judged
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import (
    Case,
    GenerationResult,
    ParsedOutput,
    Score,
    ScoreError,
)
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.protocols import JudgeCall
from themis_lib.errors import ComponentError, RowError

# Prompts are part of the keys of verdicts. Another text asks every judge again, so it
# needs another version of the metric.
_CORRECTNESS = (
    "You judge whether an output is correct: whether it says the same as the "
    "expected output, in whatever words or form. Go by the expected output, not by "
    "what you believe yourself."
)
_RUBRIC = (
    "You grade an output by a rubric, with a whole number from {low} (worst) to "
    "{high} (best)."
)
_EXPECTED = "Where an expected output is given, it is right."
_PAIRWISE = (
    "You compare two answers to one input, A and B. Say which is better by what it "
    "says, not by where it stands, how long it is or how sure it sounds; say tie "
    "where neither is."
)


# What judges write in place of the words that they are told.
_SYNONYMS = {
    "pass": "correct",
    "passed": "correct",
    "right": "correct",
    "fail": "incorrect",
    "failed": "incorrect",
    "wrong": "incorrect",
}


@dataclass(
    frozen=True,
    kw_only=True,
)
class JudgeCorrectness(PanelMetric):
    """1 where a judge finds that the output says what the expected output says, else 0.

    More than half of all members of a panel must agree; otherwise there is no score.
    """

    component_id: ClassVar[str] = "builtin/judge_correctness"
    version: ClassVar[str] = "2"
    reads: ClassVar[tuple[str, ...]] = (
        "value",
        "input",
        "expected_output",
    )
    needs_expected_output: ClassVar[bool] = True

    @property
    def _task_text(self) -> str:
        return _CORRECTNESS

    @cached_property
    def _verdict_form(self) -> VerdictForm:
        return VerdictForm(
            name="verdict",
            choices=("correct", "incorrect"),
            explain=self.explain,
            synonyms=_SYNONYMS,
        )

    def _build_request(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> JsonValue:
        return judged(
            {
                "input": case.input,
                "expected output": _require_expected(case),
                "output": parsed.value,
            }
        )

    def _read_value(self, verdict: dict[str, Any]) -> float:
        is_correct = verdict["verdict"] == "correct"
        return float(is_correct)

    def _decide_score(
        self,
        votes: Sequence[Vote],
        details: Details,
    ) -> Score | ScoreError:
        value = majority(votes)
        if value is not None:
            details["agreement"] = agreement(votes, value)
            return Score(
                value=value,
                details=details,
            )
        values = [vote.value for vote in votes]
        right = values.count(1.0)
        wrong = values.count(0.0)
        return ScoreError(
            reason=f"no majority among {len(votes)} judges: "
            f"{right} say correct, {wrong} say incorrect",
            details=details,
        )


@dataclass(
    frozen=True,
    kw_only=True,
)
class JudgeRubric(PanelMetric):
    """A judge's grade by a rubric, from `low` to `high`, as a number from 0 to 1.

    The grade itself is in the details. The judge sees the expected output if the case
    has one, unless `reference` is false. A panel decides by the median of the grades,
    once more than half of its members have given one.
    """

    component_id: ClassVar[str] = "builtin/judge_rubric"
    version: ClassVar[str] = "2"

    rubric: str
    low: int = 1
    high: int = 5
    reference: bool = True

    def check_settings(self) -> None:
        """Raise `ComponentError` for a mistyped setting.

        Also for an empty rubric, and for a scale of one grade or of more than 101.
        """
        super().check_settings()
        if not self.rubric.strip():
            raise ComponentError(
                f"{self.component_id}: rubric is empty; "
                "say what is good and what is bad"
            )
        # Grades are divided by the number of steps, and a judge is told each grade.
        steps = self.high - self.low
        if not 1 <= steps <= 100:
            raise ComponentError(
                f"{self.component_id}: low={self.low}, high={self.high}: "
                "write 2 to 101 grades"
            )

    @property
    def reads(self) -> tuple[str, ...]:
        """Value and input, and the expected output if the judge sees it."""
        if self.reference:
            return ("value", "input", "expected_output")
        return ("value", "input")

    @property
    def _task_text(self) -> str:
        task = _RUBRIC.format(
            low=self.low,
            high=self.high,
        )
        if not self.reference:
            return task
        return f"{task} {_EXPECTED}"

    @property
    def _prompt_spec(self) -> PromptSpec:
        spec = super()._prompt_spec
        # The rubric comes last, also behind the user's own instructions.
        instructions = f"{spec.instructions}\n\nThe rubric:\n{self.rubric}"
        return spec.model_copy(
            update={"instructions": instructions},
        )

    @cached_property
    def _verdict_form(self) -> VerdictForm:
        grades = range(self.low, self.high + 1)
        return VerdictForm(
            name="grade",
            choices=tuple(grades),
            explain=self.explain,
        )

    def _build_request(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> JsonValue:
        parts = {"input": case.input}
        # A hidden reference is masked before it gets here: the metric does not read it.
        if case.expected_output is not None:
            parts["expected output"] = case.expected_output
        parts["output"] = parsed.value
        return judged(parts)

    def _read_value(self, verdict: dict[str, Any]) -> float:
        return float(verdict["grade"])

    def _decide_score(
        self,
        votes: Sequence[Vote],
        details: Details,
    ) -> Score:
        grades = []
        for vote in votes:
            if vote.value is not None:
                grades.append(vote.value)
        # The median: one judge that is far off does not move it.
        grade = statistics.median(grades)
        details["grade"] = grade
        details["agreement"] = agreement(votes, grade)
        steps = self.high - self.low
        return Score(
            value=(grade - self.low) / steps,
            details=details,
        )


@dataclass(
    frozen=True,
    kw_only=True,
)
class JudgePairwise(PanelMetric):
    """1 where a judge finds the output better than the expected one, 0 where worse.

    Where neither is better it is 0.5. `against` names a metadata column to compare with
    instead.

    Each judge is asked twice, with the output as A and as B. A verdict for one order
    alone is a tie, as it depends on the place. `position_consistent` in the details
    says whether every judge kept to its verdict. A panel decides by majority of all
    members; without one it is a tie.
    """

    component_id: ClassVar[str] = "builtin/judge_pairwise"
    version: ClassVar[str] = "2"

    against: str | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """Value, input, and what the output is compared with."""
        other = "metadata"
        if self.against is None:
            other = "expected_output"
        return ("value", "input", other)

    @property
    def needs_expected_output(self) -> bool:
        """Whether the output is compared with it."""
        return self.against is None

    def judge_calls(self) -> Sequence[JudgeCall]:
        """Return the same question twice, once in each order."""
        schema = self._verdict_form.schema
        output_first = JudgeCall(
            self._build_request,
            self._prompt_spec,
            name="output_first",
            schema=schema,
        )
        output_second = JudgeCall(
            self._build_swapped_request,
            self._prompt_spec,
            name="output_second",
            schema=schema,
        )
        return [output_first, output_second]

    @property
    def _task_text(self) -> str:
        return _PAIRWISE

    @cached_property
    def _verdict_form(self) -> VerdictForm:
        return VerdictForm(
            name="verdict",
            choices=("A", "B", "tie"),
            explain=self.explain,
        )

    def _build_request(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> JsonValue:
        return judged(
            {
                "input": case.input,
                "answer A": parsed.value,
                "answer B": self._find_rival(case),
            }
        )

    def _build_swapped_request(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> JsonValue:
        return judged(
            {
                "input": case.input,
                "answer A": self._find_rival(case),
                "answer B": parsed.value,
            }
        )

    def _find_rival(self, case: Case) -> Any:
        if self.against is None:
            return _require_expected(case)
        rival = case.metadata.get(self.against)
        if rival is None:
            raise RowError(f"the case has no metadata {self.against!r}")
        return rival

    def _read_value(self, verdict: dict[str, Any]) -> float:
        values = {
            "A": 1.0,
            "B": 0.0,
            "tie": 0.5,
        }
        chosen = verdict["verdict"]
        return values[chosen]

    def _read_vote(self, verdicts: Sequence[GenerationResult]) -> Vote:
        """Return the vote in a judge's two answers, with the output as A, then as B."""
        output_first, output_second = verdicts
        first = super()._read_vote([output_first])
        second = super()._read_vote([output_second])
        # Half a comparison is none.
        error = first.error or second.error
        if error or first.value is None or second.value is None:
            return Vote(error=error)
        # In the second order B is the output, so the values mirror each other.
        is_consistent = first.value == 1.0 - second.value
        return Vote(
            value=first.value if is_consistent else 0.5,
            reasons=(*first.reasons, *second.reasons),
            position_consistent=is_consistent,
        )

    def _decide_score(
        self,
        votes: Sequence[Vote],
        details: Details,
    ) -> Score:
        value = majority(votes)
        if value is None:
            value = 0.5
        details["agreement"] = agreement(votes, value)
        details["position_consistent"] = all(vote.position_consistent for vote in votes)
        return Score(
            value=value,
            details=details,
        )


def _require_expected(case: Case) -> Any:
    if case.expected_output is None:
        # Nobody is asked: a judge could only go by what it believes itself.
        raise RowError("the case has no expected output")
    return case.expected_output
