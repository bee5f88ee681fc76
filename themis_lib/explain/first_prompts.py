"""The prompts of the first cases as they would be sent, without sending any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from themis_lib.core.prompts import render_conversation
from themis_lib.core.shown_parts import shown_content
from themis_lib.data.datasets import case_rows
from themis_lib.errors import RowError
from themis_lib.identity.digests import load_json
from themis_lib.runs.pipeline import Pipeline


@dataclass(frozen=True)
class FirstPrompt:
    """A case and the turns that a model would be sent for it, as role and text.

    `error` is why there are none.
    """

    dataset_id: str
    case_id: str
    turns: tuple[tuple[str, str], ...] = ()
    error: str | None = None


def first_prompts(
    pipeline: Pipeline,
    count: int,
) -> Iterator[FirstPrompt]:
    """Yield the prompts of the first cases of all datasets, in order.

    They are what the built-in adapters send; a generator of yours is given the input
    and the prompt spec, and may do with them as it likes. Raise `DatasetError` for a
    case that cannot be read.
    """
    prompts = (
        _prompts_of(pipeline, dataset) for dataset in pipeline.experiment.datasets
    )
    yield from islice(chain.from_iterable(prompts), count)


def _prompts_of(
    pipeline: Pipeline,
    dataset: Any,
) -> Iterator[FirstPrompt]:
    stage = pipeline.generate
    spec = stage.prompt_spec
    if spec.instructions is None:
        own = {"instructions": stage.generator.instructions}
        spec = spec.model_copy(update=own)
    rows = case_rows(dataset, files=pipeline.part_files())
    for case_id, case_input, _, _ in rows:
        given = stage.prompt_of(case_input)
        if given.prompt is None:
            yield FirstPrompt(dataset.dataset_id, case_id, error=given.error)
            continue
        first_request = stage.generator.first_request
        value = load_json(given.prompt)
        try:
            if first_request is None:
                messages = render_conversation(spec, value)
            else:
                messages = first_request(value, spec)
        except RowError as error:
            yield FirstPrompt(dataset.dataset_id, case_id, error=str(error))
            continue
        turns = []
        for turn in messages:
            turns.append((str(turn["role"]), shown_content(turn.get("content"))))
        yield FirstPrompt(dataset.dataset_id, case_id, tuple(turns))
