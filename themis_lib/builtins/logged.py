"""What another tool's log says of an output: the answer it read and the scores it gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from themis_lib.builtins.recordings import LOGGED
from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import ParseContext, ScoreContext
from themis_lib.core.models import (
    Case,
    GenerationResult,
    ParsedOutput,
    Score,
    ScoreError,
)
from themis_lib.errors import nearest

_NO_LOG = "the output is from no log; replay one: {use: builtin/replay, format: …}"


@dataclass(frozen=True)
class LoggedAnswer(Builtin):
    """The answer that another tool read out of the output, from its log.

    For outputs that `builtin/replay` takes from a log.
    """

    component_id: ClassVar[str] = "builtin/logged_answer"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("artifacts",)

    def parse(
        self,
        result: GenerationResult,
        ctx: ParseContext,
    ) -> ParsedOutput:
        """Return the answer, or the reason there is none."""
        logged = _logged(result)
        if logged is None:
            return ParsedOutput(format="logged", error=_NO_LOG)
        if logged.get("answer") is None:
            return ParsedOutput(format="logged", error="no answer is logged")
        return ParsedOutput(value=logged["answer"], format="logged")


@dataclass(frozen=True)
class LoggedMetric(Builtin):
    """The score of this name that another tool gave the output, from its log.

    For outputs that `builtin/replay` takes from a log. Names are the tool's own: a
    metric of lm-eval (`exact_match`, with a filter `exact_match,strict-match`), a
    scorer of Inspect (`match`), and of promptfoo `score`, `pass` or a named metric.
    """

    component_id: ClassVar[str] = "builtin/logged_score"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ("artifacts",)

    score_name: str
    higher_is_better: bool = True

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
    ) -> Score | ScoreError:
        """Return the score, or the reason there is none."""
        logged = _logged(ctx.result)
        if logged is None:
            return ScoreError(reason=_NO_LOG)
        scores = logged.get("scores") or {}
        found = scores.get(self.score_name)
        if found is None:
            hint = f"; {nearest(self.score_name, scores)}" if scores else ""
            return ScoreError(reason=f"the log has no {self.score_name!r}{hint}")
        details = found["details"] or None
        if found["value"] is None:
            return ScoreError(reason=found["reason"], details=details)
        return Score(value=found["value"], details=details)


def _logged(result: GenerationResult) -> dict[str, Any] | None:
    """Return what a log says of an output; `None` for an output of another origin."""
    logged = (result.artifacts or {}).get(LOGGED)
    return logged if isinstance(logged, dict) else None
