"""A provider's reply as it came, small and without secrets."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from tests.support.asking import ask, questions, rows
from tests.support.provider_server import Fault, ProviderServer, completion
from themis_lib import InMemoryRunStore
from themis_lib.adapters import vllm
from themis_lib.adapters.raw_reply import raw_response
from themis_lib.identity.digests import canonical_json

CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "2+2"}]}


def test_reply_is_kept_as_it_came() -> None:
    """JSON, a model of the SDK, or an object that can say what it is."""
    body = completion(CHAT)
    said = SimpleNamespace(model_dump=lambda mode: {"mode": mode})

    assert body == raw_response(body)
    assert "re: 2+2" in str(raw_response(ChatCompletion.construct(**body)))
    assert {"mode": "json"} == raw_response(said)


def broken(mode: str) -> Any:
    raise ValueError(mode)


@pytest.mark.parametrize(
    "reply",
    [
        None,
        "text",
        [1],
        SimpleNamespace(id=1),
        SimpleNamespace(model_dump=broken),
        {"x": object()},
        {"x": float("nan")},
        {"x": {1, 2}},
    ],
    ids=lambda reply: type(reply).__name__,
)
def test_what_is_no_json_is_not_kept(reply: Any) -> None:
    """It costs the answer nothing."""
    assert raw_response(reply) is None


def test_long_texts_and_lists_are_told_by_their_length() -> None:
    """A part of a text could end inside of a secret."""
    kept = raw_response({"text": "x" * 2001, "near": "y" * 2000, "items": [0] * 70})

    assert ("(2001 characters)", "y" * 2000) == (kept["text"], kept["near"])
    assert [[0] * 64, "(6 more)"] == [kept["items"][:64], kept["items"][64]]


@pytest.mark.parametrize(
    "reply",
    [
        {"many": {str(number): "x" * 100 for number in range(1000)}},
        {"choices": [{"text": "x" * 10_000_000}] * 1000},
    ],
    ids=["fields", "texts"],
)
def test_whole_is_bounded(reply: Any) -> None:
    """Whatever makes it long."""
    assert 20_000 > len(canonical_json(raw_response(reply)))


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Set-Cookie",
        "cookie",
        "api_key",
        "x-api-key",
        "organization",
        "openai-organization",
        "organisation_id",
        "org_id",
        "access_token",
    ],
)
def test_secrets_are_masked_by_their_names(name: str) -> None:
    """Wherever they are; a token of text is none."""
    reply = {"echo": [{name: "hunter2", "token": "4", "max_tokens": 9}]}

    kept = raw_response(reply)

    assert {"echo": [{name: "***", "token": "4", "max_tokens": 9}]} == kept


def test_key_is_masked_wherever_it_is(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may repeat what it was sent."""
    monkeypatch.setenv("VLLM_API_KEY", "told-51c7-e90d-a77b")
    server.script = lambda attempt, body: Fault(echo=True)

    result = ask(vllm("gpt", base_url=server.url))

    assert "***" in str((result.transport or {})["raw_response"])
    assert "told-51c7" not in str(result)


def test_exchange_is_among_the_artifacts_of_a_run(server: ProviderServer) -> None:
    """In a run that asks and in one that finds the row; no stage is given it."""
    limits = {"x-ratelimit-limit-requests": "60", "openai-organization": "acme"}
    server.script = lambda attempt, body: Fault(headers=limits)
    store, generator = InMemoryRunStore(), vllm("gpt", base_url=server.url)

    for _ in range(2):
        (row,) = rows(questions(generator).run(store))
        artifacts = row.artifacts or {}

        assert "req-1" == artifacts["provider_request_id"]
        assert {"x-ratelimit-limit-requests": "60"} == artifacts["rate_limit"]
        assert artifacts["rate_limit"].items() < artifacts["response_headers"].items()
        assert (
            "re: question 0"
            == (artifacts["raw_response"]["choices"][0]["message"]["content"])
        )
        assert "gpt-2026" == artifacts["model"]
        assert "acme" not in str(row)
    assert 1 == len(server.requests)
