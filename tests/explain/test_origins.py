"""Origins of rows: computed in a run or found by it, and the evidence for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.stages.test_judge import JUDGE, judged
from tests.support.counted_runs import ran, with_cases
from tests.support.stores import OpenStore
from tests.support.table_files import with_table_files
from tests.test_edit_costs import case
from tests.upkeep.test_prune import give_up
from themis_lib import InMemoryRunStore, RunResult, RunStatus, RunStore
from themis_lib.explain.case_rows import case_rows
from themis_lib.explain.origins import Origin, Origins
from themis_lib.runs.manifest import Manifest, write_manifest
from themis_lib.runs.run_parts import PARTS_NAME, parts_path
from themis_lib.upkeep.compact import compact

STAGES = ["generate", "parse", "score[first]", "reduce"]


def origins_of(
    run: RunResult,
    case_id: str,
    stage: str = "generate",
) -> list[Origin]:
    """The origins of a case's rows of one stage, one for each sample or metric."""
    record = run.progress[stage]
    rows = case_rows(run, "numbers", case_id).of(record)
    return Origins(run).of(record, rows)


def names_of(
    run: RunResult,
    case_id: str,
) -> set[str]:
    """The names of the origins of a case's rows, of all stages."""
    names = set()
    for stage in run.progress:
        names.update(origin.name for origin in origins_of(run, case_id, stage))
    return names


def other_run(
    run: RunResult,
    run_id: str,
    **fields: Any,
) -> Manifest:
    """The record of a run like this one, with other fields, added to its store."""
    manifest = run.manifest.model_copy(update={"run_id": run_id, **fields})
    write_manifest(run.store, manifest)
    return manifest


def test_first_run_computes_every_row(open_store: OpenStore) -> None:
    """On every store, a row of a first run is computed, and its file is in the store."""
    run = ran(open_store())

    store = open_store()
    found = RunResult(store, run.run_id)
    files = {store.uri(file.path) for file in store.files("rows")}
    for stage in STAGES:
        for origin in origins_of(found, "case-3", stage):
            assert "computed" == origin.name
            assert origin.file in files


def test_stage_without_found_rows_computed_every_row() -> None:
    """Where a run found nothing, no other evidence is needed."""
    run = ran(InMemoryRunStore())

    reasons = {origin.reason for origin in origins_of(run, "case-3")}

    assert {"this run computed every row of the stage"} == reasons


def test_second_run_finds_every_row() -> None:
    """A row that was found is of the first run that had it, not of the latest."""
    store = InMemoryRunStore()
    first, _, third = ran(store), ran(store), ran(store)

    for stage in STAGES:
        for origin in origins_of(third, "case-3", stage):
            assert ("cached", f"run {first.run_id} had it") == (
                origin.name,
                origin.reason,
            )


def test_later_runs_are_no_evidence() -> None:
    """A run stays the one that computed a row after others have found it there."""
    store = InMemoryRunStore()
    first = ran(store)
    ran(store)

    assert {"computed"} == names_of(first, "case-3")


def test_earlier_runs_are_in_the_order_of_their_starts() -> None:
    """The run itself and those after it are left out, whatever their experiment."""
    store = InMemoryRunStore()
    runs = [ran(store), ran(store, name="another"), ran(store), ran(store)]

    earlier = Origins(runs[2]).earlier

    assert [runs[0].run_id, runs[1].run_id] == [run.run_id for run in earlier]


def test_new_rows_are_told_from_those_that_were_there() -> None:
    """In a stage that computed some rows and found others, tables of earlier runs tell
    which.
    """
    store = InMemoryRunStore()
    first = ran(store)
    run = ran(store, with_cases(7))

    (old, _), (new, _) = origins_of(run, "case-3"), origins_of(run, "case-7")

    assert ("cached", f"run {first.run_id} had it") == (old.name, old.reason)
    assert ("computed", "no earlier run had it") == (new.name, new.reason)


def test_rows_pruned_and_computed_again_are_told_by_their_file() -> None:
    """A row that an earlier run had is computed if its file was written in this run."""
    store = InMemoryRunStore()
    first = ran(store)
    for file in store.files("rows"):
        store.remove(file.path)
    run = ran(store, with_cases(7))
    # As if half of the rows had been found, in a run of an hour.
    stages = []
    for record in run.manifest.stages:
        stages.append(record.model_copy(update={"cached": 1}))
    longer = other_run(
        run,
        run.run_id,
        stages=stages,
        started_at="2026-01-01T00:00:00.000+00:00",
        finished_at="2999-01-01T00:00:00.000+00:00",
    )
    give_up(first)
    other_run(
        first, "20250101-000000-before", started_at="2025-01-01T00:00:00.000+00:00"
    )
    parts = store.read_bytes(parts_path(run.run_id))
    store.replace(parts_path("20250101-000000-before"), parts)

    origin = origins_of(RunResult(store, run.run_id, longer), "case-3")[0]

    assert "computed" == origin.name
    assert (
        "run 20250101-000000-before had it, but its file was written anew during this run"
        == origin.reason
    )


def test_rows_older_than_the_run_were_found() -> None:
    """A file that was written before the run holds what it found, whoever computed it."""
    store = InMemoryRunStore()
    gone = ran(store)
    run = ran(store, with_cases(7))
    give_up(gone)
    late = other_run(run, run.run_id, started_at="2999-01-01T00:00:00.000+00:00")

    origin = origins_of(RunResult(store, run.run_id, late), "case-3")[0]

    assert ("cached", "its file is older than this run") == (
        origin.name,
        origin.reason,
    )


def test_rows_of_a_stage_without_computed_rows_were_found() -> None:
    """A run that computed nothing found its rows, even if no other run is left."""
    store = InMemoryRunStore()
    gone = ran(store)
    run = ran(store)
    give_up(gone)

    origin = origins_of(run, "case-3", "parse")[0]

    assert ("cached", "this run computed no row of the stage") == (
        origin.name,
        origin.reason,
    )


def test_rows_of_a_stopped_run_are_not_known() -> None:
    """A run that was stopped has no tables, so that nobody can tell which rows it
    computed.
    """
    store = InMemoryRunStore()
    first = ran(store)
    other_run(
        first,
        "20000101-000000-stopped",
        status=RunStatus.FAILED,
        error="interrupted",
    )
    run = ran(store, with_cases(7))

    origin = origins_of(run, "case-7")[0]

    assert (
        "not known",
        "computed in this run or in 20000101-000000-stopped",
    ) == (origin.name, origin.reason)


def test_stopped_run_that_computed_nothing_is_no_rival() -> None:
    """A run that was stopped before its first row cannot have computed any."""
    store = InMemoryRunStore()
    first = ran(store)
    stages = []
    for record in first.manifest.stages:
        stages.append(record.model_copy(update={"computed": 0}))
    other_run(
        first,
        "20000101-000000-stopped",
        status=RunStatus.FAILED,
        error="interrupted",
        stages=stages,
    )
    run = ran(store, with_cases(7))

    assert "computed" == origins_of(run, "case-7")[0].name


def test_run_in_flight_is_a_rival() -> None:
    """A run that started meanwhile may have computed a row, before it has counts."""
    store = InMemoryRunStore()
    ran(store)
    run = ran(store, with_cases(7))
    stages = []
    for record in run.manifest.stages:
        stages.append(record.model_copy(update={"computed": 0}))
    other_run(
        run,
        f"{run.run_id}-running",
        status=RunStatus.RUNNING,
        finished_at=None,
        stages=stages,
    )

    origin = origins_of(run, "case-7")[0]

    assert (
        "not known",
        f"computed in this run or in {run.run_id}-running",
    ) == (origin.name, origin.reason)


@pytest.mark.parametrize("name", ["outputs.parquet", PARTS_NAME])
def test_run_with_a_damaged_table_is_a_rival(name: str) -> None:
    """A table that cannot be read may have any row, of whatever version it is."""
    store = InMemoryRunStore()
    first = ran(store)
    if name != PARTS_NAME:
        first = with_table_files(first)
    store.hold({})
    store.replace(f"runs/{first.run_id}/{name}", b"PAR1 and no more")
    run = ran(store, with_cases(7))

    origin = origins_of(run, "case-7")[0]

    assert (
        "not known",
        f"computed in this run or in {first.run_id}",
    ) == (origin.name, origin.reason)


def test_row_that_nobody_computed_is_skipped(tmp_path: Path) -> None:
    """A row without a key had nothing to read, and has neither file nor computation."""
    run = ran(
        InMemoryRunStore(),
        generation__generator={
            "use": "tests.support.unsteady:Unsteady",
            "folder": str(tmp_path),
        },
        datasets__0__cases=[case(7), case(2)],
        runtime__shard_size=4,
    )

    expected = Origin("skipped", "an earlier stage has no row to read", None)
    assert [expected] * 2 == origins_of(run, "case-7", "parse")
    assert "computed" == origins_of(run, "case-7")[0].name


def test_failed_row_is_not_kept(tmp_path: Path) -> None:
    """A row that failed in a run stays failed in it after a later run computed it."""
    store = InMemoryRunStore()
    settings = {
        "generation__generator": {
            "use": "tests.support.unsteady:Unsteady",
            "folder": str(tmp_path),
        },
        "datasets__0__cases": [case(11), case(2)],
        "runtime__shard_size": 4,
        "seeds": [1],
    }
    failed = ran(store, **settings)
    succeeded = ran(store, **settings)

    before = origins_of(failed, "case-11")[0]
    after = origins_of(succeeded, "case-11")[0]
    found = origins_of(succeeded, "case-2")[0]

    assert ("failed", "it is not kept; the next run tries it again") == (
        before.name,
        before.reason,
    )
    assert f"runs/{failed.run_id}/incomplete/generate-" in str(before.file)
    assert "computed" == after.name
    assert ("cached", f"run {failed.run_id} had it") == (found.name, found.reason)


@pytest.mark.parametrize("stage", STAGES)
def test_rows_whose_file_is_gone_keep_their_origin(stage: str) -> None:
    """Without the file, tables of an earlier version still tell the origin, and the
    reason says it is gone.
    """
    store = InMemoryRunStore()
    first, second = (with_table_files(ran(store)) for _ in range(2))
    for file in store.files("rows"):
        store.remove(file.path)

    for run, name in ((first, "computed"), (second, "cached")):
        origin = origins_of(run, "case-3", stage)[0]
        assert (name, None) == (origin.name, origin.file)
        assert origin.reason.endswith(
            "; its file is gone, and a run would compute it again"
        )


def test_judges_that_are_one_computation_are_told_apart() -> None:
    """Two members of a panel that are the same model have a row each, found in the run
    before under either name.
    """
    store = InMemoryRunStore()
    panel = [JUDGE, {**JUDGE, "id": "twin"}]
    first = ran(store, judged(Path("unused"), judge=panel))
    grown = judged(Path("unused"), judge=panel)
    grown["datasets"][0]["cases"].append(case(7))
    run = ran(store, grown)
    judges = ["judge[judged:tests/judge]", "judge[judged:twin]"]

    assert 1 == len({run.progress[label].fingerprint for label in judges})
    for label in judges:
        old, new = origins_of(run, "case-1", label), origins_of(run, "case-7", label)
        assert f"run {first.run_id} had it" == old[0].reason
        assert "computed" == new[0].name


def test_compaction_changes_no_origin() -> None:
    """Rows that were merged into other files have the origins they had."""
    store = InMemoryRunStore()
    first = ran(store)
    second = ran(store, with_cases(7))
    before = _all_names(first, second)

    compacted = list(compact(store))

    assert any(item.files_before > item.files_after for item in compacted)
    assert before == _all_names(first, second)


def _all_names(
    first: RunResult,
    second: RunResult,
) -> list[set[str]]:
    return [
        names_of(first, "case-3"),
        names_of(second, "case-3"),
        names_of(second, "case-7"),
    ]


def test_origins_are_read_without_writing() -> None:
    """Looking for origins leaves every file of the store as it is."""
    store: RunStore = InMemoryRunStore()
    run = ran(store)
    files = store.files()

    names_of(run, "case-3")

    assert files == store.files()
