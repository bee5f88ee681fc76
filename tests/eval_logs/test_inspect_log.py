"""Logs of Inspect: both formats, what samples become, and what is wrong with broken ones."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.support.eval_logs import (
    HEADER,
    INSPECT,
    inspect_archive,
    inspect_json,
    inspect_sample,
    samples_of,
)
from themis_lib.core.models import TokenUsage
from themis_lib.errors import DatasetError
from themis_lib.eval_logs.open_log import open_log


def one(**changes: Any) -> Any:
    (sample,) = samples_of(inspect_json(inspect_sample(**changes)), "inspect")
    return sample


def test_log_of_inspect_has_its_samples_in_the_order_of_the_data() -> None:
    """Its members are Zstandard, in the order in which they ended."""
    samples = samples_of(INSPECT, "inspect")

    ids = [(sample.case_id, sample.sample) for sample in samples]
    assert [(f"sums-{n}", epoch) for n in (1, 2, 3) for epoch in (0, 1)] == ids
    assert {"match": 1.0, "includes": 1.0} == {
        name: score.value for name, score in samples[2].scores.items()
    }
    assert "48 + 87 = 135" == samples[2].output
    assert "135" == samples[2].expected_output
    assert {"level": "hard"} == samples[2].metadata
    assert TokenUsage(input_tokens=12, output_tokens=5) == samples[2].usage


def test_header_says_tool_model_and_task() -> None:
    """And nothing of the model's arguments."""
    with INSPECT.open("rb") as file:
        header = open_log(file, INSPECT.name, "inspect").header

    assert ("inspect_ai", "0.3.285", "arithmetic", "success") == (
        header.tool,
        header.tool_version,
        header.task,
        header.status,
    )
    assert ["mockllm/model"] == [variant.model for variant in header.variants]
    assert () == header.notices


def test_failed_sample_is_kept_with_its_message() -> None:
    """Without the traceback, which has paths of another machine."""
    failed = samples_of(INSPECT, "inspect")[-1]

    assert (None, "ValueError('the tool broke')") == (failed.output, failed.error)
    assert {} == failed.scores


def test_deflated_archive_and_json_have_the_same_samples() -> None:
    """Earlier releases deflate."""
    archive = inspect_archive(
        {"header.json": HEADER, "samples/a_epoch_1.json": inspect_sample()}
    )

    (packed,) = samples_of(archive, "inspect")

    assert packed.columns() == one().columns()
    assert ("4", "stop") == (packed.output, packed.finish_reason)


def test_log_of_an_evaluation_that_stopped_is_read() -> None:
    """It has no header yet; a notice says how it ended."""
    content = inspect_archive(
        {"_journal/start.json": HEADER | {"status": None}, "samples/a_epoch_1.json": {}}
    )

    header = open_log(io.BytesIO(content), "log", "inspect").header

    assert ("Inspect's evaluation ended as 'started'",) == header.notices


@pytest.mark.parametrize(
    ("value", "score"),
    [
        *(("C", 1.0), ("I", 0.0), ("P", 0.5), ("N", 0.0), ("yes", 1.0), ("False", 0.0)),
        *((True, 1.0), (0.25, 0.25), ("0.25", 0.25)),
        *(("NaN", None), ([1], None), (None, None), ("good", None)),
    ],
)
def test_values_of_scores_are_read_as_by_inspect(value: Any, score: float) -> None:
    """What is no number has a reason."""
    found = one(scores={"s": {"value": value}}).scores["s"]

    assert (score, score is None) == (found.value, found.reason is not None)


def test_not_a_number_in_json_is_no_score() -> None:
    """Inspect writes `NaN`, which is no JSON."""
    content = inspect_json(inspect_sample(scores={"s": {"value": float("nan")}}))

    (sample,) = samples_of(content, "inspect")

    assert "Inspect's score is no number: 'NaN'" == sample.scores["s"].reason


def test_score_with_parts_is_several() -> None:
    """Each with the scorer's name in front."""
    scores = {"s": {"value": {"a": 1, "b": "I"}, "explanation": "so"}}

    found = one(scores=scores).scores

    assert {"s/a": 1.0, "s/b": 0.0} == {name: it.value for name, it in found.items()}
    assert {"explanation": "so", "value": 1} == found["s/a"].details


def test_messages_lose_what_differs_at_every_run() -> None:
    """Equal inputs have to be equal in two logs."""
    message = {"role": "user", "content": "2 + 2", "id": "x1", "source": "input"}

    assert [{"role": "user", "content": "2 + 2"}] == one(input=[message]).input


def test_attachments_are_put_back() -> None:
    """Inspect keeps long texts once, beside the sample."""
    changes = {"input": "attachment://h", "attachments": {"h": "long"}}

    assert "long" == one(**changes).input


def test_choices_are_metadata() -> None:
    """Metadata of the same name wins."""
    assert {"choices": ["x", "y"]} == one(choices=["x", "y"]).metadata
    assert {"choices": 1} == one(choices=["x"], metadata={"choices": 1}).metadata


def test_output_of_old_logs_is_the_text_of_the_message() -> None:
    """They have no `completion`; content may have parts."""
    parts = [{"type": "reasoning", "reasoning": "…"}, {"type": "text", "text": "4"}]
    output = {"choices": [{"message": {"content": parts}, "stop_reason": "max_tokens"}]}

    sample = one(output=output)

    assert ("4", "max_tokens", None) == (
        sample.output,
        sample.finish_reason,
        sample.error,
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"PK\x03\x04 cut", "not a .eval log, or cut off"),
        (INSPECT.read_bytes()[:-900], "not a .eval log, or cut off"),
        (b"{}", "not a log of Inspect: it has no `eval`"),
        (b"[1]", "not a JSON object"),
        (b'{"eval"', "not JSON"),
        (inspect_json(version=3), "version 3 of Inspect's log format"),
        (inspect_json(samples=None), "the log has no samples"),
        (inspect_archive({"x.json": {}}), "it has no header.json"),
        (inspect_json(inspect_sample(id=None)), "sample 0: `id` is no id: None"),
        (inspect_json(inspect_sample(epoch=0)), "sample 0: epoch 0 is no number"),
        (inspect_json(inspect_sample(epoch=10**9)), "sample 0: epoch 1000000000 is no"),
        (inspect_json("text"), "sample 0: not a JSON object but 'text'"),
    ],
)
def test_what_is_no_such_log_is_one_error(content: bytes, reason: str) -> None:
    """It names the file, and the sample at fault."""
    with pytest.raises(DatasetError, match=rf"^log: .*{reason}"):
        samples_of(content, "inspect")
