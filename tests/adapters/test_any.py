"""The generator `any`: what reaches Gemini's and Mistral's servers, and what comes of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.support.asking import ask, context, questions, rows
from tests.support.gemini_server import GeminiServer, asked, generated, refused
from tests.support.provider_server import (
    CUT,
    FILTERED,
    GARBAGE,
    SILENT,
    Fault,
    ProviderServer,
    prompt_of,
)
from themis_lib import Case, adapters
from themis_lib.core.models import GenerationResult, TokenUsage
from themis_lib.core.prices import Price
from themis_lib.errors import (
    ComponentError,
    FatalError,
    RowError,
    ThemisError,
    TransientError,
)
from themis_lib.runs.results import RunStatus

TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look a word up",
        "parameters": {
            "type": "object",
            "properties": {"word": {"type": "string", "description": "which"}},
            "required": ["word"],
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"answer": {"type": "integer"}},
    "required": ["answer"],
    "additionalProperties": False,
}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "sk-gemini-of-the-environment-1")
    monkeypatch.setenv("MISTRAL_API_KEY", "sk-mistral-of-the-environment-1")


@pytest.fixture
def gemini() -> Iterator[GeminiServer]:
    with GeminiServer() as server:
        yield server


@pytest.fixture
def mistral() -> Iterator[ProviderServer]:
    with ProviderServer() as server:
        yield server


def model_at(server: ProviderServer, **settings: Any) -> Any:
    """The generator for a server; a failed request is not sent again."""
    name = "gemini:gemini-2.5-flash"
    if not isinstance(server, GeminiServer):
        name = "mistral:mistral-small"
    url = server.url.removesuffix("/v1")
    return adapters.any(name, **{"base_url": url, "max_retries": 0, **settings})


def outcomes(generator: Any, asks: list[tuple[Any, dict[str, Any]]]) -> list[Any]:
    """What a generator returns or raises for each input and prompt spec, in one loop."""

    async def ask_all() -> list[Any]:
        found: list[Any] = []
        for value, spec in asks:
            case = Case(case_id="case", input=value)
            try:
                found.append(await generator.generate(case, context(**spec)))
            except ThemisError as error:
                found.append(error)
        return found

    return asyncio.run(ask_all())


def test_gemini_is_sent_every_setting(gemini: GeminiServer) -> None:
    """One request of its REST API, with what any-llm makes of each setting."""
    generator = model_at(
        gemini,
        instructions="Be brief.",
        temperature=0,
        top_p=0.5,
        max_tokens=9,
        stop="END",
        schema=SCHEMA,
        tools=[TOOL],
        tool_choice="required",
        reasoning_effort="low",
        extra_body={"top_k": 3},
    )

    ask(generator, "2+2", seed=7)

    (request,) = gemini.requests
    assert "/v1/models/gemini-2.5-flash:generateContent" == request.path
    assert "sk-gemini-of-the-environment-1" == request.headers["x-goog-api-key"]
    assert {
        "contents": [{"role": "user", "parts": [{"text": "2+2"}]}],
        "systemInstruction": {"role": "user", "parts": [{"text": "Be brief."}]},
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "look_up",
                        "description": "Look a word up",
                        "parameters": {
                            "type": "OBJECT",
                            "properties": {
                                "word": {"type": "STRING", "description": "which"}
                            },
                            "required": ["word"],
                        },
                    }
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
        "generationConfig": {
            "temperature": 0.0,
            "topP": 0.5,
            "topK": 3.0,
            "maxOutputTokens": 9,
            "stopSequences": ["END"],
            "seed": 7,
            "responseMimeType": "application/json",
            "responseJsonSchema": SCHEMA,
            "thinkingConfig": {"include_thoughts": True, "thinking_budget": 1024},
        },
    } == request.body


def test_mistral_is_sent_every_setting(mistral: ProviderServer) -> None:
    """The seed has a name of its own there."""
    generator = model_at(
        mistral,
        instructions="Be brief.",
        temperature=0.5,
        top_p=0.5,
        max_tokens=9,
        stop=["END"],
        schema=SCHEMA,
        tools=[TOOL],
        tool_choice="any",
        reasoning_effort="high",
        extra_body={"safe_prompt": True},
    )

    ask(generator, "2+2", seed=7)

    (request,) = mistral.requests
    assert "/v1/chat/completions" == request.path
    assert "Bearer sk-mistral-of-the-environment-1" == request.headers["authorization"]
    assert {
        "model": "mistral-small",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "2+2"},
        ],
        "temperature": 0.5,
        "top_p": 0.5,
        "max_tokens": 9,
        "stop": ["END"],
        "random_seed": 7,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "output", "schema": SCHEMA, "strict": True},
        },
        "tools": [TOOL],
        "tool_choice": "any",
        "reasoning_effort": "high",
        "safe_prompt": True,
        "stream": False,
    } == request.body


IMAGE = {"inlineData": {"data": "iVBORw0KGgo=", "mime_type": "image/png"}}
AUDIO = {"inlineData": {"data": "SUQz", "mime_type": "audio/mp3"}}
PDF = {"inlineData": {"data": "JVBERg==", "mime_type": "application/pdf"}}
#: Each kind of input, an edit of its prompt, and what Gemini is sent before and after.
EDITS: list[tuple[Any, dict[str, str], Any, Any]] = [
    (
        "2+2",
        {"prefix": "Q: "},
        [("user", [{"text": "2+2"}])],
        [("user", [{"text": "Q: \n\n2+2"}])],
    ),
    (
        {"b": 1, "a": "x"},
        {"suffix": "= ?"},
        [("user", [{"text": '{"a":"x","b":1}'}])],
        [("user", [{"text": '{"a":"x","b":1}\n\n= ?'}])],
    ),
    (
        [
            {"role": "user", "content": "2+2"},
            {"role": "assistant", "content": "4"},
            {"role": "user", "content": "3+3"},
        ],
        {"prefix": "Q: "},
        [
            ("user", [{"text": "2+2"}]),
            ("model", [{"text": "4"}]),
            ("user", [{"text": "3+3"}]),
        ],
        [
            ("user", [{"text": "2+2"}]),
            ("model", [{"text": "4"}]),
            ("user", [{"text": "Q: \n\n3+3"}]),
        ],
    ),
    (
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": PIXEL}},
                ],
            }
        ],
        {"prefix": "Q: "},
        [("user", [{"text": "What is it?"}, IMAGE])],
        [("user", [{"text": "Q: "}, {"text": "What is it?"}, IMAGE])],
    ),
    (
        [
            {"type": "image", "data": "iVBORw0KGgo=", "media_type": "image/png"},
            {"type": "audio", "data": "SUQz", "media_type": "audio/mpeg"},
            {"type": "file", "data": "JVBERg==", "media_type": "application/pdf"},
            {"type": "text", "text": "What are they?"},
        ],
        {"suffix": "Be brief."},
        [("user", [IMAGE, AUDIO, PDF, {"text": "What are they?"}])],
        [
            (
                "user",
                [IMAGE, AUDIO, PDF, {"text": "What are they?"}, {"text": "Be brief."}],
            )
        ],
    ),
]


def test_prompt_edits_reach_gemini(gemini: GeminiServer) -> None:
    """Each kind of input before and after an edit, and under instructions."""
    asks = []
    for value, edit, _, _ in EDITS:
        asks += [(value, {}), (value, edit), (value, {"instructions": "Be brief."})]

    outcomes(model_at(gemini), asks)

    expected: list[Any] = []
    for _, _, before, after in EDITS:
        expected += [(before, None), (after, None), (before, [{"text": "Be brief."}])]
    sent = []
    for body in gemini.bodies:
        turns = [(turn["role"], turn["parts"]) for turn in body["contents"]]
        sent.append((turns, body.get("systemInstruction", {}).get("parts")))
    assert expected == sent


def test_thoughts_and_tokens_are_kept_apart(gemini: GeminiServer) -> None:
    """Gemini's thoughts are output tokens, which it counts by themselves."""
    row = ask(model_at(gemini))

    assert "re: 2+2" == row.final_output
    assert "let me see" == (row.artifacts or {})["reasoning"]
    assert "stop" == row.finish_reason
    assert (11, 7, 5, 3) == tokens_of(row)
    assert 0 < (row.latency_s or 0) < 30


def tokens_of(row: GenerationResult) -> tuple[int | None, ...]:
    """Input, output, cached and reasoning tokens of a row."""
    usage = row.usage or TokenUsage()
    return (
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.reasoning_tokens,
    )


def test_tokens_that_are_not_told_are_unknown(gemini: GeminiServer) -> None:
    """any-llm says 0 in their place, which would be a cost of nothing."""
    body = generated({"contents": [{"parts": [{"text": "2+2"}]}]})
    del body["usageMetadata"]
    gemini.script = lambda attempt, sent: Fault(body=body)

    assert ask(model_at(gemini)).usage is None


def test_cost_is_that_of_the_tokens(gemini: GeminiServer) -> None:
    """2 rows of 6 fresh and 5 cached input tokens and 7 output tokens, by hand."""
    result = questions(
        model_at(gemini, max_tokens=100),
        2,
        cost={
            "prices": {
                "gemini:gemini-2.5-flash": Price(input=2, cached_input=0.5, output=8)
            }
        },
    ).run()

    by_hand = 2 * (6 * 2 + 5 * 0.5 + 7 * 8) / 1e6
    assert by_hand == pytest.approx(result.manifest.cost)


def test_structured_output_is_its_value(gemini: GeminiServer) -> None:
    generator = model_at(gemini, schema=SCHEMA)
    gemini.script = lambda attempt, body: Fault(changes={"text": '{"answer": 4}'})
    assert {"answer": 4} == ask(generator).final_output

    gemini.script = lambda attempt, body: Fault(changes={"text": '{"answer": "4"}'})
    row = ask(generator)
    assert "the output is not the JSON that was asked for" in str(row.error)


@pytest.mark.parametrize("protocol", ["gemini", "mistral"])
def test_tool_calls_are_the_output(
    protocol: str, request: pytest.FixtureRequest
) -> None:
    server: ProviderServer = request.getfixturevalue(protocol)
    calls = {
        "gemini": {
            "parts": [{"functionCall": {"name": "look_up", "args": {"word": "a"}}}]
        },
        "mistral": {
            "text": None,
            "finish_reason": "tool_calls",
            "message": {
                "tool_calls": [
                    {
                        "id": "call-1",
                        "type": "function",
                        "function": {"name": "look_up", "arguments": '{"word": "a"}'},
                    }
                ]
            },
        },
    }
    server.script = lambda attempt, body: Fault(changes=calls[protocol])

    row = ask(model_at(server, tools=[TOOL]))

    call = {"name": "look_up", "arguments": {"word": "a"}}
    assert {"tool_calls": [call]} == row.final_output
    assert "tool_calls" == row.finish_reason
    assert ["generation", "tool_call"] == [step.event for step in row.trace or []]


def test_thoughts_of_mistral_are_kept_apart(mistral: ProviderServer) -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "let me see"}]}
    mistral.script = lambda attempt, body: Fault(
        changes={"text": [thought, {"type": "text", "text": "4"}]}
    )

    row = ask(model_at(mistral))

    assert ("4", "let me see") == (row.final_output, (row.artifacts or {})["reasoning"])


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"logprobs": 2}, "'logprobs' (generation.generator.logprobs,"),
        (
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "f",
                            "description": "d",
                            "parameters": {
                                "type": "object",
                                "properties": {"a": {"type": "integer", "minimum": 3}},
                            },
                        },
                    }
                ]
            },
            "tools[0].function.parameters.properties.a.minimum",
        ),
        ({"reasoning_effort": "highest"}, "any-llm refuses the settings for gemini"),
        ({"tool_choice": "sometimes"}, "any-llm refuses the settings for gemini"),
        ({"extra_body": {"topk": 3}}, "topk: Extra inputs are not permitted"),
    ],
)
def test_settings_that_do_not_arrive_end_the_run_unpaid(
    settings: dict[str, Any], named: str, gemini: GeminiServer
) -> None:
    """Nobody pays for an edit that any-llm leaves out."""
    with pytest.raises(FatalError) as raised:
        questions(model_at(gemini, **settings), 3).run()

    assert named in str(raised.value)
    assert [] == gemini.requests


def test_calls_of_earlier_turns_reach_gemini(gemini: GeminiServer) -> None:
    """A turn of calls alone has a null for its text, which is nothing to send."""
    function = {"name": "look_up", "arguments": '{"word": "a"}'}
    call = {"id": "call-1", "type": "function", "function": function}
    turns = [
        {"role": "user", "content": "What is a?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call-1", "content": "a letter"},
    ]

    assert ask(model_at(gemini, tools=[TOOL]), turns).error is None

    _, called, told = gemini.bodies[0]["contents"]
    assert {"word": "a"} == called["parts"][0]["functionCall"]["args"]
    response = told["parts"][0]["functionResponse"]
    assert ("look_up", {"result": "a letter"}) == (
        response["name"],
        response["response"],
    )


def test_parts_that_do_not_arrive_are_facts_of_the_row(gemini: GeminiServer) -> None:
    """A kind of part that any-llm skips, beside rows that are sent."""
    video = {"type": "video_url", "video_url": {"url": "https://a.example/1.mp4"}}
    question = {"type": "text", "text": "What is it?"}
    generator = model_at(gemini)

    result = questions(
        generator,
        inputs=[
            "2+2",
            [{"role": "user", "content": [question, video]}],
            [{"role": "user", "name": "Ann", "content": "2+2"}],
        ],
    ).run()

    first, second, third = rows(result)
    assert first.error is None
    left = "any-llm leaves it out of what it sends to gemini"
    assert f"messages[0].content[1].type='video_url': {left}" in str(second.error)
    assert f"messages[0].name: {left}" in str(third.error)
    assert 1 == len(gemini.requests)


def test_seed_that_a_provider_has_not_is_not_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The row says so: DeepSeek's part of any-llm leaves it out."""
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-deepseek-1")
    with ProviderServer() as server:
        row = ask(adapters.any("deepseek:chat", base_url=server.url, max_retries=0))

    assert ["seed" in body for body in server.bodies] == [False]
    assert {"seed": "not sent"} == (row.artifacts or {})["sent_as"]


class BedrockServer(ProviderServer):
    """AWS Bedrock's Converse; it answers what was said last with itself."""

    def _good_reply(
        self, path: str, body: dict[str, Any], **changes: Any
    ) -> dict[str, Any]:
        said = body["messages"][-1]["content"][-1]["text"]
        message = {"role": "assistant", "content": [{"text": f"re: {said}"}]}
        return {
            "output": {"message": message},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18},
            "metrics": {"latencyMs": 5},
        }


@pytest.mark.slow
def test_bedrock_is_asked_through_its_own_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a token; what Converse has no field for is refused, but for the seed."""
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "bedrock-key-0123456789")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with BedrockServer() as server:
        url = f"http://127.0.0.1:{server.port}"
        generator = adapters.any(
            "bedrock:us.a.b-v1:0", base_url=url, temperature=0, stop="E"
        )
        row = ask(generator)
        with pytest.raises(FatalError, match="'tool_choice'"):
            ask(replace(generator, tools=[TOOL], tool_choice="none"))
        server.script = lambda attempt, body: Fault(400, body={"message": "too long"})
        with pytest.raises(RowError, match="HTTP 400: too long"):
            ask(generator)

    assert "re: 2+2" == row.final_output
    assert (11, 7, None, None) == tokens_of(row)
    assert ("us.a.b-v1:0", {"seed": "not sent"}) == (
        (row.artifacts or {})["model"],
        (row.artifacts or {})["sent_as"],
    )
    request = server.requests[0]
    assert "/model/us.a.b-v1:0/converse" == request.path
    assert "Bearer bedrock-key-0123456789" == request.headers["authorization"]
    assert {
        "messages": [{"role": "user", "content": [{"text": "2+2"}]}],
        "inferenceConfig": {"temperature": 0, "stopSequences": ["E"]},
    } == request.body


BLOCKED = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {}}
KEY = {
    "message": "API key not valid. Please pass a valid API key.",
    "status": "INVALID_ARGUMENT",
}
#: What may pass, what is a fact of the row, and what ends the run.
GEMINI_FAULTS: dict[str, tuple[Fault, Any]] = {
    "rate": (refused(429), TransientError),
    "broken": (refused(500), TransientError),
    "busy": (refused(503), TransientError),
    "cut": (CUT, TransientError),
    "garbage": (GARBAGE, TransientError),
    "silent": (SILENT, TransientError),
    "empty": (Fault(body={"candidates": []}), TransientError),
    "long": (refused(400, message="the prompt is too long"), RowError),
    "large": (refused(413), RowError),
    "key": (refused(400, **KEY), FatalError),
    "unknown": (refused(401), FatalError),
    "forbidden": (refused(403), FatalError),
    "model": (refused(404, message="models/gemini-9 is not found"), FatalError),
    "blocked": (Fault(body=BLOCKED), "the model refused: Response blocked by Gemini"),
    "unsafe": (Fault(changes={"finish_reason": "SAFETY"}), "the model refused"),
    "thinking": (
        Fault(changes={"finish_reason": "MAX_TOKENS", "parts": []}),
        "raise max_tokens",
    ),
}
MISTRAL_FAULTS: dict[str, tuple[Fault, Any]] = {
    "rate": (Fault(429, body={"message": "slow down"}), TransientError),
    "broken": (Fault(500, body={"message": "broken"}), TransientError),
    "cut": (CUT, TransientError),
    "garbage": (GARBAGE, TransientError),
    "long": (Fault(400, body={"message": "too long"}), RowError),
    "filter": (FILTERED, "the provider's content filter"),
    "unknown": (Fault(401, body={"message": "Unauthorized"}), FatalError),
}


@pytest.mark.parametrize(
    ("protocol", "faults"), [("gemini", GEMINI_FAULTS), ("mistral", MISTRAL_FAULTS)]
)
def test_failures(
    protocol: str, faults: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    server: ProviderServer = request.getfixturevalue(protocol)
    said = asked if protocol == "gemini" else prompt_of
    server.script = lambda attempt, body: faults[said(body)][0]

    found = outcomes(model_at(server, timeout_s=1.0), [(name, {}) for name in faults])

    for outcome, (fault, expected) in zip(found, faults.values(), strict=True):
        if isinstance(expected, str):
            assert expected in str(outcome.error)
            continue
        assert expected is type(outcome), outcome
        if fault.status >= 400:
            assert f"HTTP {fault.status}: " in str(outcome)
            assert outcome.is_free


def test_nobody_there_ends_the_run(free_port: Any) -> None:
    generator = adapters.any(
        "gemini:x", base_url=f"http://127.0.0.1:{free_port()}", max_retries=0
    )
    with pytest.raises(FatalError, match=r"no answer from gemini: .*base_url='http"):
        ask(generator)


@pytest.mark.parametrize(
    "protocol", ["gemini", pytest.param("mistral", marks=pytest.mark.slow)]
)
def test_faults_in_a_third_of_requests_lose_nothing(
    protocol: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    """Every row is completed or recorded as failed, and no good reply is paid twice."""
    server: ProviderServer = request.getfixturevalue(protocol)
    faults = [refused(429), refused(500), CUT, GARBAGE]

    def script(attempt: int, body: dict[str, Any]) -> Fault | None:
        said = asked(body) if protocol == "gemini" else body["messages"][-1]["content"]
        number = int(said.split()[1])
        # Ten prompts in three fail at first, every other of them twice.
        is_hit = number % 10 in (0, 3, 7) and attempt <= 1 + number % 2
        return faults[number % 4] if is_hit else None

    server.script = script
    experiment = questions(model_at(server), 40, store=str(tmp_path / "store"))
    statuses = []
    for _ in range(3):
        result = experiment.run()
        statuses.append(result.status)

    assert [RunStatus.PARTIAL_FAILURE, RunStatus.PARTIAL_FAILURE] == statuses[:2]
    assert RunStatus.COMPLETED == statuses[2]
    assert 40 == sum(request.fault is None for request in server.requests)
    assert [f"re: question {at}" for at in range(40)] == [
        row.final_output for row in rows(result)
    ]


def test_sdk_tries_again(gemini: GeminiServer) -> None:
    """`max_retries` is the SDK's: a row of a run in process passes after one failure."""
    gemini.script = lambda attempt, body: refused(503) if attempt == 1 else None

    assert "re: 2+2" == ask(model_at(gemini, max_retries=1)).final_output
    assert 2 == len(gemini.requests)


def test_client_of_your_own_is_used(gemini: GeminiServer) -> None:
    import any_llm

    client = any_llm.AnyLLM.create(
        "gemini",
        api_key="sk-of-the-client",
        api_base=gemini.url,
        unified_exceptions=True,
    )
    ask(adapters.any("gemini:gemini-2.5-flash", client=client))

    assert ["sk-of-the-client"] == [
        request.headers["x-goog-api-key"] for request in gemini.requests
    ]


def test_plan_and_identity_do_not_import_any_llm() -> None:
    """It takes seconds, which only a run that sends requests is to pay for."""
    program = (
        "import sys\n"
        "from themis_lib import adapters\n"
        "generator = adapters.any('gemini:gemini-2.5-flash', temperature=0)\n"
        "generator.check()\n"
        "print(generator.fingerprint())\n"
        "assert not {'any_llm', 'google.genai', 'openai'} & set(sys.modules)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ},
        check=False,
    )

    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith(
        '{"base_url":null,"extra_body":{},"input_builder":null'
    )


@pytest.mark.parametrize("provider", ["gemini", "mistral", "openai"])
def test_key_of_an_injected_client_is_in_no_error(provider: str) -> None:
    """Each SDK has it in another place."""
    from any_llm import AnyLLM

    key = "sk-of-an-injected-client-1"
    said = {"message": f"bad {key}"}
    kind = GeminiServer if provider == "gemini" else ProviderServer
    with kind(lambda attempt, body: Fault(400, body={"error": said, **said})) as server:
        url = server.url if provider == "openai" else server.url.removesuffix("/v1")
        client = AnyLLM.create(
            provider, api_key=key, api_base=url, unified_exceptions=True
        )

        with pytest.raises(RowError) as error:
            ask(adapters.any(f"{provider}:m", client=client))

    assert "bad" in str(error.value)
    assert key not in str(error.value)


def test_client_of_another_provider_is_refused() -> None:
    """Rows would be kept as the answers of a model that nobody asked."""
    from any_llm import AnyLLM

    client = AnyLLM.create("mistral", api_key="k", unified_exceptions=True)

    with pytest.raises(ComponentError, match="the client asks mistral; write 'mistral"):
        adapters.any("gemini:m", client=client)
