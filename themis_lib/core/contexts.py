"""What a component is told beside its rows.

`seed` and `prompt_spec` are identity: every key of the generate stage covers them. Run, dataset and case ids are
circumstances: they are there for logs, request tags and error messages, and a result must not depend on them. A
component whose result does depend on the case id declares `reads = (..., "case_id")`; then keys cover it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.prompts import PromptSpec


@dataclass(frozen=True, slots=True)
class GenerateContext:
    """The circumstances of one candidate. `metadata` is the case's, where the generator reads it; else empty."""

    run_id: str
    case_id: str
    dataset_id: str
    seed: int
    sample_index: int
    prompt_spec: PromptSpec
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ParseContext:
    """The circumstances of one parse; `case` holds the columns the parser declared in `reads`, the rest masked."""

    run_id: str
    case_id: str
    dataset_id: str
    case: Case


@dataclass(frozen=True, slots=True)
class ScoreContext:
    """The circumstances of one score; `result` holds the output columns the metric declared in `reads`."""

    run_id: str
    case_id: str
    dataset_id: str
    result: GenerationResult


@dataclass(frozen=True, slots=True)
class ReduceContext:
    """The circumstances of one reduction."""

    run_id: str
    case_id: str
    dataset_id: str
    metric_id: str | None
