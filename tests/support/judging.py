"""What judges are asked, and what a metric makes of their answers."""

from __future__ import annotations

from typing import Any

from themis_lib.core.contexts import ScoreContext
from themis_lib.core.models import (
    Case,
    GenerationResult,
    ParsedOutput,
    Score,
    ScoreError,
)

CASE = Case(case_id="a", input="2+2", expected_output="4", metadata={"rival": "5"})
#: Verdicts on correctness, without reasons.
YES = '{"verdict": "correct"}'
NO = '{"verdict": "incorrect"}'


def decided(metric: Any, *outputs: Any) -> Score | ScoreError:
    """Return what a metric makes of its judges' outputs.

    An exception in place of an output is a call that failed.
    """
    verdicts = [
        GenerationResult(error=str(output))
        if isinstance(output, Exception)
        else GenerationResult(final_output=output)
        for output in outputs
    ]
    return metric.score(
        ParsedOutput(value="4"), CASE, ScoreContext(GenerationResult(), tuple(verdicts))
    )


def requests(metric: Any, value: Any = "four", case: Case = CASE) -> list[Any]:
    """Return what each question shows the judge."""
    context = ScoreContext(GenerationResult())
    return [
        call.request(ParsedOutput(value=value), case, context)
        for call in metric.judge_calls()
    ]
