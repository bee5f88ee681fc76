"""What a component is told beside its rows."""

from __future__ import annotations

import dataclasses

import pytest

from themis_lib import Case, GenerationResult, PromptSpec
from themis_lib.core.contexts import (
    GenerateContext,
    ParseContext,
    ReduceContext,
    ScoreContext,
)

CONTEXTS = [
    GenerateContext("run", "case", "data", 1, None, PromptSpec()),
    ParseContext(Case(case_id="case", input="x")),
    ScoreContext(GenerationResult()),
    ReduceContext(None),
]


@pytest.mark.parametrize(
    "context", CONTEXTS, ids=lambda context: type(context).__name__
)
def test_contexts_cannot_be_changed(context: object) -> None:
    """A component cannot pass anything on to the next row through its context."""
    name = dataclasses.fields(context)[0].name  # type: ignore[arg-type]

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(context, name, None)


def test_optional_facts_are_empty() -> None:
    """Without metadata to read and judges to ask, a context has neither."""
    assert {} == CONTEXTS[0].metadata  # type: ignore[attr-defined]
    assert () == CONTEXTS[2].verdicts  # type: ignore[attr-defined]
