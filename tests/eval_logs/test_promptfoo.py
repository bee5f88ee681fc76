"""Results of promptfoo: columns, repeats, assertions and failures, in every version."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from tests.support.eval_logs import (
    PROMPTFOO,
    promptfoo_json,
    promptfoo_row,
    samples_of,
)
from themis_lib.core.models import TokenUsage
from themis_lib.errors import DatasetError
from themis_lib.eval_logs.open_log import open_log
from themis_lib.eval_logs.samples import LoggedSample


def values(samples: list[LoggedSample]) -> list[Any]:
    return [(it.case_id, it.variant, it.sample, it.output) for it in samples]


def test_column_is_a_prompt_with_a_provider() -> None:
    """Each test is one case in all of them."""
    samples = samples_of(PROMPTFOO, "promptfoo")

    assert [
        *(("0", 0, 0, "19"), ("0", 1, 0, "19")),
        *(("1", 0, 0, "125"), ("1", 1, 0, "135")),
        *(("2", 0, 0, None), ("2", 1, 0, "121")),
    ] == values(samples)
    assert {"score": 0.0, "pass": 0.0, "correct": 0.0} == {
        name: score.value for name, score in samples[2].scores.items()
    }
    assert ({"question": "What is 48 + 87?"}, "135", {"level": "hard"}) == (
        samples[2].input,
        samples[2].expected_output,
        samples[2].metadata,
    )
    assert (TokenUsage(input_tokens=12, output_tokens=5), 0.198) == (
        samples[2].usage,
        samples[2].latency_s,
    )


def test_failed_assertion_is_a_verdict_and_a_failed_request_an_error() -> None:
    """promptfoo has a text under `error` for both."""
    samples = samples_of(PROMPTFOO, "promptfoo")

    assert [None, "API error: 503 Service Unavailable"] == [
        samples[2].error,
        samples[4].error,
    ]


def test_header_has_the_providers_and_no_configuration() -> None:
    """Which may hold keys."""
    with PROMPTFOO.open("rb") as file:
        header = open_log(file, PROMPTFOO.name, "promptfoo").header

    models = [variant.model for variant in header.variants]
    assert ["openai:gpt-5-mini", "openai:gpt-5"] == models
    assert ("0.120.0", "arithmetic", "2026-11-20T10:00:00.000Z") == (
        header.tool_version,
        header.task,
        header.created_at,
    )


def test_repeated_test_is_a_case_with_samples() -> None:
    """Although each repeat has another `testIdx`."""
    again = promptfoo_row(testIdx=1, response={"output": "5"})

    samples = samples_of(promptfoo_json(promptfoo_row(), again), "promptfoo")

    assert [("0", 0, 0, "4"), ("0", 0, 1, "5")] == values(samples)


def test_rows_without_indices_are_told_by_prompt_provider_and_test() -> None:
    """As in the table of version 2, inside an export of version 3."""
    first, second = promptfoo_row(), promptfoo_row(provider={"id": "other"})
    third = promptfoo_row(vars={"q": "3"})
    for row in (first, second, third):
        del row["promptIdx"], row["testIdx"]
    content = promptfoo_json(first, second, third, version=2)
    exported = json.dumps({**json.loads(content), "version": 3}).encode()

    samples = samples_of(exported, "promptfoo")

    assert [("0", 0, 0, "4"), ("0", 1, 0, "4"), ("1", 0, 0, "4")] == values(samples)


def test_summary_alone_and_version_4_are_read() -> None:
    """`promptfoo export` has the version of the evaluation around the results."""
    summary = json.dumps({"version": 3, "results": [promptfoo_row()]}).encode()
    exported = promptfoo_json(promptfoo_row())
    version_4 = json.dumps({**json.loads(exported), "version": 4}).encode()

    assert values(samples_of(summary, "promptfoo")) == values(
        samples_of(version_4, "promptfoo")
    )


def test_expected_output_is_that_of_one_equals() -> None:
    """Other assertions say what is right of an output, and not which one is."""
    checks = [{"type": "contains", "value": "4"}]
    row = promptfoo_row(testCase={"assert": checks})

    (sample,) = samples_of(promptfoo_json(row), "promptfoo")

    assert sample.expected_output is None


def test_named_metric_has_its_name_unless_it_is_taken() -> None:
    """`score` and `pass` are promptfoo's."""
    row = promptfoo_row(namedScores={"score": 0.5, "tone": "x"})

    (sample,) = samples_of(promptfoo_json(row), "promptfoo")

    values = {name: score.value for name, score in sample.scores.items()}
    assert {"score": 1.0, "pass": 1.0, "named/score": 0.5, "tone": None} == values


def test_latency_of_a_cached_reply_is_not_one() -> None:
    """It is that of the disk."""
    row = promptfoo_row(latencyMs=3, response={"output": "4", "cached": True})

    (sample,) = samples_of(promptfoo_json(row), "promptfoo")

    assert sample.latency_s is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{}", "not results of promptfoo: it has no `results`"),
        (promptfoo_json(version=9), "version 9 of promptfoo's results"),
        (promptfoo_json(), "there are no results"),
        (promptfoo_json("x"), "result 0: not a JSON object"),
        (promptfoo_json(promptfoo_row())[:-5], "not JSON"),
    ],
)
def test_what_is_no_such_file_is_one_error(content: bytes, reason: str) -> None:
    """It names the file."""
    with pytest.raises(DatasetError, match=f"^log: {reason}"):
        open_log(io.BytesIO(content), "log", "promptfoo")
