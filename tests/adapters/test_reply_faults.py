"""Failures that a provider reports under status 200."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.asking import ask, questions, rows
from tests.support.provider_server import Fault, ProviderServer, completion, response
from themis_lib import FatalError, InMemoryRunStore, RowError, TransientError
from themis_lib.adapters import openai, vllm
from themis_lib.adapters.replies import chat_result, response_result
from themis_lib.adapters.reply_faults import fault_of_unreadable, reported_fault

CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "2+2"}]}
RESPONSES = {"model": "gpt", "input": "2+2"}
LOST = {"code": 502, "message": "upstream gone"}
PART = {"text": "The ans"}


@pytest.mark.parametrize(
    ("failed", "kind"),
    [
        ({"code": 502, "message": "no luck"}, TransientError),
        ({"code": "503", "message": "no luck"}, TransientError),
        ({"code": 429, "message": "no luck"}, TransientError),
        ({"status": 500, "message": "no luck"}, TransientError),
        ({"code": "server_error", "message": "no luck"}, TransientError),
        ({"code": "rate_limit_exceeded", "message": "no luck"}, TransientError),
        ({"code": "vector_store_timeout", "message": "no luck"}, TransientError),
        ({"type": "overloaded_error", "message": "no luck"}, TransientError),
        ({"code": None, "message": "no luck"}, TransientError),
        ({"code": "1302", "message": "no luck"}, TransientError),
        ("no luck", TransientError),
        ({"code": 400, "message": "no luck"}, RowError),
        ({"code": 422, "message": "no luck"}, RowError),
        ({"code": 403, "message": "flagged: no luck"}, RowError),
        ({"code": "invalid_prompt", "message": "no luck"}, RowError),
        ({"code": "content_filter", "message": "no luck"}, RowError),
        ({"code": "context_length_exceeded", "message": "no luck"}, RowError),
        ({"type": "invalid_request_error", "message": "no luck"}, RowError),
        ({"code": 401, "message": "no luck"}, FatalError),
        ({"code": 402, "message": "no luck"}, FatalError),
        ({"code": 429, "type": "insufficient_quota", "message": "no luck"}, FatalError),
        ({"code": "insufficient_quota", "message": "no luck"}, FatalError),
        ({"code": None, "type": "model_not_found", "message": "no luck"}, FatalError),
    ],
    ids=str,
)
def test_reported_failure_is_what_its_code_means(
    failed: Any, kind: type[Exception]
) -> None:
    """A status or a name; what neither explains may pass. It is the same in both APIs,
    and beside a text.
    """
    for read, reply in (
        (chat_result, {"error": failed}),
        (chat_result, {**completion(CHAT), "error": failed}),
        (chat_result, completion(CHAT, choice={"error": failed})),
        (chat_result, completion(CHAT, message={"error": failed})),
        (response_result, {**response(RESPONSES), "error": failed}),
    ):
        with pytest.raises(kind, match="no luck") as raised:
            read(reply, {})
        assert kind is type(raised.value)


@pytest.mark.parametrize(
    "reply",
    [
        {"object": "error", "message": "no luck", "type": "Oops", "code": 500},
        {"type": "error", "error": {"type": "overloaded_error", "message": "no luck"}},
        {"error": True, "message": "no luck"},
        {"error": {"message": "failed", "code": 502, "metadata": {"raw": "no luck"}}},
    ],
    ids=["vLLM", "Anthropic", "a flag", "OpenRouter"],
)
def test_forms_of_other_servers_are_read(reply: dict[str, Any]) -> None:
    """With the words of the provider behind a gateway."""
    with pytest.raises(TransientError, match="no luck"):
        chat_result(reply, {})


@pytest.mark.parametrize("failed", [None, {}, "", {"code": None, "message": None}])
def test_error_with_nothing_in_it_is_none(failed: Any) -> None:
    """Some servers always write the field."""
    assert (
        "re: 2+2" == chat_result({**completion(CHAT), "error": failed}, {}).final_output
    )


@pytest.mark.parametrize(
    "reason", ["error", "ERROR", "abort", "cancelled", "insufficient_system_resource"]
)
def test_answer_that_was_broken_off_is_none(reason: str) -> None:
    """Also with a text, which is a part of the answer."""
    with pytest.raises(TransientError, match=reason):
        chat_result(completion(CHAT, finish_reason=reason, **PART), {})


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ('data: {"error": {"code": 502, "message": "gone"}}\n', TransientError, "gone"),
        ('data: {"error": {"code": 401, "message": "key"}}\n', FatalError, "key"),
        (': wait\n\ndata: {"error": {"code": 400, "message": "no"}}', RowError, "no"),
        ('data: {"choices": []}\n\ndata: [DONE]\n', TransientError, "a stream"),
        ("<html>busy</html>", TransientError, "not JSON"),
    ],
)
def test_unreadable_reply_is_what_is_in_it(
    text: str, kind: type[Exception], said: str
) -> None:
    """A stream may come unasked, and may end in a failure."""
    with pytest.raises(json.JSONDecodeError) as raised:
        json.loads(text)

    fault = fault_of_unreadable(raised.value)

    assert kind is type(fault)
    assert said in str(fault)


def test_message_is_bounded() -> None:
    """A proxy's page may be in it."""
    assert 2100 > len(str(reported_fault({"code": 400, "message": "x" * 10_000})))


BROKEN_OFF: dict[str, tuple[Any, dict[str, Any]]] = {
    "finish reason": (vllm, {"finish_reason": "error", **PART}),
    "choice": (vllm, {"choice": {"error": LOST}, **PART}),
    "response": (openai, {"finish_reason": "error", **PART}),
}


@pytest.mark.parametrize("name", BROKEN_OFF)
def test_broken_off_answer_is_asked_for_again(
    name: str, server: ProviderServer
) -> None:
    """It is an error of this run; the next run asks, and its tables are complete."""
    use, changes = BROKEN_OFF[name]
    server.script = lambda attempt, body: Fault(changes=changes)
    generator = use("gpt", base_url=server.url, max_retries=0)
    store = InMemoryRunStore()

    (lost,) = rows(questions(generator).run(store))
    server.forget()
    (found,) = rows(questions(generator).run(store))

    assert "TransientError" in str(lost.error)
    assert lost.final_output is None
    assert ("re: question 0", None) == (found.final_output, found.error)
    assert 1 == len(server.requests)


def test_stream_that_nobody_asked_for_is_transient(server: ProviderServer) -> None:
    """Its failure is told."""
    body = b'data: {"error": {"code": 502, "message": "upstream gone"}}\n\n'
    server.script = lambda attempt, request: Fault(body=body)

    with pytest.raises(TransientError, match="upstream gone"):
        ask(vllm("gpt", base_url=server.url, max_retries=0))


@pytest.mark.parametrize("code", [0, 99, 600, 10**9, "²", True, "12345"])
def test_number_that_is_no_http_status_is_a_code(code: object) -> None:
    """It says nothing about whether the failure may pass."""
    assert isinstance(reported_fault({"code": code, "message": "no"}), TransientError)
