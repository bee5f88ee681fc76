"""What a component is told beside its rows.

`seed` and `prompt_spec` are identity: every key of the generate stage covers them. Run,
dataset and case ids in a `GenerateContext` are circumstances: they are for logs,
request tags and error messages, and a result must not depend on them. A component whose
result does depend on the case id declares `reads = (..., "case_id")`: the id is then in
the case that it is given, and keys cover it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.parts import Contents, NoContents
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.steps import Steps


@dataclass(
    frozen=True,
    slots=True,
)
class GenerateContext:
    """The circumstances of one candidate.

    `metadata` is the case's if the generator reads it, else empty; `sample_index` is
    `None` unless the generator declares that it reads it. `contents` has the bytes of the
    files that the case names by their digest; see `core.parts`. `steps` makes the calls of
    a generator that asks others (`core.abilities.AsksOthers`); `None` outside a run.
    """

    run_id: str
    case_id: str
    dataset_id: str
    seed: int
    sample_index: int | None
    prompt_spec: PromptSpec
    metadata: Mapping[str, Any] = field(default_factory=dict)
    contents: Contents = field(default_factory=NoContents, repr=False)
    steps: Steps | None = None


@dataclass(
    frozen=True,
    slots=True,
)
class ParseContext:
    """What a parser may see beside the output.

    `case` holds the columns that it declared in `reads`; the rest is hidden.
    """

    case: Case


@dataclass(
    frozen=True,
    slots=True,
)
class ScoreContext:
    """What a metric may see beside case and answer.

    `result` holds the output columns it declared in `reads`. `verdicts` holds what its
    judges said, for a metric with `judge_calls`: one judge after another, each in the
    order of the calls; `error` is set where a call failed.
    """

    result: GenerationResult
    verdicts: tuple[GenerationResult, ...] = ()


@dataclass(
    frozen=True,
    slots=True,
)
class ReduceContext:
    """The metric that a case is reduced for; `None` in an experiment without metrics.

    `higher_is_better` is what the metric declares.
    """

    metric_id: str | None
    higher_is_better: bool = True
