"""The generator `openai`: what it sends, what it reads, and what it is."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.support.asking import ask, outputs, questions, rows
from tests.support.prompts import turns
from tests.support.provider_server import (
    FILTERED,
    REFUSAL,
    Fault,
    ProviderServer,
)
from themis_lib import (
    Case,
    ConfigError,
    InMemoryRunStore,
    PromptSpec,
    RunStatus,
)
from themis_lib.adapters import openai

CHAT: dict[str, Any] = {"api_mode": "chat_completions"}
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}


class Answer(BaseModel):
    number: int
    unit: str | None = None


# What is sent


ANSWER_SCHEMA = {
    "type": "object",
    "title": "Answer",
    "properties": {
        "number": {"title": "Number", "type": "integer"},
        "unit": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Unit"},
    },
    "required": ["number", "unit"],
    "additionalProperties": False,
}
#: Settings, and what they add to a request of Chat Completions and of Responses.
REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}, {}),
    "sampling": (
        {"temperature": 0, "top_p": 0.5},
        {"temperature": 0, "top_p": 0.5},
        {"temperature": 0, "top_p": 0.5},
    ),
    "max tokens": ({"max_tokens": 9}, {"max_tokens": 9}, {"max_output_tokens": 9}),
    "reasoning": (
        {"reasoning_effort": "low"},
        {"reasoning_effort": "low"},
        {"reasoning": {"effort": "low"}},
    ),
    "tools": (
        {"tools": [TOOL], "tool_choice": "auto"},
        {"tools": [TOOL], "tool_choice": "auto"},
        {"tools": [TOOL], "tool_choice": "auto"},
    ),
    "extra body": ({"extra_body": {"top_k": 3}}, {"top_k": 3}, {"top_k": 3}),
    "log-probabilities": (
        {"logprobs": 2},
        {"logprobs": True, "top_logprobs": 2},
        {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
    ),
    "of the chosen tokens alone": (
        {"logprobs": 0},
        {"logprobs": True},
        {"include": ["message.output_text.logprobs"]},
    ),
    "any JSON": (
        {"response_format": "json_object"},
        {"response_format": {"type": "json_object"}},
        {"text": {"format": {"type": "json_object"}}},
    ),
    "pydantic model": (
        {"schema": Answer},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "Answer",
                    "schema": ANSWER_SCHEMA,
                    "strict": True,
                },
            }
        },
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "Answer",
                    "schema": ANSWER_SCHEMA,
                    "strict": True,
                }
            }
        },
    ),
    "type": (
        {"schema": Literal["a", "b"]},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "output",
                    "schema": {"enum": ["a", "b"], "type": "string"},
                    "strict": True,
                },
            }
        },
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "output",
                    "schema": {"enum": ["a", "b"], "type": "string"},
                    "strict": True,
                }
            }
        },
    ),
    "JSON Schema that leaves something open": (
        {
            "schema": {
                "title": "My answer",
                "type": "object",
                "properties": {"default": {"type": "string"}},
            }
        },
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {
                    "name": "My_answer",
                    "schema": {
                        "title": "My answer",
                        "type": "object",
                        "properties": {"default": {"type": "string"}},
                    },
                    "strict": False,
                },
            }
        },
        {
            "text": {
                "format": {
                    "type": "json_schema",
                    "name": "My_answer",
                    "schema": {
                        "title": "My answer",
                        "type": "object",
                        "properties": {"default": {"type": "string"}},
                    },
                    "strict": False,
                }
            }
        },
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_request_of_chat_completions_is_exact(
    name: str, server: ProviderServer
) -> None:
    """Nothing is sent but model, messages, seed and what was set."""
    settings, expected, _ = REQUESTS[name]

    ask(openai("gpt", base_url=server.url, **CHAT, **settings))

    assert [
        {"model": "gpt", "messages": turns(("user", "2+2")), "seed": 7, **expected}
    ] == server.bodies
    assert "/v1/chat/completions" == server.requests[0].path
    assert (
        "Bearer sk-from-the-environment" == server.requests[0].headers["authorization"]
    )


@pytest.mark.parametrize("name", REQUESTS)
def test_request_of_responses_is_exact(name: str, server: ProviderServer) -> None:
    """Nothing is sent but model, input and what was set; this API takes no seed."""
    settings, _, expected = REQUESTS[name]

    ask(openai("gpt", base_url=server.url, **settings))

    assert [{"model": "gpt", "input": "2+2", **expected}] == server.bodies
    assert "/v1/responses" == server.requests[0].path


def test_stop_texts_and_seed_exist_in_chat_completions(server: ProviderServer) -> None:
    """Stop texts, one or many, and the seed of the sample are sent where the API takes
    them.
    """
    for stop in ("END", ["END", "."]):
        ask(openai("gpt", base_url=server.url, stop=stop, **CHAT), seed=3)

    assert [(["END"], 3), (["END", "."], 3)] == [
        (body["stop"], body["seed"]) for body in server.bodies
    ]


def test_two_different_instructions_are_refused() -> None:
    """The argument and the prompt spec cannot both have a say: one error before
    anything is sent.
    """
    experiment = questions(
        openai("gpt", api_key="sk-test-1", instructions="A"),
        prompt_spec=PromptSpec(instructions="B"),
    )

    with pytest.raises(ConfigError, match="instructions"):
        experiment.compile()


# What comes back


@pytest.mark.parametrize("api_mode", ["responses", "chat_completions"])
def test_row_holds_what_the_provider_said(
    api_mode: Any, server: ProviderServer
) -> None:
    """Text, finish reason, usage with cached and reasoning tokens, model; ids and
    limits apart in `transport`.
    """
    limits = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "set-cookie": "a=b",
    }
    server.script = lambda attempt, body: Fault(headers=limits)

    result = ask(openai("gpt", base_url=server.url, api_mode=api_mode))

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
        "cache_write_tokens": None,
        "reasoning_tokens": 3,
    } == result.usage.model_dump()
    assert ["user", "assistant"] == [
        message.role for message in result.conversation or []
    ]
    assert "gpt-2026" == (result.artifacts or {})["model"]
    assert result.transport is not None
    assert "req-1" == result.transport["request_id"]
    kept = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-request-id": "req-1",
    }
    assert kept == result.transport["headers"]
    assert result.latency_s is not None
    assert 0 < result.latency_s < 5


def test_latency_is_that_of_the_request_alone(server: ProviderServer) -> None:
    """Waiting for a turn is not the provider's time."""
    server.delay_s = 0.1
    result = questions(openai("gpt", base_url=server.url, max_concurrency=1), 4).run()

    assert 0.4 > max(row.latency_s or 0 for row in rows(result)) >= 0.1


@pytest.mark.parametrize("api_mode", ["responses", "chat_completions"])
def test_refusal_and_filter_are_facts(api_mode: Any, server: ProviderServer) -> None:
    """A refusal and a content filter are errors in the row, with what was said, and are
    not asked for again.
    """
    faults = {"question 0": REFUSAL, "question 1": FILTERED}
    server.script = lambda attempt, body: faults.get(
        str(body.get("input") or body["messages"][0]["content"])
    )
    store, generator = (
        InMemoryRunStore(),
        openai("gpt", base_url=server.url, api_mode=api_mode),
    )

    result = questions(generator, 3).run(store)
    questions(generator, 3).run(store)

    refused, filtered, good = rows(result)
    assert "the model refused: I cannot help with that." == refused.error
    assert "content filter" in str(filtered.error)
    assert (None, "re: question 2") == (good.error, good.final_output)
    assert RunStatus.PARTIAL_FAILURE == result.status
    assert 3 == len(server.requests)


def test_transport_is_in_no_key(server: ProviderServer) -> None:
    """Ids and limits differ at each call; a metric that reads everything it may is not
    computed again for them.
    """
    scored = []

    class Curious:
        component_id = "tests/curious"
        version = "1"
        reads = (
            "value",
            "format",
            "output",
            "finish_reason",
            "trace",
            "conversation",
            "artifacts",
            "input",
            "expected_output",
            "metadata",
        )

        def fingerprint(self) -> str:
            return ""

        def score(self, parsed: Any, case: Case, ctx: Any) -> float:
            scored.append(ctx.result)
            return 1.0

    store = InMemoryRunStore()
    first = questions(openai("gpt", base_url=server.url), metrics=[Curious()]).run(
        store
    )
    questions(
        openai("gpt", base_url=server.url, instructions=""), metrics=[Curious()]
    ).run(store)

    assert ["req-1", "req-2"] == [
        f"req-{number}" for number in range(1, 1 + len(server.requests))
    ]
    assert "req-1" == (rows(first)[0].transport or {})["request_id"]
    assert 1 == len(scored)
    assert [None] == [result.transport for result in scored]


def test_two_models_at_one_address_have_limits_of_their_own(
    server: ProviderServer,
) -> None:
    """A generator's own bound holds, whoever asked the same address first."""
    server.delay_s = 0.1

    async def both() -> None:
        for width in (8, 1):
            server.most_in_flight = 0
            # One more: the first goes ahead.
            await questions(
                openai("gpt", base_url=server.url, max_concurrency=width), 9
            ).run_async(InMemoryRunStore())
            assert width == server.most_in_flight

    asyncio.run(both())


def test_cancelled_run_keeps_what_it_has(server: ProviderServer, tmp_path: Any) -> None:
    """A run that is cancelled in the middle of requests leaves every finished row; the
    next asks for the others.
    """
    server.script = lambda attempt, body: Fault(
        wait_s=60 if int(body["input"].split()[1]) % 2 else 0.0
    )
    experiment = questions(
        openai("gpt", base_url=server.url), 20, store=str(tmp_path / "store")
    )

    async def cancelled() -> None:
        running = asyncio.ensure_future(experiment.run_async())
        while len(server.requests) < 20:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(cancelled())
    server.forget()
    result = experiment.run()

    assert RunStatus.COMPLETED == result.status
    assert [f"re: question {number}" for number in range(20)] == outputs(result)
    assert {f"question {number}" for number in range(1, 20, 2)} == {
        body["input"] for body in server.bodies
    }
    assert not list(tmp_path.rglob("*.journal"))
