"""`themis demo`: what it scores, says, writes and refuses, and how it ends."""

from __future__ import annotations

import doctest
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from flows.demo import CASE, DEMO_DATA, EXPERIMENTS, app
from tests.support.drivers import run_through_flow
from tests.support.new_process import printed_in_new_process
from tests.test_gsm8k import DATA
from themis_lib import Experiment, InMemoryRunStore, RunStore
from themis_lib.experiment.beside import resolve_beside
from themis_lib.experiment.spec import load_spec
from themis_lib.runs.find_run import find_run
from tools import demo_data

DEMO = [sys.executable, "-m", "flows.demo"]


def demo(store: Path | str, *arguments: str, width: int = 80) -> Result:
    return CliRunner().invoke(
        app,
        ["--store", str(store), *arguments],
        env={"COLUMNS": str(width), "TERM": "dumb", "FORCE_COLOR": None},
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store in which the demo has run once."""
    folder = tmp_path_factory.mktemp("demo") / "store"
    assert 0 == demo(folder).exit_code
    return folder


# The data


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_scores_agree_with_every_published_verdict(name: str) -> None:
    """Each recorded solution is scored as its publishers did, all 300 of them."""
    file = DEMO_DATA / f"{name.replace('gsm8k', 'solutions')}.jsonl"
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]

    result = Experiment.from_config(DEMO_DATA / f"{name}.yaml").run(InMemoryRunStore())

    scores = result.table("scores").to_pylist()
    assert 300 == len(lines)
    assert {line["case_id"]: line["is_correct"] for line in lines} == {
        row["case_id"]: row["score"] == 1.0 for row in scores
    }


def test_a_newcomer_is_shown_a_case_that_only_one_model_solved(store: Path) -> None:
    """The case to look at is wrong in the first run and right in the second."""
    scores = [
        case.final_scores["numeric_match"]
        for name in EXPERIMENTS
        for case in find_run(RunStore(str(store)), name).cases
        if case.case.case_id == CASE
    ]

    assert [0.0, 1.0] == scores


def test_data_are_small_and_say_whose_they_are() -> None:
    """The data weigh at most 400 kB; licence and origin are beside them."""
    weight = sum(file.stat().st_size for file in DEMO_DATA.iterdir() if file.is_file())

    assert weight <= 400_000
    assert "Copyright (c) 2021 OpenAI" in (DEMO_DATA / "LICENSE").read_text()
    assert "arXiv:2110.14168" in (DEMO_DATA / "README.md").read_text()


def test_groups_of_steps_are_as_documented() -> None:
    """The example in the tool's docstring is true."""
    assert 0 == doctest.testmod(demo_data).failed


@pytest.mark.skipif(not DATA.exists(), reason="GSM8K is not on this machine")
def test_data_are_what_the_tool_chooses() -> None:
    """The published files give the demo's data, byte for byte."""
    for name, content in demo_data.demo_files(DATA).items():
        assert content == (DEMO_DATA / name).read_bytes(), name


# What it shows


def test_first_run_shows_scores_and_verdict(tmp_path: Path) -> None:
    """Both models are scored with intervals and compared, and it is said that no model
    is asked; the pages are where the command says.
    """
    result = demo(tmp_path / "store")

    assert 0 == result.exit_code, result.output
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "No model is asked." in result.stdout
    assert "gsm8k-6b numeric_match 300 0 0.2367 0.1921 – 0.2879" in lines
    assert "gsm8k-175b numeric_match 300 0 0.5900 0.5335 – 0.6442" in lines
    assert "all 0.2367 0.5900 +0.3533 0.2912 to 0.4108 better" in lines
    assert (
        "gsm8k-175b is better than gsm8k-6b by numeric_match on gsm8k: "
        "113 of 300 cases score higher and 7 lower, p 9.5e-26"
    ) in result.stdout
    assert "2,400 in " in result.stdout
    assert "run it again, and all are cached" in result.stdout
    pages = re.findall(r"^(?:report|compared)? +(/.*\.html)$", result.stdout, re.M)
    assert ["report.html", "report.html", "comparison.html"] == [
        Path(page).name for page in pages
    ]
    assert all(Path(page).is_file() for page in pages)


def test_second_run_computes_nothing(store: Path) -> None:
    """Run again, the demo finds every row in the store and says so."""
    result = demo(store)

    assert 0 == result.exit_code, result.output
    assert "all of them cached: nothing was computed" in result.stdout


def test_flow_finds_the_rows_of_the_demo(
    store: Path, tmp_path: Path, prefect_api: str
) -> None:
    """`flows.run` of the experiments that come with the demo computes nothing."""
    for name in EXPERIMENTS:
        path = DEMO_DATA / f"{name}.yaml"
        spec = load_spec(path, overrides=[f"storage.store={store}"])
        resolve_beside(spec, path.parent)

        result = run_through_flow(spec, tmp_path, prefect_api)

        assert 0 == sum(record.computed for record in result.manifest.stages)


def test_tables_fit_eighty_columns(store: Path) -> None:
    """On a terminal of 80 columns no table is folded; only lines to copy are longer."""
    lines = demo(store).stdout.splitlines()

    tables = lines[: next(at for at, line in enumerate(lines) if "verdict" in line)]
    assert max(map(len, tables)) <= 80


@pytest.mark.slow
def test_next_commands_work_as_typed(tmp_path: Path) -> None:
    """Each command that is printed as a next step runs in the same folder."""
    shown = run(DEMO, tmp_path)
    commands = shown.partition("\nnext ")[2].splitlines()

    assert 5 == len(commands)
    for command in commands:
        run(["bash", "-c", command], tmp_path)


def test_next_commands_name_the_store(tmp_path: Path) -> None:
    """Commands that go on with the runs name a store that is not the default one."""
    store = str(tmp_path / "a store")

    commands = demo(store).stdout.partition("\nnext ")[2].splitlines()

    named = [shlex.quote(store) in command for command in commands]
    assert [True, True, True, True, False] == named


def run(command: list[str], folder: Path) -> str:
    """What a command prints in a folder, from which it must end well."""
    # The commands say `python`: that of these tests.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert (0, "") == (done.returncode, done.stderr), command
    return done.stdout


@pytest.mark.slow
def test_prefect_is_never_imported(tmp_path: Path) -> None:
    """The demo runs in process: nothing of Prefect is loaded."""
    printed = printed_in_new_process(
        "import sys\n"
        "from flows.demo import run_demo\n"
        "from flows.terminal import open_console\n"
        f"run_demo({str(tmp_path / 'store')!r}, open_console())\n"
        "print([name for name in sys.modules if name.startswith('prefect')])"
    )

    assert "[]" == printed.splitlines()[-1]


@pytest.mark.slow
def test_open_shows_the_comparison(tmp_path: Path) -> None:
    """With `--open` the browser is given the page of the comparison."""
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    browser.chmod(0o755)
    printed = printed_in_new_process(
        "import sys\n"
        "from flows.demo import app\n"
        f"app(['--open', '--store', {str(tmp_path / 'store')!r}])",
        BROWSER=f"{browser} %s",
    )

    page = re.search(r"^compared +(.*)$", printed, re.M)
    assert page is not None
    assert f"file://{page[1]}\n" == (tmp_path / "opened").read_text()


# What it refuses


@pytest.mark.parametrize(
    ("store", "problem"),
    [
        ("/dev/null/store", "store '/dev/null/store' cannot be written"),
        ("memory", "give a folder"),
        ("sqlite", "write a folder"),
    ],
)
def test_store_that_cannot_be_used_is_one_line(store: str, problem: str) -> None:
    """A store that cannot be written, or would be gone, is one error before anything
    is scored.
    """
    result = demo(store)

    assert (2, "") == (result.exit_code, result.stdout)
    assert problem in result.stderr
    assert 1 == len(result.stderr.splitlines())


@pytest.mark.slow
def test_ctrl_c_leaves_a_store_to_go_on_with(tmp_path: Path) -> None:
    """Ctrl-C ends the demo with one line and exit code 130; run again, it ends well."""
    process = subprocess.Popen(
        DEMO,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)

    again = run(DEMO, tmp_path)

    assert 130 == process.returncode, said
    assert 1 == len(said.splitlines())
    assert "every finished row is saved" in said
    assert "No model is asked." in again
    latest = find_run(RunStore(str(tmp_path / "results")), "last")
    assert "gsm8k-175b" == latest.manifest.name
