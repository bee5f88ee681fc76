"""The rows of one case: which they are, and the columns that make their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.stages.test_judge import JUDGE, SECOND, judged
from tests.support.counted_runs import ran
from tests.support.table_files import with_table_files
from tests.test_edit_costs import base
from themis_lib import InMemoryRunStore, RunResult
from themis_lib.explain.case_rows import CaseRows, case_rows
from themis_lib.identity.digests import row_keys
from themis_lib.runs.manifest import StageRecord

READING_ALL = {"use": "tests.support.counting:MetadataMetric", "id": "all"}


def rows_of_case(
    run: RunResult,
    case_id: str,
) -> CaseRows:
    return case_rows(run, "numbers", case_id)


def key_of_columns(
    rows: CaseRows,
    record: StageRecord,
    position: int,
) -> bytes:
    """The key that the columns shown for a row make under the stage's fingerprint."""
    columns = rows.columns_read(record, rows.of(record)[position])
    return row_keys(record.fingerprint, [list(columns.values())])[0]


def test_each_table_has_the_rows_of_the_case_alone() -> None:
    """A sample is a row of each stage, a metric one of reduce."""
    run = ran(InMemoryRunStore())

    rows = rows_of_case(run, "case-3")

    assert {
        "cases": 1,
        "outputs": 2,
        "answers": 2,
        "verdicts": 0,
        "scores": 2,
        "results": 1,
    } == {name: len(table) for name, table in rows.tables.items()}
    assert [0, 1] == [row["sample_index"] for row in rows.of(run.progress["parse"])]


def test_unknown_case_has_no_rows() -> None:
    """A case is found by its dataset and its id; without either, every table is empty."""
    run = ran(InMemoryRunStore())

    for dataset_id, case_id in (("numbers", "case-9"), ("others", "case-3")):
        rows = case_rows(run, dataset_id, case_id)
        assert not any(rows.tables.values())
        assert [] == rows.of(run.progress["generate"])


def test_rows_of_a_metric_are_its_own() -> None:
    """Metrics share a table; each stage has the rows of its metric."""
    metrics = [
        *base(Path())["evaluation"]["metrics"],
        {"use": "tests.support.counting:Metric", "id": "half", "scale": 0.5},
    ]
    run = ran(InMemoryRunStore(), evaluation__metrics=metrics)

    rows = rows_of_case(run, "case-3")

    assert [1.0, 1.0] == [row["score"] for row in rows.of(run.progress["score[first]"])]
    assert [0.5, 0.5] == [row["score"] for row in rows.of(run.progress["score[half]"])]
    assert ["first", "half"] == [
        row["metric_id"] for row in rows.of(run.progress["reduce"])
    ]


@pytest.mark.parametrize("reducer", ["builtin/mean", "builtin/majority_vote"])
def test_columns_read_make_the_key(reducer: str) -> None:
    """The fingerprint and the columns read give the key of every row, whatever a
    component reads.
    """
    metrics = [*base(Path())["evaluation"]["metrics"], READING_ALL]
    run = ran(
        InMemoryRunStore(), evaluation__metrics=metrics, generation__reducer=reducer
    )
    rows = rows_of_case(run, "case-4")

    keys, made = [], []
    for record in run.manifest.stages:
        for position, row in enumerate(rows.of(record)):
            keys.append(row["key"])
            made.append(key_of_columns(rows, record, position))

    assert 10 == len(keys)
    assert keys == made


def test_columns_read_without_metrics_make_the_key() -> None:
    """A reducer of a run without metrics reads the answers, under no metric's name."""
    run = ran(
        InMemoryRunStore(),
        evaluation__metrics=[],
        generation__reducer="builtin/majority_vote",
    )
    rows = rows_of_case(run, "case-3")
    reduce = run.progress["reduce"]

    row = rows.of(reduce)[0]

    assert {
        "metric_id": "null",
        "candidates": '[["3/11",null,null],["3/12",null,null]]',
    } == rows.columns_read(reduce, row)
    assert row["key"] == key_of_columns(rows, reduce, 0)


def test_columns_read_are_json_texts() -> None:
    """Ids and numbers are written as JSON, as are the texts of a case."""
    metrics = [READING_ALL]
    run = ran(InMemoryRunStore(), evaluation__metrics=metrics)
    rows = rows_of_case(run, "case-4")

    score = run.progress["score[all]"]
    generate = run.progress["generate"]

    assert {
        "value": '"4/12"',
        "expected_output": '"wrong"',
        "metadata": '{"topic":"high"}',
    } == rows.columns_read(score, rows.of(score)[1])
    assert {
        "input": '"4"',
        "seed": "12",
        "occurrence": "0",
    } == rows.columns_read(generate, rows.of(generate)[1])


def test_occurrence_tells_equal_draws_apart() -> None:
    """Of two cases with the same input, the second is the second draw."""
    spec = base(Path("unused"))
    cases: list[dict[str, Any]] = spec["datasets"][0]["cases"]
    cases.append({**cases[3], "case_id": "again"})
    run = ran(InMemoryRunStore(), spec)
    generate = run.progress["generate"]

    occurrences = []
    for case_id in ("case-3", "again"):
        rows = rows_of_case(run, case_id)
        row = rows.of(generate)[0]
        occurrences.append(rows.columns_read(generate, row)["occurrence"])

    assert ["0", "1"] == occurrences


def test_occurrence_that_gives_no_key_is_left_out() -> None:
    """A row whose key belongs to no occurrence shows none instead of a wrong one."""
    run = ran(InMemoryRunStore())
    rows = rows_of_case(run, "case-3")
    generate = run.progress["generate"]
    row = {**rows.of(generate)[0], "key": b"another key"}

    assert ["input", "seed"] == list(rows.columns_read(generate, row))


@pytest.mark.parametrize("judges", [[JUDGE], [JUDGE, SECOND], [SECOND, JUDGE]])
def test_columns_read_of_a_judged_metric_make_the_key(
    judges: list[dict[str, Any]],
) -> None:
    """A metric's key covers what its judges said, in their order."""
    run = ran(InMemoryRunStore(), judged(Path("unused"), judge=judges))
    rows = rows_of_case(run, "case-1")
    score = run.progress["score[judged]"]

    row = rows.of(score)[0]
    verdict = '["{\\"verdict\\": \\"correct\\"}",null]'

    verdicts = ",".join([verdict] * len(judges))
    assert f"[{verdicts}]" == rows.columns_read(score, row)["verdicts"]
    assert row["key"] == key_of_columns(rows, score, 0)


def test_verdicts_are_those_of_the_sample_in_the_order_of_the_judges() -> None:
    """Judges that disagree, on samples that differ, make each key in one order alone."""
    strict = {**SECOND, "says": "incorrect"}
    spec = judged(Path("unused"), judge=[strict, JUDGE])
    spec["seeds"] = [11, 13]
    run = ran(InMemoryRunStore(), spec)
    rows = rows_of_case(run, "case-5")
    score = run.progress["score[judged]"]

    first, second = rows.of(score)

    assert first["key"] != second["key"]
    assert first["key"] == key_of_columns(rows, score, 0)
    assert second["key"] == key_of_columns(rows, score, 1)
    texts = [rows.columns_read(score, row)["verdicts"] for row in (first, second)]
    assert texts[0] != texts[1]


def test_judge_reads_what_its_metric_reads() -> None:
    """For a judge, the columns are those that its metric builds the request from."""
    run = ran(InMemoryRunStore(), judged(Path("unused"), judge=[JUDGE, SECOND]))
    rows = rows_of_case(run, "case-1")
    judge = run.progress["judge[judged:second]"]

    row = rows.of(judge)[0]

    assert "judged:second" == row["judge_id"]
    assert {
        "value": '"1/11"',
        "input": '"1"',
        "expected_output": '"1"',
    } == rows.columns_read(judge, row)


def test_damaged_table_is_an_error() -> None:
    """A table that is no Parquet cannot be taken for one without the case."""
    store = InMemoryRunStore()
    run = with_table_files(ran(store))
    store.replace(f"runs/{run.run_id}/answers.parquet", b"PAR1 and no more")

    with pytest.raises((pa.ArrowException, OSError)):
        rows_of_case(run, "case-3")
