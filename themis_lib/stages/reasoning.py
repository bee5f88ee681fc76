"""Outputs apart from the reasoning that a model wrote in front of them.

The store keeps a text as the model wrote it. Where rows become results, its reasoning
is a column beside it, and `output` the answer alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.reasoning import CUT_OFF, ReasonedText, split_reasoning
from themis_lib.identity.digests import canonical_json, load_json

#: The column, and where artifacts have what a provider returned in a field.
REASONING = "reasoning"
# A mark of reasoning, as `split_reasoning` knows them. RE2 looks for one in JSON, without
# a loop in Python; it may find more than there is, but never less.
_MARKED = (
    r"(?i)</?(?:\w+:)?(?:think|thought)|\[/?THINK\]|◁/?think▷"
    r"|<\|(?:begin_of_thought|end_of_thought|START_THINKING|END_THINKING)\|>"
    r'|<\|?channel|\[BEGIN FINAL|^"(?:\\[nrt]|\s)*(?:analysis|commentary)'
)
_NOTHING_FOLLOWS = "nothing follows the thought in the output"


def reasoning_apart(outputs: pa.Table) -> pa.Table:
    """Return an outputs table with `reasoning` beside the answer alone in `output`.

    An output without an answer is null, and its `error` says why.
    """
    split = _split_texts(outputs)
    return _answers_alone(_with_reasoning(outputs, split), split)


def with_reasoning(outputs: pa.Table) -> pa.Table:
    """Return an outputs table with `reasoning` beside the texts as they were written."""
    return _with_reasoning(outputs, _split_texts(outputs))


def answers_alone(rows: pa.Table) -> pa.Table:
    """Return rows with the answers alone in `output`, where they have that column."""
    if "output" not in rows.column_names:
        return rows
    return _answers_alone(rows, _split_texts(rows))


def _split_texts(rows: pa.Table) -> dict[int, ReasonedText]:
    """Return the texts that begin with reasoning, in two parts, by position."""
    outputs = rows["output"]
    # Any other output is no text.
    is_marked = pc.and_(
        pc.starts_with(outputs, '"'),
        pc.match_substring_regex(outputs, _MARKED),
    )
    split = {}
    for position in _positions(is_marked):
        text = load_json(outputs[position].as_py())
        found = split_reasoning(text)
        if found.answer != text:
            split[position] = found
    return split


def _with_reasoning(
    outputs: pa.Table,
    split: Mapping[int, ReasonedText],
) -> pa.Table:
    thoughts: list[str | None] = [None] * outputs.num_rows
    artifacts = outputs["artifacts"]
    for position in _positions(pc.match_substring(artifacts, f'"{REASONING}":')):
        said = load_json(artifacts[position].as_py()).get(REASONING)
        if isinstance(said, str):
            thoughts[position] = said
    for position, text in split.items():
        parts = filter(None, [thoughts[position], text.reasoning])
        thoughts[position] = "\n\n".join(parts) or None
    return outputs.append_column(REASONING, pa.array(thoughts, pa.string()))


def _answers_alone(
    rows: pa.Table,
    split: Mapping[int, ReasonedText],
) -> pa.Table:
    # Most tables have no such text, and keep their columns.
    if not split:
        return rows
    outputs = rows["output"].to_pylist()
    errors = rows["error"].to_pylist()
    for position, text in split.items():
        outputs[position] = None
        if text.answer and text.answer.strip():
            outputs[position] = canonical_json(text.answer)
        # What the generator says of its output is the better reason.
        elif errors[position] is None:
            is_cut = text.answer is None
            errors[position] = CUT_OFF if is_cut else _NOTHING_FOLLOWS
    for name, values in (("output", outputs), ("error", errors)):
        at = rows.column_names.index(name)
        rows = rows.set_column(at, name, pa.array(values, pa.string()))
    return rows


def _positions(is_found: pa.ChunkedArray) -> list[int]:
    """Return the positions of true values; null is false."""
    return pc.indices_nonzero(is_found).to_pylist()  # type: ignore[no-any-return]
