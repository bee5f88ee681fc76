"""The samples of a run as one wide table, for notebooks and spreadsheets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.identity.digests import load_json

#: Reads a table of a run, named as in `RUN_TABLES`.
ReadTable = Callable[[str], pa.Table]

#: The columns that tell cases apart, and samples of cases.
CASE_KEY = ("dataset_id", "case_id")
SAMPLE_KEY = (*CASE_KEY, "sample_index")
_COLUMNS = ("input", "expected_output", "output", "value", "error")


def sample_table(
    read: ReadTable,
    metric_ids: Sequence[str],
) -> pa.Table:
    """Return one row for each case and sample, in the order of the run's outputs.

    The columns are `dataset_id`, `case_id`, `sample_index`, `input`, `expected_output`,
    `output`, `value` (the parsed answer), `error` (every reason that something is
    missing), then each metric's score under the metric's id, or under `score[id]` where
    the id is one of these columns. Text is text; any other value is JSON.
    """
    outputs, cases, answers, scores = map(
        read, ("outputs", "cases", "answers", "scores")
    )
    case_of = row_positions(outputs, cases, CASE_KEY)
    answer_of = row_positions(outputs, answers, SAMPLE_KEY)
    columns = {name: outputs[name].combine_chunks() for name in SAMPLE_KEY}
    columns["input"] = _texts(_take(cases, "input", case_of))
    columns["expected_output"] = _texts(_take(cases, "expected_output", case_of))
    columns["output"] = _texts(outputs["output"].combine_chunks())
    columns["value"] = _texts(_take(answers, "value", answer_of))
    reasons = [
        outputs["error"].combine_chunks(),
        _take(answers, "error", answer_of),
    ]
    for metric_id in metric_ids:
        of_metric = scores.filter(pc.equal(scores["metric_id"], metric_id))
        score_of = row_positions(outputs, of_metric, SAMPLE_KEY)
        is_taken = metric_id in SAMPLE_KEY or metric_id in _COLUMNS
        name = f"score[{metric_id}]" if is_taken else metric_id
        columns[name] = _take(of_metric, "score", score_of)
        reasons.append(_take(of_metric, "error", score_of))
    columns["error"] = _joined(reasons)
    ordered = [*SAMPLE_KEY, *_COLUMNS]
    ordered += [name for name in columns if name not in ordered]
    return pa.table({name: columns[name] for name in ordered})


def row_positions(
    rows: pa.Table,
    table: pa.Table,
    key: Sequence[str],
) -> pa.Array:
    """Return for each row where the table has the same key; null where it lacks it."""
    return pc.index_in(_key_texts(rows, key), value_set=_key_texts(table, key))


def _key_texts(
    table: pa.Table,
    key: Sequence[str],
) -> pa.Array:
    # The length in front keeps ("a", "bc") apart from ("ab", "c").
    texts = []
    for name in key:
        text = table[name].combine_chunks().cast(pa.string())
        texts += [pc.utf8_length(text).cast(pa.string()), text]
    return pc.binary_join_element_wise(*texts, ":")


def _take(
    table: pa.Table,
    name: str,
    positions: pa.Array,
) -> pa.Array:
    return table[name].combine_chunks().take(positions)


def _texts(values: pa.Array) -> pa.Array:
    """Return JSON values with the quotes of texts removed."""
    texts = []
    for value in values.to_pylist():
        # Only a text begins with a quote.
        is_text = value is not None and value.startswith('"')
        texts.append(load_json(value) if is_text else value)
    return pa.array(texts, pa.string())


def _joined(reasons: Sequence[pa.Array]) -> pa.Array:
    """Return the different reasons of each row in one text; null where there is none."""
    texts: list[str | None] = [None] * len(reasons[0])
    missing = np.ones(len(texts), dtype=bool)
    for column in reasons:
        missing &= column.is_null().to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(~missing):
        said = [column[row].as_py() for column in reasons]
        texts[row] = "; ".join(dict.fromkeys(filter(None, said)))
    return pa.array(texts, pa.string())
