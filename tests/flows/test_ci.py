"""`themis ci`: exit codes, what is shown and written, and the log that GitHub reads."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from click.testing import Result
from typer.testing import CliRunner

from flows.ci import app
from flows.parameters import EvaluateParameters
from tests.support.policies import run_in_process, write_experiment, write_policy
from themis_lib import RunStore
from themis_lib.runs.find_run import find_run
from themis_lib.runs.manifest import manifests


def command(path: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(path), *map(str, arguments)])


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """A policy whose experiment has run: one gate passes, one fails, one cannot tell."""
    path = write_experiment(tmp_path, {"d": [1] * 80 + [0] * 20})
    run_in_process(EvaluateParameters(experiment=str(path)))
    entry = {
        "experiment": str(path),
        "required": ["m >= 0.5", "m >= 0.78"],
        "advisory": ["m <= 0.5"],
    }
    return write_policy(tmp_path, entry)


@pytest.mark.parametrize(
    ("required", "code"),
    [(["m >= 0.5"], 0), (["m >= 0.5", "m >= 0.78"], 6), (["m >= 0.78", "m <= 0.5"], 5)],
)
def test_policy_runs_its_experiments_and_ends_in_their_verdict(
    required: list[str],
    code: int,
    prefect_api: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pass is 0, fail 5 and underpowered 6; the record of the run has the gates."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    path = write_experiment(tmp_path, {"d": [1] * 80 + [0] * 20})
    policy = write_policy(tmp_path, {"experiment": str(path), "required": required})

    done = command(policy)

    assert code == done.exit_code, done.output
    manifest = find_run(RunStore(f"{tmp_path}/store"), "last").manifest
    assert required == [record.gate for record in manifest.gates]
    assert "e  completed  100 cases" in done.stdout


def test_verdict_is_on_the_screen(judged: Path) -> None:
    """A row for each gate, the reasons of those that did not pass, and the whole."""
    done = command(judged, "--no-run")

    assert 6 == done.exit_code, done.output
    rows = [line.split() for line in done.stdout.splitlines() if " d " in line]
    assert [
        ["e", "m", ">=", "0.5", "d", "required", "pass", "0.8000", "0.7112"],
        ["e", "m", ">=", "0.78", "d", "required", "underpowered", "0.8000", "0.7112"],
        ["e", "m", "<=", "0.5", "d", "advisory", "fail", "0.8000", "0.7112"],
    ] == [row[:9] for row in rows]
    assert "gate underpowered  m >= 0.78  (d)\n          mean 0.8000" in done.stdout
    assert done.stdout.endswith(
        "policy  underpowered  2 required: 1 underpowered, 1 pass; 1 advisory: 1 fail\n"
    )


def test_gate_without_a_run_has_no_place(judged: Path) -> None:
    """It failed, and no empty parentheses say where."""
    done = command(judged, "--no-run", "--store", f"{judged.parent}/another")

    assert 5 == done.exit_code, done.output
    assert "gate fail  m >= 0.5\n          store " in done.stdout


def test_verdict_is_written_for_programs_and_people(
    judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Markdown, JUnit XML, JSON, and behind what the job's summary has already."""
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    files = [tmp_path / name for name in ("v.md", "v.xml", "v.json")]
    markdown, junit, verdict = files

    command(
        judged, "--no-run", "--markdown", markdown, "--junit", junit, "--json", verdict
    )

    text = markdown.read_text()
    assert text.startswith(
        "# policy: underpowered\n\n2 required: 1 underpowered, 1 pass"
    )
    assert f"before\n{text}" == summary.read_text()
    assert {
        "e": ["system-out", "error"],
        "e: advisory gates": ["skipped"],
    } == {
        str(suite.get("name")): [case[0].tag for case in suite]
        for suite in ET.parse(junit).getroot()
    }
    content = json.loads(verdict.read_text())
    assert "underpowered" == content["outcome"]
    assert [("m >= 0.5", True, "pass"), ("m >= 0.78", True, "underpowered")] == [
        (gate["record"]["gate"], gate["is_required"], gate["record"]["outcome"])
        for gate in content["gates"][:2]
    ]
    assert ["completed"] == [run["status"] for run in content["runs"]]


def test_bad_policy_is_one_line_and_a_report_without_a_verdict(
    judged: Path, tmp_path: Path
) -> None:
    """A comment of an earlier job does not go on to say that it passed."""
    judged.write_text(judged.read_text().replace("m <= 0.5", "n <= 0.5"))
    markdown = tmp_path / "v.md"

    done = command(judged, "--markdown", markdown)

    assert 2 == done.exit_code
    assert 1 == len(done.stderr.splitlines())
    assert "experiments[0]: gate 'n <= 0.5': no metric 'n'" in done.stderr
    assert markdown.read_text().startswith("# policy: not judged\n\n")
    assert 1 == len(manifests(RunStore(f"{tmp_path}/store")))


@pytest.mark.parametrize("option", ["--markdown", "--junit", "--json"])
def test_file_that_cannot_be_written_is_refused_first(
    option: str, judged: Path, tmp_path: Path
) -> None:
    """Before anything runs, once and with the option's name."""
    done = command(judged, option, tmp_path / "no/where")

    assert 2 == done.exit_code
    assert done.stderr.startswith(f"error: {option} ")
    assert 1 == len(done.stderr.splitlines())
    assert 1 == len(manifests(RunStore(f"{tmp_path}/store")))


def test_summary_that_cannot_be_written_leaves_the_verdict(
    judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error in the log, and the exit code is that of the gates."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no/where"))

    done = command(judged, "--no-run")

    assert 6 == done.exit_code
    assert "the job's summary cannot be written" in done.stderr


def test_log_of_a_job_has_no_commands(
    judged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On GitHub, everything is between two lines with a token that nobody can guess."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")

    logs = [command(judged, "--no-run").stdout.splitlines() for _ in range(2)]

    tokens = [log[0].removeprefix("::stop-commands::") for log in logs]
    assert [f"::{token}::" for token in tokens] == [log[-1] for log in logs]
    assert [32, 32] == [len(token) for token in tokens]
    assert tokens[0] != tokens[1]
