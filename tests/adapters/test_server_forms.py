"""The form of a request that a server takes, found out by what it refuses."""

from __future__ import annotations

from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.asking import ask, outputs, questions, rows
from tests.support.provider_server import (
    Fault,
    ProviderServer,
    completion,
    refused,
)
from themis_lib import FatalError, InMemoryRunStore
from themis_lib.adapters import openai, vllm

CHAT: dict[str, Any] = {"api_mode": "chat_completions"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
#: How a server says that it takes no such field, by the kind of server.
WORDS: dict[str, Any] = {
    "OpenAI": lambda name: refused(
        status=400,
        message=f"Unsupported parameter: '{name}' is not supported with this model.",
        param=name,
        code="unsupported_parameter",
    ),
    "Azure": lambda name: refused(
        status=400,
        message=f"Unrecognized request argument supplied: {name}",
        type="invalid_request_error",
        param=None,
        code=None,
    ),
    "Azure's other models": lambda name: Fault(
        422,
        body={
            "detail": [
                {
                    "type": "extra_forbidden",
                    "loc": ["body", name],
                    "msg": "Extra inputs are not permitted",
                    "input": 1,
                }
            ]
        },
    ),
    "vLLM": lambda name: Fault(
        400,
        body={
            "object": "error",
            "message": f"[{{'type': 'extra_forbidden', 'loc': ('body', '{name}'), "
            "'msg': 'Extra inputs are not permitted'}]",
            "type": "BadRequestError",
            "code": 400,
        },
    ),
    "a server that crashes": lambda name: refused(
        status=500, message=f"create() got an unexpected keyword argument '{name}'"
    ),
}
#: Models are told apart, since what one refuses is remembered.
NAMES = (f"model-{number}" for number in count())


def refusing(words: str, *names: str) -> Any:
    """A script of a server that takes none of these fields."""

    def script(attempt: int, body: dict[str, Any]) -> Fault | None:
        for name in names:
            if name in body:
                return WORDS[words](name)  # type: ignore[no-any-return]
        return None

    return script


def use(adapter: Any, server: ProviderServer, **settings: Any) -> Any:
    return adapter(next(NAMES), base_url=server.url, **settings)


@pytest.mark.parametrize("words", WORDS)
def test_seed_is_left_out_where_it_is_refused(
    words: str, server: ProviderServer
) -> None:
    """All rows are answered after one refusal, and each says what it lacks."""
    server.script = refusing(words, "seed")

    result = questions(use(vllm, server), 5).run()

    assert [f"re: question {number}" for number in range(5)] == outputs(result)
    assert {"seed": "not sent"} == (rows(result)[4].artifacts or {})["sent_as"]
    assert 6 == len(server.requests)
    assert [True] + [False] * 5 == ["seed" in body for body in server.bodies]


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize(
    ("refused_name", "settings"),
    [
        ("max_tokens", {"max_tokens": 9}),
        ("max_completion_tokens", {"max_tokens": 9}),
    ],
)
def test_longest_answer_is_asked_for_by_the_other_name(
    words: str, refused_name: str, settings: dict[str, Any], server: ProviderServer
) -> None:
    """The meaning is the same, so that the row says nothing."""
    server.script = refusing(words, refused_name)

    for adapter in (vllm, openai):
        result = ask(use(adapter, server, **CHAT, **settings))

        assert "re: 2+2" == result.final_output
        assert "sent_as" not in (result.artifacts or {})
        limits = {"max_tokens", "max_completion_tokens"} - {refused_name}
        assert [9] == [server.bodies[-1].get(name) for name in limits]
        assert refused_name not in server.bodies[-1]


def test_refusal_is_remembered_for_the_model_alone(server: ProviderServer) -> None:
    """No request of the process is refused for it again; another model may take it."""
    server.script = refusing("OpenAI", "seed")
    one, other = use(vllm, server), use(vllm, server, temperature=0)

    ask(one)
    ask(vllm(one.model, base_url=server.url, temperature=1))
    ask(other)

    assert [True, False, False, True, False] == [
        "seed" in body for body in server.bodies
    ]


def test_what_a_server_refuses_is_no_identity(server: ProviderServer) -> None:
    """Rows of before are found again."""
    generator, store = use(vllm, server), InMemoryRunStore()
    questions(generator, 2).run(store)
    server.script = refusing("OpenAI", "seed")

    again = questions(generator, 3).run(store)

    assert (1, 2) == (
        again.progress["generate"].computed,
        again.progress["generate"].cached,
    )


REFUSED = {
    "temperature": ({"temperature": 0.1}, "generation.generator.temperature"),
    "top_p": ({"top_p": 0.1}, "generation.generator.top_p"),
    "stop": ({"stop": "x"}, "generation.generator.stop"),
    "logprobs": ({"logprobs": 2}, "generation.generator.logprobs"),
    "top_logprobs": ({"logprobs": 2}, "generation.generator.logprobs"),
    "tools": ({"tools": [{"type": "function"}]}, "generation.generator.tools"),
    "reasoning_effort": (
        {"reasoning_effort": "low"},
        "generation.generator.reasoning_effort",
    ),
    "top_k": ({"extra_body": {"top_k": 3}}, "generation.generator.extra_body.top_k"),
    "min_p": ({"extra_body": {"min_p": 1}}, "generation.generator.extra_body.min_p"),
}


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("name", REFUSED)
def test_setting_that_is_refused_is_one_error(
    name: str, words: str, server: ProviderServer
) -> None:
    """It names the setting's place and the server's words, after one request."""
    settings, place = REFUSED[name]
    server.script = refusing(words, name)

    with pytest.raises(FatalError, match=place) as raised:
        questions(use(vllm, server, **settings), 20).run()

    assert "HTTP" in str(raised.value)
    assert name in str(raised.value)
    assert 1 == len(server.requests)
    assert raised.value.is_free


@pytest.mark.parametrize("words", WORDS)
def test_refusal_of_what_was_not_sent_is_one_error(
    words: str, server: ProviderServer
) -> None:
    """Another try without it is the only one."""
    server.script = lambda attempt, body: WORDS[words]("seed")
    generator = use(vllm, server)

    for _ in range(2):
        server.requests.clear()
        with pytest.raises(FatalError, match="'seed', which was not sent"):
            questions(generator, 20).run()
        assert 2 == len(server.requests)


def test_server_that_takes_neither_name_is_one_error(server: ProviderServer) -> None:
    """There is no third."""
    server.script = refusing("OpenAI", "max_tokens", "max_completion_tokens")

    with pytest.raises(FatalError, match=r"generation\.generator\.max_tokens"):
        ask(use(vllm, server, max_tokens=9))

    assert 2 == len(server.requests)


def test_seed_out_of_range_is_one_error(server: ProviderServer) -> None:
    """The server takes others, so that leaving it out would hide the mistake."""
    misfit = "{'type': 'less_than', 'loc': ('body', 'seed'), 'msg': 'too large'}"
    server.script = lambda attempt, body: refused(status=400, message=misfit)

    with pytest.raises(FatalError, match=r"extra_body: \{seed: null\}"):
        ask(use(vllm, server))


def test_seed_can_be_left_out_by_hand(server: ProviderServer) -> None:
    """A null in `extra_body` says so, and is part of the identity."""
    generator = use(vllm, server, extra_body={"seed": None, "max_completion_tokens": 9})

    result = ask(generator)

    assert "seed" not in server.bodies[0]
    assert 9 == server.bodies[0]["max_completion_tokens"]
    assert "sent_as" not in (result.artifacts or {})
    assert {"seed": None, "max_completion_tokens": 9} == generator.settings()[
        "extra_body"
    ]


def test_function_without_an_argument_is_a_server_too() -> None:
    """An injected client may take no seed; another generator's client may."""
    asked: list[Any] = []

    async def create(*, model: str, messages: Any) -> Any:
        asked.append(messages)
        return completion({"model": model, "messages": messages})

    client = SimpleNamespace(
        chat=SimpleNamespace(completions=SimpleNamespace(create=create))
    )

    result = ask(openai("m", client=client, **CHAT))

    assert "re: 2+2" == result.final_output
    assert {"seed": "not sent"} == (result.artifacts or {})["sent_as"]
    assert 1 == len(asked)


def llama_words(body: dict[str, Any]) -> Fault | None:
    """What llama.cpp's Python server says to a format that it does not know."""
    kind = body.get("response_format", {}).get("type")
    if kind != "json_schema":
        return None
    said = (
        "1 validation error:\n  {'type': 'literal_error', 'loc': ('body', "
        "'response_format', 'type'), 'msg': \"Input should be 'text' or "
        "'json_object'\", 'input': 'json_schema'}"
    )
    return refused(status=500, message=said, type="internal_server_error")


POORER: dict[str, Any] = {
    "llama.cpp": llama_words,
    "DeepSeek": lambda body: (
        refused(status=400, message="This response_format type is unavailable now")
        if body["response_format"]["type"] == "json_schema"
        else None
    ),
    "an older model": lambda body: (
        refused(
            status=400,
            message="Invalid parameter: 'response_format' of type 'json_schema' is "
            "not supported with this model.",
            param=None,
        )
        if body["response_format"]["type"] == "json_schema"
        else None
    ),
}


@pytest.mark.parametrize("words", POORER)
def test_schema_is_asked_for_in_the_form_that_is_known(
    words: str, server: ProviderServer
) -> None:
    """Found out by one request, which is not sent again; replies are checked as ever."""
    answers = iter(['{"a": 1}', '{"a": 2}', '{"a": "x"}'])
    server.script = lambda attempt, body: (
        POORER[words](body) or Fault(changes={"text": next(answers)})
    )

    result = questions(use(vllm, server, schema=SCHEMA, max_concurrency=1), 3).run()

    assert [{"a": 1}, {"a": 2}, '{"a": "x"}'] == outputs(result)
    assert "not the JSON that was asked for" in str(rows(result)[2].error)
    assert {"response_format": "json_object with schema"} == (
        rows(result)[0].artifacts or {}
    )["sent_as"]
    assert 4 == len(server.requests)
    assert {"type": "json_object", "schema": SCHEMA} == server.bodies[-1][
        "response_format"
    ]


@pytest.mark.parametrize("settings", [CHAT, {"api_mode": "responses"}])
def test_schema_that_no_form_can_ask_for_is_one_error(
    settings: dict[str, Any], server: ProviderServer
) -> None:
    """It is not tried again in every row."""
    server.script = lambda attempt, body: refused(
        status=500,
        message="{'type': 'x', 'loc': ('body', '%s'), 'msg': 'no'}"
        % ("text" if "text" in body else "response_format"),
    )

    with pytest.raises(FatalError, match="schema or response_format"):
        questions(use(vllm, server, schema=SCHEMA, **settings), 10).run()

    assert (2 if settings is CHAT else 1) == len(server.requests)


SCHEMA_REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "the schema itself": (
        {
            "message": "Invalid schema for response_format 'output': 'oneOf' is not "
            "permitted.",
            "param": "response_format",
            "code": None,
        },
        None,
    ),
    "by its code": (
        {
            "message": "It is not supported",
            "param": "response_format",
            "code": "invalid_json_schema",
        },
        None,
    ),
    "both forms": (
        {"message": "This response_format type is unavailable now"},
        {"message": "Unknown parameter: 'response_format.schema'."},
    ),
    "the form, and then the prompt": (
        {"message": "This response_format type is unavailable now"},
        {"message": "Prompt must contain the word 'json'", "param": "messages"},
    ),
}


@pytest.mark.parametrize("name", SCHEMA_REFUSED)
def test_schema_that_is_refused_is_told_in_the_first_words(
    name: str, server: ProviderServer
) -> None:
    """No form helps, and another schema is asked for in OpenAI's form again."""
    first, second = SCHEMA_REFUSED[name]

    def script(attempt: int, body: dict[str, Any]) -> Fault | None:
        is_first = body["response_format"]["type"] == "json_schema"
        return refused(status=400, **(first if is_first else second or {}))

    server.script = script
    generator = use(vllm, server, schema=SCHEMA)

    with pytest.raises(FatalError, match="schema or response_format") as raised:
        questions(generator, 10).run()

    assert first["message"] in str(raised.value)
    assert (2 if second else 1) == len(server.requests)
    server.forget()
    server.script = lambda attempt, body: Fault(changes={"text": "7"})
    other = vllm(generator.model, base_url=server.url, schema={"type": "integer"})
    assert 7 == ask(other).final_output
    assert "json_schema" == server.bodies[0]["response_format"]["type"]


def test_request_that_cannot_be_read_is_a_fact_of_its_row(
    server: ProviderServer,
) -> None:
    """Also of a server that says 500 of it: its text would be refused again."""
    misfit = "{'type': 'x', 'loc': ('body', 'messages', 0, 'content'), 'msg': 'no'}"
    server.script = lambda attempt, body: refused(status=500, message=misfit)
    store, generator = InMemoryRunStore(), use(vllm, server)

    for _ in range(2):
        (row,) = rows(questions(generator).run(store))

        assert str(row.error).startswith("HTTP 500")
    assert 1 == len(server.requests)
