"""The base of metrics that ask judges: their votes, and how a panel decides.

All members of a panel count. Those whose verdict cannot be read vote for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

from pydantic import JsonValue

from themis_lib.builtins.verdicts import DATA_NOTICE, REASON_CHARS, VerdictForm
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

Details: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Vote:
    """One judge's verdict as the metric counts it, or the `error` that prevents it."""

    value: float | None = None
    reasons: tuple[str, ...] = ()
    error: str | None = None
    position_consistent: bool = True


@dataclass(
    frozen=True,
    kw_only=True,
)
class PanelMetric(Builtin):
    """A metric whose score is the verdict of a judge or a panel of judges.

    `judge` is a generator or a list of them; it defaults to the experiment's
    `judge_models`. `instructions` replace the built-in ones. With `explain` a judge
    gives a reason before its verdict.

    Subclasses implement `_task_text`, `_verdict_form`, `_build_request`, `_read_value`
    and `_decide_score`. They may extend `_prompt_spec` and `_read_vote`.
    """

    # A fence or a thought around the JSON is no reason to lose a verdict.
    reads_unfit_verdicts: ClassVar[bool] = True
    score_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    # A generator can hold credentials, so `repr` does not show it.
    judge: Any = field(
        default=None,
        repr=False,
    )
    instructions: str | None = None
    explain: bool = True

    def settings(self) -> dict[str, Any]:
        """Return every setting but `judge`."""
        settings = super().settings()
        # Who answered is in the keys of the verdicts, and what was said in the score's:
        # another judge that says the same costs no score.
        del settings["judge"]
        return settings

    def judge_calls(self) -> Sequence[JudgeCall]:
        """Return the one question about each answer."""
        call = JudgeCall(
            self._build_request,
            self._prompt_spec,
            schema=self._verdict_form.schema,
        )
        return [call]

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError:
        """Return what the judges decide, or the reason they do not.

        The details have each judge's vote, `None` where it has none.
        """
        # One judge after another, each in the order of the questions.
        questions = len(self.judge_calls())
        votes = []
        for first in range(0, len(ctx.verdicts), questions):
            answers = ctx.verdicts[first : first + questions]
            votes.append(self._read_vote(answers))
        details: Details = {
            "votes": [vote.value for vote in votes],
        }
        reasons: list[str] = []
        errors = []
        for vote in votes:
            reasons.extend(vote.reasons)
            if vote.error:
                errors.append(vote.error)
        if self.explain:
            details["reasons"] = reasons
        # More than half of all members must have a verdict. An empty panel has none.
        if 2 * len(errors) < len(votes):
            return self._decide_score(votes, details)
        reason = errors[0] if errors else "no judge was asked"
        if len(votes) > 1:
            reason = f"{len(errors)} of {len(votes)} judges gave no verdict; {reason}"
        return ScoreError(
            reason=reason,
            details=details,
        )

    @property
    def _task_text(self) -> str:
        """The built-in instructions."""
        raise NotImplementedError

    @property
    def _verdict_form(self) -> VerdictForm:
        raise NotImplementedError

    def _build_request(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> JsonValue:
        raise NotImplementedError

    def _read_value(self, verdict: dict[str, Any]) -> float:
        raise NotImplementedError

    def _decide_score(
        self,
        votes: Sequence[Vote],
        details: Details,
    ) -> Score | ScoreError:
        """Return the score of a panel in which more than half have voted."""
        raise NotImplementedError

    @property
    def _prompt_spec(self) -> PromptSpec:
        task = self.instructions or self._task_text
        return PromptSpec(
            # Also behind the user's own instructions: judged texts stay data.
            instructions=f"{task}\n\n{DATA_NOTICE}",
            suffix=self._verdict_form.told,
        )

    def _read_vote(self, verdicts: Sequence[GenerationResult]) -> Vote:
        """Return the vote in one judge's answers, here a single one."""
        (verdict,) = verdicts
        if verdict.error and verdict.final_output is None:
            return Vote(error=verdict.error)
        try:
            read = self._verdict_form.read(verdict.final_output)
        except ValueError as error:
            return Vote(error=verdict.error or str(error))
        value = self._read_value(read)
        if "reason" not in read:
            return Vote(value=value)
        # A judge that is not held to the schema can write more than it was asked for.
        reason = read["reason"][:REASON_CHARS]
        # JSON can hold half a surrogate pair, which UTF-8 cannot.
        encoded = reason.encode("utf-8", "backslashreplace")
        return Vote(
            value=value,
            reasons=(encoded.decode(),),
        )


def majority(votes: Sequence[Vote]) -> float | None:
    """Return the value that more than half of all votes have, or `None`.

    >>> majority([Vote(1.0), Vote(1.0), Vote(error="refused")])
    1.0
    """
    counts = Counter(vote.value for vote in votes)
    for value, count in counts.items():
        # Of the members and not of the verdicts: an abstention is no approval.
        if value is not None and 2 * count > len(votes):
            return value
    return None


def agreement(
    votes: Sequence[Vote],
    value: float,
) -> float:
    """Return the share of all votes that have this value."""
    agreeing = sum(vote.value == value for vote in votes)
    return agreeing / len(votes)
