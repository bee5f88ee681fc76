"""The items of a run: what people may be asked to label, keyed by content.

An item's key covers the question and exactly what the person is shown. Equal contents
are one item, whatever run, model, case or sample they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.metadata import metadata_value
from themis_lib.identity.digests import canonical_json, load_json, row_keys
from themis_lib.labels.questions import Question, question_of
from themis_lib.runs.results import RunResult
from themis_lib.runs.sample_table import CASE_KEY, SAMPLE_KEY, row_positions

#: The tables that have what is shown, by column.
_CASES = ("input", "expected_output", "metadata")
_PARSED = ("value",)


@dataclass(frozen=True)
class RunItems:
    """The items of one metric of a run.

    `rows` has a row for each scored case and sample, in the order of the run: `dataset_id`,
    `case_id`, `sample_index`, `score`, `details` (JSON) and `item`, its key in hexadecimal
    digits. Rows without a score are left out. `contents` has what each item shows, as
    JSON texts by column.
    """

    run: RunResult
    question: Question
    rows: pa.Table
    contents: Mapping[str, Mapping[str, str | None]]

    def place_of(self, item: str) -> tuple[str, str, int]:
        """Return dataset, case and sample of the first row of an item."""
        at = self.rows["item"].index(item).as_py()
        dataset_id, case_id, sample_index = (
            self.rows[name][at].as_py() for name in SAMPLE_KEY
        )
        return dataset_id, case_id, sample_index


def items_of(
    run: RunResult,
    metric_id: str | None = None,
) -> RunItems:
    """Return the items of a metric of a run; see `question_of` for `metric_id`.

    Raise `ConfigError` as that does.
    """
    question = question_of(run, metric_id)
    scores = run.table(
        "scores",
        columns=[*SAMPLE_KEY, "score", "details"],
        where=pc.field("metric_id") == question.metric_id,
    )
    # Not in `where`: an earlier version had another name for the column.
    scores = scores.filter(pc.is_valid(scores["score"]))
    shown = _shown(run, question, scores)
    columns = list(shown.values())
    keys = [
        key.hex() for key in row_keys(question.fingerprint, zip(*columns, strict=True))
    ]
    contents: dict[str, dict[str, str | None]] = {}
    for key, texts in zip(keys, zip(*columns, strict=True), strict=True):
        if key not in contents:
            contents[key] = dict(zip(shown, texts, strict=True))
    rows = scores.append_column("item", pa.array(keys, pa.string()))
    return RunItems(run, question, rows, contents)


def _shown(
    run: RunResult,
    question: Question,
    scores: pa.Table,
) -> dict[str, list[str | None]]:
    """Return what each row shows, as JSON texts by column."""
    cases = run.table("cases")
    case_of = row_positions(scores, cases, CASE_KEY)
    shown = {}
    for name in question.shows:
        if name == "metadata":
            texts = [_metadata_text(pairs) for pairs in cases[name].to_pylist()]
            shown[name] = pa.array(texts, pa.string()).take(case_of).to_pylist()
        elif name in _CASES:
            shown[name] = cases[name].combine_chunks().take(case_of).to_pylist()
        else:
            table = run.table(
                "answers" if name in _PARSED else "outputs",
                columns=[*SAMPLE_KEY, name],
            )
            at = row_positions(scores, table, SAMPLE_KEY)
            texts = table[name].combine_chunks().take(at).to_pylist()
            shown[name] = [_as_shown(name, text) for text in texts]
    if question.rival is not None:
        shown["rival"] = _rivals(cases, question.rival).take(case_of).to_pylist()
    return shown


def _as_shown(
    name: str,
    text: str | None,
) -> str | None:
    """Return a cell of outputs or answers as JSON text of what is shown of it."""
    if text is None:
        return None
    # Reasoning is kept as text, every other column as JSON.
    if name == "reasoning":
        return canonical_json(text)
    # A judge is shown no system message: another one leaves labels as they are.
    if name == "conversation":
        turns = [turn for turn in load_json(text) if turn.get("role") != "system"]
        return canonical_json(turns)
    return text


def _rivals(
    cases: pa.Table,
    name: str,
) -> pa.Array:
    if name == "expected_output":
        return cases[name].combine_chunks()
    texts = []
    for pairs in cases["metadata"].to_pylist():
        value = dict(pairs or ()).get(name)
        texts.append(None if value is None else canonical_json(metadata_value(value)))
    return pa.array(texts, pa.string())


def _metadata_text(pairs: list[tuple[str, str]] | None) -> str:
    return canonical_json({name: metadata_value(text) for name, text in pairs or ()})
