"""A provider's reply as a result: Chat Completions and Responses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from tests.support.provider_server import completion, response
from themis_lib.adapters.replies import chat_result, response_result
from themis_lib.core.models import GenerationResult, Message, TokenUsage, TraceStep
from themis_lib.errors import TransientError
from themis_lib.stages.endings import Ending, ending_of

CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "2+2"}]}
RESPONSES = {"model": "gpt", "input": "2+2"}


def chat(**changes: Any) -> GenerationResult:
    return chat_result(completion(CHAT, **changes), {})


def responses(**changes: Any) -> GenerationResult:
    return response_result(response(RESPONSES, **changes), {})


def test_chat_completion_becomes_a_result() -> None:
    """Text, finish reason, trace, usage and model; ids are apart in `transport`."""
    assert (
        GenerationResult(
            final_output="re: 2+2",
            finish_reason="stop",
            trace=[
                TraceStep(
                    name="generation",
                    event="generation",
                    output="re: 2+2",
                    metadata={"finish_reason": "stop"},
                )
            ],
            conversation=[Message(role="assistant", content="re: 2+2")],
            artifacts={"model": "gpt-2026", "system_fingerprint": "fp-1"},
            transport={
                "response_id": "chatcmpl-1",
                "created": 1_700_000_000,
                "raw_response": completion(CHAT),
            },
            usage=TokenUsage(
                input_tokens=11, output_tokens=7, cached_tokens=5, reasoning_tokens=3
            ),
        )
        == chat()
    )


def test_response_becomes_the_same_result() -> None:
    """Whichever API was asked, a row has the same columns and words."""
    result = responses()

    expected = chat().model_copy(
        update={"artifacts": {"model": "gpt-2026"}, "transport": result.transport}
    )
    assert expected == result
    assert {
        "response_id": "resp-1",
        "created": 1_700_000_000,
        "raw_response": response(RESPONSES),
    } == result.transport


def test_models_of_the_sdk_are_read_like_json() -> None:
    """Clients return either; the SDK's models have the fields as attributes."""
    token = {"token": "4", "logprob": -0.1, "bytes": [52], "top_logprobs": []}
    body = completion(CHAT, choice={"logprobs": {"content": [token], "refusal": None}})
    other = response(RESPONSES, logprobs=[token])

    # The SDK makes its models without validation, as here.
    chat_model = ChatCompletion.construct(**body)
    response_model = Response.construct(**other)

    for read, as_json, as_model in (
        (chat_result, body, chat_model),
        (response_result, other, response_model),
    ):
        results = []
        for reply in (as_json, as_model):
            result = read(reply, {})
            raw = (result.transport or {}).pop("raw_response")
            # The model also has the fields that it was not given.
            assert as_json["id"] == raw["id"]
            results.append(result)
        assert results[0] == results[1]


@pytest.mark.parametrize("read", [chat_result, response_result])
def test_headers_are_transport(read: Any) -> None:
    """Rate limits and the request's id; a cookie is not kept."""
    headers = {"X-Request-Id": "req-1", "x-ratelimit-limit": "60", "set-cookie": "a=b"}
    body = completion(CHAT) if read is chat_result else response(RESPONSES)

    transport = read(body, headers).transport

    assert "req-1" == transport["request_id"]
    kept = {"x-request-id": "req-1", "x-ratelimit-limit": "60"}
    assert kept == transport["headers"]


@pytest.mark.parametrize("result", [chat, responses])
def test_refusal_is_an_error_of_the_row(result: Any) -> None:
    """With what the model said, which is an artifact as well."""
    refused = result(text=None, refusal="I cannot.")

    assert "the model refused: I cannot." == refused.error
    assert "I cannot." == refused.artifacts["refusal"]
    assert refused.final_output is None


@pytest.mark.parametrize("result", [chat, responses])
def test_content_filter_is_an_error_of_the_row(result: Any) -> None:
    """Even if part of a text was sent before the filter stopped it."""
    filtered = result(finish_reason="content_filter")

    assert "the provider's content filter stopped the answer" == filtered.error
    assert ("re: 2+2", "content_filter") == (
        filtered.final_output,
        filtered.finish_reason,
    )


def test_answer_at_its_longest_says_so_in_both_apis() -> None:
    """In the words of Chat Completions, and without an error."""
    for result in (
        chat(finish_reason="length"),
        responses(finish_reason="max_output_tokens"),
    ):
        assert ("length", None) == (result.finish_reason, result.error)


CALLS = [
    {
        "id": "1",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a":1}'},
    },
    {"id": "2", "type": "custom", "custom": {"name": "run", "input": "not JSON"}},
]
ITEMS = [
    {"type": "function_call", "call_id": "1", "name": "add", "arguments": '{"a":1}'},
    {"type": "custom_tool_call", "call_id": "2", "name": "run", "input": "not JSON"},
]
MADE = [
    {"name": "add", "arguments": {"a": 1}},
    {"name": "run", "arguments": "not JSON"},
]


@pytest.mark.parametrize(
    "result",
    [
        chat(text=None, finish_reason="tool_calls", message={"tool_calls": CALLS}),
        responses(output=ITEMS),
    ],
    ids=["chat", "responses"],
)
def test_tool_calls_are_output_and_trace(result: GenerationResult) -> None:
    """By name and arguments, these as JSON where they are JSON."""
    assert {"tool_calls": MADE} == result.final_output
    assert "tool_calls" == result.finish_reason
    assert [
        ("generation", None),
        ("tool_call", {"a": 1}),
        ("tool_call", "not JSON"),
    ] == [(step.event, step.input) for step in result.trace or []]
    (message,) = result.conversation or []
    assert [{"function": call} for call in MADE] == message.tool_calls


@pytest.mark.parametrize("result", [chat, responses])
def test_text_beside_tool_calls_does_not_hide_them(result: Any) -> None:
    """Both are the output; blank text is not worth keeping."""
    for text, beside in (("I add.", {"text": "I add."}), ("\n\n", {}), ("", {})):
        changes: dict[str, Any] = {"text": text, "message": {"tool_calls": CALLS}}
        if result is responses:
            (said,) = response(RESPONSES, text=text)["output"]
            changes = {"output": [said, *ITEMS]}

        called = result(**changes)

        assert {"tool_calls": MADE} | beside == called.final_output
        assert ["generation", "tool_call", "tool_call"] == [
            step.event for step in called.trace or []
        ]


def test_only_call_of_an_older_server_is_a_call() -> None:
    """It has a name of its own, and is not counted again beside the list."""
    only = CALLS[0]["function"]

    for message in (
        {"function_call": only},
        {"function_call": only, "tool_calls": CALLS[:1]},
    ):
        called = chat(text=None, message=message)
        assert {"tool_calls": MADE[:1]} == called.final_output


def test_log_probabilities_are_artifacts() -> None:
    """Each token's, with the likely alternatives."""
    token = {"token": "4", "logprob": -0.1, "bytes": [52], "top_logprobs": []}

    for result in (
        chat(choice={"logprobs": {"content": [token], "refusal": None}}),
        responses(logprobs=[token]),
    ):
        assert [token] == (result.artifacts or {})["logprobs"]


@pytest.mark.parametrize(
    ("message", "reasoning"),
    [
        ({"reasoning_content": "2 and 2"}, "2 and 2"),
        ({"reasoning": "2 and 2"}, "2 and 2"),
        ({}, None),
    ],
)
def test_reasoning_of_chat_completions_is_an_artifact(
    message: dict[str, Any], reasoning: str | None
) -> None:
    """Under either of the names that servers give it."""
    assert reasoning == (chat(message=message).artifacts or {}).get("reasoning")


def test_reasoning_of_responses_is_its_summary() -> None:
    """The provider keeps the rest."""
    summary = [{"type": "summary_text", "text": text} for text in ("First.", "Then.")]
    thought = {"type": "reasoning", "summary": summary}
    (said,) = response(RESPONSES)["output"]

    result = responses(output=[thought, said])

    assert "First.\nThen." == (result.artifacts or {})["reasoning"]
    assert "re: 2+2" == result.final_output


def test_text_in_parts_is_joined() -> None:
    """Some servers answer in parts, and Responses always do."""
    parts = [{"type": "text", "text": "4"}, {"type": "image"}, {"text": "2"}]

    assert "42" == chat(message={"content": parts}).final_output
    output = [{"type": "message", "content": parts}]
    assert "42" == responses(output=output).final_output


@pytest.mark.parametrize(
    ("read", "reply"),
    [
        (
            chat_result,
            SimpleNamespace(
                choices=[SimpleNamespace(message=SimpleNamespace(content="4"))]
            ),
        ),
        (chat_result, {"choices": [{"message": {"content": "4"}}]}),
        (response_result, SimpleNamespace(output_text="4")),
        (response_result, {"output_text": "4"}),
    ],
)
def test_reply_may_have_nothing_but_its_text(read: Any, reply: Any) -> None:
    """Injected clients may answer with that alone."""
    result = read(reply, {})

    assert ("4", None, None, {}) == (
        result.final_output,
        result.usage,
        result.finish_reason,
        result.artifacts,
    )
    raw = {"raw_response": reply} if isinstance(reply, dict) else {}
    assert raw == result.transport


def test_empty_text_is_an_answer() -> None:
    """A model may say nothing; only a reply without output is unreadable."""
    for result in (chat(text=""), responses(text="")):
        assert ("", None) == (result.final_output, result.error)
    assert response_result({"output_text": ""}, {}).error is None


THOUGHT = {"reasoning_content": "It may be 4"}
SUMMARY = {"type": "reasoning", "summary": [{"text": "It may be 4"}]}
NO_TEXT = {
    "at its longest": (chat(text=None, finish_reason="length"), "max_tokens"),
    "empty at its longest": (chat(text=" ", finish_reason="length"), "max_tokens"),
    "thinking at its longest": (
        chat(text="", finish_reason="length", message=THOUGHT),
        "while the model was thinking",
    ),
    "a thought alone": (chat(text=None, message=THOUGHT), "only the model's thoughts"),
    "a thought and an empty text": (
        chat(text="", message=THOUGHT),
        "only the model's thoughts",
    ),
    "a thought among the parts": (
        chat(message={"content": [{"type": "thinking", "thinking": "4?"}]}),
        "only the model's thoughts",
    ),
    "null": (chat(text=None), "finish_reason 'stop'"),
    "no parts": (chat(message={"content": []}), "finish_reason 'stop'"),
    "a response at its longest": (
        responses(output=[SUMMARY], finish_reason="max_output_tokens"),
        "while the model was thinking",
    ),
    "a response's thought alone": (
        responses(output=[SUMMARY]),
        "only the model's thoughts",
    ),
}


@pytest.mark.parametrize("name", NO_TEXT)
def test_reply_without_text_says_why(name: str) -> None:
    """A length, a thought or the provider's own reason: never a wrong answer."""
    result, said = NO_TEXT[name]

    assert said in str(result.error)
    assert not (result.final_output or "").strip()


def test_text_cut_at_its_longest_is_an_answer() -> None:
    """What was said so far can be read, and the finish reason tells."""
    result = chat(text="The answer is 4", finish_reason="length", message=THOUGHT)

    assert ("The answer is 4", None) == (result.final_output, result.error)


def test_nothing_said_for_no_reason_is_transient() -> None:
    """A provider that lost its model ends so."""
    with pytest.raises(TransientError, match="no text"):
        chat(text=None, finish_reason=None)


@pytest.mark.parametrize(
    "reason",
    ["content_filter", "sensitive", "SAFETY", "RECITATION", "PROHIBITED_CONTENT"],
)
def test_filters_have_several_names(reason: str) -> None:
    """That of OpenAI, of Zhipu, and those of Google; the run counts each as filtered."""
    assert "filter" in str(chat(finish_reason=reason).error)
    assert Ending.FILTERED is ending_of(reason)


@pytest.mark.parametrize("reason", ["length", "MAX_TOKENS", "max_tokens"])
def test_greatest_length_has_several_names(reason: str) -> None:
    """That of OpenAI, of Google and of Anthropic, as gateways pass them on."""
    result = chat(text="", finish_reason=reason)

    assert result.error is not None
    assert "it reached its greatest length" in result.error
    assert f"finish_reason {reason!r}" in result.error


PARTS: dict[str, tuple[Any, str | None, str | None]] = {
    "a text": ("4", "4", None),
    "one part alone": ({"type": "text", "text": "4"}, "4", None),
    "plain texts": (["4", "2"], "42", None),
    "a thought before": (
        [{"type": "thinking", "thinking": "5?"}, {"type": "text", "text": "4"}],
        "4",
        "5?",
    ),
    "a thought in parts": (
        [
            {"type": "thinking", "thinking": [{"type": "text", "text": "5?"}]},
            {"type": "text", "text": "4"},
        ],
        "4",
        "5?",
    ),
    "a thought that is a text": (
        [{"type": "reasoning", "text": "5?"}, {"type": "output_text", "text": "4"}],
        "4",
        "5?",
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_content_may_be_parts(name: str) -> None:
    """Thoughts among them are kept beside the answer, not in it."""
    content, text, thought = PARTS[name]

    result = chat(message={"content": content})

    assert text == result.final_output
    assert thought == (result.artifacts or {}).get("reasoning")


def test_refusal_may_be_a_part() -> None:
    """In Chat Completions too."""
    content = [{"type": "refusal", "refusal": "I cannot."}]

    assert "the model refused: I cannot." == chat(message={"content": content}).error


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"choices": []},
        {"choices": "none"},
        {"choices": None},
        [1],
        None,
    ],
    ids=str,
)
def test_completion_without_choices_is_transient(reply: Any) -> None:
    """Another try may be answered."""
    with pytest.raises(TransientError, match=r"^the provider's reply has no choices$"):
        chat_result(reply, {})


@pytest.mark.parametrize("message", [3, None, "text", ["text"]])
def test_choice_without_a_message_is_transient(message: Any) -> None:
    """A message is an object with content."""
    with pytest.raises(TransientError, match=r"has a choice without a message$"):
        chat_result({"choices": [{"message": message}]}, {})


@pytest.mark.parametrize(
    "reply", [{}, {"output": []}, {"output": "none"}, {"output": None}, None], ids=str
)
def test_response_without_output_is_transient(reply: Any) -> None:
    """Another try may be answered."""
    with pytest.raises(TransientError, match=r"^the provider's reply has no output$"):
        response_result(reply, {})


@pytest.mark.parametrize(
    "reply",
    [{"message": "try again"}, {"detail": "try again"}, {"errors": ["try again"]}],
    ids=str,
)
def test_words_of_an_unreadable_reply_are_told(reply: dict[str, Any]) -> None:
    """Servers of other kinds have names of their own for them."""
    with pytest.raises(TransientError, match=r"has no choices: .*try again"):
        chat_result(reply, {})


def test_incomplete_response_is_what_its_reason_says() -> None:
    """Without a reason, nobody decided that it ends here."""
    with pytest.raises(TransientError, match="incomplete"):
        response_result({**response(RESPONSES), "status": "incomplete"}, {})


@pytest.mark.parametrize("status", ["failed", "cancelled", "queued", "in_progress"])
def test_response_that_is_not_done_is_transient(status: str) -> None:
    """Even with a text: it is a part of an answer."""
    with pytest.raises(TransientError, match=status):
        response_result({**response(RESPONSES), "status": status}, {})
