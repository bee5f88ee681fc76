"""Tables that are put together from the parts of a run."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pytest

from tests.stages.test_judge import JUDGE, SECOND, judged
from tests.support.counted_runs import ran
from tests.support.stores import OpenStore
from tests.support.table_files import with_table_files
from tests.support.tables import tables_of
from themis_lib import InMemoryRunStore, RunResult, RunStore, StoreError
from themis_lib.runs.assembled_table import AssembledTable
from themis_lib.storage.tables import RUN_TABLES

TABLES = [name for name in RUN_TABLES if name != "summary"]


def opened(run: RunResult, name: str) -> AssembledTable:
    table = run.open_table(name)
    assert isinstance(table, AssembledTable)
    return table


@pytest.fixture(scope="module")
def run() -> RunResult:
    """A run of six cases in three shards, two samples, two judges of a metric."""
    return ran(InMemoryRunStore(), judged(Path("unused"), judge=[JUDGE, SECOND]))


@pytest.mark.parametrize("name", TABLES)
def test_columns_rows_and_groups_agree(run: RunResult, name: str) -> None:
    """The same values, however they are read, under the columns of the table."""
    table = opened(run, name)
    whole = table.read()
    groups = table.read_groups(range(len(table.group_sizes)))
    reversed_names = RUN_TABLES[name].names[::-1]

    assert RUN_TABLES[name].equals(whole.schema)
    assert sum(table.group_sizes) == whole.num_rows
    assert whole.equals(groups)
    assert whole.select(reversed_names).equals(table.read(reversed_names))
    for column in RUN_TABLES[name].names:
        assert whole.select([column]).equals(table.read([column]))


@pytest.mark.parametrize("name", TABLES)
def test_chosen_rows_are_those_of_the_whole(run: RunResult, name: str) -> None:
    """`where` may read any columns, also those that are not asked for."""
    whole = run.table(name)
    some = whole["case_id"][-1].as_py()
    where = (pc.field("case_id") == some) & pc.field("dataset_id").is_valid()
    expected = whole.filter(where)

    assert 0 < expected.num_rows < whole.num_rows
    assert expected.equals(run.table(name, where=where))
    others = [column for column in whole.column_names if column != "case_id"]
    assert expected.select(others).equals(run.table(name, columns=others, where=where))
    none = run.table(name, where=pc.field("case_id") == "nobody")
    assert (0, whole.schema) == (none.num_rows, none.schema)


def test_unknown_column_is_an_error(run: RunResult) -> None:
    """A column that no table has is not taken for one that holds nothing."""
    with pytest.raises(KeyError):
        run.table("scores", columns=["value"])


def test_tables_are_those_that_earlier_versions_wrote(open_store: OpenStore) -> None:
    """Files of tables and parts give the same rows and the same cases, on every store."""
    run = ran(open_store())
    expected, cases = tables_of(run), list(run.cases)

    found = with_table_files(run)

    assert found.parts is None
    assert expected == tables_of(RunResult(open_store(), run.run_id))
    assert cases == list(found.cases)


def test_lost_part_is_named(tmp_path: Path) -> None:
    """A table lacks none of its rows in silence, and its own part alone matters."""
    run = ran(RunStore(str(tmp_path)))
    assert run.parts is not None
    (part,) = run.parts.shards[1].tables["answers"]
    run.store.remove(part.path)

    found = RunResult(RunStore(str(tmp_path)), run.run_id)
    with pytest.raises(
        StoreError, match=rf"{part.path} is gone, and answers of the run"
    ):
        found.table("answers")
    assert 12 == found.table("outputs").num_rows
    assert 6 == len(found.table("cases"))


def test_part_with_other_rows_is_named(tmp_path: Path) -> None:
    """A part that was lost and computed again with another outcome is no part of the
    run; with the same outcome it is.
    """
    store = RunStore(str(tmp_path))
    run = ran(store)
    assert run.parts is not None
    (first,), (other,) = (shard.tables["outputs"] for shard in run.parts.shards[:2])
    content = store.read_bytes(first.path)
    store.replace(first.path, store.read_bytes(other.path))

    with pytest.raises(StoreError, match="holds other rows than the run had"):
        RunResult(RunStore(str(tmp_path)), run.run_id).table("outputs")
    store.replace(first.path, content)
    found = RunResult(RunStore(str(tmp_path)), run.run_id)
    assert tables_of(run) == tables_of(found)


def test_lost_part_comes_back_with_the_next_run(tmp_path: Path) -> None:
    """A run of the same experiment computes what is gone, for earlier runs too."""
    run = ran(RunStore(str(tmp_path)))
    assert run.parts is not None
    expected = tables_of(run)
    (part,) = run.parts.shards[0].tables["outputs"]
    run.store.remove(part.path)

    ran(RunStore(str(tmp_path)))

    assert expected == tables_of(RunResult(RunStore(str(tmp_path)), run.run_id))
