"""The generator `anthropic`: what it sends, what a row keeps of a reply, what it is."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pydantic import BaseModel, Field

from tests.support.anthropic_server import AnthropicServer
from tests.support.asking import ask, questions, rows
from tests.support.prompts import turns
from themis_lib import ComponentError, InMemoryRunStore
from themis_lib.adapters import anthropic
from themis_lib.components.build import component_identity
from themis_lib.errors import RowError

OPENAI_TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds.",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
    },
}
TOOL = {
    "name": "add",
    "description": "Adds.",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}}},
}


class Answer(BaseModel):
    number: int = Field(ge=3)


# What is sent

#: Settings, and what they add to a request or change in it.
REQUESTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "nothing": ({}, {}),
    "sampling": (
        {"temperature": 0, "top_p": 0.5, "top_k": 3, "max_tokens": 9},
        {"temperature": 0, "top_p": 0.5, "top_k": 3, "max_tokens": 9},
    ),
    "stop texts": ({"stop": "END"}, {"stop_sequences": ["END"]}),
    "tokens to think with": (
        {"thinking": {"budget_tokens": 2000}},
        {"thinking": {"type": "enabled", "budget_tokens": 2000}},
    ),
    "thinking as long as it wants": (
        {"thinking": "adaptive", "reasoning_effort": "low"},
        {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
    ),
    "tools of this API": (
        {"tools": [TOOL], "tool_choice": "any"},
        {"tools": [TOOL], "tool_choice": {"type": "any"}},
    ),
    "tools of OpenAI's": (
        {
            "tools": [OPENAI_TOOL],
            "tool_choice": {"type": "function", "function": {"name": "add"}},
        },
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "add"}},
    ),
    "a pydantic model": (
        {"schema": Answer},
        {
            "output_config": {
                "format": {
                    "type": "json_schema",
                    "schema": {
                        "type": "object",
                        "title": "Answer",
                        "properties": {
                            "number": {
                                "type": "integer",
                                "title": "Number",
                                "description": "{minimum: 3}",
                            }
                        },
                        "required": ["number"],
                        "additionalProperties": False,
                    },
                }
            }
        },
    ),
    "a schema that the SDK cannot read": (
        {"schema": {"type": ["string", "null"]}},
        {
            "output_config": {
                "format": {
                    "type": "json_schema",
                    "schema": {"type": ["string", "null"]},
                }
            }
        },
    ),
    "extra body": ({"extra_body": {"metadata": {}}}, {"metadata": {}}),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_request_is_exact(name: str, anthropic_server: AnthropicServer) -> None:
    """Nothing is sent but model, the longest answer, messages and what was set; no
    seed, which this API has not.
    """
    settings, expected = REQUESTS[name]

    ask(anthropic("claude", base_url=anthropic_server.url, **settings))

    plain = {
        "model": "claude",
        "max_tokens": 8192,
        "messages": turns(("user", "2+2")),
    }
    assert [{**plain, **expected}] == anthropic_server.bodies
    request = anthropic_server.requests[0]
    assert "/v1/messages" == request.path
    assert "sk-ant-from-the-environment" == request.headers["x-api-key"]
    assert "anthropic-beta" not in request.headers


def test_betas_and_tokens_are_headers(
    anthropic_server: AnthropicServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features are turned on by a header; a token is sent in place of a key, from the
    environment or the setting.
    """
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-of-the-environment")
    url = anthropic_server.url

    ask(anthropic("claude", base_url=url, betas=["b-1", "a-1"]))
    ask(anthropic("claude", base_url=url, auth_token="token-of-the-setting"))

    first, second = (request.headers for request in anthropic_server.requests)
    assert "a-1,b-1" == first["anthropic-beta"]
    assert "Bearer token-of-the-environment" == first["authorization"]
    assert "Bearer token-of-the-setting" == second["authorization"]
    assert "x-api-key" not in first | second


PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
BLOCK = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": PNG},
}
HISTORY = turns(("user", "Hello"), ("assistant", "Hi"), ("user", "2+2"))
CALLED = [
    {"role": "user", "content": "2+2"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": "t1", "function": {"name": "add", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "t1", "content": "4"},
]
#: Inputs, and the messages that they are.
INPUTS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "text": ("2+2", turns(("user", "2+2"))),
    "JSON": ({"a": 1}, turns(("user", '{"a":1}'))),
    "conversation": (HISTORY, HISTORY),
    "parts": (
        [{"role": "user", "content": [{"type": "text", "text": "What?"}, IMAGE]}],
        [{"role": "user", "content": [{"type": "text", "text": "What?"}, BLOCK]}],
    ),
    "prefilled answer": (
        turns(("user", "2+2"), ("assistant", "It is")),
        turns(("user", "2+2"), ("assistant", "It is")),
    ),
    "what a tool said": (
        CALLED,
        [
            {"role": "user", "content": "2+2"},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "t1", "name": "add", "input": {}}
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "t1", "content": "4"}
                ],
            },
        ],
    ),
}
#: Edits of a prompt.
EDITS = {
    "instructions": "EDIT",
    "prefix": "EDIT",
    "suffix": "EDIT",
    "blocks": ["EDIT"],
}


def test_tools_are_offered_beside_its_own(anthropic_server: AnthropicServer) -> None:
    """As whoever runs them writes them: like OpenAI's."""
    own = {**TOOL, "name": "own"}
    generator = anthropic("claude", base_url=anthropic_server.url, tools=[own])

    ask(generator.with_tools([OPENAI_TOOL]))

    assert [own, TOOL] == anthropic_server.bodies[0]["tools"]


@pytest.mark.parametrize("kind", INPUTS)
def test_edit_of_a_prompt_is_sent_once_in_its_turn(
    kind: str, anthropic_server: AnthropicServer
) -> None:
    """Instructions are `system`, and all else goes around the user's last turn; without
    the edit, the request has what the input says and no more.
    """
    value, messages = INPUTS[kind]
    generator = anthropic("claude", base_url=anthropic_server.url)

    ask(generator, value)
    for name, edit in EDITS.items():
        ask(generator, value, **{name: edit})

    before, *edited = anthropic_server.bodies
    assert messages == before["messages"]
    assert "system" not in before
    asking = max(at for at, turn in enumerate(value_turns(value)) if is_asked(turn))
    for name, body in zip(EDITS, edited, strict=True):
        assert 1 == json.dumps(body).count("EDIT"), name
        if name == "instructions":
            assert "EDIT" == body.pop("system")
            assert before == body
            continue
        for at, message in enumerate(body["messages"]):
            is_same = message == before["messages"][at]
            assert is_same == (at != asking), (name, at)


def value_turns(value: Any) -> list[dict[str, Any]]:
    return value if isinstance(value, list) else turns(("user", "2+2"))


def is_asked(turn: dict[str, Any]) -> bool:
    return turn["role"] == "user"


def test_system_turns_go_before_the_conversation(
    anthropic_server: AnthropicServer,
) -> None:
    """Instructions, then the conversation's own; each is a block of its own."""
    value = [*turns(("system", "Be kind.")), *HISTORY]

    ask(
        anthropic("claude", base_url=anthropic_server.url),
        value,
        instructions="Be brief.",
    )

    (body,) = anthropic_server.bodies
    texts = [{"type": "text", "text": text} for text in ("Be brief.", "Be kind.")]
    assert (texts, HISTORY) == (body["system"], body["messages"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (
            [
                {
                    "role": "user",
                    "content": [
                        {
                            "type": "input_audio",
                            "input_audio": {"data": "", "format": "wav"},
                        }
                    ],
                }
            ],
            "part 1 of the user turn: Anthropic's API takes no audio",
        ),
        ([{"role": "narrator", "content": "Then"}], "role 'narrator'"),
    ],
)
def test_what_cannot_be_sent_is_the_rows_error(
    value: Any, said: str, anthropic_server: AnthropicServer
) -> None:
    """One error that names the turn or part, and nothing is sent."""
    with pytest.raises(RowError, match=said):
        ask(anthropic("claude", base_url=anthropic_server.url), value)

    assert [] == anthropic_server.requests


MARK = {"type": "ephemeral"}


def test_prompt_cache_marks_what_rows_share(
    anthropic_server: AnthropicServer,
) -> None:
    """Tools, system message and the turn before the question; the texts are the same,
    and so is the identity.
    """
    settings: dict[str, Any] = {"base_url": anthropic_server.url, "tools": [TOOL]}
    plain = anthropic("claude", **settings)
    kept = anthropic("claude", **settings, prompt_cache="5m")

    for generator in (plain, kept):
        ask(generator, HISTORY, instructions="Be brief.")

    before, after = anthropic_server.bodies
    assert 3 == json.dumps(after).count("cache_control")
    assert MARK == after["tools"][-1].pop("cache_control")
    assert [{"type": "text", "text": "Be brief.", "cache_control": MARK}] == after.pop(
        "system"
    )
    shown = [{"type": "text", "text": "Hi", "cache_control": MARK}]
    assert shown == after["messages"][1].pop("content")
    assert "Hi" == before["messages"][1].pop("content")
    assert "Be brief." == before.pop("system")
    assert before == after
    identities = [component_identity("generator", one) for one in (plain, kept)]
    assert identities[0] == identities[1]


# What is refused


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"thinking": {"budget_tokens": 500}}, "at least 1024"),
        ({"thinking": {"budget_tokens": 9000}}, "max_tokens=8192"),
        ({"thinking": "adaptiv"}, "adaptive"),
        ({"thinking": "adaptive", "temperature": 0}, "remove temperature or thinking"),
        ({"thinking": "adaptive", "top_k": 2}, "top_k"),
        ({"thinking": "adaptive", "top_p": 0.5}, "0.95 to 1"),
        ({"thinking": "adaptive", "tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": "requird"}, "required"),
        ({"temperature": 1.5}, "temperature=1.5"),
        ({"prompt_cache": "1d"}, "prompt_cache='1d'"),
        ({"base_url": "https://api.anthropic.com/v1"}, "remove the /v1"),
        ({"client": "AsyncAnthropic"}, r"anthropic\.AsyncAnthropic\(\)"),
        ({"betas": ["a"], "headers": {"Anthropic-Beta": "b"}}, "remove the header"),
        ({"extra_body": {"stream": True}}, "extra_body.stream"),
    ],
)
def test_setting_that_cannot_be_used_is_refused(
    settings: dict[str, Any], said: str
) -> None:
    """One error before anything is sent, with the value and what to write."""
    with pytest.raises(ComponentError, match=said):
        anthropic("claude", **settings)


def test_key_is_needed_only_where_the_provider_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error names the variable."""
    for name in ("API_KEY", "AUTH_TOKEN", "BASE_URL"):
        monkeypatch.delenv(f"ANTHROPIC_{name}", raising=False)

    with pytest.raises(ComponentError, match="ANTHROPIC_API_KEY"):
        anthropic("claude").check()
    anthropic("claude", base_url="http://localhost:1").check()


# What it is


def test_identity_is_what_can_change_a_row() -> None:
    """Every setting that is sent counts; credentials, limits and the prompt cache do
    not.
    """

    def identity(**settings: Any) -> str:
        given = {"model": "claude", "api_key": "sk-1", **settings}
        return json.dumps(component_identity("generator", anthropic(**given)))

    counted: list[dict[str, Any]] = [
        {"model": "other"},
        {"base_url": "http://localhost:1"},
        {"instructions": "Be brief."},
        {"max_tokens": 9},
        {"temperature": 0.0},
        {"top_p": 0.5},
        {"top_k": 3},
        {"stop": "END"},
        {"thinking": "adaptive"},
        {"reasoning_effort": "low"},
        {"schema": Answer},
        {"tools": [TOOL]},
        {"tool_choice": "any"},
        {"betas": ["a"]},
        {"extra_body": {"service_tier": "auto"}},
    ]
    uncounted: list[dict[str, Any]] = [
        {"api_key": "sk-2"},
        {"auth_token": "t"},
        {"headers": {"a": "b"}},
        {"timeout_s": 3},
        {"max_retries": 0},
        {"max_concurrency": 3},
        {"prompt_cache": "1h"},
    ]

    assert len(counted) + 1 == len({identity(), *(identity(**one) for one in counted)})
    assert {identity()} == {identity(**one) for one in uncounted}


def test_list_prices_are_those_of_the_provider_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not of another server, nor of a client of one's own."""
    monkeypatch.delenv("ANTHROPIC_BASE_URL", raising=False)

    assert anthropic("claude").at_list_price
    assert not anthropic("claude", base_url="http://localhost:1").at_list_price
    assert not anthropic("claude", client=object()).at_list_price


@pytest.mark.parametrize("name", ["Anthropic", "AsyncAnthropic"])
def test_client_of_ones_own_is_asked(
    name: str, anthropic_server: AnthropicServer
) -> None:
    """Sync or async: the request is the same, and so is the row."""
    import anthropic as sdk

    client = getattr(sdk, name)(api_key="sk-own", base_url=anthropic_server.url)
    settings: dict[str, Any] = {"betas": ["a-1"], "extra_body": {"metadata": {}}}

    ours = ask(anthropic("claude", base_url=anthropic_server.url, **settings))
    own = ask(anthropic("claude", client=client, **settings))

    first, second = anthropic_server.requests
    assert first.body == second.body
    assert "a-1" == first.headers["anthropic-beta"] == second.headers["anthropic-beta"]
    assert "sk-own" == second.headers["x-api-key"]
    assert (ours.final_output, ours.usage) == (own.final_output, own.usage)
    assert "req-2" == (own.transport or {})["request_id"]


def test_equal_questions_are_asked_each_for_itself(
    anthropic_server: AnthropicServer,
) -> None:
    """There is no seed to send, yet each sample is a draw of its own; a second run is
    cached.
    """
    store = InMemoryRunStore()
    experiment = questions(
        anthropic("claude", base_url=anthropic_server.url), inputs=["2+2"] * 3
    )

    results = [experiment.run(store) for _ in range(2)]

    assert 3 == len(anthropic_server.requests)
    assert rows(results[0]) == rows(results[1])
