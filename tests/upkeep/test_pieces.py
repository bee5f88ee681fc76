"""A store in which edits wrote shards as pieces of others is looked after as any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.support.counting import CALLS
from tests.support.tables import tables_of
from tests.test_edit_costs import base, case
from themis_lib import Experiment, RunResult, RunStore
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.manifest import manifests
from themis_lib.storage.pieces import PIECES_SUFFIX
from themis_lib.storage.rows import RowSet
from themis_lib.upkeep.check import check
from themis_lib.upkeep.compact import compact
from themis_lib.upkeep.prune import remove, unused

CASES = 40


def evaluated(store: RunStore, *changed: int) -> RunResult:
    """A run of cases in one shard; what is expected of some of them has changed."""
    spec: dict[str, Any] = base(Path("unused"))
    cases = [case(number) for number in range(CASES)]
    for number in changed:
        cases[number] = case(100 + number)
    spec["datasets"][0]["cases"] = cases
    spec["runtime"]["shard_size"] = CASES
    return experiment_from_spec(Experiment, spec, where="spec").run(store)


@pytest.fixture
def runs(tmp_path: Path) -> list[RunResult]:
    """A run, and two after edits of its data."""
    store = RunStore(str(tmp_path / "store"))
    return [evaluated(store), evaluated(store, 3), evaluated(store, 3, 30)]


def again(run: RunResult) -> RunResult:
    """The run in a store that has read nothing yet."""
    return RunResult(RunStore(run.store.url), run.run_id)


def give_up(run: RunResult) -> None:
    for file in run.store.files(f"runs/{run.run_id}"):
        run.store.remove(file.path)


def pruned(run: RunResult) -> set[str]:
    """The paths that pruning removes, whatever their age."""
    store = RunStore(run.store.url)
    known = [manifest.run_id for manifest in manifests(store)]
    gone = remove(store, unused(store, older_than_s=-60), known=known)
    return {file.path for item in gone for file in item.files}


def test_edits_write_pieces_and_their_tables_are_those_of_an_empty_store(
    runs: list[RunResult], tmp_path: Path
) -> None:
    """The stages of the edited shard are pieces."""
    cold = evaluated(RunStore(str(tmp_path / "empty")), 3, 30)

    assert tables_of(cold) == tables_of(again(runs[2]))
    for run in runs[1:]:
        assert run.parts is not None
        for name in ("outputs", "answers", "scores"):
            (part,) = run.parts.shards[0].tables[name]
            assert part.path.endswith(PIECES_SUFFIX)
    assert [] == list(check(RunStore(runs[0].store.url)))


def test_pruning_keeps_what_pieces_are_of(runs: list[RunResult]) -> None:
    """The run before an edit can be given up; the rows that the others have stay."""
    expected = tables_of(runs[2])
    assert set() == pruned(runs[0])
    give_up(runs[0])
    give_up(runs[1])

    gone = pruned(runs[2])

    assert any(path.endswith(PIECES_SUFFIX) for path in gone)
    assert [] == list(check(RunStore(runs[2].store.url)))
    assert expected == tables_of(again(runs[2]))
    give_up(runs[2])
    pruned(runs[2])
    left = RunStore(runs[2].store.url).files("rows")
    assert not [file for file in left if file.path.endswith(PIECES_SUFFIX)]


def test_compaction_keeps_what_pieces_are_of(runs: list[RunResult]) -> None:
    """Pieces that no run has go, since their rows may move; nothing is computed then."""
    expected = [tables_of(run) for run in runs]
    list(compact(RunStore(runs[0].store.url)))
    assert expected == [tables_of(again(run)) for run in runs]
    give_up(runs[1])

    list(compact(RunStore(runs[0].store.url)))
    CALLS.clear()
    second = evaluated(RunStore(runs[0].store.url), 3)

    assert {} == CALLS
    assert expected == [tables_of(again(run)) for run in (runs[0], second, runs[2])]
    assert [] == list(check(RunStore(runs[0].store.url)))


def test_lost_file_is_named_and_comes_back(runs: list[RunResult]) -> None:
    """Pieces of a file that is gone are named; the next run has them computed."""
    expected = tables_of(runs[1])
    assert runs[0].parts is not None
    (part,) = runs[0].parts.shards[0].tables["outputs"]
    runs[0].store.remove(part.path)

    found = [str(problem) for problem in check(RunStore(runs[0].store.url))]

    name = Path(part.path).name
    assert any(f"refers to rows of {name}, which are gone" in text for text in found)
    assert any(f"in run {runs[1].run_id}" in text for text in found)
    anew = evaluated(RunStore(runs[0].store.url), 3)
    assert expected == tables_of(again(anew))


def test_lost_file_comes_back_in_either_form(runs: list[RunResult]) -> None:
    """Where another file has most rows of a shard, it comes back as pieces, and the run
    that referred to the whole file has its tables again.
    """
    expected = [tables_of(run) for run in runs]
    store = RunStore(runs[0].store.url)
    paths = []
    for table in ("outputs", "answers", "scores", "results"):
        for run in runs:
            assert run.parts is not None
            paths += [part.path for part in run.parts.shards[0].tables[table]]
    for path in dict.fromkeys(paths):
        table = store.read_table(path)
        assert table is not None
        directory = path.rpartition("/")[0]
        schema = pa.schema(field for field in table.schema if field.name != "key")
        RowSet(store, directory, schema).save(table.replace_schema_metadata(None))
    for path in paths:
        store.remove(path)
    assert list(check(RunStore(store.url)))
    CALLS.clear()

    for changed in ((), (3,), (3, 30)):
        evaluated(RunStore(store.url), *changed)

    assert {} == CALLS
    assert expected == [tables_of(again(run)) for run in runs]
    assert [] == list(check(RunStore(store.url)))
    assert set() == pruned(runs[0])
    list(compact(RunStore(store.url)))
    assert expected == [tables_of(again(run)) for run in runs]
