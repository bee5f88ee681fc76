"""Texts of remote models, from a real server that speaks OpenAI's protocol."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.anthropic_server import AnthropicServer
from tests.support.provider_server import Fault, ProviderServer, refused
from themis_lib import ConfigError, FatalError, ModelError, steadytext

MODEL = "openai:gpt-4o-mini"


def test_remote_text_is_a_text_with_its_origin(server: ProviderServer) -> None:
    """The prompt, seed and length reach the provider; the metadata says who wrote the
    text.
    """
    text = steadytext.generate(
        "Write a haiku", 9, model=MODEL, unsafe_mode=True, seed=5
    )

    body = server.requests[0].body
    assert ([{"role": "user", "content": "Write a haiku"}], 5, 9) == (
        body["messages"],
        body["seed"],
        body["max_tokens"],
    )
    assert (MODEL, 5, False) == (
        text.metadata["model"],
        text.metadata["seed"],
        text.metadata["fallback"],
    )


def test_server_of_ones_own_is_a_provider(server: ProviderServer) -> None:
    """`vllm:` and the name of the model, which may hold colons and slashes; the key of
    OpenAI is not sent there.
    """
    model = "vllm:Qwen/Qwen3:4b"

    text = steadytext.generate(
        "Write a haiku", 9, model=model, unsafe_mode=True, seed=5
    )

    request = server.requests[0]
    assert ("Qwen/Qwen3:4b", 5, 9) == (
        request.body["model"],
        request.body["seed"],
        request.body["max_tokens"],
    )
    assert ("re: Write a haiku", model) == (text, text.metadata["model"])
    assert "Bearer none" == request.headers["authorization"]


def test_model_of_anthropics_is_asked_through_its_own_api(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A choice is the field of an object there, too."""
    chosen = Fault(changes={"text": '{"text": "neutral"}'})
    with AnthropicServer(lambda attempt, body: chosen) as provider:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)

        text = steadytext.generate(
            "Classify",
            9,
            model="anthropic:claude",
            choices=["positive", "neutral"],
            unsafe_mode=True,
        )

    (body,) = provider.bodies
    assert ("neutral", "claude", 9) == (text, body["model"], body["max_tokens"])
    assert "json_schema" == body["output_config"]["format"]["type"]


def test_remote_text_is_asked_for_once(server: ProviderServer) -> None:
    """What a provider wrote is kept; another seed, prompt or temperature is another
    question.
    """
    first = steadytext.generate("a", model=MODEL, unsafe_mode=True)
    again = steadytext.generate("a", model=MODEL, unsafe_mode=True)
    steadytext.generate("a", model=MODEL, unsafe_mode=True, seed=1)
    steadytext.generate("a", model=MODEL, unsafe_mode=True, temperature=0.5)

    assert first == again
    assert (False, True) == (first.metadata["cached"], again.metadata["cached"])
    assert 3 == len(server.requests)


def test_choices_hold(server: ProviderServer) -> None:
    """A choice is asked for as the field of an object, and is one of those given."""
    server.script = lambda attempt, body: Fault(changes={"text": '{"text": "neutral"}'})

    text = steadytext.generate(
        "Classify", model=MODEL, choices=["positive", "neutral"], unsafe_mode=True
    )

    assert "neutral" == text
    asked = server.requests[0].body["response_format"]["json_schema"]["schema"]
    assert ["positive", "neutral"] == asked["properties"]["text"]["enum"]


def test_a_text_outside_its_constraint_is_an_error(server: ProviderServer) -> None:
    """A provider that does not keep to a regex is told on, not passed on."""
    server.script = lambda attempt, body: Fault(changes={"text": '{"text": "a1"}'})

    with pytest.raises(
        ModelError, match=r"not the JSON that was asked for: 'a1' does not match"
    ):
        steadytext.generate("Code", model=MODEL, regex=r"\d+", unsafe_mode=True)


def test_stream_and_batch(server: ProviderServer) -> None:
    """A stream gives the text in one piece; a batch asks for its texts together; both
    also inside a running loop.
    """
    server.script = lambda attempt, body: Fault(
        changes={"text": body["messages"][0]["content"].upper()}
    )

    async def inside() -> list[str]:
        return [
            str(text)
            for text in steadytext.generate_batch(
                ["b", "c"], model=MODEL, unsafe_mode=True
            )
        ]

    assert ["A"] == list(steadytext.generate_iter("a", model=MODEL, unsafe_mode=True))
    assert [("A", None)] == list(
        steadytext.generate_iter(
            "a", include_logprobs=True, model=MODEL, unsafe_mode=True
        )
    )
    assert ("A", None) == steadytext.generate(
        "a", return_logprobs=True, model=MODEL, unsafe_mode=True
    )
    assert ["B", "C"] == asyncio.run(inside())


def test_failures_are_one_error(server: ProviderServer) -> None:
    """A refused key stops at once; a provider without an adapter is named with those
    there are.
    """
    server.script = lambda attempt, body: refused(status=401)

    with pytest.raises(FatalError, match="check the API key"):
        steadytext.generate("a", model=MODEL, unsafe_mode=True)
    with pytest.raises(
        ModelError, match="no adapter for 'opnai'; did you mean 'openai'"
    ):
        steadytext.generate("a", model="opnai:gpt", unsafe_mode=True)
    with pytest.raises(ConfigError, match="unsafe_mode=True"):
        steadytext.generate("a", model=MODEL)
