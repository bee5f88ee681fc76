"""The cells of a matrix through Prefect: what each ends as, and what is printed."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from flows.cells import CellEnd, matrix_result
from flows.local import FinishedMatrix, run_matrix_to_end
from flows.matrix_display import MatrixScreen, scores_table
from flows.run import app
from flows.terminal import open_console
from tests.support.counting import CALLS
from tests.support.matrices import MODELS, PARSERS, PROMPTS, matrix_file, matrix_of
from tests.support.prefect_api import Api
from tests.test_edit_costs import K, N
from themis_lib import InputError, Matrix, RunResult
from themis_lib.comparison.matrix import compare_matrix

BAD = {"generation.generator": "tests.support.failing:Hopeless"}


def finished(path: Path, api_url: str, **parameters: Any) -> FinishedMatrix:
    CALLS.clear()
    return asyncio.run(
        run_matrix_to_end(
            api_url,
            {"experiment": str(path), **parameters},
            follow=lambda run: None,
        )
    )


def runs_of(path: Path, ended: FinishedMatrix) -> dict[str, RunResult]:
    matrix = Matrix.from_config(path)
    store = matrix.baseline.experiment.open_store()
    return matrix_result(matrix, ended.cells, store).runs


def test_cells_through_prefect_share_their_rows(
    prefect_api: str, tmp_path: Path
) -> None:
    """Two cells generate once, each is a flow run with a report, and the page of all is
    written.
    """
    parsers = {name: PARSERS[name] for name in ("x", "y")}
    path = matrix_file(tmp_path, {"parser": parsers})

    ended = finished(path, prefect_api)

    runs = runs_of(path, ended)
    assert (N * K, 2 * N * K, N * K) == tuple(
        CALLS[stage] for stage in ("generate", "parse", "score")
    )
    assert [0, 0] == [end.code for end in ended.cells.values()]
    assert ["costs-x", "costs-y"] == [run.manifest.name for run in runs.values()]
    assert 2 == Path(str(ended.page)).read_text().count("/report.html")
    assert "Completed" == Api(prefect_api).flow_run(ended.flow_run_id).state.name


@pytest.mark.slow
def test_failed_cell_is_told_with_its_exit_code(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others run, their gates are judged, and the code is that of the worst."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    models = {"m1": MODELS["m1"], "bad": BAD, "m3": MODELS["m3"]}
    path = matrix_file(tmp_path, {"model": models})
    junit = tmp_path / "gates.xml"

    done = CliRunner().invoke(
        app,
        [str(path), "--gate", "first >= 0.99", "--junit", str(junit)],
        env={"COLUMNS": "160"},
    )

    assert 1 == done.exit_code, done.output
    assert "costs  0 of 3 cells completed" in done.stdout
    assert "cell bad: exit code 1: " in done.stdout
    assert "no row can succeed" in done.stdout
    assert "cell m3: exit code 5: A gate failed." in done.stdout
    assert "gate fail  first >= 0.99" in done.stdout
    suites = [suite.get("name") for suite in ET.parse(junit).getroot()]
    assert ["costs-m1", "costs-m3"] == suites


@pytest.mark.slow
def test_input_error_of_a_cell_stops_all_before_the_first(
    prefect_api: str, tmp_path: Path
) -> None:
    """What is wrong with the last cell is found before the first generates."""
    path = matrix_file(
        tmp_path, {"evaluation.slices": {"a": {"evaluation.metrics.0.scael": 1}}}
    )

    with pytest.raises(InputError, match="did you mean 'scale'"):
        finished(path, prefect_api)

    assert {} == CALLS


@pytest.mark.slow
def test_budget_is_for_all_cells(prefect_api: str, tmp_path: Path) -> None:
    """The cell that would go beyond it ends with exit code 4."""
    charged = {"use": "tests.support.metered:Charged"}
    models = {
        name: {"generation.generator": {**charged, "model": name}} for name in "abc"
    }
    price = {"input": 100_000, "output": 100_000}
    path = matrix_file(
        tmp_path,
        {"model": models},
        cost={"prices": dict.fromkeys("abc", price)},
        seeds=[1],
        evaluation={
            "metrics": [{"use": "tests.support.counting:Metric", "id": "first"}]
        },
    )

    ended = finished(path, prefect_api, max_cost=13.0)

    assert [0, 0, 4] == [end.code for end in ended.cells.values()]
    paid = [run.manifest.cost_paid for run in runs_of(path, ended).values()]
    assert [6.0, 6.0] == paid


@pytest.mark.slow
def test_interrupted_matrix_goes_on_where_it_was(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C ends with code 130 and the command that goes on; the next run repeats at
    most the rows in flight.
    """
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    log = tmp_path / "calls.log"
    slow = {
        "use": "tests.support.counting:SlowGenerator",
        "log": str(log),
        "delay_s": 0.2,
    }
    models = {
        name: {"generation.generator": {**slow, "model": name}}
        for name in ("m1", "m2", "m3")
    }
    path = matrix_file(
        tmp_path, {"model": models}, runtime={"shard_size": 2, "max_concurrency": 1}
    )

    stopped = _start(path)
    # In the middle of the second cell.
    _wait_for_calls(log, more_than=N * K + 4, process=stopped)
    stopped.send_signal(signal.SIGINT)
    output, _ = stopped.communicate(timeout=60)
    again = _start(path)
    again_output, _ = again.communicate(timeout=120)

    assert 130 == stopped.returncode, output
    assert f"python -m flows.run {path}" in " ".join(output.split())
    assert "Traceback" not in output
    assert 0 == again.returncode, again_output
    assert "3 of 3 cells completed" in again_output
    # What was in flight at the Ctrl-C is asked again.
    assert 3 * N * K <= len(log.read_text().split()) <= 3 * N * K + 2


def test_screen_has_each_place_and_what_went_wrong(tmp_path: Path) -> None:
    """A table for each metric, the family of the tests, and each cell that ended
    badly.
    """
    matrix = matrix_of(tmp_path, {"model": {"m1": MODELS["m1"], "bad": BAD}})
    result = matrix.run()
    ends = {
        "m1": CellEnd(0, run_id=result.runs["m1"].run_id),
        "bad": CellEnd(1, error="no row can succeed"),
    }
    console = open_console()

    with console.capture() as captured:
        screen = MatrixScreen(compare_matrix(result), ends, console)
        screen.show(seconds=1.0, places={"report": "here", "page": None})

    lines = captured.get().splitlines()
    assert "costs  1 of 2 cells completed in 1.0 s" == lines[0]
    assert "first  on numbers" == lines[1]
    assert ["cell bad: exit code 1: no row can succeed", "report  here"] == lines[-2:]


def test_table_has_differences_with_their_intervals(tmp_path: Path) -> None:
    """The baseline has none."""
    matrix = matrix_of(
        tmp_path, {"evaluation.metrics.0.scale": [1.0, 0.5], "prompt": PROMPTS}
    )
    scores = compare_matrix(matrix.run()).scores

    table = scores_table(scores)

    columns = [[str(cell) for cell in column.cells] for column in table.columns]
    assert [score.cell.name for score in scores] == columns[0]
    assert ["—", "-0.1667", "-0.4167", "-0.5000"] == columns[4]
    assert "baseline" == columns[7][0]


def _start(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.run", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _wait_for_calls(
    log: Path,
    *,
    more_than: int,
    process: subprocess.Popen[str],
) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if log.exists() and len(log.read_text().split()) > more_than:
            return
        time.sleep(0.01)
