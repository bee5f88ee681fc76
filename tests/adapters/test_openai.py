"""The generator `openai`: what it sends, what it reads, and what it is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from pydantic import BaseModel, field_validator

from tests.support.asking import ask, outputs, questions, rows
from tests.support.names import without_addresses
from tests.support.provider_server import (
    FILTERED,
    REFUSAL,
    Fault,
    ProviderServer,
    refused,
)
from themis_lib import (
    Case,
    ComponentError,
    ConfigError,
    GenerationResult,
    InMemoryRunStore,
    PromptSpec,
    RunStatus,
)
from themis_lib.adapters import openai, vllm
from themis_lib.components.build import build, component_identity
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.prompts import render_prompt
from themis_lib.errors import RowError

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


class EvenAnswer(Answer):
    @field_validator("number")
    @classmethod
    def is_even(cls, number: int) -> int:
        if number % 2:
            raise ValueError("not even")
        return number


def shout(case: Case, ctx: GenerateContext) -> str:
    return render_prompt(ctx.prompt_spec, str(case.input).upper())


def tell(case: Case, ctx: GenerateContext) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"{case.input} about {case.metadata['topic']}"}]


def turns(*said: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": role, "content": content} for role, content in said]


def identity(**settings: Any) -> dict[str, Any]:
    return component_identity(
        "generator", openai(**{"model": "gpt", "api_key": "sk-test-1", **settings})
    )


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


def test_longest_answer_is_named_as_openai_names_it() -> None:
    """OpenAI itself calls it `max_completion_tokens`."""
    requests = []

    class Completions:
        async def create(self, **request: Any) -> Any:
            requests.append(request)
            return SimpleNamespace(
                choices=[SimpleNamespace(message=SimpleNamespace(content="4"))]
            )

    client = SimpleNamespace(chat=SimpleNamespace(completions=Completions()))
    ask(openai("gpt", client=client, max_tokens=9, **CHAT))

    assert [
        {
            "model": "gpt",
            "messages": turns(("user", "2+2")),
            "max_completion_tokens": 9,
            "seed": 7,
        }
    ] == requests


CONVERSATION = turns(("user", "Say 1"), ("assistant", "1"), ("user", "and then"))
SPEC: dict[str, Any] = {
    "instructions": "Be brief.",
    "prefix": "Solve:",
    "blocks": [{"hint": 1}],
    "suffix": "Answer:",
}
#: An input and a prompt spec, and the messages that are sent.
PROMPTS: dict[str, tuple[Any, dict[str, Any], list[dict[str, Any]]]] = {
    "text": ("2+2", {}, turns(("user", "2+2"))),
    "object": ({"b": 1, "a": "ü"}, {}, turns(("user", '{"a":"ü","b":1}'))),
    "list": ([1, 2], {}, turns(("user", "[1,2]"))),
    "whole spec": (
        "2+2",
        SPEC,
        turns(
            ("system", "Be brief."), ("user", 'Solve:\n\n{"hint":1}\n\n2+2\n\nAnswer:')
        ),
    ),
    "conversation": (CONVERSATION, {}, CONVERSATION),
    "conversation with a spec": (
        CONVERSATION,
        {"instructions": "Be brief.", "suffix": "Go."},
        [
            *turns(("system", "Be brief.")),
            *CONVERSATION[:2],
            *turns(("user", "and then\n\nGo.")),
        ],
    ),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_inputs_and_prompt_spec_become_messages(
    name: str, server: ProviderServer
) -> None:
    """Instructions are the system's message, or `instructions` in Responses; a single
    turn is sent as text there.
    """
    value, spec, expected = PROMPTS[name]

    ask(openai("gpt", base_url=server.url, **CHAT), value, **spec)
    ask(openai("gpt", base_url=server.url), value, **spec)

    chat, responses = server.bodies
    assert expected == chat["messages"]
    system = [turn["content"] for turn in expected if turn["role"] == "system"]
    others = [turn for turn in expected if turn["role"] != "system"]
    assert system == [
        responses[name] for name in ("instructions",) if name in responses
    ]
    assert (others[0]["content"] if len(others) == 1 else others) == responses["input"]


def test_system_message_of_parts_stays_in_the_input(server: ProviderServer) -> None:
    """Instructions of the Responses API are text; what is no text is sent as the
    message it is.
    """
    said = turns(
        ("system", [{"type": "input_text", "text": "Be brief."}]), ("user", "2+2")
    )

    ask(openai("gpt", base_url=server.url), said)

    assert {"model": "gpt", "input": said} == server.bodies[0]


def test_turn_that_is_none_is_a_fact(server: ProviderServer) -> None:
    """A conversation that no row can hold is the row's error before anything is sent
    for it.
    """
    with pytest.raises(RowError, match="turn"):
        ask(
            openai("gpt", base_url=server.url),
            [{"role": "user", "content": "2+2", "name": 3}],
        )

    assert [] == server.requests


@pytest.mark.parametrize("api_mode", ["responses", "chat_completions"])
def test_instructions_are_sent_once(api_mode: Any, server: ProviderServer) -> None:
    """From the argument, from the prompt spec, or the same from both: one system
    message.
    """
    spec = PromptSpec(instructions="Be brief.")
    for generator, prompt_spec in (
        (
            openai(
                "gpt", base_url=server.url, api_mode=api_mode, instructions="Be brief."
            ),
            PromptSpec(),
        ),
        (openai("gpt", base_url=server.url, api_mode=api_mode), spec),
        (
            openai(
                "gpt", base_url=server.url, api_mode=api_mode, instructions="Be brief."
            ),
            spec,
        ),
    ):
        questions(generator, prompt_spec=prompt_spec).run()

    assert 3 == len(server.bodies)
    assert [1, 1, 1] == [str(body).count("Be brief.") for body in server.bodies]


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


@pytest.mark.parametrize(
    "builder", [shout, "tests.adapters.test_openai:shout"], ids=["function", "name"]
)
def test_input_builder_makes_the_text(builder: Any, server: ProviderServer) -> None:
    """A builder replaces the rendering of the input, and sees the prompt spec;
    instructions are still sent.
    """
    generator = openai(
        "gpt",
        base_url=server.url,
        input_builder=builder,
        instructions="Be brief.",
        **CHAT,
    )

    ask(generator, "say it", prefix="Loud:")

    assert (
        turns(("system", "Be brief."), ("user", "Loud:\n\nSAY IT"))
        == server.bodies[0]["messages"]
    )


def test_input_builder_may_make_messages_and_read_more(server: ProviderServer) -> None:
    """A builder may return a conversation, and read the columns the generator declares."""
    generator = openai(
        "gpt",
        base_url=server.url,
        input_builder=tell,
        reads=["input", "metadata"],
        **CHAT,
    )

    ask(generator, "Talk", metadata={"topic": "rain"})

    assert turns(("user", "Talk about rain")) == server.bodies[0]["messages"]
    assert ["input", "metadata"] == component_identity("generator", generator)["reads"]


def test_input_builder_that_returns_no_json_is_a_fact(server: ProviderServer) -> None:
    """What can be neither sent nor kept is the row's error."""
    generator = openai(
        "gpt", base_url=server.url, input_builder=lambda case, ctx: {"a": float("nan")}
    )

    with pytest.raises(RowError, match="input_builder"):
        ask(generator)


def test_code_of_the_input_builder_is_identity() -> None:
    """A function and its name are the same builder; another function is another."""
    named = identity(input_builder="tests.adapters.test_openai:shout")

    assert identity(input_builder=shout) == named
    assert identity(input_builder=tell) != named
    assert identity() != named


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
    assert (11, 7, 5, 3) == tuple(result.usage.model_dump().values())
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


def test_length_is_a_finish_reason(server: ProviderServer) -> None:
    """An answer that ran into the limit says so in both APIs."""
    server.script = lambda attempt, body: Fault(
        changes={
            "finish_reason": "length" if "messages" in body else "max_output_tokens"
        }
    )

    reasons = [
        ask(openai("gpt", base_url=server.url, **mode)).finish_reason
        for mode in ({}, CHAT)
    ]

    assert ["length", "length"] == reasons


def test_tool_calls_are_in_output_and_trace(server: ProviderServer) -> None:
    """Calls that the model wants are the output, by name and arguments, and steps of
    the trace.
    """
    calls = [
        {
            "id": "1",
            "type": "function",
            "function": {"name": "add", "arguments": '{"a": 1}'},
        },
        {
            "id": "2",
            "type": "function",
            "function": {"name": "add", "arguments": "not JSON"},
        },
    ]
    items = [
        {"type": "function_call", "call_id": call["id"], **call["function"]}
        for call in calls
    ]  # type: ignore[dict-item]
    server.script = lambda attempt, body: Fault(
        changes={
            "text": None,
            "finish_reason": "tool_calls",
            "message": {"tool_calls": calls},
        }
        if "messages" in body
        else {"output": items}
    )

    for mode in ({}, CHAT):
        result = ask(openai("gpt", base_url=server.url, tools=[TOOL], **mode))

        made = [
            {"name": "add", "arguments": {"a": 1}},
            {"name": "add", "arguments": "not JSON"},
        ]
        assert {"tool_calls": made} == result.final_output
        assert "tool_calls" == result.finish_reason
        assert [
            ("generation", None),
            ("tool_call", {"a": 1}),
            ("tool_call", "not JSON"),
        ] == [(step.event, step.input) for step in result.trace or []]


def test_log_probabilities_are_artifacts(server: ProviderServer) -> None:
    """Each token's log-probability, with the likely ones, is kept."""
    token = {"token": "4", "logprob": -0.1, "bytes": [52], "top_logprobs": []}
    server.script = lambda attempt, body: Fault(
        changes={
            "choice": {"logprobs": {"content": [token], "refusal": None}},
            "logprobs": [token],
        }
    )

    for mode in ({}, CHAT):
        assert [token] == (
            ask(openai("gpt", base_url=server.url, logprobs=0, **mode)).artifacts or {}
        )["logprobs"]


STRUCTURED: dict[str, tuple[Any, str, Any, str | None]] = {
    "model": (Answer, '{"number": 4, "unit": null}', {"number": 4, "unit": None}, None),
    "type": (list[int], "[1, 2]", [1, 2], None),
    "schema": ({"type": "integer"}, "4", 4, None),
    "no JSON": (Answer, "four", "four", "not the JSON that was asked for"),
    "misfit of a model": (
        Answer,
        '{"number": "x"}',
        '{"number": "x"}',
        "not the JSON that was asked for",
    ),
    "misfit of a schema": (
        {"type": "integer"},
        '"4"',
        '"4"',
        "'4' is not of type 'integer'",
    ),
    "validator of the user's": (
        EvenAnswer,
        '{"number": 3}',
        '{"number": 3}',
        "not even",
    ),
}


@pytest.mark.parametrize("name", STRUCTURED)
def test_structured_output_is_checked_and_parsed(
    name: str, server: ProviderServer
) -> None:
    """The output is the JSON value; what does not fit is an error beside the text."""
    schema, text, expected, error = STRUCTURED[name]
    server.script = lambda attempt, body: Fault(changes={"text": text})

    result = ask(openai("gpt", base_url=server.url, schema=schema))

    assert expected == result.final_output
    assert (error or "") in str(result.error or "")
    assert (error is None) == (result.error is None)


def test_schema_can_be_put_on(server: ProviderServer) -> None:
    """`with_schema` is the same generator that asks for JSON; one that asks for another
    form already refuses.
    """
    server.script = lambda attempt, body: Fault(changes={"text": "4"})
    plain = openai("gpt", base_url=server.url)

    assert 4 == ask(plain.with_schema(int)).final_output
    assert (
        plain.with_schema(int).settings()
        == openai("gpt", base_url=server.url, schema=int).settings()
    )
    with pytest.raises(ComponentError, match="schema and response_format"):
        openai("gpt", base_url=server.url, response_format="json_object").with_schema(
            int
        )


# What it is


SETTINGS: list[dict[str, Any]] = [
    {"model": "other"},
    {"api_mode": "chat_completions"},
    {"base_url": "http://other/v1"},
    {"instructions": "x"},
    {"input_builder": shout},
    {"reads": ["input", "metadata"]},
    {"temperature": 0.5},
    {"top_p": 0.5},
    {"max_tokens": 7},
    {**CHAT, "stop": ["."]},
    {"schema": Answer},
    {"response_format": "json_object"},
    {"tools": [TOOL]},
    {"tool_choice": "none"},
    {"reasoning_effort": "low"},
    {"logprobs": 1},
    {"extra_body": {"top_k": 1}},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: list(settings)[-1])
def test_what_can_change_an_answer_is_identity(settings: dict[str, Any]) -> None:
    """Whatever is sent, and where it is sent, changes the key."""
    assert identity() != identity(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": "sk-other-1"},
        {"headers": {"X-Team": "a"}},
        {"timeout_s": 3},
        {"max_retries": 0},
        {"max_concurrency": 5},
        {"requests_per_minute": 5},
        {"tokens_per_minute": 5},
        {"global_limit": "gpt"},
        {"base_url": "https://me:${SOME_PASSWORD}@api.openai.com/v1/?key=${SOME_KEY}"},
        {"client": object()},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_what_cannot_change_an_answer_is_not(settings: dict[str, Any]) -> None:
    """Credentials, limits, timeouts and clients are not part of the identity."""
    assert identity() == identity(**settings)


def test_validators_of_a_model_are_identity() -> None:
    """Two models of one JSON Schema that accept different values are different."""

    class Answer(EvenAnswer):
        pass

    assert (
        identity(schema=Answer)["settings"] != identity(schema=EvenAnswer)["settings"]
    )


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


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"api_mode": "completions"}, "api_mode"),
        ({"temperature": "hot"}, "temperature"),
        ({"temprature": 1}, "did you mean 'temperature'"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["."]}, "api_mode='chat_completions'"),
        ({"schema": Answer, "response_format": "json_object"}, "give one"),
        ({"schema": {"type": "integr"}}, "schema"),
        ({"schema": object()}, "schema"),
        ({"response_format": "json"}, "json_object"),
        ({"response_format": {"schema": {}}}, "type"),
        ({"logprobs": 21}, "logprobs"),
        ({"input_builder": "nowhere:at_all"}, "nowhere"),
        ({"input_builder": "tests.adapters.test_openai:shuot"}, "did you mean 'shout'"),
        ({"input_builder": 3}, "input_builder"),
        ({"reads": ["inputs"]}, "did you mean 'input'"),
        ({"requests_per_minute": 0}, "requests_per_minute"),
        ({"base_url": "localhost:8000/v1"}, "http://localhost:8000/v1"),
        ({"base_url": "http://me:hunter2-literal@host/v1"}, "PASSWORD"),
        ({"base_url": "http://host/v1?api_key=hunter2-literal"}, "API_KEY"),
        ({"api_key": "sk-literal-1"}, "${"),
        ({"api_key": "${THEMIS_NO_SUCH_KEY}"}, "THEMIS_NO_SUCH_KEY"),
        ({"api_key": "${TWO_LINES_KEY}"}, "line break"),
        ({"base_url": "http://${THEMIS_NO_SUCH_HOST}/v1"}, "THEMIS_NO_SUCH_HOST"),
    ],
    ids=without_addresses,
)
def test_bad_settings_are_named_before_anything_is_sent(
    settings: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that cannot be used is one error that names it, and shows no
    credential.
    """
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    monkeypatch.setenv("TWO_LINES_KEY", "sk-one\nsk-two")

    with pytest.raises((ComponentError, ConfigError)) as raised:
        build(
            "generator",
            {"use": "openai", "model": "gpt", **settings},
            where="generation.generator",
        )

    assert said in str(raised.value)
    assert "generation.generator" in str(raised.value)
    assert not any(
        secret in str(raised.value) for secret in ("hunter2", "sk-literal", "sk-one")
    )


def test_missing_key_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a key for OpenAI the error says which variable to set; another server may
    need none.
    """
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)

    with pytest.raises(ComponentError, match="OPENAI_API_KEY"):
        openai("gpt").check()
    openai("gpt", base_url="http://localhost:1/v1").check()


def test_packages_are_named_where_they_are_missing() -> None:
    """The adapters import without the SDK; using one without it says what to install."""
    program = (
        "import sys\n"
        "for name in ('openai', 'aiolimiter', 'jsonschema', 'httpx2'):\n"
        "    sys.modules[name] = None\n"
        "from themis_lib import ComponentError\n"
        "from themis_lib.adapters import llama, openai, vllm\n"
        "try:\n"
        "    openai('gpt', api_key='sk-test-1').check()\n"
        "except ComponentError as error:\n"
        "    print(error)\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert "pip install 'themis-flows[openai]'" in said


# Clients of one's own


class _FakeResponses:
    async def create(self, **kwargs: object) -> object:
        return SimpleNamespace(
            id="resp-1",
            output_text="4",
            usage=SimpleNamespace(input_tokens=3, output_tokens=1),
            headers={"x-ratelimit-limit-requests": "60"},
            model_dump=lambda mode="json": {"request": kwargs, "output_text": "4"},
        )


class _FakeClient:
    @property
    def responses(self) -> _FakeResponses:
        return _FakeResponses()


def test_injected_client_is_read_like_any_other() -> None:
    """Text, usage and the headers that a fake carries end in the row."""
    result = ask(openai("gpt-fake", client=_FakeClient()))

    assert "4" == result.final_output
    assert result.usage is not None
    assert (3, 1) == (result.usage.input_tokens, result.usage.output_tokens)
    assert {"x-ratelimit-limit-requests": "60"} == (result.transport or {})["headers"]
    assert "resp-1" == (result.transport or {})["response_id"]


@pytest.mark.parametrize("api_mode", ["responses", "chat_completions"])
@pytest.mark.parametrize("kind", ["OpenAI", "AsyncOpenAI"])
def test_clients_of_the_sdk_are_taken_as_they_are(
    kind: str, api_mode: Any, server: ProviderServer
) -> None:
    """A sync and an async client of the SDK's own work, with their address and key,
    many requests at a time.
    """
    import openai as sdk

    client = getattr(sdk, kind)(api_key="sk-injected-1", base_url=server.url)
    server.delay_s = 0.05
    generator = openai("gpt", client=client, api_mode=api_mode, max_concurrency=4)

    async def run() -> Any:
        try:
            return await questions(generator, 8).run_async()
        finally:
            if kind == "AsyncOpenAI":
                await client.close()

    result = asyncio.run(run())

    assert [f"re: question {number}" for number in range(8)] == outputs(result)
    assert {"Bearer sk-injected-1"} == {
        request.headers["authorization"] for request in server.requests
    }
    assert 4 == server.most_in_flight
    assert generator.settings()["base_url"] == server.url
    assert all(
        (row.transport or {})["request_id"].startswith("req-") for row in rows(result)
    )
    if kind == "OpenAI":
        client.close()


def test_injected_clients_keep_to_the_timeout(server: ProviderServer) -> None:
    """A client of one's own that takes too long is given up as any other."""

    class Silent:
        async def create(self, **request: Any) -> Any:
            await asyncio.sleep(60)

    generator = openai(
        "gpt", client=SimpleNamespace(responses=Silent()), timeout_s=0.05
    )

    with pytest.raises(TimeoutError):
        ask(generator)


def test_refusals_of_an_injected_client_are_heeded(server: ProviderServer) -> None:
    """What a client of one's own is refused counts for the limits as well, and fails
    the row for this run.
    """
    import openai as sdk

    server.script = lambda attempt, body: refused("0.05")

    async def run() -> Any:
        async with sdk.AsyncOpenAI(
            api_key="sk-injected-1", base_url=server.url, max_retries=0
        ) as client:
            generator = openai("gpt", client=client, max_concurrency=4)
            result = await questions(generator, 30).run_async()
            return result, generator._find_throttle().width

    result, width = asyncio.run(run())

    assert ["TransientError: HTTP 429: refused with 429"] * 30 == [
        row.error for row in rows(result)
    ]
    assert width < 4


# Clients of the adapter's own


def test_one_client_serves_a_loop_and_is_closed_with_it(server: ProviderServer) -> None:
    """Two runs on one loop share the connection; a loop that ends leaves no open client
    behind.
    """
    from themis_lib.adapters.clients import _CLIENTS

    generator = openai("gpt", base_url=server.url, max_concurrency=1)

    async def twice() -> Any:
        for number in range(2):
            await questions(generator, inputs=[f"run {number}"]).run_async()
        (held,) = _CLIENTS[asyncio.get_running_loop()].values()
        return held[0], asyncio.get_running_loop()

    client, loop = asyncio.run(twice())

    assert client.is_closed()
    assert not _CLIENTS.get(loop)
    assert ["re: third"] == outputs(questions(generator, inputs=["third"]).run())
    assert 3 == len(server.requests)


def test_two_models_at_one_address_have_limits_of_their_own(
    server: ProviderServer,
) -> None:
    """A generator's own bound holds, whoever asked the same address first."""
    server.delay_s = 0.02

    async def both() -> None:
        for width in (8, 1):
            server.most_in_flight = 0
            await questions(
                openai("gpt", base_url=server.url, max_concurrency=width), 8
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


def test_result_is_what_the_reply_said_and_no_more() -> None:
    """A reply of plain dicts, as a client of one's own may return, is read as well."""

    class Completions:
        async def create(self, **request: Any) -> Any:
            return {
                "choices": [{"message": {"content": [{"type": "text", "text": "4"}]}}]
            }

    client = SimpleNamespace(chat=SimpleNamespace(completions=Completions()))

    result = ask(openai("gpt", client=client, **CHAT))

    assert ("4", None) == (result.final_output, result.usage)
    assert isinstance(result, GenerationResult)
    assert {} == result.transport


def test_references_in_what_is_sent_are_secret(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `${NAME}` in tools or `extra_body` reaches the provider, and its value neither
    identity nor row.
    """
    monkeypatch.setenv("MCP_TOKEN", "canary-4711-canary-4711")
    tool = {
        "type": "mcp",
        "server_label": "docs",
        "headers": {"Authorization": "Bearer ${MCP_TOKEN}"},
    }
    given = {
        "use": "openai",
        "model": "gpt",
        "base_url": server.url,
        "tools": [tool],
        "extra_body": {"k": "${MCP_TOKEN}"},
    }
    server.script = lambda attempt, body: Fault(changes={"text": body["k"]})

    generator = build("generator", given, where="generator").component
    result = ask(generator)

    assert "canary-4711-canary-4711" == server.bodies[0]["k"]
    assert (
        "Bearer canary-4711-canary-4711"
        == server.bodies[0]["tools"][0]["headers"]["Authorization"]
    )
    assert "canary" not in f"{generator.settings()}{result}{generator!r}"


def test_a_key_that_is_a_word_stays_in_answers(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers that check no key are given words; an answer may hold such a word by
    itself.
    """
    monkeypatch.setenv("VLLM_API_KEY", "ollama")
    server.script = lambda attempt, body: Fault(changes={"text": "hello ollama user"})

    assert "hello ollama user" == ask(vllm("m", base_url=server.url)).final_output


def test_an_own_client_gives_no_credential_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither its key nor one that is sent; a key that is a word stays in answers."""
    monkeypatch.setenv("MY_PAT", "told-51c7-e90d")

    def says(text: str) -> Any:
        message = SimpleNamespace(content=text)
        reply = SimpleNamespace(choices=[SimpleNamespace(message=message)])
        completions = SimpleNamespace(create=lambda **request: reply)
        return SimpleNamespace(
            chat=SimpleNamespace(completions=completions), api_key="ollama"
        )

    generator = openai(
        "m",
        client=says("ollama told-51c7-e90d"),
        api_mode="chat_completions",
        extra_body={"api_key": "${MY_PAT}"},
    )

    assert "ollama ***" == ask(generator).final_output


def test_the_version_of_an_api_is_identity() -> None:
    """What a URL's query says in plain words counts; a credential in it does not."""
    first, second = (
        openai("m", base_url=f"http://host/v1?api-version=2024-0{at}-01-preview")
        for at in (1, 2)
    )

    assert first.fingerprint() != second.fingerprint()


@pytest.mark.parametrize("setting", ["n", "max_completion_tokens"])
def test_extra_body_cannot_pass_the_settings(setting: str) -> None:
    """What bounds the cost of a request is said in one place."""
    with pytest.raises(ComponentError, match=f"extra_body.{setting}"):
        openai("m", extra_body={setting: 8})
