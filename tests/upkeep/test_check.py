"""Checking a store: silent about a good one, and exact about what is wrong with
another.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from flows.store import app
from tests.support.stores import OpenStore
from tests.support.table_files import with_table_files
from tests.test_edit_costs import base
from themis_lib import Experiment, RunResult, RunStore
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.inventory import directories_of
from themis_lib.runs.manifest import RunStatus
from themis_lib.storage.part_files import parquet_bytes
from themis_lib.upkeep.check import check


@pytest.fixture
def run(open_store: OpenStore) -> RunResult:
    """A run of six cases on each kind of store."""
    return evaluated(open_store())


def evaluated(store: RunStore, **generator: object) -> RunResult:
    spec = base(Path("unused"))
    spec["generation"]["generator"].update(generator)
    return experiment_from_spec(Experiment, spec, where="spec").run(store)


def problems(store: RunStore) -> list[str]:
    return [str(problem) for problem in check(store)]


def part_of(run: RunResult, stage: str) -> str:
    """The path of the first part of a stage."""
    directory = directories_of(run.manifest)[stage]
    return min(
        file.path
        for file in run.store.files(directory)
        if file.path.endswith(".parquet")
    )


def test_good_store_has_no_problem(run: RunResult) -> None:
    """Nothing is wrong with what a run leaves, and checking changes nothing."""
    before = run.store.files()

    assert [] == problems(run.store)
    assert before == run.store.files()


def test_damaged_part_is_named_and_left(run: RunResult, open_store: OpenStore) -> None:
    """A part that cannot be read is named with what to do, and so are the rows that are
    lost with it.
    """
    path = part_of(run, "parse")
    run.store.replace(path, run.store.read_bytes(path)[:-9])

    damaged, lost = problems(open_store())

    assert damaged.startswith(f"{run.store.uri(path)}: cannot be read (")
    assert damaged.endswith(
        "remove the file; the next run that needs its rows computes them again"
    )
    assert f"lacks 4 of the 12 rows of parse in run {run.run_id}" in lost
    assert open_store().exists(path)


def test_changed_part_is_named(run: RunResult, open_store: OpenStore) -> None:
    """A part that is good Parquet, with other values than were written, is found by the
    digests of its columns.
    """
    path = part_of(run, "generate")
    table = run.store.read_table(path)
    forged = table.set_column(
        table.schema.get_field_index("output"),
        table.schema.field("output"),
        [['"forged"'] * len(table)],
    )
    run.store.replace(path, parquet_bytes(forged))

    found = problems(open_store())

    assert f"{run.store.uri(path)}: does not hold what was written to it" in found[0]


def test_lost_rows_are_counted(run: RunResult, open_store: OpenStore) -> None:
    """Rows of a run that are in no part are counted, by stage and run."""
    open_store().remove(part_of(run, "score[first]"))

    (found,) = problems(open_store())

    assert f"lacks 4 of the 12 rows of score[first] in run {run.run_id}" in found


def test_lost_cases_are_counted(run: RunResult, open_store: OpenStore) -> None:
    """Cases are named by content, and a run cannot do without any."""
    open_store().remove(run.manifest.cases[0])

    (found,) = problems(open_store())

    assert f"lacks 2 of the 6 rows of cases in run {run.run_id}" in found


def test_part_that_another_took_the_place_of_is_named(
    run: RunResult, open_store: OpenStore
) -> None:
    """A whole part with other rows than the run had is as good as none."""
    assert run.parts is not None
    first, second = (shard.tables["outputs"][0] for shard in run.parts.shards[:2])
    run.store.replace(first.path, run.store.read_bytes(second.path))

    found = problems(open_store())

    assert f"lacks 4 of the 12 rows of generate in run {run.run_id}" in found[0]


def test_lost_table_of_an_earlier_version_is_named(
    run: RunResult, open_store: OpenStore
) -> None:
    """A run without one of its tables is named with the stage and its rows."""
    with_table_files(run)
    assert [] == problems(open_store())
    open_store().remove(f"runs/{run.run_id}/answers.parquet")

    (found,) = problems(open_store())

    assert f"{run.location}: parse has 0 of 12 rows" in found


@pytest.mark.parametrize(
    "name", ["manifest.json", "parts.json", "summary.parquet", "scores.parquet"]
)
def test_damaged_file_of_a_run_is_named(
    run: RunResult, open_store: OpenStore, name: str
) -> None:
    """A record or a table that cannot be read is named by its address."""
    if name == "scores.parquet":
        with_table_files(run)
    open_store().replace(f"runs/{run.run_id}/{name}", b"nothing like it")

    (found,) = problems(open_store())

    assert found.startswith(
        f"{run.store.uri(f'runs/{run.run_id}/{name}')}: cannot be read ("
    )
    assert "remove the folder of this run" in found


def test_rows_that_failed_for_now_are_no_problem(tmp_path: Path) -> None:
    """A row that is in a run's tables and not among the rows, because it will be tried
    again, is as it should be.
    """
    spec = base(tmp_path / "store")
    spec["generation"]["generator"] = {
        "use": "tests.support.counting:Judge",
        "down": True,
    }
    run = experiment_from_spec(Experiment, spec, where="spec").run()

    assert 12 == run.progress["generate"].failed
    assert [] == problems(run.store)
    for file in run.store.files(f"runs/{run.run_id}/incomplete"):
        run.store.remove(file.path)
    assert (
        f"lacks 12 of the 12 rows of generate in run {run.run_id}"
        in problems(run.store)[0]
    )


def test_run_under_way_is_no_problem(run: RunResult, open_store: OpenStore) -> None:
    """A run that has not written its tables yet is left alone."""
    manifest = run.manifest.model_copy(
        update={"run_id": "under-way", "status": RunStatus.RUNNING}
    )
    run.store.replace(
        "runs/under-way/manifest.json", manifest.model_dump_json().encode()
    )

    assert [] == problems(open_store())


def test_command_ends_with_1_when_something_is_wrong(tmp_path: Path) -> None:
    """`python -m flows.store check` ends with 0 for a good store and 1 for another,
    whose file it names.
    """
    run = evaluated(RunStore(str(tmp_path)))
    good = CliRunner().invoke(app, ["check", str(tmp_path)])
    path = tmp_path / part_of(run, "reduce")
    path.write_bytes(b"")

    bad = CliRunner().invoke(app, ["check", str(tmp_path)])

    assert (0, 1) == (good.exit_code, bad.exit_code)
    assert f"{path}: cannot be read" in bad.stdout
