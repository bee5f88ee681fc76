"""Samples of lm-eval: texts, options and log-likelihoods, filters and repeats."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.eval_logs import (
    LM_EVAL,
    LM_EVAL_CHOICES,
    LOGS,
    lm_eval_row,
    samples_of,
)
from themis_lib.errors import DatasetError
from themis_lib.eval_logs.lm_eval import open_lm_eval_log, results_name


def rows(*values: Any) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def test_each_filter_of_a_document_has_its_scores() -> None:
    """The ids are lm-eval's own: the metric, then the filter."""
    samples = samples_of(LM_EVAL, "lm_eval")

    values: dict[str, list[Any]] = {}
    for sample in samples:
        for name, score in sample.scores.items():
            values.setdefault(name, []).append(score.value)
    assert {
        "exact_match,strict-match": [1.0, 0.0, 0.0],
        "exact_match,flexible-extract": [1.0, 0.0, 1.0],
    } == values
    assert ["0", "1", "2"] * 2 == [sample.case_id for sample in samples]
    assert "What is 95 + 26?" == samples[2].fields["question"]
    assert ("121", " 95 + 26 = 121", "[invalid]") == (
        samples[2].expected_output,
        samples[2].output,
        samples[2].answer,
    )


def test_output_to_options_is_the_most_likely_one() -> None:
    """And the expected output the one that the target numbers."""
    first, second = samples_of(LM_EVAL_CHOICES, "lm_eval")

    assert (" Mars", " Mars") == (first.output, first.expected_output)
    assert (" Sun", " Sun") == (second.output, second.expected_output)
    assert {"acc": 1.0, "acc_norm": 0.0} == {
        name: score.value for name, score in second.scores.items()
    }


def test_options_in_the_prompt_are_told_by_all_of_it() -> None:
    """WinoGrande rates one ending behind each option."""
    request = {"gen_args_0": {"arg_0": "Ann", "arg_1": " left."}}
    request["gen_args_1"] = {"arg_0": "Bob", "arg_1": " left."}
    row = lm_eval_row(
        arguments=request, resps=[[["-2", "False"]], [["-1", "False"]]], target="0"
    )

    (sample,) = samples_of(rows(row), "lm_eval")

    assert (["Ann", "Bob"], "Bob left.", "Ann left.") == (
        sample.input,
        sample.output,
        sample.expected_output,
    )


def test_output_to_one_text_is_its_log_likelihood() -> None:
    """There is no other to choose."""
    arguments = {"gen_args_0": {"arg_0": "the end"}}
    row = lm_eval_row(arguments=arguments, resps=[["-12.5"]])

    (sample,) = samples_of(rows(row), "lm_eval")

    assert -12.5 == sample.output


def test_repeats_are_samples() -> None:
    """With the filter's answer to all, where it makes one of them."""
    row = lm_eval_row(resps=[[" 4", " 5"]], filtered_resps=["4"])

    first, second = samples_of(rows(row), "lm_eval")

    assert [(0, " 4", "4"), (1, " 5", "4")] == [
        (first.sample, first.output, first.answer),
        (second.sample, second.output, second.answer),
    ]


def test_lines_of_old_versions_are_read() -> None:
    """They have lists of arguments, no filter, and metrics among the other fields."""
    row = lm_eval_row(arguments=[["2 + 2 =", {"until": []}]])
    for name in ("metrics", "filter"):
        del row[name]

    (sample,) = samples_of(rows(row), "lm_eval")

    assert "2 + 2 =" == sample.input
    assert ["exact_match"] == list(sample.scores)


@pytest.mark.parametrize("value", [[1, 2], "x", None, float("nan")])
def test_metric_over_all_samples_has_no_number_here(value: Any) -> None:
    """BLEU keeps the pair of texts in each line."""
    (sample,) = samples_of(rows(lm_eval_row(exact_match=value)), "lm_eval")

    score = sample.scores["exact_match"]
    assert (None, True) == (score.value, score.reason is not None)


def test_document_without_reply_is_an_error() -> None:
    """It is kept."""
    (sample,) = samples_of(rows(lm_eval_row(resps=[])), "lm_eval")

    assert (None, "the sample has no reply") == (sample.output, sample.error)


def test_results_beside_say_model_and_version() -> None:
    """Arguments of the model are left out: they may hold a token."""
    beside = LOGS / str(results_name(LM_EVAL.name))
    results = json.loads(beside.read_text())
    with LM_EVAL.open("rb") as file:
        header = open_lm_eval_log(file, LM_EVAL.name, results).header

    assert ("0.4.13", "arithmetic", "2026-11-29T19:10:09.315737") == (
        header.tool_version,
        header.task,
        header.created_at,
    )
    assert ["org/tiny"] == [variant.model for variant in header.variants]


@pytest.mark.parametrize(
    ("config", "model"),
    [
        ({"model": "hf", "model_args": "pretrained=a/b,token=s"}, "a/b"),
        ({"model": "hf", "model_args": {"model": "m"}}, "m"),
        ({"model": "dummy"}, "dummy"),
        ({}, None),
    ],
)
def test_model_of_old_results_is_among_its_arguments(
    config: dict[str, Any], model: str | None
) -> None:
    """Nothing else of them is read."""
    with LM_EVAL.open("rb") as file:
        header = open_lm_eval_log(file, LM_EVAL.name, {"config": config}).header

    assert model == header.variants[0].model


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"input": 1}\n', "1: not a sample of lm-eval: it has no 'doc_id'"),
        (rows(lm_eval_row(), lm_eval_row(doc_id=None)), "2: `doc_id` is no id: None"),
        (b"\n[1]\n", r"2: not a JSON object but \[1\]"),
        (b"\xff\n", "1: not UTF-8"),
        (rows(lm_eval_row())[:-20], "1: not JSON"),
    ],
)
def test_line_that_is_no_sample_is_named(content: bytes, reason: str) -> None:
    """With the file."""
    with pytest.raises(DatasetError, match=f"^log:{reason}"):
        samples_of(content, "lm_eval")
