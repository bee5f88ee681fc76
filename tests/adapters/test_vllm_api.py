"""The generator `vllm`: the API of OpenAI, spoken by a server of one's own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.asking import ask, outputs, questions
from tests.support.provider_server import ProviderServer
from themis_lib import ComponentError, PromptSpec
from themis_lib.adapters import vllm
from themis_lib.components.build import component_identity
from themis_lib.core.config import RuntimeConfig


def test_request_is_exact(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chat Completions by default, `max_tokens` by its older name, and guided decoding
    through `extra_body`.
    """
    generator = vllm(
        "qwen",
        base_url=server.url,
        temperature=0,
        max_tokens=5,
        stop="\n",
        logprobs=1,
        extra_body={"structured_outputs": {"choice": ["A", "B"]}},
    )

    result = ask(generator, {"question": "A or B?"}, instructions="Choose.", seed=3)

    expected = {
        "model": "qwen",
        "messages": [
            {"role": "system", "content": "Choose."},
            {"role": "user", "content": '{"question":"A or B?"}'},
        ],
        "temperature": 0,
        "max_tokens": 5,
        "stop": ["\n"],
        "seed": 3,
        "logprobs": True,
        "top_logprobs": 1,
        "structured_outputs": {"choice": ["A", "B"]},
    }
    assert [expected] == server.bodies
    assert 're: {"question":"A or B?"}' == result.final_output


def test_responses_are_spoken_as_well(server: ProviderServer) -> None:
    """`api_mode="responses"` sends the other kind of request."""
    ask(vllm("qwen", base_url=server.url, api_mode="responses"))

    assert [("/v1/responses", {"model": "qwen", "input": "2+2"})] == [
        (request.path, request.body) for request in server.requests
    ]


def test_key_is_taken_where_there_is_one(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No key is needed, and that of OpenAI is never sent to another server;
    `VLLM_API_KEY` is.
    """
    ask(vllm("qwen", base_url=server.url))
    monkeypatch.setenv("VLLM_API_KEY", "key-of-the-server")
    ask(vllm("qwen", base_url=server.url))

    assert ["Bearer none", "Bearer key-of-the-server"] == [
        request.headers["authorization"] for request in server.requests
    ]


def test_nothing_holds_requests_back(server: ProviderServer) -> None:
    """Without a setting of the run every row is in flight at once; a setting of the run
    bounds them.
    """
    # Longer than a busy machine takes to send them all.
    server.delay_s = 1.0

    many = questions(vllm("qwen", base_url=server.url), 61).run()
    assert 60 == server.most_in_flight, "the first goes ahead"
    server.forget()
    server.delay_s = 0.3
    questions(
        vllm("qwen", base_url=server.url), 60, runtime={"max_concurrency": 20}
    ).run()

    assert 20 == server.most_in_flight
    assert [f"re: question {number}" for number in range(61)] == outputs(many)


def test_address_is_taken_from_the_environment(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`VLLM_BASE_URL` says where the server is, and is identity as `base_url` is, which
    goes before it.
    """
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("VLLM_BASE_URL", server.url)
    ask(vllm("qwen"))
    identity = vllm("qwen").settings()["base_url"]
    monkeypatch.setenv("VLLM_BASE_URL", "http://127.0.0.1:9/v1")
    ask(vllm("qwen", base_url=server.url))

    assert 2 == len(server.requests)
    assert (
        server.url
        == identity
        == vllm("qwen", base_url=server.url).settings()["base_url"]
    )


def test_it_is_not_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address is identity, and a model on a server of one's own is not that of
    OpenAI.
    """
    monkeypatch.delenv("VLLM_BASE_URL", raising=False)
    one, other = (
        component_identity("generator", vllm("m", base_url=f"http://{host}/v1"))
        for host in "ab"
    )

    assert one != other
    assert ("vllm", "http://a/v1") == (one["component_id"], one["settings"]["base_url"])
    assert "http://localhost:8000/v1" == vllm("m").settings()["base_url"]


def test_an_address_that_is_none_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one from the environment."""
    monkeypatch.setenv("VLLM_BASE_URL", "http://[oops")
    with pytest.raises(ComponentError, match="base_url: it is no address"):
        vllm("m").check()


def test_schema_is_checked(server: ProviderServer) -> None:
    """A schema is asked for as in OpenAI's API, and what comes back is checked."""
    result = ask(vllm("qwen", base_url=server.url, schema={"type": "integer"}))

    assert {
        "name": "output",
        "schema": {"type": "integer"},
        "strict": True,
    } == server.bodies[0]["response_format"]["json_schema"]
    assert "not the JSON that was asked for" in str(result.error)


def test_prompt_spec_costs_generation_alone(server: ProviderServer) -> None:
    """A new prompt asks anew; a key, a limit or a timeout does not."""
    from themis_lib import InMemoryRunStore

    store = InMemoryRunStore()
    computed = []
    for settings, spec in (
        ({}, PromptSpec()),
        ({}, PromptSpec()),
        ({"max_concurrency": 3, "timeout_s": 9}, PromptSpec()),
        ({"temperature": 0.5}, PromptSpec()),
        ({}, PromptSpec(prefix="p")),
    ):
        generator: Any = vllm("qwen", base_url=server.url, **settings)
        computed.append(
            questions(generator, 3, prompt_spec=spec)
            .run(store)
            .progress["generate"]
            .computed
        )

    assert [3, 0, 0, 3, 3] == computed
    assert 9 == len(server.requests)


@pytest.mark.parametrize(
    ("settings", "runtime", "concurrency"),
    [
        ({}, RuntimeConfig(), 1000),
        ({}, RuntimeConfig(max_concurrency=20), 20),
        ({"max_concurrency": 3}, RuntimeConfig(max_concurrency=20), 3),
    ],
    ids=["default", "run", "setting"],
)
def test_concurrency_is_bounded_where_somebody_wrote_a_number(
    settings: dict[str, Any], runtime: RuntimeConfig, concurrency: int
) -> None:
    """The run's default is meant for a provider that charges."""
    assert concurrency == vllm("m", **settings).with_runtime(runtime).max_concurrency


def test_own_server_has_no_list_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget counts only what is priced."""
    monkeypatch.delenv("VLLM_BASE_URL", raising=False)

    assert not vllm("m").at_list_price
