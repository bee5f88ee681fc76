"""Which tool wrote a file, told from its name and its content."""

from __future__ import annotations

import pytest

from tests.support.eval_logs import (
    INSPECT,
    LM_EVAL,
    LOGS,
    PROMPTFOO,
    inspect_json,
    inspect_sample,
)
from themis_lib.errors import DatasetError
from themis_lib.eval_logs.open_log import find_log_format


@pytest.mark.parametrize(
    ("path", "tool"),
    [(INSPECT, "inspect"), (LM_EVAL, "lm_eval"), (PROMPTFOO, "promptfoo")],
)
def test_format_is_told_from_the_file(path: object, tool: str) -> None:
    """A log needs no setting."""
    file = LOGS / str(path)

    assert tool == find_log_format(file.read_bytes(), file.name)


def test_json_of_inspect_is_told_from_that_of_promptfoo() -> None:
    """Both end in `.json`."""
    assert "inspect" == find_log_format(inspect_json(inspect_sample()), "log.json")
    assert "promptfoo" == find_log_format(b'{"results": []}', "log.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"a": 1}', "neither samples of lm-eval, nor a log of Inspect"),
        (b'{"results": {}, "n-shot": {}}', "give the samples_….jsonl beside them"),
        (b"no", "not JSON"),
    ],
)
def test_file_of_no_tool_is_an_error(content: bytes, reason: str) -> None:
    """Results of lm-eval have no samples, which the message says."""
    with pytest.raises(DatasetError, match=f"^log.json: .*{reason}"):
        find_log_format(content, "log.json")
