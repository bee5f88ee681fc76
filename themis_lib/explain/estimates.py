"""Estimates of the tokens that a stage will use, before a model is called."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.models import TokenUsage
from themis_lib.core.protocols import ANSWER_COLUMNS, OUTPUT_COLUMNS, WHOLE_CASE
from themis_lib.runs.manifest import Manifest
from themis_lib.runs.pipeline import Pipeline
from themis_lib.stages.generate import GenerateStage
from themis_lib.stages.judge import JudgeStage
from themis_lib.stages.reading import read
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

#: A rule of thumb for English text.
_CHARS_PER_TOKEN = 4


def request_length(
    stage: Stage,
    rows: pa.Table,
) -> float:
    """Return the mean characters that rows of a stage ask a model about.

    The prompt spec's are not among them. 0 for a stage that calls no model.
    """
    # A judge's `input` is its whole request, case and answer included.
    if isinstance(stage, JudgeStage):
        return _mean_length(rows, ("input",))
    if isinstance(stage, GenerateStage):
        # A template, or examples before a case, make a prompt of its input.
        if "prompt" in rows.column_names:
            return _mean_length(rows, ("prompt",))
        return _mean_length(rows, WHOLE_CASE)
    return 0.0


def expected_request_length(
    pipeline: Pipeline,
    stage: Stage,
    shard: Shard,
    store: RunStore,
) -> float | None:
    """Return the mean characters of requests that cannot be built yet.

    Only judges have such requests: about answers that are missing, taken to be as long
    as the generator's `max_tokens` allows. `None` if it sets none.
    """
    if not isinstance(stage, JudgeStage):
        return 0.0
    reads = stage.metric_reads
    cases = read(store, shard.cases)
    case_length = _mean_length(cases, [name for name in WHOLE_CASE if name in reads])
    # A metric that reads no output and no answer judges the case alone.
    if not {*OUTPUT_COLUMNS, *ANSWER_COLUMNS}.intersection(reads):
        return case_length
    max_tokens = pipeline.generate.generator.max_tokens
    if max_tokens is None:
        return None
    return case_length + max_tokens * _CHARS_PER_TOKEN


def _mean_length(
    rows: pa.Table,
    names: Iterable[str],
) -> float:
    """Return the mean characters of some columns together.

    A generator's rows have only the columns it reads; the others count as 0.
    """
    length = 0.0
    for name in names:
        if name in rows.column_names:
            # The mean of no values is null: a column may have none.
            mean = pc.mean(pc.utf8_length(rows[name])).as_py()
            length += mean or 0.0
    return length


def estimate_usage(
    stage: Stage,
    wanted: int,
    characters: float | None,
    nearest: Manifest | None,
) -> TokenUsage | None:
    """Return the tokens that `wanted` rows of a stage will use.

    The estimate is what a row used on average in the nearest run. Without such a run,
    a token for every four of the `characters` that all rows ask about, and
    `max_tokens` for each answer. `None` for a stage that calls no model, and if neither
    is known.
    """
    if not isinstance(stage, GenerateStage) or not wanted:
        return None
    known = _usage_before(stage, nearest)
    if known is not None:
        used, rows = known
        scaled: dict[str, int | None] = {}
        for name, tokens in used.model_dump().items():
            scaled[name] = None if tokens is None else round(tokens * wanted / rows)
        return TokenUsage(**scaled)
    max_tokens = stage.generator.max_tokens
    # A generator that is free is not estimated: its tokens cost nobody anything.
    if not stage.is_paid or characters is None or max_tokens is None:
        return None
    # The prompt spec goes along with every row.
    instructions = stage.prompt_spec.model_dump_json(
        exclude_defaults=True,
        exclude={"template"},
    )
    sent = characters + wanted * len(instructions)
    return TokenUsage(
        input_tokens=round(sent / _CHARS_PER_TOKEN),
        output_tokens=wanted * max_tokens,
    )


def _usage_before(
    stage: Stage,
    nearest: Manifest | None,
) -> tuple[TokenUsage, int] | None:
    """Return the tokens of this stage in the nearest run, and the rows that used them."""
    record = None if nearest is None else nearest.stage(stage.label)
    if record is None:
        return None
    used = record.usage
    rows = max(record.rows - record.skipped, 1)
    # The rows it computed itself are the most like those to come.
    if record.computed:
        used = record.usage_computed
        rows = record.computed
    return None if used is None else (used, rows)
