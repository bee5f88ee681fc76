"""Logs of other tools: those in `examples/logs`, and some to break."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from themis_lib.eval_logs.open_log import open_log
from themis_lib.eval_logs.samples import LogFormat, LoggedSample

LOGS = Path(__file__).parents[2] / "examples" / "logs"
#: Three samples with two epochs, of which one failed; written by inspect_ai 0.3.285.
INSPECT = LOGS / "arithmetic.eval"
#: Two filters, and two options; written by lm_eval 0.4.13.
LM_EVAL = LOGS / "samples_arithmetic_2026-11-29T19-10-09.315737.jsonl"
LM_EVAL_CHOICES = LOGS / "samples_quiz_2026-11-29T19-10-09.315737.jsonl"
#: Two providers, of which one failed once.
PROMPTFOO = LOGS / "promptfoo.json"

HEADER = {"version": 2, "status": "success", "eval": {"task": "t", "model": "m"}}


def inspect_sample(**changes: Any) -> dict[str, Any]:
    """Return a sample as Inspect writes it."""
    output = {"choices": [{"message": {"content": "4"}, "stop_reason": "stop"}]}
    sample = {
        "id": "a",
        "epoch": 1,
        "input": "2 + 2",
        "target": "4",
        "output": {**output, "completion": "4"},
        "scores": {"match": {"value": "C"}},
    }
    return {**sample, **changes}


def inspect_json(*samples: Any, **changes: Any) -> bytes:
    """Return a `.json` log of Inspect."""
    return json.dumps({**HEADER, "samples": list(samples), **changes}).encode()


def inspect_archive(members: Mapping[str, Any]) -> bytes:
    """Return a `.eval` log whose members are deflated, as earlier releases wrote it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in members.items():
            archive.writestr(name, json.dumps(value))
    return content.getvalue()


def lm_eval_row(**changes: Any) -> dict[str, Any]:
    """Return a line as lm-eval writes it."""
    row = {
        "doc_id": 0,
        "doc": {"question": "2 + 2"},
        "target": "4",
        "arguments": {"gen_args_0": {"arg_0": "2 + 2 =", "arg_1": {"until": ["\n"]}}},
        "resps": [[" 4"]],
        "filtered_resps": ["4"],
        "filter": "none",
        "metrics": ["exact_match"],
        "exact_match": 1.0,
    }
    return {**row, **changes}


def promptfoo_row(**changes: Any) -> dict[str, Any]:
    """Return a result as promptfoo writes it."""
    row = {
        "promptIdx": 0,
        "testIdx": 0,
        "provider": {"id": "openai:m", "label": ""},
        "prompt": {"raw": "2 + 2", "label": "p"},
        "vars": {"q": "2 + 2"},
        "testCase": {"assert": [{"type": "equals", "value": "4"}]},
        "response": {"output": "4"},
        "success": True,
        "score": 1,
        "failureReason": 0,
        "namedScores": {},
    }
    return {**row, **changes}


def promptfoo_json(*rows: Any, version: int = 3, **changes: Any) -> bytes:
    """Return results of promptfoo."""
    summary = {"version": version, "results": list(rows)}
    return json.dumps({"results": summary, **changes}).encode()


def samples_of(
    content: bytes | Path,
    log_format: LogFormat,
) -> list[LoggedSample]:
    """Return the samples of a log."""
    path = "log"
    if isinstance(content, Path):
        path, content = content.name, content.read_bytes()
    return list(open_log(io.BytesIO(content), path, log_format).samples())
