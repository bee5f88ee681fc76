"""Logs of Inspect: `.eval`, a ZIP archive with a member a sample, and `.json`.

The format is that of `EvalLog` and `EvalSample` (inspect.aisi.org.uk/reference), in the
versions 1 and 2 that its releases wrote.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator, Mapping
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
    id_text,
    number_or_none,
)
from themis_lib.eval_logs.zip_members import open_archive, read_member

_VERSIONS = (1, 2)
_HEADER = "header.json"
#: What a log has before its evaluation ends.
_START = "_journal/start.json"
_SAMPLES = "samples/"
_EPOCH = "_epoch_"
#: A run has a row for each, also for those that are not in the log.
_MOST_EPOCHS = 10_000
_ATTACHMENT = "attachment://"
#: The letters that scorers write, as Inspect's `value_to_float` reads them.
_LETTERS = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
#: Of a message, what is another text at every run, and what made it.
_NOT_CONTENT = ("id", "source", "model", "metadata")


def open_inspect_log(
    file: IO[bytes],
    path: str,
) -> EvalLog:
    """Open a log in either format. Raise `DatasetError` for what is none."""
    file.seek(0)
    is_archive = file.read(2) == b"PK"
    file.seek(0)
    suffix = PurePosixPath(path.partition("::")[0]).suffix
    if is_archive or suffix == ".eval":
        archive = open_archive(file, path)
        header = _archive_header(archive, file, path)
        model = text_or_none(object_of(header["eval"], path).get("model"))
        return EvalLog(
            _header_of(header),
            partial(_archive_samples, archive, file, path, header, model),
        )
    log = object_of(load_log_json(file.read(), path), path)
    _check_header(log, path)
    if not isinstance(log.get("samples"), list):
        raise DatasetError(f"{path}: the log has no samples; it was written without")
    return EvalLog(_header_of(log), partial(_json_samples, log, path))


def _archive_header(
    archive: zipfile.ZipFile,
    file: IO[bytes],
    path: str,
) -> Mapping[str, Any]:
    names = archive.namelist()
    for name in (_HEADER, _START):
        if name in names:
            place = f"{path}: {name}"
            content = read_member(archive, file, archive.getinfo(name), place)
            header = object_of(load_log_json(content, place), place)
            _check_header(header, path)
            return header
    raise DatasetError(f"{path}: not a log of Inspect: it has no {_HEADER}")


def _check_header(
    header: Mapping[str, Any],
    path: str,
) -> None:
    if not isinstance(header.get("eval"), dict):
        raise DatasetError(f"{path}: not a log of Inspect: it has no `eval`")
    version = header.get("version", 1)
    if version not in _VERSIONS:
        raise DatasetError(
            f"{path}: version {version!r} of Inspect's log format; "
            "versions 1 and 2 are read"
        )


def _header_of(log: Mapping[str, Any]) -> LogHeader:
    spec = log["eval"]
    model = text_or_none(spec.get("model"))
    packages = object_or_empty(spec.get("packages"))
    config = object_or_empty(spec.get("config"))
    reducers = list_or_empty(config.get("epochs_reducer"))
    notices = []
    if reducers not in ([], ["mean"]):
        notices.append(
            f"Inspect reduced epochs by {', '.join(map(str, reducers))}; "
            "here by their mean"
        )
    status = text_or_none(log.get("status")) or "started"
    if status != "success":
        notices.append(f"Inspect's evaluation ended as {status!r}")
    return LogHeader(
        tool="inspect_ai",
        tool_version=text_or_none(packages.get("inspect_ai")),
        task=text_or_none(spec.get("task")) or "inspect",
        created_at=text_or_none(spec.get("created")),
        status=status,
        variants=(Variant(model, model or "unknown"),),
        notices=tuple(notices),
    )


def _archive_samples(
    archive: zipfile.ZipFile,
    file: IO[bytes],
    path: str,
    header: Mapping[str, Any],
    model: str | None,
) -> Iterator[LoggedSample]:
    dataset = object_or_empty(header["eval"].get("dataset"))
    order: dict[str, int] = {}
    for sample_id in list_or_empty(dataset.get("sample_ids")):
        order.setdefault(str(sample_id), len(order))

    def position(info: zipfile.ZipInfo) -> tuple[int, str, int]:
        name, _, epoch = PurePosixPath(info.filename).stem.rpartition(_EPOCH)
        number = int(epoch) if epoch.isdecimal() else 0
        return order.get(name, len(order)), name, number

    members = [item for item in archive.infolist() if item.filename[:8] == _SAMPLES]
    # An archive has them in the order in which they ended.
    for info in sorted(members, key=position):
        place = f"{path}: {info.filename}"
        content = read_member(archive, file, info, place)
        yield _sample_of(load_log_json(content, place), place, model)


def _json_samples(
    log: Mapping[str, Any],
    path: str,
) -> Iterator[LoggedSample]:
    model = text_or_none(log["eval"].get("model"))
    for number, sample in enumerate(log["samples"]):
        yield _sample_of(sample, f"{path}: sample {number}", model)


def _sample_of(
    value: Any,
    place: str,
    model: str | None,
) -> LoggedSample:
    sample = object_of(value, place)
    epoch = sample.get("epoch", 1)
    is_number = isinstance(epoch, int) and not isinstance(epoch, bool)
    if not is_number or not 1 <= epoch <= _MOST_EPOCHS:
        raise DatasetError(
            f"{place}: epoch {epoch!r:.60} is no number from 1 to {_MOST_EPOCHS}"
        )
    attachments = object_or_empty(sample.get("attachments"))
    metadata = object_or_empty(sample.get("metadata"))
    if sample.get("choices"):
        metadata = {"choices": sample["choices"], **metadata}
    record = object_or_empty(sample.get("output"))
    output, finish_reason = _output_of(record, attachments)
    scores = _scores_of(sample)
    seconds = number_or_none(sample.get("working_time", sample.get("total_time")))
    return LoggedSample(
        place=place,
        case_id=id_text(sample.get("id"), place, "`id`"),
        input=_resolved(_input_of(sample.get("input")), attachments),
        expected_output=_resolved(sample.get("target"), attachments),
        output=output,
        sample=epoch - 1,
        fields=metadata,
        metadata=metadata,
        answer=_answer_of(sample),
        error=_error_of(sample, record, output),
        finish_reason=finish_reason,
        usage=_usage_of(sample, record, model),
        latency_s=seconds,
        scores=scores,
    )


def _input_of(value: Any) -> Any:
    """Return an input; of its messages, what the model is sent."""
    if not isinstance(value, list):
        return value
    messages = []
    for message in value:
        kept = {}
        for name, part in object_or_empty(message).items():
            if name not in _NOT_CONTENT and part is not None:
                kept[name] = part
        messages.append(kept)
    return messages


def _output_of(
    record: Mapping[str, Any],
    attachments: Mapping[str, Any],
) -> tuple[str | None, str | None]:
    """Return the text of the first choice, and how it ended."""
    choices = list_or_empty(record.get("choices"))
    if not choices:
        return text_or_none(record.get("completion")), None
    choice = object_or_empty(choices[0])
    text = record.get("completion")
    if not isinstance(text, str):
        content = object_or_empty(choice.get("message")).get("content")
        text = _content_text(content)
    return _resolved(text, attachments), text_or_none(choice.get("stop_reason"))


def _content_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = [object_or_empty(part).get("text") for part in list_or_empty(content)]
    return "".join(text for text in texts if isinstance(text, str))


def _error_of(
    sample: Mapping[str, Any],
    record: Mapping[str, Any],
    output: str | None,
) -> str | None:
    error = sample.get("error")
    if error:
        # The traceback, beside the message, has paths of another machine.
        return str(object_or_empty(error).get("message") or error)
    if record.get("error"):
        return str(record["error"])
    return None if output is not None else "the sample has no output"


def _answer_of(sample: Mapping[str, Any]) -> str | None:
    """Return the answer that the first scorer with one read."""
    for score in object_or_empty(sample.get("scores")).values():
        answer = text_or_none(object_or_empty(score).get("answer"))
        if answer is not None:
            return answer
    return None


def _usage_of(
    sample: Mapping[str, Any],
    record: Mapping[str, Any],
    model: str | None,
) -> TokenUsage | None:
    # Of all calls to the model, graders' left out; else of the last one.
    by_model = object_or_empty(sample.get("model_usage"))
    usage = object_or_empty(by_model.get(model or "") or record.get("usage"))
    if not usage:
        return None
    return TokenUsage(
        input_tokens=count_or_none(usage.get("input_tokens")),
        output_tokens=count_or_none(usage.get("output_tokens")),
        cached_tokens=count_or_none(usage.get("input_tokens_cache_read")),
        cache_write_tokens=count_or_none(usage.get("input_tokens_cache_write")),
        reasoning_tokens=count_or_none(usage.get("reasoning_tokens")),
    )


def _scores_of(sample: Mapping[str, Any]) -> dict[str, LoggedScore]:
    """Return a score for each scorer, and for each part of a score that has parts."""
    scores = dict(object_or_empty(sample.get("scores")))
    # The first logs had one scorer, without a name.
    if not scores and isinstance(sample.get("score"), dict):
        scores = {"score": sample["score"]}
    found = {}
    for name, score in scores.items():
        record = object_or_empty(score)
        details = {}
        for key in ("answer", "explanation"):
            if record.get(key) is not None:
                details[key] = record[key]
        value = record.get("value")
        if isinstance(value, dict):
            for key, part in value.items():
                found[f"{name}/{key}"] = _score_of(part, details)
        else:
            found[name] = _score_of(value, details)
    return found


def _score_of(
    value: Any,
    details: dict[str, Any],
) -> LoggedScore:
    number = number_or_none(value)
    if number is None and isinstance(value, str):
        number = _LETTERS.get(value, _WORDS.get(value.lower()))
        if number is None:
            number = _parsed_number(value)
    if number is None or not math.isfinite(number):
        return LoggedScore(
            None, details, f"Inspect's score is no number: {value!r:.60}"
        )
    return LoggedScore(number, {**details, "value": value}, None)


def _parsed_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _resolved(
    value: Any,
    attachments: Mapping[str, Any],
) -> Any:
    """Return a value with what the log keeps elsewhere in its place."""
    if isinstance(value, str) and value.startswith(_ATTACHMENT):
        return attachments.get(value.removeprefix(_ATTACHMENT), value)
    if isinstance(value, list):
        return [_resolved(item, attachments) for item in value]
    if isinstance(value, dict):
        return {key: _resolved(item, attachments) for key, item in value.items()}
    return value
