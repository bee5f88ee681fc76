"""The rows of one case in a run, and the columns that each stage read for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.compute as pc

from themis_lib.core.metadata import metadata_value
from themis_lib.core.protocols import ANSWER_COLUMNS, CASE_COLUMNS, OUTPUT_COLUMNS
from themis_lib.identity.digests import canonical_json, row_keys
from themis_lib.runs.inventory import ID_OF, TABLE_OF
from themis_lib.runs.manifest import Manifest, StageRecord
from themis_lib.runs.results import RunResult
from themis_lib.stages.reduce import candidate_text
from themis_lib.stages.score import verdict_text

Row = Mapping[str, Any]
#: Columns of plain values; every other column holds JSON text already.
_PLAIN_COLUMNS = (
    "dataset_id",
    "case_id",
    "sample_index",
    "seed",
    "reasoning",
    "finish_reason",
    "format",
)


@dataclass(frozen=True)
class CaseRows:
    """The rows of one case in a run: by table, and there in the order of the samples.

    Every table is empty if the run has no such case.
    """

    manifest: Manifest
    tables: Mapping[str, Sequence[Row]]

    def of(self, record: StageRecord) -> list[Row]:
        """Return the rows of a stage, one for each sample; of `reduce`, for each metric."""
        rows = self.tables[TABLE_OF[record.name]]
        # All metrics share the table of scores, all judges the table of verdicts.
        id_column = ID_OF.get(record.name)
        if id_column is None:
            return list(rows)
        return [row for row in rows if row[id_column] == record.member_id]

    def columns_read(
        self,
        record: StageRecord,
        row: Row,
    ) -> dict[str, str]:
        """Return what the key of a row covers, by column, as JSON text.

        Of a judge's row, return what its request was built from: the request itself is
        in no table. The occurrence number is in no table either. It is derived from the
        key, and left out if that fails.
        """
        if record.name == "generate":
            return self._generate_columns(record, row)
        if record.name == "parse":
            reads: list[str] = []
            for parser in record.identity["parsers"]:
                reads += parser["reads"]
            return self._read_columns(reads, row)
        if record.name == "reduce":
            return self._candidate_columns(record, row["metric_id"])
        # A judge's record holds the judge; what its request reads is the metric's.
        score = self._record_labelled(f"score[{row['metric_id']}]")
        columns = self._read_columns(score.identity["metric"]["reads"], row)
        if record.name == "score":
            columns |= self._verdict_column(row)
        return columns

    def _generate_columns(
        self,
        record: StageRecord,
        row: Row,
    ) -> dict[str, str]:
        reads = [*record.identity["generator"]["reads"], "seed"]
        columns = self._read_columns(reads, row)
        # A deterministic generator has no occurrence: then no number gives the key.
        for occurrence in range(record.rows):
            text = str(occurrence)
            contents = [*columns.values(), text]
            keys = row_keys(record.fingerprint, [contents])
            if keys == [row["key"]]:
                columns["occurrence"] = text
                break
        return columns

    def _read_columns(
        self,
        reads: Sequence[str],
        row: Row,
    ) -> dict[str, str]:
        """Return columns of the case, its output and its answer, as JSON text."""
        case = self.tables["cases"][0]
        index = row["sample_index"]
        values: dict[str, Any] = {"sample_index": index}
        for name in CASE_COLUMNS:
            values[name] = case[name]
        # The run's table holds metadata as a map of texts, the key covers one JSON text.
        metadata = {}
        for name, text in case["metadata"] or ():
            metadata[name] = metadata_value(text)
        values["metadata"] = canonical_json(metadata)
        columns_of = {
            "outputs": (*OUTPUT_COLUMNS, "seed"),
            "answers": ANSWER_COLUMNS,
        }
        for table, names in columns_of.items():
            for sample in self.tables[table]:
                if sample["sample_index"] != index:
                    continue
                for name in names:
                    values[name] = sample[name]
        texts = {}
        for name in reads:
            value = values[name]
            if name in _PLAIN_COLUMNS:
                texts[name] = canonical_json(value)
            else:
                texts[name] = value or "null"
        return texts

    def _verdict_column(self, row: Row) -> dict[str, str]:
        """Return the verdicts on a metric's sample as `[[output, error], …]`.

        Without judges there is no such column.
        """
        said: dict[str | None, str] = {}
        for verdict in self.tables["verdicts"]:
            if verdict["metric_id"] != row["metric_id"]:
                continue
            if verdict["sample_index"] != row["sample_index"]:
                continue
            judge_id = verdict["judge_id"]
            said[judge_id] = verdict_text(verdict["output"], verdict["error"])
        # The key covers them in the order of the stages, which no table has to keep.
        texts = []
        for other in self.manifest.stages:
            if other.name == "judge" and other.member_id in said:
                texts.append(said[other.member_id])
        if not texts:
            return {}
        verdicts = ",".join(texts)
        return {"verdicts": f"[{verdicts}]"}

    def _candidate_columns(
        self,
        record: StageRecord,
        metric_id: str | None,
    ) -> dict[str, str]:
        """Return the metric and its samples as `[[value, score, error], …]`."""
        answers = self.tables["answers"]
        # Without metrics the answers themselves are reduced, and none has a score.
        reduced = answers
        if metric_id is not None:
            reduced = self.of(self._record_labelled(f"score[{metric_id}]"))
        reads_value = "value" in record.identity["reducer"]["reads"]
        texts = []
        for answer, sample in zip(answers, reduced, strict=True):
            value = answer["value"] if reads_value else None
            score = sample.get("score")
            text = candidate_text(value, score, sample["error"])
            texts.append(text)
        candidates = ",".join(texts)
        return {
            "metric_id": canonical_json(metric_id),
            "candidates": f"[{candidates}]",
        }

    def _record_labelled(self, label: str) -> StageRecord:
        record = self.manifest.stage(label)
        if record is None:
            raise KeyError(label)
        return record


def case_rows(
    run: RunResult,
    dataset_id: str,
    case_id: str,
) -> CaseRows:
    """Return the rows of a case in a run.

    Raise what pyarrow raises, or `OSError`, if a table cannot be read.
    """
    is_in_dataset = pc.field("dataset_id") == dataset_id
    is_case = pc.field("case_id") == case_id
    tables = {}
    for name in ("cases", *TABLE_OF.values()):
        table = run.table(name, where=is_in_dataset & is_case)
        tables[name] = table.to_pylist()
    return CaseRows(run.manifest, tables)
