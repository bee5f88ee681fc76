"""Whether every case can be sent under the prompt spec, before money is spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow.compute as pc

from themis_lib.core.prompts import has_material
from themis_lib.errors import DatasetError, RowError
from themis_lib.identity.digests import load_json
from themis_lib.runs.pipeline import Pipeline
from themis_lib.stages.reading import read
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

#: How an input begins that is a list, or whose prompt may be one.
_LIST, _LIST_OR_OBJECT = r"^\[", r"^[\[{]"


def check_inputs(
    pipeline: Pipeline,
    shards: Sequence[Shard],
    store: RunStore,
) -> None:
    """Raise `DatasetError` for the first case that the generator has no request for.

    Such are a conversation without a turn for the prompt spec's suffix, or an image for
    a model of text. Only conversations and content parts are looked at.
    """
    stage = pipeline.generate
    check = stage.generator.check_input
    if check is None or "input" not in stage.generator_reads:
        return
    for shard in shards:
        has_turns = shard.has_lists and has_material(stage.prompt_spec)
        if not shard.has_parts and not has_turns:
            continue
        for case_id, text in _listed_inputs(pipeline, shard, store):
            given = stage.prompt_of(text) if stage.makes_prompts else None
            # A template that fails for a case is an error of its row alone.
            prompt = text if given is None else given.prompt
            if prompt is None:
                continue
            try:
                check(load_json(prompt), stage.prompt_spec)
            except RowError as error:
                raise DatasetError(
                    f"dataset {shard.dataset_id!r}: case {case_id!r}: {error}"
                ) from None


def _listed_inputs(
    pipeline: Pipeline,
    shard: Shard,
    store: RunStore,
) -> Iterator[tuple[str, str]]:
    """Yield id and input of the cases that may be sent as a list of messages or parts."""
    cases = read(store, shard.cases).select(["case_id", "input"])
    pattern = _LIST if pipeline.generate.template is None else _LIST_OR_OBJECT
    cases = cases.filter(pc.match_substring_regex(cases["input"], pattern))
    yield from zip(
        cases["case_id"].to_pylist(), cases["input"].to_pylist(), strict=True
    )
