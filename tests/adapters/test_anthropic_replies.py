"""What a row keeps of a reply of Anthropic's API."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel, Field

from tests.support.anthropic_server import AnthropicServer, said_last
from tests.support.asking import ask, questions
from tests.support.provider_server import Fault
from themis_lib.adapters import anthropic
from themis_lib.adapters.anthropic_replies import message_usage
from themis_lib.core.models import TokenUsage
from themis_lib.core.prices import Price

CALL = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1}}


class Answer(BaseModel):
    number: int = Field(ge=3)


def test_row_holds_what_the_provider_said(anthropic_server: AnthropicServer) -> None:
    """Text, ending, model; tokens that the cache gave and kept are input tokens; ids and
    limits apart in `transport`.
    """
    limits = {"anthropic-ratelimit-requests-remaining": "59", "set-cookie": "a=b"}
    anthropic_server.script = lambda attempt, body: Fault(headers=limits)

    result = ask(anthropic("claude", base_url=anthropic_server.url))

    assert ("re: 2+2", "stop", None) == (
        result.final_output,
        result.finish_reason,
        result.error,
    )
    assert result.usage is not None
    assert {
        "input_tokens": 11,
        "output_tokens": 7,
        "cached_tokens": 5,
        "cache_write_tokens": 2,
        "reasoning_tokens": 3,
    } == result.usage.model_dump()
    assert {"model": "claude-20260101"} == result.artifacts
    assert result.transport is not None
    assert "req-1" == result.transport["request_id"]
    assert {
        "request-id": "req-1",
        "anthropic-ratelimit-requests-remaining": "59",
    } == result.transport["headers"]
    assert 0 < (result.latency_s or 0) < 5


def test_cost_is_that_of_each_kind_of_token(
    anthropic_server: AnthropicServer,
) -> None:
    """Per million: 4 fresh tokens at $3, 5 read at $0.3, 2 written at $3.75, 7 of output
    at $15.
    """
    price = Price(input=3, cached_input=0.3, cache_write=3.75, output=15)
    experiment = questions(
        anthropic("claude", base_url=anthropic_server.url),
        3,
        cost={"prices": {"claude": price}},
    )

    result = experiment.run()

    each = (4 * 3 + 5 * 0.3 + 2 * 3.75 + 7 * 15) / 1e6
    assert pytest.approx(3 * each) == result.manifest.cost_paid


def test_calls_thoughts_and_citations_are_kept(
    anthropic_server: AnthropicServer,
) -> None:
    """Calls are the output, with the text beside them; thoughts are apart, with what the
    provider wants back; citations with the text that they are for.
    """
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}
    hidden = {"type": "redacted_thinking", "data": "xyz"}
    cited = {"type": "char_location", "cited_text": "4", "document_index": 0}
    content = [
        thought,
        hidden,
        {"type": "text", "text": "I will add.", "citations": [cited]},
        CALL,
    ]
    anthropic_server.script = lambda attempt, body: Fault(
        changes={"content": content, "stop_reason": "tool_use"}
    )

    result = ask(anthropic("claude", base_url=anthropic_server.url))

    call = {"name": "add", "arguments": {"a": 1}}
    assert {"tool_calls": [call], "text": "I will add."} == result.final_output
    assert ("tool_calls", None) == (result.finish_reason, result.error)
    artifacts = result.artifacts or {}
    assert "Hm." == artifacts["reasoning"]
    assert [thought, hidden] == artifacts["thinking_blocks"]
    assert [{"text": "I will add.", "citations": [cited]}] == artifacts["citations"]


#: Changes of a reply, and the output, finish reason and error of its row.
ENDINGS: dict[str, tuple[dict[str, Any], tuple[Any, str, str | None]]] = {
    "a stop text": (
        {"stop_reason": "stop_sequence", "stop_sequence": "END"},
        ("re: 2+2", "stop", None),
    ),
    "cut": ({"stop_reason": "max_tokens"}, ("re: 2+2", "length", None)),
    "refused": (
        {
            "stop_reason": "refusal",
            "content": [],
            "stop_details": {"category": "bio", "explanation": "No."},
        },
        (None, "refusal", "^the model refused: No. .category 'bio'.$"),
    ),
    "paused": ({"stop_reason": "pause_turn"}, ("re: 2+2", "pause_turn", "paused")),
    "no room": (
        {"stop_reason": "model_context_window_exceeded", "content": []},
        (None, "model_context_window_exceeded", "context window"),
    ),
    "cut while thinking": (
        {
            "stop_reason": "max_tokens",
            "content": [{"type": "thinking", "thinking": "Hm."}],
        },
        (None, "length", "while the model was thinking .* raise max_tokens"),
    ),
    "nothing said": ({"content": []}, (None, "stop", "the reply has no text")),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_ending_is_a_fact(name: str, anthropic_server: AnthropicServer) -> None:
    """Each reason to stop is kept in the words of all generators; an answer that is none
    has a reason.
    """
    changes, (output, reason, error) = ENDINGS[name]
    anthropic_server.script = lambda attempt, body: Fault(changes=changes)

    result = ask(anthropic("claude", base_url=anthropic_server.url))

    assert (output, reason) == (result.final_output, result.finish_reason)
    if error is None:
        assert result.error is None
    else:
        assert re.search(error, str(result.error))


def test_output_of_a_schema_is_checked(anthropic_server: AnthropicServer) -> None:
    """Also for what the API was only told in words: here that 2 is too small."""
    anthropic_server.script = lambda attempt, body: Fault(
        changes={"text": f'{{"number": {said_last(body)}}}'}
    )
    generator = anthropic("claude", base_url=anthropic_server.url, schema=Answer)

    good, bad = (ask(generator, value) for value in ("3", "2"))

    assert ({"number": 3}, None) == (good.final_output, good.error)
    assert "not the JSON that was asked for" in str(bad.error)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, TokenUsage()),
        (
            {"input_tokens": 3, "output_tokens": 1},
            TokenUsage(input_tokens=3, output_tokens=1),
        ),
        (
            {"input_tokens": 3, "cache_read_input_tokens": 0},
            TokenUsage(input_tokens=3, cached_tokens=0),
        ),
        ({"cache_read_input_tokens": 4}, TokenUsage(cached_tokens=4)),
    ],
)
def test_tokens_that_are_not_told_are_not_known(
    usage: Any, expected: TokenUsage | None
) -> None:
    """Least of all their sum; older servers know no cache."""
    assert expected == message_usage(usage)
