"""Pruning removes what no run refers to and nothing else, also while runs write."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.store import app
from tests.support.counting import CALLS
from tests.support.media import png, write_jsonl
from tests.support.stores import OpenStore
from tests.support.table_files import with_table_files
from tests.support.tables import tables_of
from tests.test_edit_costs import base, case, setting
from themis_lib import Experiment, RunResult, RunStore, StoreError, TransientError
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.inventory import directories_of
from themis_lib.runs.manifest import RunStatus, manifests, write_manifest
from themis_lib.storage.contents import StoredContents, content_path, stored_digests
from themis_lib.upkeep.check import check
from themis_lib.upkeep.prune import Unused, remove, unused

NOW = -60.0  # older than a minute to come: everything, whatever the clock of the store


def evaluated(store: RunStore, **settings: Any) -> RunResult:
    """A run of six cases with settings by their dotted paths; dots are written `__`."""
    spec = base(Path("unused"))
    for path, value in settings.items():
        setting(path.replace("__", "."), value)(spec)
    return experiment_from_spec(Experiment, spec, where="spec").run(store)


def give_up(run: RunResult) -> None:
    """Remove the folder of a run."""
    for file in run.store.files(f"runs/{run.run_id}"):
        run.store.remove(file.path)


def pruned(store: RunStore, *, older_than_s: float = NOW) -> list[Unused]:
    known = [manifest.run_id for manifest in manifests(store)]
    return list(remove(store, unused(store, older_than_s=older_than_s), known=known))


def test_rows_of_runs_are_kept(open_store: OpenStore) -> None:
    """In a store whose runs are all there, nothing is unused."""
    evaluated(open_store())
    evaluated(open_store(), evaluation__metrics__0__scale=0.5)

    assert [] == pruned(open_store())


def test_rows_of_a_run_that_was_given_up_are_removed(open_store: OpenStore) -> None:
    """What only a removed run referred to goes; what others refer to as well stays, and
    costs them nothing.
    """
    old = evaluated(open_store(), generation__generator__model="old")
    new = evaluated(open_store())
    give_up(old)

    gone = pruned(open_store())
    CALLS.clear()
    again = evaluated(open_store())

    assert [directories_of(old.manifest)["generate"]] == [
        item.directory for item in gone
    ]
    assert all(item.bytes > 0 for item in gone)
    assert {} == CALLS
    assert tables_of(new) == tables_of(again)
    assert [] == list(check(open_store()))


def test_part_with_one_row_of_a_run_is_kept(open_store: OpenStore) -> None:
    """Parts whose rows no run has are removed under a fingerprint that is in use, and
    cases with them.
    """
    first = evaluated(open_store())
    evaluated(open_store(), datasets__0__cases=[case(2), case(0)])
    give_up(first)

    gone = {item.directory: len(item.files) for item in pruned(open_store())}
    CALLS.clear()
    evaluated(open_store(), datasets__0__cases=[case(0), case(2)])

    assert (
        1 == gone[directories_of(first.manifest)["generate"]]
    )  # cases 4 and 5; the parts of 0 and 2 have others too
    assert 3 == gone["rows/cases"]
    assert {} == CALLS


def test_young_rows_are_kept(open_store: OpenStore) -> None:
    """What was written in the last hours stays, whoever refers to it."""
    give_up(evaluated(open_store()))

    assert [] == unused(open_store(), older_than_s=3600)
    assert unused(open_store(), older_than_s=NOW)


@pytest.mark.parametrize(
    "ending",
    [
        {"status": RunStatus.RUNNING},
        {"status": RunStatus.FAILED, "error": "interrupted"},
    ],
)
def test_rows_of_a_run_without_tables_are_kept(
    open_store: OpenStore, ending: dict[str, Any]
) -> None:
    """A run under way, or one that was stopped and can go on, keeps every row under its
    fingerprints.
    """
    run = evaluated(open_store())
    give_up(run)
    write_manifest(run.store, run.manifest.model_copy(update=ending))

    assert [] == [
        item for item in pruned(open_store()) if item.directory != "rows/cases"
    ]


def test_run_that_begins_meanwhile_keeps_its_rows(open_store: OpenStore) -> None:
    """A run that begins after the search and before the removal loses nothing."""
    run = evaluated(open_store())
    give_up(run)
    found = unused(open_store(), older_than_s=NOW)
    write_manifest(
        run.store, run.manifest.model_copy(update={"status": RunStatus.RUNNING})
    )

    gone = list(remove(open_store(), found, known=[]))

    assert found
    assert [] == gone


def test_run_that_begins_among_the_files_of_a_folder_keeps_the_rest(
    open_store: OpenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removing the many files of a folder takes a while, in which a run may begin."""
    run = evaluated(open_store())
    give_up(run)
    found = unused(open_store(), older_than_s=NOW)
    store = open_store()
    remove_file = store.remove

    def remove_and_begin(path: str) -> None:
        remove_file(path)
        manifest = run.manifest.model_copy(update={"status": RunStatus.RUNNING})
        write_manifest(store, manifest)

    monkeypatch.setattr(store, "remove", remove_and_begin)
    monkeypatch.setattr("themis_lib.upkeep.prune._LOOK_S", -1.0)

    gone = list(remove(store, found, known=[]))

    assert 3 == len(found[0].files)
    assert [found[0].files[:1]] == [item.files for item in gone]


def test_record_that_cannot_be_read_meanwhile_stops_it(open_store: OpenStore) -> None:
    """Nobody knows which rows that run needs. A folder that has no record yet does not
    stop it, and is looked at again.
    """
    run = evaluated(open_store())
    give_up(run)
    found = unused(open_store(), older_than_s=NOW)
    assert len(found) > 1
    store = open_store()
    store.replace("runs/begun/parts.json", b"{")
    removing = remove(open_store(), found, known=[])
    next(removing)
    before = store.files("rows")
    store.replace("runs/begun/manifest.json", b"{")

    with pytest.raises(StoreError, match="begun"):
        next(removing)

    assert before == store.files("rows")


def test_run_whose_table_is_gone_keeps_its_rows(open_store: OpenStore) -> None:
    """Where the table or part is missing that says which rows a run has, every row may
    be one of them.
    """
    run = evaluated(open_store())
    assert run.parts is not None
    (part,) = run.parts.shards[0].tables["scores"]
    content = run.store.read_bytes(part.path)
    run.store.remove(part.path)

    assert [] == pruned(open_store())

    run.store.replace(part.path, content)
    with_table_files(run)
    run.store.remove(f"runs/{run.run_id}/scores.parquet")

    assert [] == pruned(open_store())


def test_parts_are_kept_while_one_run_refers_to_them(open_store: OpenStore) -> None:
    """The first of two runs on the same rows goes, and the tables of the other stay,
    those of an earlier version too.
    """
    first, second, third = (evaluated(open_store()) for _ in range(3))
    expected = tables_of(second)
    with_table_files(third)
    give_up(first)

    assert [] == pruned(open_store())
    give_up(third)
    assert [] == pruned(open_store())

    assert expected == tables_of(RunResult(open_store(), second.run_id))
    give_up(second)
    assert {"rows/cases"} < {item.directory for item in pruned(open_store())}


def test_rows_that_failed_are_kept_with_their_run(tmp_path: Path) -> None:
    """Rows without a key are in no other part, and those that failed in no cache: both
    are the run's.
    """
    store = RunStore(str(tmp_path))
    run = evaluated(
        store,
        generation__generator={
            "use": "tests.support.counting:Judge",
            "down": True,
        },
    )
    assert 12 == run.progress["generate"].failed
    expected = tables_of(run)

    assert [] == pruned(store)

    assert expected == tables_of(RunResult(RunStore(str(tmp_path)), run.run_id))


def test_record_of_parts_without_a_run_is_removed_with_its_folder(
    open_store: OpenStore,
) -> None:
    """A run that was killed between its parts and its record keeps its rows, and can be
    given up like any other.
    """
    run = evaluated(open_store())
    write_manifest(
        run.store,
        run.manifest.model_copy(
            update={"status": RunStatus.RUNNING, "tables": "files", "cases": []}
        ),
    )

    assert [] == pruned(open_store())
    give_up(run)
    assert pruned(open_store())
    assert [] == list(check(open_store()))


def test_unreadable_record_stops_it(open_store: OpenStore) -> None:
    """Where a run's record cannot be read, nothing is removed: its rows could not be
    told from others.
    """
    run = evaluated(open_store())
    for name in ("parts.json", "manifest.json"):
        run.store.replace(f"runs/{run.run_id}/{name}", b"{")

        with pytest.raises(
            StoreError,
            match=rf"{name} cannot be read.*; remove the folder of this run",
        ):
            unused(open_store(), older_than_s=NOW)


def test_leftovers_are_removed(open_store: OpenStore) -> None:
    """Damaged files that were set aside, unfinished ones, and tables of shards that
    failed go; their run stays.
    """
    store = open_store()
    run = evaluated(store)
    leftovers = [
        f"{directories_of(run.manifest)['parse']}/a.parquet.damaged",
        f"runs/{run.run_id}/incomplete/generate-a.parquet",
        f"runs/{run.run_id}/scores.parquet.0123.tmp",
    ]
    for path in leftovers:
        store.create(path, b"x")

    gone = pruned(open_store())

    assert leftovers == sorted(file.path for item in gone for file in item.files)
    assert [] == list(check(open_store()))


def test_results_of_tasks_go_with_their_rows(prefect_api: str, tmp_path: Path) -> None:
    """Prefect's references go when the rows do, and those whose rows stay are `Cached`
    as before.
    """
    from tests.support.drivers import flow_outcome
    from tests.test_edit_costs import task_states

    spec = base(tmp_path / "store")
    run = flow_outcome(spec, tmp_path, prefect_api).run.result
    setting("generation.generator.model", "other")(spec)
    flow_outcome(spec, tmp_path, prefect_api)
    give_up(run)

    gone = {item.directory for item in pruned(RunStore(str(tmp_path / "store")))}
    states = task_states(flow_outcome(spec, tmp_path, prefect_api), prefect_api)

    assert {directories_of(run.manifest)["generate"], "tasks/generate"} == gone
    assert {"Cached"} == set(states.values())


def test_pruning_while_a_run_writes_loses_nothing(tmp_path: Path) -> None:
    """A run that goes on while its store is pruned again and again ends with its
    tables, and nothing is missing.
    """
    spec = base(tmp_path / "store")
    spec["datasets"][0]["cases"] = [case(number) for number in range(40)]
    spec["generation"]["generator"] = {
        "use": "tests.support.counting:SlowGenerator",
        "log": str(tmp_path / "log"),
        "delay_s": 0.04,
    }
    spec["runtime"]["max_concurrency"] = 2
    experiment = experiment_from_spec(Experiment, spec, where="spec")
    results: list[RunResult] = []
    running = threading.Thread(target=lambda: results.append(experiment.run()))

    running.start()
    rounds = 0
    while running.is_alive():
        pruned(
            RunStore(str(tmp_path / "store")), older_than_s=0.2
        )  # in earnest it is a day
        rounds += 1
    running.join()

    assert rounds > 3
    assert RunStatus.COMPLETED == results[0].status
    assert [] == list(check(RunStore(str(tmp_path / "store"))))


def test_command_lists_first_and_removes_when_told(tmp_path: Path) -> None:
    """`prune` says what it would remove and how many bytes that is; with `--yes` it
    does.
    """
    store = RunStore(str(tmp_path))
    give_up(evaluated(store))
    evaluated(store, generation__generator__model="other")
    files = store.files()

    young = CliRunner().invoke(app, ["prune", str(tmp_path), "--yes"])
    dry = CliRunner().invoke(app, ["prune", str(tmp_path), "--hours", "0"])
    kept = store.files()
    wet = CliRunner().invoke(app, ["prune", str(tmp_path), "--hours", "0", "--yes"])

    assert (0, 0, 0) == (young.exit_code, dry.exit_code, wet.exit_code)
    assert "0 bytes removed" in young.stdout
    assert "could be removed; --yes removes it" in dry.stdout
    assert files == kept
    assert len(store.files()) < len(files)
    assert "no run has this fingerprint" in wet.stdout


def pictured(store: RunStore, folder: Path, red: int) -> RunResult:
    """A run of one case, which names a picture."""
    (folder / f"{red}.png").write_bytes(png(red))
    value = [{"type": "image", "path": f"{red}.png"}]
    path = write_jsonl(folder / f"{red}.jsonl", [value])
    spec = {
        "generation": {"generator": {"use": "tests.support.counting:Reader"}},
        "datasets": [{"dataset_id": "d", "path": str(path)}],
    }
    return experiment_from_spec(Experiment, spec, where="spec").run(store)


def test_files_go_with_the_last_case_that_names_them(tmp_path: Path) -> None:
    """Those of other runs stay, and the files are written again when they are needed."""
    store = RunStore(str(tmp_path / "store"))
    first = pictured(store, tmp_path, 1)
    pictured(store, tmp_path, 2)
    assert [] == pruned(store)
    before = stored_digests(store)
    give_up(first)

    removed = pruned(store)

    assert "rows/contents" in {item.directory for item in removed}
    assert (2, 1) == (len(before), len(stored_digests(store)))
    pictured(store, tmp_path, 1)
    assert before == stored_digests(store)


def test_damaged_file_is_reported_and_written_again(tmp_path: Path) -> None:
    """`check` names it; a run that needs it sets it aside, and asks to run again."""
    store = RunStore(str(tmp_path / "store"))
    pictured(store, tmp_path, 1)
    (sha256,) = stored_digests(store)
    store.replace(content_path(sha256), b"something else")

    assert [store.uri(content_path(sha256))] == [item.uri for item in check(store)]

    with pytest.raises(TransientError, match="run again"):
        StoredContents(store).read(sha256)
    assert sha256 not in stored_digests(store)
    pictured(store, tmp_path, 1)
    assert png(1) == StoredContents(store).read(sha256)
