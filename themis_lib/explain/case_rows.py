"""One case in the tables of a run: its rows, and what each stage read to compute them."""

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

Row = Mapping[str, Any]
#: Columns that hold values; the others hold JSON text.
_VALUES = ("dataset_id", "case_id", "sample_index", "seed", "finish_reason", "format")


@dataclass(frozen=True)
class CaseRows:
    """The rows of one case in a run, by table, in the order of samples; no rows where
    the run has no such case.
    """

    manifest: Manifest
    tables: Mapping[str, Sequence[Row]]

    def of(self, record: StageRecord) -> list[Row]:
        """The rows of a stage: by sample, those of `reduce` by metric."""
        stage, _, rest = record.stage.partition("[")
        rows = self.tables[TABLE_OF[stage]]
        return [
            row
            for row in rows
            if stage not in ID_OF or row[ID_OF[stage]] == rest.removesuffix("]")
        ]

    def columns_read(
        self,
        record: StageRecord,
        row: Row,
    ) -> dict[str, str]:
        """What the key of a row covers, as JSON text; for a judge, what the request was
        made of, which no table holds.

        The occurrence, which no table holds either, is found by the key, and left out
        where it cannot be.
        """
        stage = record.stage.partition("[")[0]
        if stage == "reduce":
            return self._candidate_columns(record, row)
        if stage == "parse":
            return self._read_columns(
                [
                    name
                    for parser in record.identity["parsers"]
                    for name in parser["reads"]
                ],
                row,
            )
        if stage == "generate":
            columns = self._read_columns(
                [*record.identity["generator"]["reads"], "seed"], row
            )
            return {**columns, **self._occurrence_column(record, row, columns)}
        label = f"score[{row['metric_id']}]"
        metric = next(
            other.identity["metric"]
            for other in self.manifest.stages
            if other.stage == label
        )
        columns = self._read_columns(metric["reads"], row)
        return {**columns, **self._verdict_column(row)} if stage == "score" else columns

    def _read_columns(
        self,
        reads: Sequence[str],
        row: Row,
    ) -> dict[str, str]:
        case = self.tables["cases"][0]
        held: dict[str, Any] = {name: case[name] for name in CASE_COLUMNS}
        held["metadata"] = canonical_json(
            {name: metadata_value(text) for name, text in case["metadata"] or []}
        )
        held["sample_index"] = row["sample_index"]
        for table, names in (
            ("outputs", (*OUTPUT_COLUMNS, "seed")),
            ("answers", ANSWER_COLUMNS),
        ):
            for sample in self.tables[table]:
                if sample["sample_index"] == row["sample_index"]:
                    held.update({name: sample[name] for name in names})
        return {
            name: canonical_json(held[name])
            if name in _VALUES
            else held[name] or "null"
            for name in reads
        }

    def _occurrence_column(
        self,
        record: StageRecord,
        row: Row,
        columns: Mapping[str, str],
    ) -> dict[str, str]:
        texts = list(columns.values())
        at = (
            at
            for at in range(record.rows)
            if row_keys(record.fingerprint, [[*texts, str(at)]]) == [row["key"]]
        )
        found = next(at, None)
        return {} if found is None else {"occurrence": str(found)}

    def _verdict_column(self, row: Row) -> dict[str, str]:
        """What each judge of a metric said, as `[[output, error], …]`; nothing where it
        asks none.
        """
        said = {
            verdict[
                "judge_id"
            ]: f"[{verdict['output'] or 'null'},{canonical_json(verdict['error'])}]"
            for verdict in self.tables["verdicts"]
            if (verdict["metric_id"], verdict["sample_index"])
            == (row["metric_id"], row["sample_index"])
        }
        stages = [record.stage.partition("[") for record in self.manifest.stages]
        judges = [
            rest.removesuffix("]") for stage, _, rest in stages if stage == "judge"
        ]
        texts = [said[judge_id] for judge_id in judges if judge_id in said]
        return {"verdicts": f"[{','.join(texts)}]"} if texts else {}

    def _candidate_columns(
        self,
        record: StageRecord,
        row: Row,
    ) -> dict[str, str]:
        """The samples as `[[value, score, error], …]`, the value where the reducer
        reads it.
        """
        answers, metric_id = self.tables["answers"], row["metric_id"]
        judged: Sequence[Row] = [
            score for score in self.tables["scores"] if score["metric_id"] == metric_id
        ]
        scores = (
            [score["score"] for score in judged]
            if metric_id is not None
            else [None] * len(answers)
        )
        judged = judged if metric_id is not None else answers
        reads_value = "value" in record.identity["reducer"]["reads"]
        texts = [
            f"[{answer['value'] if reads_value and answer['value'] else 'null'},"
            f"{'null' if score is None else repr(score)},{canonical_json(item['error'])}]"
            for answer, score, item in zip(
                answers,
                scores,
                judged,
                strict=True,
            )
        ]
        return {
            "metric_id": canonical_json(metric_id),
            "candidates": f"[{','.join(texts)}]",
        }


def case_rows(
    run: RunResult,
    dataset_id: str,
    case_id: str,
) -> CaseRows:
    """The rows of a case in a run. Raises what pyarrow does where a table cannot be
    read.
    """
    where = (pc.field("dataset_id") == dataset_id) & (pc.field("case_id") == case_id)
    names = ("cases", *TABLE_OF.values())
    return CaseRows(
        run.manifest, {name: run.table(name, where=where).to_pylist() for name in names}
    )
