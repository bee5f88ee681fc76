"""The log in an open file, by its format."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import IO, Any

from themis_lib.errors import DatasetError
from themis_lib.eval_logs.inspect_log import open_inspect_log
from themis_lib.eval_logs.json_values import load_log_json, object_or_empty
from themis_lib.eval_logs.lm_eval import open_lm_eval_log
from themis_lib.eval_logs.promptfoo import open_promptfoo_log
from themis_lib.eval_logs.samples import EvalLog, LogFormat


def open_log(
    file: IO[bytes],
    path: str,
    log_format: LogFormat,
    *,
    results: Mapping[str, Any] | None = None,
) -> EvalLog:
    """Open a log. The file has to be seekable, and open as long as samples are read.

    `results` are those of lm-eval, from the file beside the samples. Raise
    `DatasetError`, naming the place, for what is no such log.
    """
    if log_format == "inspect":
        return open_inspect_log(file, path)
    if log_format == "promptfoo":
        return open_promptfoo_log(file, path)
    return open_lm_eval_log(file, path, results)


def find_log_format(
    content: bytes,
    path: str,
) -> LogFormat:
    """Return which tool wrote a file. Raise `DatasetError` if it was none of them."""
    suffix = PurePosixPath(path.partition("::")[0]).suffix.lower()
    if suffix == ".eval" or content.startswith(b"PK"):
        return "inspect"
    if suffix in (".jsonl", ".ndjson"):
        return "lm_eval"
    log = object_or_empty(load_log_json(content, path))
    if isinstance(log.get("eval"), dict):
        return "inspect"
    if isinstance(object_or_empty(log.get("results")).get("results"), list):
        return "promptfoo"
    if isinstance(log.get("results"), list):
        return "promptfoo"
    hint = ""
    if "lm_eval_version" in log or "n-shot" in log:
        hint = "; these are results of lm-eval: give the samples_….jsonl beside them"
    raise DatasetError(
        f"{path}: neither samples of lm-eval, nor a log of Inspect, nor results of "
        f"promptfoo{hint}"
    )
