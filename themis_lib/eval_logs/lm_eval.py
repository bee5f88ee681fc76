"""Samples of lm-eval: `samples_TASK_DATE.jsonl`, as `--log_samples` writes them.

A line is one document under one filter, with its requests, what the model replied, and
the metrics' values. `results_DATE.json` beside it has the model and the versions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any

from themis_lib.errors import DatasetError
from themis_lib.eval_logs.json_values import (
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
    id_text,
    number_or_none,
)

_NAME = re.compile(
    r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.jsonl"
)
#: What a line has beside the metrics; up to 0.4.4 it does not list these.
_OWN_FIELDS = frozenset(
    {
        *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps"),
        *("filter", "metrics", "doc_hash", "prompt_hash", "target_hash"),
    }
)
_NO_REPLY = "the sample has no reply"
#: The filter of a task without filters.
_NO_FILTER = "none"


def open_lm_eval_log(
    file: IO[bytes],
    path: str,
    results: Mapping[str, Any] | None = None,
) -> EvalLog:
    """Open a file of samples; `results` is what the file of results beside it holds."""
    return EvalLog(_header_of(path, results or {}), partial(_samples, file, path))


def results_name(name: str) -> str | None:
    """Return the name of the results that belong to a file of samples.

    >>> results_name("samples_gsm8k_2026-01-21T03-44-18.458309.jsonl")
    'results_2026-01-21T03-44-18.458309.json'
    """
    found = _NAME.fullmatch(name)
    return f"results_{found['date']}.json" if found else None


def _header_of(
    path: str,
    results: Mapping[str, Any],
) -> LogHeader:
    name = PurePosixPath(path.partition("::")[0]).name
    found = _NAME.fullmatch(name)
    task = found["task"] if found else PurePosixPath(name).stem
    created_at = None
    if found:
        day, _, time = found["date"].partition("T")
        created_at = f"{day}T{time.replace('-', ':')}"
    orders = object_or_empty(object_or_empty(results.get("higher_is_better")).get(task))
    model = _model_of(results)
    return LogHeader(
        tool="lm_eval",
        tool_version=text_or_none(results.get("lm_eval_version")),
        task=task,
        created_at=created_at,
        status=None,
        variants=(Variant(model, model or "unknown"),),
        lower_is_better=frozenset(name for name in orders if orders[name] is False),
    )


def _model_of(results: Mapping[str, Any]) -> str | None:
    """Return the name of the model, and never its other arguments: they hold tokens."""
    config = object_or_empty(results.get("config"))
    name = text_or_none(results.get("model_name"))
    if name is None:
        arguments: Any = config.get("model_args")
        if isinstance(arguments, str):
            pairs = (item.partition("=") for item in arguments.split(","))
            arguments = {key.strip(): value for key, _, value in pairs}
        arguments = object_or_empty(arguments)
        name = text_or_none(arguments.get("pretrained") or arguments.get("model"))
    return name or text_or_none(config.get("model"))


def _samples(
    file: IO[bytes],
    path: str,
) -> Iterator[LoggedSample]:
    file.seek(0)
    for number, line in enumerate(file, start=1):
        if not line.isspace():
            place = f"{path}:{number}"
            row = object_of(load_log_json(line, place), place)
            yield from _samples_of(row, place)


def _samples_of(
    row: Mapping[str, Any],
    place: str,
) -> Iterator[LoggedSample]:
    for name in ("doc_id", "resps", "arguments"):
        if name not in row:
            raise DatasetError(f"{place}: not a sample of lm-eval: it has no {name!r}")
    requests = _requests(row["arguments"])
    replies = row["resps"] if isinstance(row["resps"], list) else []
    sample = LoggedSample(
        place=place,
        case_id=id_text(row["doc_id"], place, "`doc_id`"),
        input=_prompt(requests),
        expected_output=row.get("target"),
        output=None,
        fields=object_or_empty(row.get("doc")),
        error=_NO_REPLY,
        scores=_scores_of(row),
    )
    if requests and _rates_text(requests[0]):
        yield _rated(sample, requests, replies)
    else:
        yield from _written(sample, replies, row.get("filtered_resps"))


def _written(
    sample: LoggedSample,
    replies: Sequence[Any],
    filtered: Any,
) -> Iterator[LoggedSample]:
    """Yield a sample for each text that the model wrote."""
    outputs = replies[0] if replies and isinstance(replies[0], list) else replies
    answers = _answers(filtered, len(outputs))
    # A document without a reply is a sample all the same.
    for number, output in enumerate(outputs or [None]):
        yield replace(
            sample,
            output=output,
            sample=number,
            answer=answers[number] if answers else None,
            error=_NO_REPLY if output is None else None,
        )


def _requests(arguments: Any) -> list[list[Any]]:
    """Return the arguments of each request: `{gen_args_0: {arg_0: …}}`, or lists."""
    if isinstance(arguments, dict):
        requests = []
        for request in arguments.values():
            values = list(request.values()) if isinstance(request, dict) else request
            requests.append(values if isinstance(values, list) else [values])
        return requests
    if isinstance(arguments, list):
        return [item if isinstance(item, list) else [item] for item in arguments]
    return []


def _prompt(requests: Sequence[Sequence[Any]]) -> Any:
    """Return the prompt that all requests of a document share, or every one."""
    prompts = [request[0] for request in requests if request]
    if all(prompt == prompts[0] for prompt in prompts):
        return prompts[0] if prompts else None
    return prompts


def _rates_text(request: Sequence[Any]) -> bool:
    """Return whether the model is asked how likely a text is, and not for one."""
    # A prompt alone is rated as a whole; one to go on from has settings behind it.
    return len(request) == 1 or (len(request) > 1 and isinstance(request[1], str))


def _rated(
    sample: LoggedSample,
    requests: Sequence[Sequence[Any]],
    replies: Sequence[Any],
) -> LoggedSample:
    """Return a sample whose output is the most likely text; of one text, how likely."""
    numbers = []
    for reply in replies:
        number = _log_likelihood(reply)
        if number is not None:
            numbers.append(number)
    if len(numbers) != len(requests):
        return sample
    if len(numbers) == 1:
        return replace(sample, output=numbers[0], error=None)
    texts = _options(requests)
    target = sample.expected_output
    is_position = isinstance(target, str) and target.isdecimal()
    if is_position and int(target) < len(texts):
        target = texts[int(target)]
    chosen = max(range(len(numbers)), key=numbers.__getitem__)
    return replace(
        sample,
        output=texts[chosen],
        expected_output=target,
        error=None,
    )


def _options(requests: Sequence[Sequence[Any]]) -> list[str]:
    texts = ["".join(map(str, request[-1:])) for request in requests]
    # Where the end is the same for all, the options are in the prompts.
    if len(set(texts)) < len(texts):
        texts = ["".join(map(str, request)) for request in requests]
    return texts


def _log_likelihood(reply: Any) -> float | None:
    # `[[["-1.5", "False"]]]`: by request, repeat, then the number and "is greedy".
    while isinstance(reply, list) and reply:
        reply = reply[0]
    try:
        number = float(reply)
    except (OverflowError, TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _answers(
    filtered: Any,
    count: int,
) -> list[Any] | None:
    """Return what the filter made of each reply; `None` for replies it left out."""
    if not isinstance(filtered, list) or not filtered:
        return None
    kept = filtered[0]
    if isinstance(kept, list):
        return kept if len(kept) == count else None
    return [kept] * count


def _scores_of(row: Mapping[str, Any]) -> dict[str, LoggedScore]:
    names = row.get("metrics")
    if not isinstance(names, list):
        names = [name for name in row if name not in _OWN_FIELDS]
    filter_name = text_or_none(row.get("filter")) or _NO_FILTER
    scores = {}
    for name in map(str, names):
        metric_id = name if filter_name == _NO_FILTER else f"{name},{filter_name}"
        value = number_or_none(row.get(name))
        if value is None or not math.isfinite(value):
            reason = f"lm-eval has no number for it: {row.get(name)!r:.60}"
            scores[metric_id] = LoggedScore(None, reason=reason)
        else:
            scores[metric_id] = LoggedScore(value)
    return scores
