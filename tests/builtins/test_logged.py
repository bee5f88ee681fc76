"""Logs replayed: outputs, and the answers and scores that their tools gave them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.eval_logs import (
    INSPECT,
    LM_EVAL,
    PROMPTFOO,
    inspect_json,
    inspect_sample,
    lm_eval_row,
)
from tests.support.golden_builtins import generate_context
from tests.support.replays import case, jsonl
from themis_lib.builtins.generators import ReplayGenerator
from themis_lib.builtins.logged import LoggedAnswer, LoggedMetric
from themis_lib.core.contexts import ParseContext, ScoreContext
from themis_lib.core.models import GenerationResult, ParsedOutput, Score, ScoreError
from themis_lib.errors import ComponentError, DatasetError


def replayed(generator: ReplayGenerator, case_id: str, sample: int = 0) -> Any:
    return generator.generate(case(case_id), generate_context(sample))


def score(result: GenerationResult, name: str) -> Score | ScoreError:
    metric = LoggedMetric(score_name=name)
    return metric.score(ParsedOutput(), case(), ScoreContext(result))


def test_output_of_a_log_comes_with_all_that_it_says() -> None:
    """Tokens, latency and ending are the tool's, and samples its epochs."""
    result = replayed(ReplayGenerator(path=str(INSPECT)), "sums-2", 1)

    assert ("125, not 135, is the answer: 125", "stop") == (
        result.final_output,
        result.finish_reason,
    )
    assert 12 == result.usage.input_tokens
    assert (0.0, "I") == (
        score(result, "match").value,
        score(result, "match").details["value"],
    )


def test_failed_sample_is_a_failure_with_its_reason() -> None:
    """It counts neither as an answer nor as none."""
    result = replayed(ReplayGenerator(path=str(INSPECT)), "sums-3")

    assert (None, "LoggedError: ValueError('the tool broke')") == (
        result.final_output,
        result.error,
    )


def test_filters_of_a_document_are_one_output() -> None:
    """With the scores of all of them, and the answer of the first."""
    result = replayed(ReplayGenerator(path=str(LM_EVAL), format="lm_eval"), "2")

    answer = LoggedAnswer().parse(result, ParseContext(case()))
    assert (" 95 + 26 = 121", "[invalid]") == (result.final_output, answer.value)
    assert [0.0, 1.0] == [
        score(result, f"exact_match,{name}").value
        for name in ("strict-match", "flexible-extract")
    ]


def test_answer_can_be_the_output() -> None:
    """For metrics that score what the tool read."""
    generator = ReplayGenerator(path=str(LM_EVAL), format="lm_eval", column="answer")

    assert "19" == replayed(generator, "0").final_output


def test_variant_chooses_a_prompt_with_a_provider() -> None:
    """Its number is identity; without one, the message lists them."""
    first = ReplayGenerator(path=str(PROMPTFOO), format="promptfoo", variant=0)
    second = ReplayGenerator(path=str(PROMPTFOO), format="promptfoo", variant=1)

    assert ["125", "135"] == [
        replayed(generator, "1").final_output for generator in (first, second)
    ]
    assert first.fingerprint() != second.fingerprint()
    for variant in (None, 2):
        with pytest.raises(DatasetError, match=r"0: openai:gpt-5-mini, prompt .*; 1: "):
            ReplayGenerator(
                path=str(PROMPTFOO), format="promptfoo", variant=variant
            ).check()


def test_sample_that_is_recorded_twice_is_refused(tmp_path: Path) -> None:
    """The message names both places."""
    inspect = tmp_path / "log.json"
    inspect.write_bytes(inspect_json(inspect_sample(), inspect_sample()))
    lm_eval = jsonl(tmp_path / "log.jsonl", [lm_eval_row(), lm_eval_row()])

    with pytest.raises(DatasetError, match=r"1: sample 0 of case 'a' .* sample 0$"):
        ReplayGenerator(path=str(inspect), format="inspect").check()
    with pytest.raises(DatasetError, match=r":2: sample 0 of case '0' .* .*:1$"):
        ReplayGenerator(path=lm_eval, format="lm_eval").check()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"format": "inspect", "column": "text"}, "a log has `output` and `answer`"),
        ({"format": "inspect", "sample_column": "n"}, "a log numbers its samples"),
        ({"format": "inspect", "case_id_column": "n"}, "a log numbers its samples"),
        ({"format": "jsonl", "variant": 0}, "only a log has variants"),
        ({"format": "promptfoo", "variant": -1}, "variant=-1"),
    ],
)
def test_settings_that_a_file_has_no_use_for_are_refused(
    settings: dict[str, Any], reason: str
) -> None:
    """Before it is read."""
    with pytest.raises(ComponentError, match=reason):
        ReplayGenerator(path="log", **settings)


def test_identity_without_variant_is_that_of_before(tmp_path: Path) -> None:
    """Rows that were stored earlier are found."""
    settings = json.loads(
        ReplayGenerator(path=jsonl(tmp_path / "a.jsonl")).fingerprint()
    )

    assert ["case_id_column", "column", "format", "sample_column", "sha256"] == sorted(
        settings
    )


def test_score_that_the_log_lacks_is_an_error() -> None:
    """It names the nearest one."""
    result = replayed(ReplayGenerator(path=str(INSPECT)), "sums-1")

    reason = "the log has no 'mach'; did you mean 'match'?"
    assert ScoreError(reason=reason) == score(result, "mach")


def test_output_of_no_log_has_neither_answer_nor_score() -> None:
    """The message says what to replay."""
    result = GenerationResult(final_output="4")

    parsed = LoggedAnswer().parse(result, ParseContext(case()))
    reason = "the output is from no log; replay one: {use: builtin/replay, format: …}"
    assert (None, reason) == (parsed.value, parsed.error)
    assert ScoreError(reason=reason) == score(result, "match")
