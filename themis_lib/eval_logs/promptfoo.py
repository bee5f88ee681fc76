"""Results of promptfoo: the JSON of `promptfoo eval -o results.json`, and of `export`.

The format is that of promptfoo's `EvaluateSummaryV3` and `EvaluateResult`, and of the
older summary with a table. A file has a column for each prompt with each provider.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any

from themis_lib.core.models import TokenUsage
from themis_lib.errors import DatasetError
from themis_lib.eval_logs.json_values import (
    list_or_empty,
    load_log_json,
    object_of,
    object_or_empty,
    text_or_none,
)
from themis_lib.eval_logs.samples import (
    EvalLog,
    LoggedSample,
    LoggedScore,
    LogHeader,
    Variant,
    count_or_none,
    number_or_none,
)
from themis_lib.identity.digests import canonical_json

_VERSIONS = (2, 3, 4)
#: promptfoo's `ResultFailureReason.ERROR`. A failed assertion, 1, is a verdict.
_FAILED = 2


def open_promptfoo_log(
    file: IO[bytes],
    path: str,
) -> EvalLog:
    """Open a file of results. Raise `DatasetError` for what is none."""
    file.seek(0)
    log = object_of(load_log_json(file.read(), path), path)
    summary = log.get("results")
    # Inside a file of `export`, the results have a version of their own.
    if isinstance(summary, list):
        summary = log
    summary = object_or_empty(summary)
    rows = summary.get("results")
    if not isinstance(rows, list):
        raise DatasetError(f"{path}: not results of promptfoo: it has no `results`")
    for version in (log.get("version", 3), summary.get("version", 3)):
        if version not in _VERSIONS:
            raise DatasetError(
                f"{path}: version {version!r} of promptfoo's results; "
                "versions 2 to 4 are read"
            )
    if not rows:
        raise DatasetError(f"{path}: there are no results")
    columns = _column_numbers(rows, path)
    header = _header_of(log, summary, rows, columns, path)
    return EvalLog(header, partial(_samples, rows, columns, path))


def _column_numbers(
    rows: Sequence[Any],
    path: str,
) -> list[int]:
    """Return the column of each row: `promptIdx`, or the order of prompts and providers."""
    numbers: list[int] = []
    seen: dict[str, int] = {}
    for number, value in enumerate(rows):
        row = object_of(value, f"{path}: result {number}")
        index = row.get("promptIdx")
        if not isinstance(index, int) or isinstance(index, bool):
            name = canonical_json([_provider(row), _prompt_label(row)])
            index = seen.setdefault(name, len(seen))
        numbers.append(index)
    # A filter of promptfoo's may have left columns out.
    known = sorted(set(numbers))
    return [known.index(number) for number in numbers]


def _header_of(
    log: Mapping[str, Any],
    summary: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[int],
    path: str,
) -> LogHeader:
    metadata = object_or_empty(log.get("metadata"))
    # Of the configuration nothing else: it may hold keys.
    config = object_or_empty(log.get("config"))
    variants: dict[int, Variant] = {}
    for row, column in zip(rows, columns, strict=True):
        model = _provider(row)
        label = f"{model or 'unknown'}, prompt {_prompt_label(row)!r:.60}"
        variants.setdefault(column, Variant(model, label))
    created_at = metadata.get("evaluationCreatedAt") or summary.get("timestamp")
    return LogHeader(
        tool="promptfoo",
        tool_version=text_or_none(metadata.get("promptfooVersion")),
        task=text_or_none(config.get("description")) or PurePosixPath(path).stem,
        created_at=text_or_none(created_at),
        status=None,
        variants=tuple(variants[column] for column in sorted(variants)),
    )


def _provider(row: Mapping[str, Any]) -> str | None:
    provider = row.get("provider")
    if isinstance(provider, dict):
        provider = provider.get("id") or provider.get("label")
    return text_or_none(provider)


def _prompt_label(row: Mapping[str, Any]) -> str:
    prompt = row.get("prompt")
    if isinstance(prompt, dict):
        prompt = prompt.get("label") or prompt.get("raw")
    return prompt if isinstance(prompt, str) else ""


def _samples(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[int],
    path: str,
) -> Iterator[LoggedSample]:
    case_ids: dict[str, str] = {}
    counts: dict[tuple[int, str], int] = {}
    for number, (row, column) in enumerate(zip(rows, columns, strict=True)):
        place = f"{path}: result {number}"
        test = object_or_empty(row.get("testCase"))
        values = object_or_empty(row.get("vars") or test.get("vars"))
        checks = list_or_empty(test.get("assert"))
        checks = [item for item in checks if isinstance(item, dict)]
        # A repeated test has another `testIdx`: the same test is the same case.
        name = canonical_json([values, checks, test.get("description")])
        case_id = case_ids.setdefault(name, _test_id(row, len(case_ids)))
        sample = counts.get((column, name), 0)
        counts[column, name] = sample + 1
        yield _sample_of(
            row,
            test,
            place=place,
            case_id=case_id,
            values=values,
            expected_output=_expected_output(checks),
            variant=column,
            sample=sample,
        )


def _test_id(
    row: Mapping[str, Any],
    default: int,
) -> str:
    index = row.get("testIdx")
    is_index = isinstance(index, int) and not isinstance(index, bool)
    return str(index if is_index else default)


def _expected_output(checks: Sequence[Mapping[str, Any]]) -> Any:
    """Return what the one assertion `equals` expects; `None` for tests without it."""
    expected = [check.get("value") for check in checks if check.get("type") == "equals"]
    return expected[0] if len(expected) == 1 else None


def _sample_of(
    row: Mapping[str, Any],
    test: Mapping[str, Any],
    *,
    values: Mapping[str, Any],
    **ids: Any,
) -> LoggedSample:
    response = object_or_empty(row.get("response"))
    output = response.get("output")
    error = None
    if row.get("failureReason") == _FAILED or output is None:
        error = row.get("error") or response.get("error")
        error = str(error or "the result has no output")
    metadata = object_or_empty(test.get("metadata"))
    if test.get("description"):
        metadata = {"description": test["description"], **metadata}
    latency = number_or_none(row.get("latencyMs"))
    is_measured = latency is not None and not response.get("cached")
    return LoggedSample(
        **ids,
        input=dict(values),
        output=output,
        fields=values,
        metadata=metadata,
        error=error,
        finish_reason=text_or_none(response.get("finishReason")),
        usage=_usage_of(response.get("tokenUsage") or row.get("tokenUsage")),
        latency_s=latency / 1000 if latency is not None and is_measured else None,
        scores=_scores_of(row),
    )


def _usage_of(value: Any) -> TokenUsage | None:
    usage = object_or_empty(value)
    details = object_or_empty(usage.get("completionDetails"))
    counts = TokenUsage(
        input_tokens=count_or_none(usage.get("prompt")),
        output_tokens=count_or_none(usage.get("completion")),
        reasoning_tokens=count_or_none(details.get("reasoning")),
    )
    return None if counts == TokenUsage() else counts


def _scores_of(row: Mapping[str, Any]) -> dict[str, LoggedScore]:
    """Return the score, whether the test passed, and every named metric."""
    grading = object_or_empty(row.get("gradingResult"))
    details = {}
    if grading.get("reason") is not None:
        details["reason"] = grading["reason"]
    scores = {
        "score": _score_of(row.get("score"), details),
        "pass": _score_of(row.get("success"), details),
    }
    for name, value in object_or_empty(row.get("namedScores")).items():
        # A metric of the user's may bear one of these names.
        metric_id = f"named/{name}" if name in scores else name
        scores[metric_id] = _score_of(value, {})
    return scores


def _score_of(
    value: Any,
    details: dict[str, Any],
) -> LoggedScore:
    number = number_or_none(value)
    if number is None or not math.isfinite(number):
        reason = f"promptfoo has no number for it: {value!r:.60}"
        return LoggedScore(None, details, reason)
    return LoggedScore(number, details)
