"""The generator `openai` as a component: its settings, its identity and its copies."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.answer_models import Answer, EvenAnswer
from tests.support.asking import ask, context, questions
from tests.support.names import without_addresses
from tests.support.prompts import turns
from tests.support.provider_server import Fault, ProviderServer
from themis_lib import Case, ComponentError, ConfigError, PromptSpec
from themis_lib.adapters import openai
from themis_lib.components.build import build, component_identity
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.prompts import render_prompt
from themis_lib.errors import RowError, TransientError

CHAT: dict[str, Any] = {"api_mode": "chat_completions"}
TOOL = {"type": "function", "function": {"name": "add"}}


def shout(case: Case, ctx: GenerateContext) -> str:
    return render_prompt(ctx.prompt_spec, str(case.input).upper())


def tell(case: Case, ctx: GenerateContext) -> list[dict[str, Any]]:
    return [{"role": "user", "content": f"{case.input} about {case.metadata['topic']}"}]


def identity(**settings: Any) -> dict[str, Any]:
    return component_identity(
        "generator", openai(**{"model": "gpt", "api_key": "sk-test-1", **settings})
    )


def replying(reply: Any, **more: Any) -> Any:
    """An injected client of Chat Completions that answers every request with `reply`."""
    completions = SimpleNamespace(create=lambda **request: reply)
    return SimpleNamespace(chat=SimpleNamespace(completions=completions), **more)


def test_conversation_that_a_row_cannot_hold_is_not_sent(
    server: ProviderServer,
) -> None:
    """The row has an error before anything is sent for it."""
    with pytest.raises(RowError, match="turn"):
        ask(
            openai("gpt", base_url=server.url),
            [{"role": "user", "content": "2+2", "name": 3}],
        )

    assert [] == server.requests


@pytest.mark.parametrize("api_mode", ["responses", "chat_completions"])
def test_instructions_are_sent_once(api_mode: Any, server: ProviderServer) -> None:
    """They come from the setting, the prompt spec, or both with the same text."""
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


@pytest.mark.parametrize(
    "builder", [shout, "tests.adapters.test_openai_api:shout"], ids=["function", "name"]
)
def test_input_builder_makes_the_text(builder: Any, server: ProviderServer) -> None:
    """It is given as a function or by name; instructions are still sent."""
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


def test_code_of_the_input_builder_is_identity() -> None:
    """A function and its name are the same builder; another function is another."""
    named = identity(input_builder="tests.adapters.test_openai_api:shout")

    assert identity(input_builder=shout) == named
    assert identity(input_builder=tell) != named
    assert identity() != named


@pytest.mark.parametrize(
    ("text", "output", "error"),
    [
        ('{"number": 4, "unit": null}', {"number": 4, "unit": None}, None),
        (
            '{"number": 3}',
            '{"number": 3}',
            "the output is not the JSON that was asked for: 1 validation error for "
            "EvenAnswer number Value error, not even",
        ),
        (
            "four",
            "four",
            "the output is not the JSON that was asked for: Expecting value: line 1 "
            "column 1 (char 0)",
        ),
        (
            '<think>2 + 2?</think>{"number": 4, "unit": null}',
            {"number": 4, "unit": None},
            None,
        ),
        ('<think>{"number": 4', '<think>{"number": 4', "the model was still thinking"),
    ],
    ids=["fits", "misfit", "no JSON", "behind a thought", "a thought alone"],
)
def test_structured_output_is_checked_and_parsed(
    text: str, output: Any, error: str | None, server: ProviderServer
) -> None:
    """The output is the JSON value; what does not fit is an error beside the text."""
    server.script = lambda attempt, body: Fault(changes={"text": text})

    result = ask(openai("gpt", base_url=server.url, schema=EvenAnswer))

    assert output == result.final_output
    assert (error or "None") in str(result.error)


def test_schema_can_be_put_on(server: ProviderServer) -> None:
    """`with_schema` returns what the setting `schema` gives, or refuses as it does."""
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
        (
            {"input_builder": "tests.adapters.test_openai_api:shuot"},
            "did you mean 'shout'",
        ),
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
    """A setting that cannot be used is one error that names it without a credential."""
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
    """The error says which variable to set; another server may need no key."""
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)

    with pytest.raises(ComponentError, match="OPENAI_API_KEY"):
        openai("gpt").check()
    openai("gpt", base_url="http://localhost:1/v1").check()


def test_references_in_what_is_sent_are_secret(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The provider receives the value of a `${NAME}`; identity and row never do."""
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


def test_answer_of_an_injected_client_is_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A credential that is sent is masked; a key that is a word stays."""
    monkeypatch.setenv("MY_PAT", "told-51c7-e90d")
    message = {"content": "ollama told-51c7-e90d"}
    generator = openai(
        "m",
        client=replying({"choices": [{"message": message}]}, api_key="ollama"),
        extra_body={"api_key": "${MY_PAT}"},
        **CHAT,
    )

    assert "ollama ***" == ask(generator).final_output


def test_extra_body_cannot_pass_the_settings() -> None:
    """One answer is read of each request, and one limit bounds it."""
    with pytest.raises(ComponentError, match=r"extra_body\.n:"):
        openai("m", extra_body={"n": 8})
    with pytest.raises(ComponentError, match="give one of them"):
        openai("m", max_tokens=8, extra_body={"max_completion_tokens": 8})


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


@pytest.mark.parametrize("message", [{"content": 3}, {"content": "4", "tool_calls": 3}])
def test_reply_that_cannot_be_read_is_transient(message: dict[str, Any]) -> None:
    """A proxy may have written it, and another try may succeed."""
    client = replying({"choices": [{"message": message}]})

    with pytest.raises(
        TransientError, match=r"^the provider's reply cannot be read: TypeError: "
    ):
        ask(openai("gpt", client=client, **CHAT))


def test_run_sets_concurrency_and_timeout_where_the_settings_do_not() -> None:
    """A setting of the generator has precedence over that of the run."""
    runtime = RuntimeConfig(max_concurrency=5, timeout_s=9.0)

    plain = openai("gpt").with_runtime(runtime)
    own = openai("gpt", max_concurrency=2, timeout_s=3).with_runtime(runtime)

    assert (5, 9.0) == (plain.max_concurrency, plain.timeout_s)
    assert (2, 3) == (own.max_concurrency, own.timeout_s)


def test_more_rows_are_in_flight_than_requests() -> None:
    """A slot never waits for a row to start."""
    assert 8 * 5 == openai("gpt", max_concurrency=5).calls_at_once
    assert 8 * RuntimeConfig().max_concurrency == openai("gpt").calls_at_once


def test_list_prices_apply_to_openai_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another server, or a client of the user's, has prices of its own."""
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    assert openai("gpt").at_list_price
    assert not openai("gpt", base_url="http://localhost:1/v1").at_list_price
    assert not openai("gpt", client=object()).at_list_price


def test_tokens_of_a_request_are_bounded_by_its_bytes() -> None:
    """No token is shorter than a byte; the answer is bounded by `max_tokens` alone."""
    case = Case(case_id="case", input="größe" * 100)

    plain = openai("gpt").most_tokens(case, context())
    bounded = openai("gpt", max_tokens=9, tools=[TOOL]).most_tokens(case, context())

    assert plain.input_tokens is not None
    assert bounded.input_tokens is not None
    assert 700 < plain.input_tokens < 800
    assert plain.input_tokens + len(str(TOOL)) - 20 < bounded.input_tokens
    assert (0, 9) == (plain.output_tokens, bounded.output_tokens)


def test_client_of_a_file_is_refused() -> None:
    """A file can only write a text or a number where a client is needed."""
    with pytest.raises(ComponentError, match=r"^client: give a client object"):
        openai("gpt", client="openai.AsyncOpenAI")


def test_check_asks_nothing_of_an_injected_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has brought its key and its SDK."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    openai("gpt", client=object()).check()
