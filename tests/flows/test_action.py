"""The GitHub Action: its own steps, run by bash, on a fake of GitHub's API."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.parameters import EvaluateParameters
from tests.flows.test_policy_until_decided import experiment_file
from tests.support.github_api import TOKEN, GitHub
from tests.support.policies import run_in_process, write_experiment, write_policy

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
#: GitHub starts a step with `shell: bash` so.
BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]


@dataclass
class Job:
    """A job that uses the action: GitHub's part, as far as the action depends on it."""

    folder: Path
    github: GitHub
    prefect_api: str
    logs: dict[str, str] = field(default_factory=dict)

    def run(self, **inputs: str) -> int:
        """Run the steps with these inputs, and return the exit code of the last one."""
        temporary = self.folder / f"runner{len(self.logs)}"
        temporary.mkdir()
        known = {
            f"inputs.{name}": str(item.get("default", ""))
            for name, item in ACTION["inputs"].items()
        }
        known |= {f"inputs.{name}": text for name, text in inputs.items()}
        known |= {"runner.temp": str(temporary), "inputs.token": TOKEN}
        code = 0
        for step in ACTION["runs"]["steps"]:
            if "run" not in step or step["name"] == "Install":
                continue
            code = self._run_step(step, known, temporary)
            if code and not step.get("continue-on-error"):
                break
        return code

    def _run_step(
        self, step: dict[str, Any], known: dict[str, str], temporary: Path
    ) -> int:
        output = temporary / "output"
        environment = {
            **{key: text for key, text in os.environ.items() if "GITHUB" not in key},
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PREFECT_API_URL": self.prefect_api,
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.github.url,
            "GITHUB_EVENT_PATH": str(self.folder / "event.json"),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_REPOSITORY": "o/r",
            "GITHUB_STEP_SUMMARY": str(temporary / "summary.md"),
            **{key: resolved(text, known) for key, text in step["env"].items()},
        }
        done = subprocess.run(
            [*BASH, step["run"]],
            cwd=self.folder / resolved(step.get("working-directory", "."), known),
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        self.logs[f"{temporary.name} {step['name']}"] = done.stdout + done.stderr
        if "id" in step:
            for line in output.read_text().splitlines():
                name, _, value = line.partition("=")
                known[f"steps.{step['id']}.outputs.{name}"] = value
        return done.returncode

    @property
    def log(self) -> str:
        return "\n".join(self.logs.values())


def resolved(text: str, known: dict[str, str]) -> str:
    """A text with each `${{ … }}` replaced by what it names."""
    return re.sub(r"\$\{\{ (\S+) \}\}", lambda found: known[found[1]], text)


@pytest.fixture
def job(tmp_path: Path, prefect_api: str) -> Iterator[Job]:
    """A job for pull request 7, whose store has a run of the experiment."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, program in {"python": "", "themis": "-m flows"}.items():
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} {program} "$@"\n')
        (tools / name).chmod(0o755)
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": {"number": 7}}))
    path = write_experiment(tmp_path, {"d": [1] * 80 + [0] * 20})
    run_in_process(
        EvaluateParameters(experiment=str(path), store=f"{tmp_path}/results")
    )
    with GitHub() as github:
        yield Job(tmp_path, github, prefect_api)


def set_gates(job: Job, *required: str) -> None:
    entry = {"experiment": "e.yaml", "required": list(required)}
    write_policy(job.folder, entry)


@pytest.mark.slow
def test_comment_is_created_once_and_then_updated(job: Job) -> None:
    """By the jobs of two pushes, the second of which fails; the summary says the same."""
    set_gates(job, "m >= 0.5")
    first = job.run(policy="policy.yaml")
    created = [comment["body"] for comment in job.github.comments]
    set_gates(job, "m >= 0.5", "m <= 0.5")
    second = job.run(policy="policy.yaml")
    updated = [comment["body"] for comment in job.github.comments]

    assert (0, 5) == (first, second), job.log
    assert ["# policy: pass"] == [body.splitlines()[1] for body in created]
    assert ["# policy: fail"] == [body.splitlines()[1] for body in updated]
    *_, summary = sorted(job.folder.glob("runner*/summary.md"))
    assert updated[0].partition("\n")[2] == summary.read_text()
    assert ["POST", "PATCH"] == [
        request.split()[0]
        for request in job.github.requests
        if not request.startswith("GET")
    ]


@pytest.mark.slow
def test_a_job_may_stop_when_decided(job: Job) -> None:
    """An input asks for it; the comment says how many cases it took."""
    path = experiment_file(job.folder, right=0.9)
    entry = {"experiment": path.name, "required": ["right >= 0.5"]}
    write_policy(job.folder, entry)

    codes = [
        job.run(policy="policy.yaml", **{"until-decided": asked})
        for asked in ("true", "false")
    ]

    assert [0, 0] == codes, job.log
    first, second = sorted(job.folder.glob("runner*/summary.md"))
    assert " of 200 | " in first.read_text()
    assert "| 200 | " in second.read_text()


@pytest.mark.slow
def test_policy_that_is_refused_says_so_in_the_comment(job: Job) -> None:
    """In place of what an earlier job said there."""
    set_gates(job, "m >= 0.5")
    job.run(policy="policy.yaml")
    set_gates(job, "mm >= 0.5")

    code = job.run(policy="policy.yaml")

    (comment,) = job.github.comments
    assert 2 == code
    assert "# policy: not judged" == comment["body"].splitlines()[1]


@pytest.mark.slow
def test_crash_says_so_in_the_comment(job: Job) -> None:
    """In place of what an earlier job said there."""
    set_gates(job, "m >= 0.5")
    job.run(policy="policy.yaml")
    (job.folder / "bin" / "themis").write_text("#!/bin/sh\nexit 1\n")

    code = job.run(policy="policy.yaml")

    (comment,) = job.github.comments
    assert 1 == code
    assert comment["body"].splitlines()[1].startswith("# not judged")


@pytest.mark.slow
def test_policies_of_one_name_in_two_folders_have_a_comment_each(job: Job) -> None:
    """As in a repository with several projects."""
    set_gates(job, "m >= 0.5")
    shutil.copytree(job.folder, job.folder / "other")

    codes = [
        job.run(policy="policy.yaml", **{"working-directory": folder})
        for folder in (".", "other")
    ]

    assert [0, 0] == codes, job.log
    assert 2 == len(job.github.comments)


def test_every_use_in_a_job_has_its_own_reports() -> None:
    """The verdict of one policy is never posted for another."""
    steps = {step["name"]: step for step in ACTION["runs"]["steps"] if "name" in step}

    assert "mktemp -d" in steps["Evaluate"]["run"]
    assert "${{ steps.evaluate.outputs.reports }}" == steps["Comment"]["env"]["REPORTS"]


@pytest.mark.slow
@pytest.mark.parametrize(("gate", "code"), [("m >= 0.5", 0), ("m <= 0.5", 5)])
def test_refusal_of_github_changes_no_verdict(gate: str, code: int, job: Job) -> None:
    """It is one error in the log of its step, and the token is nowhere."""
    job.github.refusal = 403
    set_gates(job, gate)

    ended = job.run(policy="policy.yaml")

    (said,) = [text for name, text in job.logs.items() if name.endswith("Comment")]
    assert code == ended
    assert said.startswith("error: no comment is posted: ")
    assert 1 == len(said.splitlines())
    files = [path for path in job.folder.rglob("*") if path.is_file()]
    assert TOKEN not in job.log
    assert [] == [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_inputs_reach_a_script_by_its_environment_alone() -> None:
    """A policy called `$(…)` would be run otherwise; only one step has the token."""
    steps = ACTION["runs"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    with_token = [step["name"] for step in steps if "token" in str(step.get("env"))]

    assert [] == [script for script in scripts if "${{" in script]
    assert ["Comment"] == with_token


def test_every_expression_names_an_input_that_exists() -> None:
    """In the steps, and in the action's outputs."""
    text = (ROOT / "action.yml").read_text()

    named = set(re.findall(r"inputs\.([\w-]+)", text))

    assert set(ACTION["inputs"]) == named
    assert all(
        "description" in item
        for item in [*ACTION["inputs"].values(), *ACTION["outputs"].values()]
    )


def test_used_actions_have_a_version() -> None:
    used = [step["uses"] for step in ACTION["runs"]["steps"] if "uses" in step]

    assert [
        "actions/setup-python@v5",
        "actions/cache/restore@v4",
        "actions/cache/save@v4",
    ] == used
