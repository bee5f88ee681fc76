"""A run as records of Every Eval Ever, the shared schema of evaluation results.

The schema (version 0.3.0, MIT) is at github.com/evaleval/every_eval_ever: one JSON file
with a result for each data set and metric, and one of JSON Lines with a record for each
sample and metric. What a run does not know is `unknown` there, or left out.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from themis_lib.core.metadata import metadata_text
from themis_lib.core.models import Case, GenerationResult, ParsedOutput, Score
from themis_lib.errors import ConfigError
from themis_lib.identity.digests import canonical_json
from themis_lib.runs.case_results import CaseResult
from themis_lib.runs.results import RunResult, SummaryRow
from themis_lib.runs.summary import ALL_CASES

SCHEMA_VERSION = "0.3.0"
_UNKNOWN = "unknown"
#: The settings of generators that the schema has a field for.
_SAMPLING = ("temperature", "top_p", "top_k", "max_tokens")
#: What the schema allows in the parts of a file's path.
_NOT_IN_PATHS = re.compile(r"[^A-Za-z0-9._-]+")
_LEVEL = 0.95


@dataclass(frozen=True)
class _Record:
    """What the file of results and each record of a sample share."""

    evaluation_id: str
    model_id: str
    lower_is_better: frozenset[str]
    rows: Mapping[tuple[str, str], SummaryRow]

    def is_correct(
        self,
        row: SummaryRow,
        score: float,
    ) -> bool:
        """Return whether a score is the best that the metric can give."""
        is_lower = row.metric_id in self.lower_is_better
        best = row.lowest if is_lower else row.highest
        return score == best


def every_eval_ever_result(result: RunResult) -> dict[str, Any]:
    """Return the file of results, without a reference to samples.

    Raise `ConfigError` for a run without a mean: the schema has no place for it.
    """
    return _aggregate(result, _record_of(result))


def write_every_eval_ever(
    result: RunResult,
    folder: Path,
) -> list[Path]:
    """Write both files below a folder, where the schema has them, and return the paths.

    They are named by the run: writing them again replaces them. Raise `ConfigError` for
    a run without a mean, and for a folder that cannot be written.
    """
    record = _record_of(result)
    aggregate = _aggregate(result, record)
    developer, _, name = record.model_id.rpartition("/")
    parts = (result.manifest.name, developer or _UNKNOWN, name)
    place = "/".join(["data", *map(_path_part, parts)])
    samples = f"{place}/{_file_id(result)}_samples.jsonl"
    hasher = hashlib.sha256()
    total = left_out = 0
    path = folder / samples
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for case in result.cases:
                for sample in _samples(case, record):
                    if sample is None:
                        left_out += 1
                        continue
                    line = json.dumps(sample, ensure_ascii=False).encode() + b"\n"
                    hasher.update(line)
                    file.write(line)
                    total += 1
        aggregate["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": samples,
            "hash_algorithm": "sha256",
            "checksum": hasher.hexdigest(),
            "total_rows": total,
            # The schema takes no sample without a score.
            "additional_details": {"samples_without_score": str(left_out)},
        }
        results = folder / f"{place}/{_file_id(result)}.json"
        results.write_text(as_json(aggregate), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{str(folder)!r} cannot be written: {error.strerror}"
        ) from None
    return [results, path]


def as_json(aggregate: Mapping[str, Any]) -> str:
    """Return the file of results as text."""
    return json.dumps(aggregate, indent=2, ensure_ascii=False) + "\n"


def _record_of(result: RunResult) -> _Record:
    manifest = result.manifest
    rows = {}
    for row in result.summary:
        if row.slice == ALL_CASES and row.mean is not None:
            rows[row.dataset_id, row.metric_id] = row
    if not rows:
        raise ConfigError(
            f"run {result.run_id!r} has no mean of a score, and Every Eval Ever no place "
            "for a run without one"
        )
    model_id = manifest.model or _generator(result).get("component_id") or _UNKNOWN
    return _Record(
        evaluation_id=f"{manifest.name}/{model_id}/{_seconds(manifest.finished_at)}",
        model_id=str(model_id),
        lower_is_better=frozenset(manifest.lower_is_better),
        rows=rows,
    )


def _aggregate(
    result: RunResult,
    record: _Record,
) -> dict[str, Any]:
    manifest = result.manifest
    imported = manifest.imported
    version = manifest.versions.get("themis-flows", _UNKNOWN)
    library: dict[str, Any] = {"name": "themis-flows", "version": version}
    if imported is not None:
        library = {
            "name": imported.tool,
            "version": imported.tool_version or _UNKNOWN,
            "additional_details": {
                "imported_by": f"themis-flows {version}",
                "log_sha256": imported.sha256,
            },
        }
    evaluated_at = imported.created_at if imported else manifest.started_at
    aggregate: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": record.evaluation_id,
        "retrieved_timestamp": _seconds(manifest.finished_at),
        "source_metadata": {
            "source_name": "themis-flows",
            "source_type": "evaluation_run",
            # A run does not know who made it.
            "source_organization_name": _UNKNOWN,
            "evaluator_relationship": "other",
            "additional_details": {"run_id": result.run_id},
        },
        "eval_library": library,
        "model_info": {
            "name": record.model_id,
            "id": record.model_id,
            "additional_details": {
                "deployment_type": _UNKNOWN,
                "model_availability": _UNKNOWN,
                "generator": str(_generator(result).get("component_id", _UNKNOWN)),
            },
        },
        "evaluation_results": [
            _evaluation(row, result, record) for row in record.rows.values()
        ],
    }
    if evaluated_at is not None:
        aggregate["evaluation_timestamp"] = evaluated_at
    return aggregate


def _evaluation(
    row: SummaryRow,
    result: RunResult,
    record: _Record,
) -> dict[str, Any]:
    uncertainty: dict[str, Any] = {"num_samples": row.n}
    if row.standard_error is not None:
        uncertainty["standard_error"] = {"value": row.standard_error}
    if row.low is not None and row.high is not None:
        uncertainty["confidence_interval"] = {
            "lower": row.low,
            "upper": row.high,
            "confidence_level": _LEVEL,
            "method": row.interval_method or _UNKNOWN,
        }
    counts = {
        "cases": row.cases,
        "no_answer": row.no_answer,
        "no_answer_policy": row.no_answer_policy,
        "errors": row.errors,
        "error_policy": row.error_policy,
    }
    evaluation: dict[str, Any] = {
        "evaluation_result_id": _result_id(row),
        "evaluation_name": row.dataset_id,
        "source_data": _source_data(row, result),
        "metric_config": {
            "metric_id": row.metric_id,
            "metric_name": row.metric_id,
            "lower_is_better": row.metric_id in record.lower_is_better,
            "score_type": "continuous",
            "min_score": row.lowest,
            "max_score": row.highest,
        },
        "score_details": {
            "score": row.mean,
            "details": {name: str(value) for name, value in counts.items()},
            "uncertainty": uncertainty,
        },
    }
    arguments = {}
    settings = _generator(result).get("settings") or {}
    for name in _SAMPLING:
        if isinstance(settings.get(name), (int, float)):
            arguments[name] = settings[name]
    if arguments:
        evaluation["generation_config"] = {"generation_args": arguments}
    return evaluation


def _source_data(
    row: SummaryRow,
    result: RunResult,
) -> dict[str, Any]:
    configuration = result.manifest.configuration or {}
    for dataset in configuration.get("datasets") or []:
        if dataset.get("dataset_id") == row.dataset_id and "huggingface" in dataset:
            return {
                "dataset_name": row.dataset_id,
                "source_type": "hf_dataset",
                "hf_repo": dataset["huggingface"],
                "hf_split": dataset.get("split", "test"),
                "samples_number": row.cases,
            }
    return {"dataset_name": row.dataset_id, "source_type": "other"}


def _samples(
    case: CaseResult,
    record: _Record,
) -> Iterator[dict[str, Any] | None]:
    """Yield a record for each sample and metric, `None` for one without a score."""
    raw = _text(case.case.input)
    references = _references(case.case)
    content = raw + "".join(references)
    common = {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": record.evaluation_id,
        "model_id": record.model_id,
        "evaluation_name": case.dataset_id,
        "sample_id": case.case.case_id,
        "sample_hash": hashlib.sha256(content.encode()).hexdigest(),
        "interaction_type": "single_turn",
        "input": {"raw": raw, "reference": references},
    }
    for metric_id, scores in case.scores.items():
        row = record.rows.get((case.dataset_id, metric_id))
        for position, score in enumerate(scores):
            if row is None or not isinstance(score, Score) or score.value is None:
                yield None
                continue
            output = case.generated_candidates[position]
            answer = case.parsed_outputs[position]
            yield {
                **common,
                "evaluation_result_id": _result_id(row),
                **_sample_fields(case.case, output, answer),
                "evaluation": {
                    "score": score.value,
                    "is_correct": record.is_correct(row, score.value),
                },
            }


def _sample_fields(
    case: Case,
    output: GenerationResult,
    answer: ParsedOutput,
) -> dict[str, Any]:
    attribution = []
    if answer.value is not None:
        attribution.append(
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": _text(answer.value),
                "extraction_method": answer.format or "custom",
                "is_terminal": True,
            }
        )
    metadata = {name: metadata_text(value) for name, value in case.metadata.items()}
    fields: dict[str, Any] = {
        "output": {"raw": [_text(output.final_output)]},
        "answer_attribution": attribution,
        # Two samples of a case differ in nothing else that the schema has.
        "metadata": {**metadata, "sample_index": str(output.sample_index)},
    }
    if output.reasoning is not None:
        fields["output"]["reasoning_trace"] = [output.reasoning]
    usage = output.usage
    if usage and usage.input_tokens is not None and usage.output_tokens is not None:
        fields["token_usage"] = {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "input_tokens_cache_read": usage.cached_tokens,
            "input_tokens_cache_write": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        }
    if output.latency_s is not None:
        fields["performance"] = {"latency_ms": output.latency_s * 1000}
    return fields


def _references(case: Case) -> list[str]:
    expected = case.expected_output
    if expected is None:
        return []
    return (
        [_text(item) for item in expected]
        if isinstance(expected, list)
        else [_text(expected)]
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _generator(result: RunResult) -> Mapping[str, Any]:
    generate = result.manifest.stage("generate")
    found: Mapping[str, Any] = (
        generate.identity.get("generator", {}) if generate else {}
    )
    return found


def _result_id(row: SummaryRow) -> str:
    return f"{row.dataset_id}/{row.metric_id}"


def _seconds(moment: str | None) -> str:
    """Return a time of a manifest as seconds since 1970, as the schema asks."""
    return (
        _UNKNOWN if moment is None else str(datetime.fromisoformat(moment).timestamp())
    )


def _file_id(result: RunResult) -> uuid.UUID:
    """Return the id of a run's files: a UUID of version 4, as the schema asks.

    The same run has the same one.
    """
    content = hashlib.sha256(f"every_eval_ever:{result.run_id}".encode()).digest()
    return uuid.UUID(bytes=content[:16], version=4)


def _path_part(text: str) -> str:
    return _NOT_IN_PATHS.sub("_", text).strip(".") or _UNKNOWN
