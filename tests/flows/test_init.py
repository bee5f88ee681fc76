"""`themis init`: what each template writes and refuses, and that it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from flows.exit_codes import COMPLETED
from flows.init import TEMPLATES, TEMPLATES_FOLDER, app
from tests.support.provider_server import Fault, ProviderServer, prompt_of
from themis_lib import RunStore
from themis_lib.runs.find_run import find_run

EXPERIMENT, WORKFLOW = "experiment.yaml", ".github/workflows/evaluate.yml"
#: The mean of the metric that a template's workflow has a gate on.
MEANS = {
    "demo": ("exact_match", 0.9),
    "recorded": ("numeric_match", 19 / 24),
    "openai": ("contained", 0.95),
    "judge": ("judged", 9 / 16),
    "local": ("numeric_match", 1.0),
}
CAPITALS = {
    case["input"]: case["expected_output"]
    for case in map(
        json.loads,
        (TEMPLATES_FOLDER / "openai/cases.jsonl").read_text("utf-8").splitlines(),
    )
}
LABELS = {
    case["input"]: case["metadata"]["label"]
    for case in map(
        json.loads,
        (TEMPLATES_FOLDER / "judge/cases.jsonl").read_text("utf-8").splitlines(),
    )
}


def init(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def files_in(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file()
    }


def steps(folder: Path) -> list[dict[str, Any]]:
    """The steps of a written workflow."""
    workflow = yaml.safe_load((folder / WORKFLOW).read_text())
    (job,) = workflow["jobs"].values()
    return list(job["steps"])


# What is written


def test_templates_are_those_that_exist() -> None:
    """Each folder of templates is a template, and each has a mean to reach here."""
    folders = {path.name for path in TEMPLATES_FOLDER.iterdir() if path.is_dir()}

    assert folders == set(TEMPLATES) == set(MEANS)


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_has_experiment_data_metric_and_workflow(
    name: str, tmp_path: Path
) -> None:
    """Every file is written where it belongs, and named; so is the next command."""
    folder = tmp_path / "my eval"

    done = init(folder, "--template", name)

    written = files_in(folder)
    assert 0 == done.exit_code, done.output
    assert {EXPERIMENT, "cases.jsonl", "metrics.py", WORKFLOW} <= written
    for file in written:
        assert f"wrote   {folder / file}\n" in done.stdout
    assert f"next    themis run '{folder / EXPERIMENT}'\n" in done.stdout


def test_default_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder or a template, the demo is written where one is."""
    monkeypatch.chdir(tmp_path)

    done = init()

    content = (TEMPLATES_FOLDER / "demo" / EXPERIMENT).read_bytes()
    assert content == (tmp_path / EXPERIMENT).read_bytes()
    assert "next    themis run experiment.yaml\n" in done.stdout
    assert "first" not in done.stdout


def test_list_names_each_template() -> None:
    """`--list` says what each template is for and writes nothing."""
    done = init("--list")

    assert list(TEMPLATES) == [line.split()[0] for line in done.stdout.splitlines()]
    assert 1 == done.stdout.count("(the default)")


# What is refused


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """Where a file exists already it is named, it is left as it is, and nothing else
    is written.
    """
    (tmp_path / "metrics.py").write_text("mine")

    done = init(tmp_path)

    assert (2, "") == (done.exit_code, done.stdout)
    assert str(tmp_path / "metrics.py") in done.stderr
    assert {"metrics.py"} == files_in(tmp_path)
    assert "mine" == (tmp_path / "metrics.py").read_text()


def test_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    """A link to nowhere counts as a file that exists."""
    (tmp_path / EXPERIMENT).symlink_to(tmp_path / "elsewhere.yaml")

    done = init(tmp_path)

    assert 2 == done.exit_code
    assert set() == files_in(tmp_path)


def test_files_of_a_failed_call_are_removed(tmp_path: Path) -> None:
    """Where one file cannot be written, those before it are not left behind."""
    (tmp_path / ".github").write_text("a file in place of the folder")

    done = init(tmp_path)

    assert (2, "") == (done.exit_code, done.stdout)
    assert "cannot be written" in done.stderr
    assert {".github"} == files_in(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["x", "--template", "opnai"], "did you mean 'openai'?"),
        (["/dev/null/x"], "'/dev/null/x' cannot be written"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An unknown template and a folder that cannot be are one clear line each."""
    monkeypatch.chdir(tmp_path)

    done = init(*arguments)

    assert (2, "") == (done.exit_code, done.stdout)
    assert problem in done.stderr
    assert 1 == len(done.stderr.splitlines())
    assert set() == files_in(tmp_path)


# That it runs


@pytest.fixture(scope="module")
def provider() -> Iterator[ProviderServer]:
    """A server that knows every capital but one, and judges as people did."""

    def answer(attempt: int, body: dict[str, Any]) -> Fault:
        prompt = prompt_of(body)
        if prompt in CAPITALS:
            capital = CAPITALS[prompt]
            return Fault(
                changes={"text": "Sydney" if capital == "Canberra" else capital}
            )
        (label,) = [LABELS[question] for question in LABELS if question in prompt]
        verdict = {"reason": "so", "verdict": "correct" if label else "incorrect"}
        return Fault(changes={"text": json.dumps(verdict)})

    with ProviderServer(answer) as server:
        yield server


@pytest.fixture
def environment(
    prefect_api: str, provider: ProviderServer, tmp_path: Path
) -> dict[str, str]:
    """The environment of somebody who has installed the package, and has a key."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, program in {
        "python": f'exec {sys.executable} "$@"',
        "themis": f'exec {sys.executable} -m flows "$@"',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{program}\n")
        (tools / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PREFECT_API_URL": prefect_api,
        "OPENAI_API_KEY": "sk-test",
        "OPENAI_BASE_URL": provider.url,
    }


def typed(command: str, folder: Path, environment: dict[str, str]) -> str:
    """What a command prints in a folder, from which it must end well."""
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert COMPLETED == done.returncode, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", TEMPLATES)
def test_template_runs_as_a_user_would_run_it(
    name: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    """The plan, the next command as it is printed, and the commands of the workflow all
    work; the gate passes, and the second run computes nothing.
    """
    if name == "local":
        pytest.importorskip("llama_cpp")
    folder = tmp_path / "work"
    folder.mkdir()
    shown = typed(f"themis init . --template {name}", folder, environment)
    (command,) = [
        line.removeprefix("next    ")
        for line in shown.splitlines()
        if line.startswith("next")
    ]
    metric_id, mean = MEANS[name]

    planned = typed(f"{command} --plan", folder, environment)
    typed(command, folder, environment)
    first = find_run(RunStore(str(folder / "results")), "last")
    for step in steps(folder):
        if step.get("run", "").startswith("themis"):
            typed(step["run"], folder, environment)

    (row,) = [
        row for row in first.summary if (row.metric_id, row.slice) == (metric_id, "all")
    ]
    again = find_run(RunStore(str(folder / "results")), "last")
    gate = ET.parse(folder / "gates.xml").getroot()[0][0]
    assert "no run in this store yet" in planned
    assert (mean, 0, 0) == (row.mean, row.no_answer, row.errors)
    assert first.run_id != again.run_id
    assert 0 == sum(record.computed for record in again.manifest.stages)
    assert "system-out" == gate[0].tag
    assert "<!doctype html>" in (folder / "report.html").read_text("utf-8").lower()


@pytest.mark.parametrize("name", TEMPLATES)
def test_workflow_gates_a_metric_of_its_experiment(name: str, tmp_path: Path) -> None:
    """The workflow is YAML that GitHub can read: events, one job, steps that either use
    an action of a fixed version or run a command, with a gate on a known metric.
    """
    init(tmp_path, "--template", name)
    workflow = yaml.safe_load((tmp_path / WORKFLOW).read_text())
    found = steps(tmp_path)

    # YAML 1.1 reads the key `on` as true.
    assert {"name", True, "jobs"} == set(workflow)
    assert all(("uses" in step) != ("run" in step) for step in found)
    assert all("@v" in step["uses"] for step in found if "uses" in step)
    commands = [step["run"] for step in found if "run" in step]
    assert ["pip", "themis", "themis"] == [text.split()[0] for text in commands]
    assert f"--gate '{MEANS[name][0]} >= " in commands[1]
