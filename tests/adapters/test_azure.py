"""`openai` on Azure: addresses, keys, identity, and what its content filter does."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.asking import ask, questions, rows
from tests.support.provider_server import Fault, ProviderServer
from themis_lib.adapters import openai
from themis_lib.errors import ComponentError, ConfigError, RowError

KEY = "sk-azure-of-the-environment-1"
FILTERED = {
    "hate": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": True, "severity": "high"},
}


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_API_VERSION", raising=False)


@pytest.mark.parametrize(
    ("settings", "path", "query"),
    [
        ({}, "/openai/v1/responses", ""),
        ({"api_mode": "chat_completions"}, "/openai/v1/chat/completions", ""),
        (
            {"api_version": "preview"},
            "/openai/v1/responses",
            "api-version=preview",
        ),
        (
            {"api_mode": "chat_completions", "api_version": "2024-10-21"},
            "/openai/deployments/my-model/chat/completions",
            "api-version=2024-10-21",
        ),
        (
            {"api_version": "2025-03-01-preview"},
            "/openai/responses",
            "api-version=2025-03-01-preview",
        ),
    ],
)
def test_both_apis_are_asked(
    settings: dict[str, Any], path: str, query: str, server: ProviderServer
) -> None:
    """The v1 API by default, that of deployments with a dated version."""
    endpoint = server.url.removesuffix("/v1")
    generator = openai("my-model", azure_endpoint=endpoint, **settings)

    assert "re: 2+2" == ask(generator).final_output

    (request,) = server.requests
    assert (path, query) == (request.path, request.query)
    assert KEY == request.headers["api-key"]
    assert "my-model" == request.body["model"]
    url = (
        f"{endpoint}{path.removesuffix('/responses').removesuffix('/chat/completions')}"
    )
    assert f"{url}?{query}".rstrip("?") == generator.settings()["base_url"]
    assert KEY not in generator.fingerprint()


def test_version_of_the_environment_is_identity(
    server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_VERSION", "2024-10-21")
    monkeypatch.setenv("AZURE_ENDPOINT", server.url.removesuffix("/v1"))
    generator = openai(
        "d", azure_endpoint="${AZURE_ENDPOINT}", api_mode="chat_completions"
    )
    ask(generator)

    assert "/openai/deployments/d/chat/completions" == server.requests[0].path
    assert str(generator.settings()["base_url"]).endswith(
        "/openai/deployments/d?api-version=2024-10-21"
    )


def test_address_of_azure_is_known_by_its_host() -> None:
    """`base_url` alone is enough; one with a path is taken as it is."""
    name = "https://team.openai.azure.com"
    whole = f"{name}/openai/deployments/d?api-version=2024-10-21"

    assert f"{name}/openai/v1" == openai("d", base_url=name).settings()["base_url"]
    assert whole == openai("d", base_url=whole).settings()["base_url"]
    assert "api_version" not in openai("d", base_url=name).settings()


def test_missing_key_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(
        ComponentError, match=r"no API key; set .* AZURE_OPENAI_API_KEY"
    ):
        openai("d", azure_endpoint="https://team.openai.azure.com").check()


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        (
            {"azure_endpoint": "https://a.example", "base_url": "https://b.example"},
            ComponentError,
            "azure_endpoint and base_url both say where the model is",
        ),
        ({"api_version": "2024-10-21"}, ComponentError, "give its azure_endpoint"),
        (
            {"azure_endpoint": "https://me:secret1@a.example"},
            ConfigError,
            "holds a credential as it is",
        ),
    ],
)
def test_settings_that_cannot_be_used(
    settings: dict[str, str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        openai("d", **settings)


def test_content_filter_is_a_fact_of_the_row(server: ProviderServer) -> None:
    """A prompt that is refused (400), and an answer that is cut off."""
    refused = Fault(
        400,
        body={
            "error": {
                "message": "The response was filtered",
                "code": "content_filter",
                "innererror": {"content_filter_result": FILTERED},
            }
        },
    )
    cut = Fault(changes={"finish_reason": "content_filter", "text": ""})
    replies = {"question 0": refused, "question 1": cut}
    server.script = lambda attempt, body: replies.get(body["messages"][-1]["content"])
    generator = openai(
        "d",
        azure_endpoint=server.url.removesuffix("/v1"),
        api_version="2024-10-21",
        api_mode="chat_completions",
    )

    first, second, third = rows(questions(generator, 3).run())

    assert "HTTP 400: The response was filtered" in str(first.error)
    assert "content filter" in str(second.error)
    assert "re: question 2" == third.final_output
    server.script = lambda attempt, body: refused
    with pytest.raises(RowError):
        ask(generator)


def test_client_with_entra_tokens_is_used(server: ProviderServer) -> None:
    """Tokens are the injected client's; the version is a setting of the identity."""
    import openai as sdk

    async def token() -> str:
        return "a-token-of-entra"

    client = sdk.AsyncAzureOpenAI(
        azure_endpoint=server.url.removesuffix("/v1"),
        api_version="2024-10-21",
        azure_ad_token_provider=token,
    )
    generator = openai(
        "d", client=client, api_mode="chat_completions", api_version="2024-10-21"
    )
    ask(generator)

    (request,) = server.requests
    assert "Bearer a-token-of-entra" == request.headers["authorization"]
    assert "/openai/deployments/d/chat/completions" == request.path
    assert "2024-10-21" == generator.settings()["api_version"]
