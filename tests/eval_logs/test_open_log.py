"""Which tool wrote a file, told from its name and its content."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.eval_logs import (
    INSPECT,
    LM_EVAL,
    LOGS,
    PROMPTFOO,
    inspect_json,
    inspect_sample,
    lm_eval_row,
    promptfoo_json,
    promptfoo_row,
    samples_of,
)
from themis_lib.errors import DatasetError
from themis_lib.eval_logs.open_log import find_log_format
from themis_lib.eval_logs.samples import LogFormat

#: A value of each kind that JSON has.
KINDS: tuple[Any, ...] = (None, True, 10**400, 1.5, "x", [], [1], {}, {"a": 1})
LOG_CONTENTS: dict[LogFormat, bytes] = {
    "inspect": inspect_json(
        inspect_sample(scores={"match": {"value": {"part": "C"}}}),
        inspect_sample(input=[{"role": "user"}], output={"choices": [{"message": {}}]}),
        eval={
            "config": {"epochs_reducer": ["mean"]},
            "dataset": {"sample_ids": ["a"]},
        },
    ),
    "lm_eval": json.dumps(lm_eval_row()).encode(),
    "promptfoo": promptfoo_json(promptfoo_row()),
}


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


def places_in(value: Any) -> Iterator[list[Any]]:
    """Yield the keys that lead to each value in a document."""
    keys: Iterator[Any] = iter(())
    if isinstance(value, dict):
        keys = iter(value)
    elif isinstance(value, list):
        keys = iter(range(len(value)))
    for key in keys:
        yield [key]
        for place in places_in(value[key]):
            yield [key, *place]


@pytest.mark.parametrize("log_format", LOG_CONTENTS)
def test_value_of_another_kind_is_left_out_or_an_error(log_format: LogFormat) -> None:
    """Wherever a log has something else than its tool writes, nothing else is raised."""
    document = json.loads(LOG_CONTENTS[log_format])
    tried = 0
    for *parents, last in places_in(document):
        for value in KINDS:
            changed = copy.deepcopy(document)
            parent = changed
            for key in parents:
                parent = parent[key]
            parent[last] = value
            with contextlib.suppress(DatasetError):
                samples_of(json.dumps(changed).encode(), log_format)
            tried += 1

    assert tried > 100
