"""A run verified: what is true is said to be, and one edited cell is found and named."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.edited_cells import edit_cell, parts_of
from tests.support.table_files import with_table_files
from themis_lib import (
    ConfigError,
    Experiment,
    InMemoryRunStore,
    RunResult,
    RunStore,
    StoreError,
    run_until_decided,
    verify_run,
)
from themis_lib.runs.manifest import write_manifest
from themis_lib.runs.run_parts import parts_path
from themis_lib.storage.part_files import described, parquet_bytes
from themis_lib.verification.models import CellDifference, StageCheck, Verification
from themis_lib.verification.records import verifications

CASES = 20


def spec(cases: int = CASES, **settings: Any) -> dict[str, Any]:
    """An experiment on the demo generator, which is deterministic."""
    return {
        "name": "sums",
        "generation": {
            "generator": "builtin/demo_generator",
            "candidate_policy": {"num_samples": 2},
            "reducer": "builtin/mean",
        },
        "evaluation": {
            "parsers": ["builtin/number"],
            "metrics": ["builtin/numeric_match", "builtin/exact_match"],
        },
        "datasets": [
            {
                "dataset_id": "sums",
                "cases": [
                    {
                        "case_id": f"case-{at}",
                        "input": f"What is {at} plus 1?",
                        "expected_output": at + 1,
                        "metadata": {"half": at // (cases // 2 or 1)},
                    }
                    for at in range(cases)
                ],
            }
        ],
        "runtime": {"shard_size": 8},
        **settings,
    }


def evaluated(store: RunStore | None = None, **settings: Any) -> RunResult:
    return Experiment.model_validate(spec(**settings)).run(store or InMemoryRunStore())


def reread(run: RunResult) -> RunResult:
    """The run as another process finds it."""
    store = run.store
    if store.in_memory:
        return RunResult(RunStore(store.url), run.run_id)
    return RunResult(RunStore(store.url, {}), run.run_id)


def check_of(found: Verification, stage: str) -> StageCheck:
    (check,) = [check for check in found.stages if check.stage == stage]
    return check


def the_difference(found: Verification) -> CellDifference:
    """The only cell that differs, in the whole run."""
    (cell,) = [cell for check in found.stages for cell in check.differences]
    assert 1 == sum(check.differing for check in found.stages)
    return cell


def evaluated_before() -> RunResult:
    """A run of an earlier version, whose tables are a second copy of its rows."""
    return with_table_files(evaluated())


EDITED = pytest.mark.parametrize(
    ("stage", "column", "value", "row"),
    [
        ("generate", "output", '"edited"', 3),
        ("generate", "output_tokens", 77, 3),
        ("parse", "value", "77", 3),
        ("parse", "error", "no answer", 3),
        ("score[exact_match]", "value", 0.5, 3),
        ("score[numeric_match]", "details", '{"a":1}', 3),
        ("reduce", "score", 0.25, 5),
        ("reduce", "n_errors", 1, 5),
    ],
)


@pytest.mark.parametrize("evaluate", [evaluated, evaluated_before])
@pytest.mark.parametrize("sample", [None, 10])
def test_true_run_holds_and_its_store_is_left_alone(
    sample: int | None, evaluate: Callable[[], RunResult]
) -> None:
    """All stages are looked at; nothing is written but the verification."""
    run = evaluate()
    before = {file.path for file in run.store.files()}

    found = verify_run(reread(run), sample=sample)

    assert found.holds
    labels = [
        "cases",
        "generate",
        "parse",
        "score[numeric_match]",
        "score[exact_match]",
    ]
    assert [*labels, "reduce"] == [check.stage for check in found.stages]
    assert {20, 40} == {check.rows for check in found.stages}
    assert all(check.sampled == (sample or check.rows) for check in found.stages)
    assert not any(check.lost or check.failed_now for check in found.stages)
    written = {file.path for file in run.store.files()} - before
    (path,) = written
    assert path.startswith(f"runs/{run.run_id}/verifications/")
    assert [found] == verifications(run)


@EDITED
def test_edited_cell_of_the_store_is_named(
    stage: str, column: str, value: Any, row: int
) -> None:
    """Stage, case, column, file and values are named, and which file was changed."""
    run = evaluated()
    path = parts_of(run, stage)[-1]
    edit_cell(run.store, path, column, row, value)

    found = verify_run(reread(run), sample=None)

    cell = the_difference(found)
    assert stage == cell.stage
    assert {"value": "score"}.get(column, column) == cell.column or stage == "parse"
    assert ["store"] == cell.differs_in
    assert str(value) in (cell.stored or "")
    assert None is cell.recorded
    assert None is not cell.computed != cell.stored
    assert str(cell.file).endswith(path)
    check = check_of(found, stage)
    assert [cell.file] == check.changed_files
    (cause,) = check.causes
    assert f"{cell.file} was edited or replaced after the run" in cause
    assert "1 row(s) differ; 1 file(s) changed since the run" == found.verdict


@EDITED
def test_edited_cell_of_the_store_differs_from_the_runs_tables(
    stage: str, column: str, value: Any, row: int
) -> None:
    """Where a run has tables of its own, they tell what the cell was."""
    run = evaluated_before()
    path = parts_of(run, stage)[-1]
    edit_cell(run.store, path, column, row, value)

    found = verify_run(reread(run), sample=None)

    cell = the_difference(found)
    assert stage == cell.stage
    assert {"value": "score"}.get(column, column) == cell.column or stage == "parse"
    assert ["store"] == cell.differs_in
    assert str(value) in (cell.stored or "")
    assert cell.recorded == cell.computed != cell.stored
    assert str(cell.file).endswith(path)
    (cause,) = check_of(found, stage).causes
    assert "the store's rows were changed after the run" in cause
    assert not found.holds
    assert not check_of(found, stage).changed_files


@pytest.mark.parametrize(
    ("table", "column", "value", "stage"),
    [
        ("outputs", "output", '"edited"', "generate"),
        ("answers", "value", "77", "parse"),
        ("scores", "score", 0.5, "score[numeric_match]"),
        ("results", "score", -0.0, "reduce"),
        ("cases", "expected_output", "77", "cases"),
        ("cases", "metadata", [("half", "9")], "cases"),
    ],
)
def test_edited_cell_of_the_runs_tables_is_named(
    table: str, column: str, value: Any, stage: str
) -> None:
    """The other copy is verified too: reports are made of it."""
    run = evaluated_before()
    edit_cell(run.store, f"runs/{run.run_id}/{table}.parquet", column, 5, value)

    found = verify_run(reread(run), sample=None)

    cell = the_difference(found)
    assert (stage, column) == (cell.stage, cell.column)
    if stage != "cases":
        assert ["run"] == cell.differs_in
        assert cell.stored == cell.computed != cell.recorded
        assert "the run's tables were changed" in check_of(found, stage).causes[0]


def test_edited_case_is_named_once() -> None:
    """Not again at each stage that reads it."""
    run = evaluated_before()
    edit_cell(run.store, parts_of(run, "cases")[0], "expected_output", 1, "77")

    cell = the_difference(verify_run(reread(run), sample=None))

    assert ("cases", "case-1", "expected_output") == (
        cell.stage,
        cell.case_id,
        cell.column,
    )
    assert ("77", "2") == (cell.stored, cell.recorded)


def test_edited_case_is_named_by_the_key_of_what_reads_it() -> None:
    """Nothing computes a case: its file is named, and the row that reads the cell."""
    run = evaluated()
    path = parts_of(run, "cases")[0]
    edit_cell(run.store, path, "expected_output", 1, "77")

    found = verify_run(reread(run), sample=None)

    cell = the_difference(found)
    # The demo generator writes what it reads there.
    assert ("generate", "case-1", "key") == (
        cell.stage,
        cell.case_id,
        cell.column,
    )
    assert str(cell.file).endswith(path)
    assert [cell.file] == check_of(found, "cases").changed_files
    assert str(cell.file) in check_of(found, cell.stage).causes[0]


def test_edit_that_no_stage_reads_is_found_by_the_digest_of_its_file() -> None:
    """Also where only a sample of rows is computed again."""
    run = evaluated()
    path = parts_of(run, "cases")[0]
    edit_cell(run.store, path, "metadata", 1, '{"half":9}')

    found = verify_run(reread(run), sample=1)

    assert not found.holds
    assert "1 file(s) changed since the run" == found.verdict
    assert not any(check.differing for check in found.stages)
    check = check_of(found, "cases")
    assert [run.store.uri(path)] == check.changed_files
    assert check.causes


def test_part_that_was_replaced_by_another_is_named() -> None:
    """A part that is valid in itself, and as long, under the name of another."""
    run = evaluated(runtime={"shard_size": 10})
    first, second = parts_of(run, "parse")
    run.store.replace(first, run.store.read_bytes(second))

    found = verify_run(reread(run), sample=None, stages=["parse"])

    check = check_of(found, "parse")
    assert [run.store.uri(first)] == check.changed_files
    assert check.differing


def test_part_with_another_number_of_rows_is_refused() -> None:
    """Nobody knows which row of it is which."""
    run = evaluated()
    path = parts_of(run, "reduce")[0]
    table = pq.read_table(pa.BufferReader(run.store.read_bytes(path)))
    run.store.replace(path, parquet_bytes(described(table.slice(1))))

    with pytest.raises(StoreError, match="holds other rows than the run had"):
        verify_run(reread(run), sample=None)


def test_part_that_is_gone_is_named() -> None:
    """There is no other copy of its rows: a run computes them again."""
    run = evaluated()
    (path, *_) = parts_of(run, "reduce")
    run.store.remove(path)

    with pytest.raises(StoreError, match="is gone, and results of the run with them"):
        verify_run(reread(run), sample=None)


def test_digests_that_an_edit_left_alone_do_not_hide_it() -> None:
    """They are computed from the values, not read from the file."""
    run = evaluated()
    path = parts_of(run, "parse")[-1]
    table = pq.read_table(pa.BufferReader(run.store.read_bytes(path)))
    values = table["format"].to_pylist()
    values[0] = "edited"
    at = table.column_names.index("format")
    edited = table.set_column(at, table.schema.field("format"), pa.array(values))
    run.store.replace(path, parquet_bytes(edited))
    run.store._tables.forget(path)

    found = verify_run(reread(run), sample=None)

    assert ("parse", "format") == (
        the_difference(found).stage,
        the_difference(found).column,
    )
    assert [run.store.uri(path)] == check_of(found, "parse").changed_files


def test_edited_cell_of_a_shard_in_pieces_is_named(tmp_path: Path) -> None:
    """With the file that holds the row, and not the list that refers to it."""
    cases: list[dict[str, Any]] = [
        {"case_id": f"c{at}", "input": f"{at} plus 1?", "expected_output": at + 1}
        for at in range(40)
    ]
    datasets = [{"dataset_id": "sums", "cases": cases}]
    store = RunStore(str(tmp_path))
    evaluated(store, datasets=datasets, runtime={"shard_size": 40})
    cases[7] |= {"input": "700 plus 1?", "expected_output": 701}
    run = evaluated(store, datasets=datasets, runtime={"shard_size": 40})
    assert run.parts is not None
    (part,) = run.parts.of_stage("answers", None)
    assert part.path.endswith(".pieces")
    assert verify_run(reread(run), sample=None).holds
    for path in parts_of(run, "parse"):
        edit_cell(store, path, "value", 0, "77")

    found = verify_run(reread(run), sample=None)

    check = check_of(found, "parse")
    assert {store.uri(path) for path in parts_of(run, "parse")} == set(
        check.changed_files
    )
    # Equal rows of a shard are one row of the file.
    assert [("c0", "77"), ("c0", "77"), ("c7", "77")] == [
        (cell.case_id, cell.stored) for cell in check.differences
    ]
    assert 3 == check.differing
    assert store.exists(part.path)


def test_cell_that_a_later_stage_reads_is_traced_to_its_stage() -> None:
    """Where only scores are verified, the answer that they read is named."""
    run = evaluated_before()
    # The first of equal rows is the one that is found by its key.
    edit_cell(run.store, parts_of(run, "parse")[0], "value", 2, "77")

    found = verify_run(reread(run), sample=None, stages=["score[numeric_match]"])

    (check,) = found.stages
    (cell, *_) = check.differences
    assert ("parse", "value", "77") == (cell.stage, cell.column, cell.stored)
    assert "one of them was changed" in check.causes[0]


def test_file_with_a_cell_that_a_later_stage_reads_is_named() -> None:
    """Where only scores are verified, the file of the answer that they read is named."""
    run = evaluated()
    path = parts_of(run, "parse")[0]
    edit_cell(run.store, path, "value", 2, "77")

    found = verify_run(reread(run), sample=None, stages=["score[numeric_match]"])

    (check,) = found.stages
    assert check.differing
    (cell, *_) = check.differences
    assert ("key", run.store.uri(path)) == (cell.column, cell.file)
    assert cell.file in check.causes[0]


def test_both_copies_edited_alike_are_found_by_what_was_computed() -> None:
    """Neither copy is then the one that was changed."""
    run = evaluated_before()
    edit_cell(run.store, parts_of(run, "reduce")[0], "score", 0, 0.25)
    edit_cell(run.store, f"runs/{run.run_id}/results.parquet", "score", 0, 0.25)

    found = verify_run(reread(run), sample=None)

    assert ["store", "run"] == the_difference(found).differs_in
    (cause,) = check_of(found, "reduce").causes
    assert cause.startswith("nothing on record differs")


def test_what_is_not_as_in_the_run_is_a_likely_cause() -> None:
    """Versions and the machine, where rows come out otherwise than both copies."""
    run = evaluated_before()
    edit_cell(run.store, parts_of(run, "reduce")[0], "score", 0, 0.25)
    edit_cell(run.store, f"runs/{run.run_id}/results.parquet", "score", 0, 0.25)
    changes = {
        "versions": {**run.manifest.versions, "numpy": "1.0", "python": "3.0"},
        "machine": {**run.manifest.machine, "processor": "Abacus"},
    }
    write_manifest(run.store, run.manifest.model_copy(update=changes))

    found = verify_run(reread(run), sample=None)

    assert {"numpy", "python", "processor"} == {
        line.partition(":")[0] for line in found.environment
    }
    causes = check_of(found, "reduce").causes
    assert any("numpy: 1.0 → " in cause for cause in causes)
    assert any("processor: Abacus → " in cause for cause in causes)


def chancy(value: Any, expected_output: Any) -> float:
    return random.random()


def test_component_that_is_not_steady_is_told() -> None:
    """Computing its rows twice tells it from an edited cell."""
    settings = spec()
    settings["evaluation"]["metrics"] = [
        {"use": "tests.verification.test_verify:chancy", "id": "chancy"}
    ]
    run = Experiment.model_validate(settings).run(InMemoryRunStore())

    found = verify_run(reread(run), sample=5)

    check = check_of(found, "score[chancy]")
    assert (5, 5) == (check.sampled, check.differing)
    assert "the component is not deterministic" in check.causes[0]
    assert "random" in check.causes[0]


def test_code_that_was_edited_is_a_likely_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What today's component makes of the rows is compared, and its change named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    code = "def edited_later(value, expected_output):\n    return 1.0\n"
    module = tmp_path / "edited_later_metric.py"
    module.write_text(code)
    settings = spec()
    settings["evaluation"]["metrics"] = ["edited_later_metric:edited_later"]
    run = Experiment.model_validate(settings).run(InMemoryRunStore())
    module.write_text(code.replace("1.0", "0.5 if value == 3 else 1.0"))
    monkeypatch.delitem(__import__("sys").modules, "edited_later_metric")

    found = verify_run(reread(run), sample=None, stages=["score"])

    (check,) = found.stages
    assert (40, 40, 2) == (check.rows, check.sampled, check.differing)
    assert any("edited_later" in cause for cause in check.causes)


def test_data_file_that_changed_is_told(tmp_path: Path) -> None:
    """The stored rows are verified with the cases that the run read."""
    data = tmp_path / "sums.jsonl"
    rows = [{"input": f"{at} plus 1?", "expected_output": at + 1} for at in range(6)]
    data.write_text("\n".join(map(json.dumps, rows)))
    run = evaluated(datasets=[{"dataset_id": "sums", "path": str(data)}])
    assert [] == verify_run(reread(run)).data
    data.write_text("\n".join(map(json.dumps, rows[1:])))

    found = verify_run(reread(run))

    assert found.holds
    (line,) = found.data
    assert line.startswith("sums: ")
    assert "other cases" in line


def test_run_that_stopped_when_decided_is_verified_so_far(tmp_path: Path) -> None:
    """Its data are the same, although it read some of the cases alone."""
    data = tmp_path / "sums.jsonl"
    rows = [{"input": f"{at} plus 1?", "expected_output": at + 1} for at in range(60)]
    data.write_text("\n".join(map(json.dumps, rows)))
    files = [{"dataset_id": "sums", "path": str(data)}]
    settings = {"datasets": files, "storage": {"store": str(tmp_path / "store")}}
    experiment = Experiment.model_validate(spec(**settings))
    run = run_until_decided(experiment, gates=["numeric_match >= 0.5"])
    assert run.table("cases").num_rows < len(rows)

    found = verify_run(reread(run), sample=None)

    assert found.holds
    assert [] == found.data
    data.write_text("\n".join(map(json.dumps, rows[1:])))
    (line,) = verify_run(reread(run), sample=5).data
    assert "other cases" in line


def test_sample_is_drawn_by_the_seed_and_bounded() -> None:
    """Equal seeds look at equal rows; the bound is for so many of so many."""
    run = evaluated()
    edit_cell(run.store, parts_of(run, "parse")[0], "value", 3, "77")

    found = [
        verify_run(reread(run), sample=10, seed=seed, stages=["parse"]).stages[0]
        for seed in (0, 0, 1, 2, 3, 4, 5)
    ]

    assert found[0] == found[1]
    assert {0, 1} == {check.differing for check in found}
    # With 10 of 40 rows good, 9 bad ones would be drawn at least once with 95 %.
    assert {0: 9, 1: 14}[found[0].differing] == found[0].most_differing


def test_rows_that_left_the_store_are_compared_with_the_runs_table() -> None:
    """They are counted, and verified all the same."""
    run = evaluated_before()
    for path in parts_of(run, "reduce"):
        run.store.remove(path)
    edit_cell(run.store, f"runs/{run.run_id}/results.parquet", "score", 0, 0.25)

    found = verify_run(reread(run), sample=None)

    check = check_of(found, "reduce")
    assert (40, 40, 1) == (check.rows, check.lost, check.differing)
    (cell,) = check.differences
    assert (None, "0.25") == (cell.stored, cell.recorded)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"sample": 0}, "at least 1"),
        ({"alpha": 1.0}, "between 0 and 1"),
        ({"stages": ["scoer"]}, "did you mean 'score'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        verify_run(evaluated(), **settings)


def test_run_without_its_parts_is_refused() -> None:
    run = evaluated()
    run.store.remove(parts_path(run.run_id))

    with pytest.raises(StoreError, match=r"parts\.json is missing"):
        verify_run(RunResult(RunStore(run.store.url), run.run_id))


def test_run_without_tables_is_refused() -> None:
    """One that is under way, or was stopped, and one whose table lost rows."""
    run = evaluated_before()
    stopped = run.manifest.model_copy(update={"error": "interrupted"})

    with pytest.raises(ConfigError, match="no tables to verify"):
        verify_run(RunResult(run.store, run.run_id, stopped))
    run.store.remove(f"runs/{run.run_id}/answers.parquet")
    with pytest.raises(StoreError, match="0 of 40 rows of parse"):
        verify_run(reread(run))


def test_run_until_a_stage_is_verified_so_far() -> None:
    store = InMemoryRunStore()
    run = Experiment.model_validate(spec()).run(store, until_stage="parse")

    found = verify_run(reread(run))

    assert ["cases", "generate", "parse"] == [check.stage for check in found.stages]
    assert found.holds


@pytest.mark.slow
def test_one_cell_among_100_000_rows_is_found() -> None:
    """In a part that is valid, wherever it is."""
    settings = spec(cases=50_000, runtime={})
    settings["evaluation"]["metrics"] = ["builtin/numeric_match"]
    run = Experiment.model_validate(settings).run(InMemoryRunStore())
    path = parts_of(run, "score[numeric_match]")[-1]
    edit_cell(run.store, path, "value", 1234, 0.25)

    found = verify_run(reread(run), sample=None, stages=["score"])

    assert 100_000 == check_of(found, "score[numeric_match]").rows
    assert ("score", "0.25") == (
        the_difference(found).column,
        the_difference(found).stored,
    )
