"""The command line: bad input is one clear line and exit code 2, and a good run says
what it did.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from flows.run import app
from flows.runs import app as runs_app
from tests.test_edit_costs import base, setting

BAD: dict[str, tuple[Any, str]] = {
    "unknown setting": (
        setting("generation.promt_spec", {}),
        "did you mean 'prompt_spec'?",
    ),
    "unknown section": (setting("metrics", []), "unknown setting 'metrics'"),
    "unknown component": (
        setting("evaluation.metrics.0", "builtin/exact_mach"),
        "did you mean 'builtin/exact_match'?",
    ),
    "unknown parameter": (
        setting("generation.generator.temprature", 1),
        "did you mean 'temperature'?",
    ),
    "unknown module": (
        setting("generation.generator.use", "nowhere:Thing"),
        "cannot be imported",
    ),
    "unknown attribute": (
        setting("generation.generator.use", "tests.support.counting:Generater"),
        "did you mean 'Generator'?",
    ),
    "literal secret": (setting("generation.generator.api_key", "sk-live-123"), "${"),
    "missing variable": (
        setting("generation.generator.api_key", "${THEMIS_NO_SUCH_KEY}"),
        "THEMIS_NO_SUCH_KEY",
    ),
    "bad pattern": (
        setting("evaluation.parsers.0", {"use": "builtin/regex", "pattern": "("}),
        "pattern",
    ),
    "k above samples": (
        setting("generation.reducer", {"use": "builtin/pass_at_k", "k": 5}),
        "k=5",
    ),
    "seeds and samples": (
        setting("generation.candidate_policy.num_samples", 3),
        "2 seed(s) for num_samples=3",
    ),
    "negative samples": (
        setting("generation.candidate_policy.num_samples", 0),
        "num_samples",
    ),
    "no datasets": (setting("datasets", []), "datasets"),
    "empty dataset": (setting("datasets.0.cases", []), "numbers"),
    "duplicate ids": (setting("datasets.0.cases.1.case_id", "case-0"), "'case-0'"),
    "missing file": (
        setting("datasets.0", {"dataset_id": "d", "path": "nowhere.jsonl"}),
        "nowhere.jsonl",
    ),
    "unwritable store": (
        setting("storage.store", "/dev/null/store"),
        "/dev/null/store",
    ),
    "unknown filesystem": (setting("storage.store", "nope://store"), "nope"),
    "two datasets of one name": (
        lambda spec: spec["datasets"].append(spec["datasets"][0]),
        "2 datasets are named",
    ),
    "seed beyond 64 bits": (setting("seeds", [2**63, 1]), "64 bits"),
    "unused judges": (
        setting("evaluation.judge_models", ["builtin/demo_generator"]),
        "no metric",
    ),
    "unknown stage": (lambda spec: None, "until_stage 'sccore'"),
    "two metrics of one name": (
        lambda spec: spec["evaluation"]["metrics"].append(
            spec["evaluation"]["metrics"][0]
        ),
        "'first'",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_exit_code_2(name: str, tmp_path: Path) -> None:
    """Bad input is one line that names the place, and exit code 2, before a server is
    started.
    """
    edit, expected = BAD[name]
    spec = base(tmp_path / "store")
    edit(spec)
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))

    result = CliRunner().invoke(
        app, [str(path), *(["--until", "sccore"] if name == "unknown stage" else [])]
    )

    assert 2 == result.exit_code, result.output
    assert expected in result.stderr
    assert 1 == len(result.stderr.strip().splitlines())
    assert "sk-live-123" not in result.output
    assert "Traceback" not in result.output


def test_missing_experiment_is_bad_input(tmp_path: Path) -> None:
    """An experiment file that is not there is named."""
    result = CliRunner().invoke(app, [str(tmp_path / "nowhere.yaml")])

    assert (2, True) == (result.exit_code, "nowhere.yaml" in result.stderr)


def test_malformed_line_is_named_by_file_and_line(tmp_path: Path) -> None:
    """A line that is not JSON is named by file and line."""
    (tmp_path / "cases.jsonl").write_text('{"input": "1"}\n{"input": \n')
    spec = base(tmp_path / "store")
    spec["datasets"] = [{"dataset_id": "d", "path": str(tmp_path / "cases.jsonl")}]
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))

    result = CliRunner().invoke(app, [str(path)])

    assert 2 == result.exit_code
    assert f"{tmp_path / 'cases.jsonl'}:2:" in result.stderr


def test_plan_computes_nothing_and_says_why(tmp_path: Path) -> None:
    """`--plan` counts what would be computed and names the part of the identity that
    changed.
    """
    from tests.support.counting import CALLS
    from tests.support.drivers import run_in_process

    spec = base(tmp_path / "store")
    run_in_process(spec, tmp_path, "")
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))
    CALLS.clear()

    same = CliRunner().invoke(app, [str(path), "--plan"])
    edited = CliRunner().invoke(
        app, [str(path), "generation.prompt_spec.prefix=p", "--plan"]
    )

    assert (0, 0) == (same.exit_code, edited.exit_code)
    assert "every row is in the store" in same.stdout
    assert 'prompt_spec.prefix: null → "p"' in edited.stdout
    assert {} == CALLS


def test_run_shows_summary_files_and_next_step(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run ends with its status, the summary, rows computed and cached, where the
    files are, and a next command.
    """
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(base(tmp_path / "store")))

    result = CliRunner().invoke(app, [str(path)])

    assert 0 == result.exit_code, result.output
    for text in (
        "costs",
        "completed",
        "numbers",
        "first",
        "0.8333",
        "computed",
        "cached",
        "themis export",
        "--plan",
    ):
        assert text in result.stdout


def test_plan_looks_at_every_metric(tmp_path: Path) -> None:
    """`--plan` counts a metric that is in the store as cached, also behind one that is
    new.
    """
    from tests.support.drivers import run_in_process

    spec = base(tmp_path / "store")
    run_in_process(spec, tmp_path, "")
    spec["evaluation"]["metrics"].insert(
        0, {"use": "tests.support.counting:Metric", "id": "new", "scale": 0.5}
    )
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))

    result = CliRunner().invoke(app, [str(path), "--plan"])

    rows = [line.split() for line in result.stdout.splitlines() if line.split()]
    counts = {cells[0]: cells[1:] for cells in rows if len(cells) == 5}
    assert ["12", "0", "12", "0"] == counts["score[new]"]
    assert ["12", "12", "0", "0"] == counts["score[first]"]
    assert ["12", "0", "0", "12"] == counts["reduce"]


def test_unknown_slice_is_bad_input(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slice over metadata that no case has is refused before anything is
    generated.
    """
    from tests.support.counting import CALLS

    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    spec = base(tmp_path / "store")
    spec["evaluation"]["slices"] = ["topik"]
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(spec))
    CALLS.clear()

    result = CliRunner().invoke(app, [str(path)])

    assert 2 == result.exit_code, result.output
    assert "did you mean 'topic'?" in result.stderr
    assert {} == CALLS


def test_server_that_does_not_answer_is_bad_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `PREFECT_API_URL` where nobody answers is named, with what to do."""
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(base(tmp_path / "store")))

    result = CliRunner().invoke(app, [str(path)])

    assert 2 == result.exit_code, result.output
    assert "http://127.0.0.1:1/api does not answer" in result.stderr


def test_second_run_of_a_file_without_a_store_pays_nothing(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are kept in the working directory, where `flows.runs` looks too."""
    from tests.support.counting import CALLS

    CALLS.clear()
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    monkeypatch.chdir(tmp_path)
    spec = base(tmp_path)
    del spec["storage"]
    Path("experiment.yaml").write_text(yaml.safe_dump(spec))

    first = CliRunner().invoke(app, ["experiment.yaml"])
    paid = CALLS["generate"]
    second = CliRunner().invoke(app, ["experiment.yaml"])
    listed = CliRunner().invoke(runs_app, [])

    assert (0, 0, 0) == (first.exit_code, second.exit_code, listed.exit_code)
    assert paid == CALLS["generate"] > 0
    assert 2 == listed.stdout.count("costs")
