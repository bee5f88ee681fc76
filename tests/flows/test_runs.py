"""`python -m flows.runs`: what it lists, how it draws a metric, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flows.runs import app
from tests.support.counted_runs import ran
from themis_lib import RunResult, RunStore


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "80"})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store on disk with two runs of one experiment, the second with another prompt,
    and one of another.
    """
    place = tmp_path_factory.mktemp("store")
    store = RunStore(str(place))
    ran(store)
    ran(store, generation__prompt_spec__prefix="p")
    ran(store, name="other", evaluation__metrics__0__id="second")
    return place


def runs_of(place: Path, name: str) -> list[RunResult]:
    store = RunStore(str(place))
    found = [RunResult(store, run_id) for run_id in sorted(store.list("runs"))]
    return sorted(
        (run for run in found if run.manifest.name == name),
        key=lambda run: run.manifest.started_at,
    )


def test_runs_are_listed_oldest_first(place: Path) -> None:
    """A run's line says when and how it ended; below it what changed, and its scores
    with their intervals.
    """
    first, second = runs_of(place, "costs")

    result = asked("--store", str(place), "--name", "costs")

    lines = result.stdout.splitlines()
    assert 0 == result.exit_code, result.output
    assert [first.run_id, second.run_id] == [
        line.split()[0] for line in lines if not line.startswith(" ")
    ]
    assert f"completed        {first.manifest.name}" in lines[0]
    assert lines[1].startswith("    first on numbers                  0.8333  (")
    assert '    generate.prompt_spec.prefix: null → "p"' == lines[3]
    assert max(map(len, lines)) <= 80


def test_metric_is_drawn_below_the_list(place: Path) -> None:
    """With a metric its plot follows, and a page is written where one is asked for."""
    page = place / "page.html"

    result = asked("--store", str(place), "--metric", "first", "--html", str(page))

    lines = result.stdout.splitlines()
    assert 0 == result.exit_code, result.output
    at = lines.index("first on numbers, 2 run(s) of costs")
    assert 2 == sum("●" in line for line in lines[at:])
    assert any(line.strip() == "↑" for line in lines[at:])
    assert f"written to {page}" == lines[-1]
    assert "<h1>costs</h1>" in page.read_text(encoding="utf-8")


def test_filters_that_leave_nothing_say_so(place: Path) -> None:
    """No run of that status, or since then, is no error."""
    for arguments in (["--status", "failed"], ["--since", "2999-01-01"]):
        result = asked("--store", str(place), *arguments)

        assert (0, "no such runs\n") == (result.exit_code, result.stdout)


def test_refusals_are_one_line(place: Path) -> None:
    """An unknown experiment or metric is one line and exit code 2."""
    for arguments, expected in [
        (["--name", "cost"], "did you mean 'costs'?"),
        (["--metric", "frist"], "did you mean 'first'?"),
        (
            ["--name", "costs", "--html", "/no/such/x.html"],
            "'/no/such/x.html' cannot be written: No such file",
        ),
        (
            ["--html", str(place / "x.html"), "--since", "2999-01-01"],
            "there are no runs to draw",
        ),
    ]:
        result = asked("--store", str(place), *arguments)

        assert 2 == result.exit_code, result.output
        assert expected in result.stderr
        assert 1 == len(result.stderr.strip().splitlines())
    assert not (place / "x.html").exists()


def test_damaged_record_is_named(tmp_path: Path) -> None:
    """A run whose record cannot be read is counted below the list."""
    store = RunStore(str(tmp_path))
    ran(store)
    store.replace("runs/broken/manifest.json", b"{")

    result = asked("--store", str(tmp_path))

    assert (
        "1 run(s) without a record that can be read: broken"
        == result.stdout.splitlines()[-1]
    )
