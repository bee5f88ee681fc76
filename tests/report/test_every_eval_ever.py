"""Runs as records of Every Eval Ever, valid by its schema (`every_eval_ever/`, MIT)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.eval_logs import INSPECT, lm_eval_row
from themis_lib import Experiment, RunResult
from themis_lib.core.config import StorageConfig
from themis_lib.errors import ConfigError
from themis_lib.experiment.imported import import_log
from themis_lib.report.every_eval_ever import (
    as_json,
    every_eval_ever_result,
    write_every_eval_ever,
)

SCHEMAS = Path(__file__).parent / "every_eval_ever"


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))


def run_of(**evaluation: Any) -> RunResult:
    """Return a run with a wrong answer, a missing one, and several samples."""
    spec = {
        "name": "sums",
        "generation": {
            "generator": {"use": "builtin/demo_generator"},
            "candidate_policy": {"num_samples": 2},
        },
        "evaluation": {
            "parsers": ["builtin/number"],
            "metrics": ["builtin/numeric_match", "builtin/exact_match"],
            **evaluation,
        },
        "datasets": [
            {
                "dataset_id": "sums",
                "cases": [
                    {"case_id": "a", "input": "2 + 2", "expected_output": 4},
                    {
                        "case_id": "b",
                        "input": [{"role": "user", "content": "no"}],
                        "expected_output": ["none", "nothing"],
                        "metadata": {"level": 1},
                    },
                ],
            }
        ],
    }
    return Experiment.model_validate(spec).run()


def written(result: RunResult, folder: Path) -> tuple[Any, list[Any]]:
    """Return both files of a run, after their validation."""
    results, samples = write_every_eval_ever(result, folder)
    aggregate = json.loads(results.read_text(encoding="utf-8"))
    lines = samples.read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    jsonschema.validate(aggregate, schema("eval"))
    for record in records:
        jsonschema.validate(record, schema("instance_level_eval"))
    return aggregate, records


def test_records_are_valid_and_say_what_the_run_says(tmp_path: Path) -> None:
    """The mean, its interval and its counts; each sample with its score."""
    result = run_of()

    aggregate, records = written(result, tmp_path)

    row = result.summary[0]
    evaluation = aggregate["evaluation_results"][0]
    details = evaluation["score_details"]
    assert (row.mean, row.n, row.low) == (
        details["score"],
        details["uncertainty"]["num_samples"],
        details["uncertainty"]["confidence_interval"]["lower"],
    )
    assert str(row.no_answer) == details["details"]["no_answer"]
    first = records[0]
    assert {"score": 1.0, "is_correct": True} == first["evaluation"]
    assert ("a", "2 + 2", ["4"], ["4"], "0") == (
        first["sample_id"],
        first["input"]["raw"],
        first["input"]["reference"],
        first["output"]["raw"],
        first["metadata"]["sample_index"],
    )
    assert first["evaluation_result_id"] == evaluation["evaluation_result_id"]


def test_sample_without_score_is_counted_and_not_a_wrong_answer(
    tmp_path: Path,
) -> None:
    """The schema takes no record without a score."""
    aggregate, records = written(run_of(), tmp_path)

    reference = aggregate["detailed_evaluation_results"]
    assert {"a"} == {record["sample_id"] for record in records}
    assert (4, {"samples_without_score": "4"}) == (
        reference["total_rows"],
        reference["additional_details"],
    )


def test_files_are_where_the_schema_has_them(tmp_path: Path) -> None:
    """Written again they are the same; the checksum is that of the samples."""
    result = run_of()
    aggregate, _ = written(result, tmp_path)
    reference = aggregate["detailed_evaluation_results"]

    assert aggregate == written(result, tmp_path)[0]

    content = (tmp_path / reference["file_path"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == reference["checksum"]
    files = [path.name for path in tmp_path.rglob("*") if path.is_file()]
    assert 2 == len(files)


def test_what_a_run_does_not_know_is_unknown() -> None:
    """Who made it, how its model is deployed."""
    aggregate = every_eval_ever_result(run_of())

    assert ("unknown", "other") == (
        aggregate["source_metadata"]["source_organization_name"],
        aggregate["source_metadata"]["evaluator_relationship"],
    )
    details = aggregate["model_info"]["additional_details"]
    assert {"unknown"} == {
        details["deployment_type"],
        details["model_availability"],
    }
    assert "detailed_evaluation_results" not in aggregate


def test_imported_run_names_the_tool_that_evaluated(tmp_path: Path) -> None:
    """With its version, its model and the time of its log."""
    storage = StorageConfig(store=str(tmp_path / "store"))
    (imported,) = import_log(str(INSPECT), storage)

    aggregate, records = written(imported.result, tmp_path)

    library = aggregate["eval_library"]
    assert ("inspect_ai", "0.3.285", "mockllm/model") == (
        library["name"],
        library["version"],
        aggregate["model_info"]["id"],
    )
    assert [True, True, False] == [
        record["evaluation"]["is_correct"]
        for record in records
        if record["evaluation_result_id"] == "arithmetic/match"
    ][1:]
    assert 17 == records[0]["token_usage"]["total_tokens"]


def test_best_score_of_a_metric_where_lower_is_better_is_correct(
    tmp_path: Path,
) -> None:
    """And the record says that lower is better."""
    path = tmp_path / "log.jsonl"
    metric = {"use": "builtin/logged_score", "score_name": "exact_match"}
    path.write_text(
        "".join(
            json.dumps(lm_eval_row(doc_id=n, exact_match=float(n))) + "\n"
            for n in range(2)
        )
    )
    spec = {
        "name": "errors",
        "generation": {
            "generator": {
                "use": "builtin/replay",
                "path": str(path),
                "format": "lm_eval",
            }
        },
        "evaluation": {"metrics": [{**metric, "higher_is_better": False}]},
        "datasets": [{"dataset_id": "d", "path": str(path), "format": "lm_eval"}],
    }
    result = Experiment.model_validate(spec).run()

    aggregate, records = written(result, tmp_path)

    assert aggregate["evaluation_results"][0]["metric_config"]["lower_is_better"]
    assert [True, False] == [record["evaluation"]["is_correct"] for record in records]


def test_no_record_holds_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the one of the results nor those of the samples."""
    monkeypatch.setenv("CANARY", "s3cret-canary")
    spec: dict[str, Any] = {
        "name": "sums",
        "generation": {
            "generator": {
                "use": "builtin/replay",
                "path": str(INSPECT),
                "storage_options": {"key": "${CANARY}"},
            }
        },
        "evaluation": {
            "metrics": [{"use": "builtin/logged_score", "score_name": "match"}]
        },
        "datasets": [{"dataset_id": "d", "path": str(INSPECT)}],
    }
    result = Experiment.model_validate(spec).run()

    aggregate, records = written(result, tmp_path)
    text = as_json(aggregate) + json.dumps(records)
    assert (False, False) == ("s3cret-canary" in text, "CANARY" in text)


def test_run_without_a_mean_has_no_record() -> None:
    """The schema has no place for it."""
    with pytest.raises(ConfigError, match="has no mean of a score"):
        every_eval_ever_result(run_of(metrics=[]))
