"""Metrics that ask models: LLM-as-judge (Zheng et al. 2023), by a rubric, against a
reference, or in pairs.

A judge answers in a fixed form; an answer of any other form is an error of the row,
never a zero. Of a panel all members count: those whose verdict cannot be read are votes
for nothing.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar

from themis_lib.builtins.verdicts import (
    DATA_NOTICE,
    REASON_CHARS,
    VerdictForm,
    sections,
)
from themis_lib.components.builtin import Builtin
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

_CORRECTNESS = (
    "You judge whether an output is correct: whether it says the same as the expected output, in whatever words or "
    "form. Go by the expected output, not by what you believe yourself."
)
_RUBRIC = "You grade an output by a rubric, with a whole number from {low} (worst) to {high} (best)."
_EXPECTED = "Where an expected output is given, it is right."
_PAIRWISE = (
    "You compare two answers to one input, A and B. Say which is better by what it says, not by where it stands, how "
    "long it is or how sure it sounds; say tie where neither is."
)


@dataclass(frozen=True)
class _Vote:
    """One judge's verdict as the metric counts it; `error` where there is none."""

    value: float | None = None
    reasons: tuple[str, ...] = ()
    error: str | None = None
    position_consistent: bool = True


@dataclass(
    frozen=True,
    kw_only=True,
)
class _JudgeMetric(Builtin):
    """`judge` is a generator or a panel of them, else the experiment's `judge_models`;
    `instructions` takes the place of the built-in ones; `explain` asks for a reason
    before the verdict.
    """

    judge: Any = field(
        default=None,
        repr=False,
    )
    instructions: str | None = None
    explain: bool = True

    def settings(self) -> dict[str, Any]:
        """Every setting but `judge`: who answered is in the key of the verdict, and
        what was said in the score's.
        """
        return {
            item.name: getattr(self, item.name)
            for item in fields(self)
            if item.name != "judge"
        }

    def judge_calls(self) -> Sequence[JudgeCall]:
        """The one question about each answer."""
        return [
            JudgeCall(
                self._request_text, self._prompt_spec, schema=self._verdict_form.schema
            )
        ]

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError:
        """What the judges decide, with each one's vote in the details, or why they do
        not.
        """
        width = len(self.judge_calls())
        votes = [
            self._count_vote(ctx.verdicts[at : at + width])
            for at in range(0, len(ctx.verdicts), width)
        ]
        details: dict[str, Any] = {"votes": [vote.value for vote in votes]}
        if self.explain:
            details["reasons"] = [reason for vote in votes for reason in vote.reasons]
        errors = [vote.error for vote in votes if vote.error]
        if 2 * len(errors) >= len(votes):
            first = errors[0] if errors else "no judge was asked"
            counted = (
                f"{len(errors)} of {len(votes)} judges gave no verdict; "
                if len(votes) > 1
                else ""
            )
            return ScoreError(
                reason=counted + first,
                details=details,
            )
        return self._decide_score(votes, details)

    @property
    def _task_text(self) -> str:
        raise NotImplementedError

    @property
    def _verdict_form(self) -> VerdictForm:
        raise NotImplementedError

    def _request_text(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> str:
        raise NotImplementedError

    def _verdict_value(self, verdict: dict[str, Any]) -> float:
        raise NotImplementedError

    def _decide_score(
        self,
        votes: Sequence[_Vote],
        details: dict[str, Any],
    ) -> Score | ScoreError:
        raise NotImplementedError

    @property
    def _prompt_spec(self) -> PromptSpec:
        return PromptSpec(
            instructions=f"{self.instructions or self._task_text}\n\n{DATA_NOTICE}",
            suffix=self._verdict_form.told,
        )

    def _count_vote(self, verdicts: Sequence[GenerationResult]) -> _Vote:
        """The vote in one judge's verdicts."""
        (verdict,) = verdicts
        if verdict.error:
            return _Vote(error=verdict.error)
        try:
            read = self._verdict_form.read(verdict.final_output)
        except ValueError as error:
            return _Vote(error=str(error))
        return _Vote(self._verdict_value(read), _verdict_reasons(read))


@dataclass(
    frozen=True,
    kw_only=True,
)
class JudgeCorrectness(_JudgeMetric):
    """1 where a judge finds that the output says what the expected output says, else 0.

    Of a panel more than half of all members must agree; otherwise there is no score.
    """

    component_id: ClassVar[str] = "builtin/judge_correctness"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("value", "input", "expected_output")

    @property
    def _task_text(self) -> str:
        return _CORRECTNESS

    @cached_property
    def _verdict_form(self) -> VerdictForm:
        return VerdictForm("verdict", ("correct", "incorrect"), self.explain)

    def _request_text(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> str:
        if case.expected_output is None:
            raise RowError("the case has no expected output")
        return sections(
            {
                "input": case.input,
                "expected output": case.expected_output,
                "output": parsed.value,
            }
        )

    def _verdict_value(self, verdict: dict[str, Any]) -> float:
        return float(verdict["verdict"] == "correct")

    def _decide_score(
        self,
        votes: Sequence[_Vote],
        details: dict[str, Any],
    ) -> Score | ScoreError:
        value = _majority_value(votes)
        if value is None:
            right, wrong = (
                sum(vote.value == side for vote in votes) for side in (1.0, 0.0)
            )
            reason = f"no majority among {len(votes)} judges: {right} say correct, {wrong} say incorrect"
            return ScoreError(
                reason=reason,
                details=details,
            )
        return Score(
            value=value,
            details={**details, "agreement": _share_of_votes(votes, value)},
        )


@dataclass(
    frozen=True,
    kw_only=True,
)
class JudgeRubric(_JudgeMetric):
    """A judge's grade by a rubric, from `low` to `high`, as a number from 0 to 1; the
    grade is in the details.

    The judge sees the expected output where the case has one, unless `reference` is
    false. A panel decides by the median of the grades, once more than half of its
    members have given one.
    """

    component_id: ClassVar[str] = "builtin/judge_rubric"
    version: ClassVar[str] = "1"

    rubric: str
    low: int = 1
    high: int = 5
    reference: bool = True

    def check_settings(self) -> None:
        """Raises `ComponentError` for a setting of another type, an empty rubric or a
        scale without steps.
        """
        super().check_settings()
        if not self.rubric.strip():
            raise ComponentError(
                f"{self.component_id}: rubric is empty; say what is good and what is bad"
            )
        if not 1 <= self.high - self.low <= 100:
            raise ComponentError(
                f"{self.component_id}: low={self.low}, high={self.high}: write 2 to 101 grades"
            )

    @property
    def reads(self) -> tuple[str, ...]:
        """Value and input, and the expected output where it is shown."""
        return ("value", "input", *(("expected_output",) if self.reference else ()))

    @property
    def _task_text(self) -> str:
        return _RUBRIC.format(
            low=self.low,
            high=self.high,
        ) + (f" {_EXPECTED}" if self.reference else "")

    @property
    def _prompt_spec(self) -> PromptSpec:
        spec = super()._prompt_spec
        return spec.model_copy(
            update={
                "instructions": f"{spec.instructions}\n\nThe rubric:\n{self.rubric}"
            }
        )

    @cached_property
    def _verdict_form(self) -> VerdictForm:
        return VerdictForm("grade", tuple(range(self.low, self.high + 1)), self.explain)

    def _request_text(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> str:
        expected = (
            {}
            if case.expected_output is None
            else {"expected output": case.expected_output}
        )
        return sections({"input": case.input, **expected, "output": parsed.value})

    def _verdict_value(self, verdict: dict[str, Any]) -> float:
        return float(verdict["grade"])

    def _decide_score(
        self,
        votes: Sequence[_Vote],
        details: dict[str, Any],
    ) -> Score:
        grade = statistics.median(
            vote.value for vote in votes if vote.value is not None
        )
        details = {
            **details,
            "grade": grade,
            "agreement": _share_of_votes(votes, grade),
        }
        return Score(
            value=(grade - self.low) / (self.high - self.low),
            details=details,
        )


@dataclass(
    frozen=True,
    kw_only=True,
)
class JudgePairwise(_JudgeMetric):
    """1 where a judge finds the output better than the expected output, 0 where worse,
    0.5 where neither.

    `against` names a metadata column to compare with instead. Each judge is asked
    twice, with the output as A and as B, and what it says only for one order is a tie:
    a verdict that depends on the place is none. `position_consistent` in the details
    says whether every judge kept to its verdict. A panel decides by majority of all
    members; without one it is a tie.
    """

    component_id: ClassVar[str] = "builtin/judge_pairwise"
    version: ClassVar[str] = "1"

    against: str | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        """Value, input, and what the output is compared with."""
        return (
            "value",
            "input",
            "expected_output" if self.against is None else "metadata",
        )

    def judge_calls(self) -> Sequence[JudgeCall]:
        """The same question twice, once in each order."""
        schema = self._verdict_form.schema
        return [
            JudgeCall(
                self._output_first,
                self._prompt_spec,
                "output_first",
                schema,
            ),
            JudgeCall(
                self._output_second,
                self._prompt_spec,
                "output_second",
                schema,
            ),
        ]

    @property
    def _task_text(self) -> str:
        return _PAIRWISE

    @cached_property
    def _verdict_form(self) -> VerdictForm:
        return VerdictForm("verdict", ("A", "B", "tie"), self.explain)

    def _output_first(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> str:
        return sections(
            {
                "input": case.input,
                "answer A": parsed.value,
                "answer B": self._other_output(case),
            }
        )

    def _output_second(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> str:
        return sections(
            {
                "input": case.input,
                "answer A": self._other_output(case),
                "answer B": parsed.value,
            }
        )

    def _other_output(self, case: Case) -> Any:
        if self.against is None:
            if case.expected_output is None:
                raise RowError("the case has no expected output")
            return case.expected_output
        if case.metadata.get(self.against) is None:
            raise RowError(f"the case has no metadata {self.against!r}")
        return case.metadata[self.against]

    def _verdict_value(self, verdict: dict[str, Any]) -> float:
        return {"A": 1.0, "B": 0.0, "tie": 0.5}[verdict["verdict"]]

    def _count_vote(self, verdicts: Sequence[GenerationResult]) -> _Vote:
        first, second = (
            super(JudgePairwise, self)._count_vote([verdict]) for verdict in verdicts
        )
        error = first.error or second.error
        if error or first.value is None or second.value is None:
            return _Vote(error=error)
        consistent = first.value == 1.0 - second.value
        return _Vote(
            first.value if consistent else 0.5,
            (*first.reasons, *second.reasons),
            None,
            consistent,
        )

    def _decide_score(
        self,
        votes: Sequence[_Vote],
        details: dict[str, Any],
    ) -> Score:
        value = _majority_value(votes)
        value = 0.5 if value is None else value
        consistent = all(vote.position_consistent for vote in votes)
        details = {
            **details,
            "agreement": _share_of_votes(votes, value),
            "position_consistent": consistent,
        }
        return Score(
            value=value,
            details=details,
        )


def _majority_value(votes: Sequence[_Vote]) -> float | None:
    """The value that more than half of all votes have."""
    counts = Counter(vote.value for vote in votes if vote.value is not None)
    return next(
        (value for value, count in counts.items() if 2 * count > len(votes)), None
    )


def _share_of_votes(
    votes: Sequence[_Vote],
    value: float,
) -> float:
    return sum(vote.value == value for vote in votes) / len(votes)


def _verdict_reasons(verdict: dict[str, Any]) -> tuple[str, ...]:
    """The reason in a verdict, at the length that was asked for, as text that can be
    stored.
    """
    reason = (
        verdict.get("reason", "")[:REASON_CHARS]
        .encode("utf-8", "backslashreplace")
        .decode()
    )
    return (reason,) if "reason" in verdict else ()
