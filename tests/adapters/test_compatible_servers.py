"""`openrouter`, `ollama`, `lmstudio` and `sglang`: `openai` at the right address."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.asking import ask
from tests.support.provider_server import Fault, ProviderServer
from themis_lib.adapters import lmstudio, ollama, openai, openrouter, sglang
from themis_lib.adapters.compatible_servers import ollama_url
from themis_lib.core.config import RuntimeConfig
from themis_lib.errors import ComponentError, FatalError

VARIABLES = {
    openrouter: "OPENROUTER_BASE_URL",
    ollama: "OLLAMA_HOST",
    lmstudio: "LMSTUDIO_BASE_URL",
    sglang: "SGLANG_BASE_URL",
}


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-openrouter-1")


@pytest.mark.parametrize("adapter", VARIABLES)
def test_address_comes_from_the_environment(
    adapter: Any, server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One chat completion with the seed and the limit that such servers take."""
    monkeypatch.setenv(VARIABLES[adapter], server.url)
    generator = adapter("m", max_tokens=9)
    generator.check()

    assert "re: 2+2" == ask(generator, seed=7).final_output

    (request,) = server.requests
    assert "/v1/chat/completions" == request.path
    assert {
        "model": "m",
        "messages": [{"role": "user", "content": "2+2"}],
        "max_tokens": 9,
        "seed": 7,
    } == request.body


@pytest.mark.parametrize(
    ("adapter", "url"),
    [
        (openrouter, "https://openrouter.ai/api/v1"),
        (ollama, "http://localhost:11434/v1"),
        (lmstudio, "http://localhost:1234/v1"),
        (sglang, "http://localhost:30000/v1"),
    ],
)
def test_address_is_known(adapter: Any, url: str) -> None:
    """Its rows are not those of `openai` at the same address."""
    generator = adapter("m")

    assert url == generator.settings()["base_url"]
    assert generator.at_list_price == (adapter is openrouter)
    assert not adapter("m", base_url="http://127.0.0.1:9/v1").at_list_price
    assert openai("m", base_url=url).component_id != generator.component_id


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("gpu.example", "http://gpu.example:11434/v1"),
        ("0.0.0.0:8000", "http://127.0.0.1:8000/v1"),
        (":8000", "http://127.0.0.1:8000/v1"),
        ("http://gpu.example/", "http://gpu.example:80/v1"),
        ("https://gpu.example/ollama", "https://gpu.example:443/ollama/v1"),
        ("http://[::]:11434", "http://[::1]:11434/v1"),
        ("http://localhost:11434/v1", "http://localhost:11434/v1"),
    ],
)
def test_host_of_ollama_is_an_address(host: str, url: str) -> None:
    """`OLLAMA_HOST` is what the server listens at, in any of the forms it takes."""
    assert url == ollama_url(host)


@pytest.mark.parametrize("host", ["localhost:abc", "[::1", "http://gpu:99999"])
def test_host_of_ollama_that_is_no_address_is_named(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan reads it, before anything is sent."""
    monkeypatch.setenv("OLLAMA_HOST", host)

    with pytest.raises(ComponentError, match="environment variable OLLAMA_HOST: "):
        ollama("m").settings()


@pytest.mark.parametrize(
    ("adapter", "command"), [(ollama, "ollama serve"), (lmstudio, "lms server start")]
)
def test_server_that_is_down_is_to_be_started(
    adapter: Any, command: str, free_port: Any
) -> None:
    with pytest.raises(FatalError, match=f"`{command}` starts one"):
        ask(adapter("m", base_url=f"http://127.0.0.1:{free_port()}/v1"))


def test_key_of_openrouter_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENROUTER_API_KEY")
    with pytest.raises(ComponentError, match="OPENROUTER_API_KEY"):
        openrouter("m").check()


def test_only_sglang_is_asked_without_a_throttle() -> None:
    """The others queue a few requests, and refuse more."""
    runtime = RuntimeConfig()

    assert 1000 == sglang("m").with_runtime(runtime).max_concurrency
    assert 32 == ollama("m").with_runtime(runtime).max_concurrency


def test_cost_and_thoughts_of_openrouter_are_kept(server: ProviderServer) -> None:
    """Its routing is sent as it is written."""
    routing = {"order": ["deepinfra"], "allow_fallbacks": False}
    server.script = lambda attempt, body: Fault(
        changes={"message": {"reasoning": "let me see"}, "usage": {"cost": 0.00014}}
    )
    generator = openrouter("a/b", base_url=server.url, extra_body={"provider": routing})

    row = ask(generator)

    assert routing == server.bodies[0]["provider"]
    assert "let me see" == (row.artifacts or {})["reasoning"]
    assert 0.00014 == (row.artifacts or {})["cost_usd"]
