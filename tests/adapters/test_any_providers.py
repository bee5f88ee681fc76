"""What is known of any-llm's providers without importing it is what any-llm says."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import adapters
from themis_lib.adapters.any_calls import converted
from themis_lib.adapters.any_providers import Provider, provider_names
from themis_lib.components.records import generator_record
from themis_lib.components.registry import PROVIDERS
from themis_lib.core.list_prices import list_price
from themis_lib.core.prices import Price
from themis_lib.errors import ComponentError

#: Names of variables in any-llm that are none.
_NONE = {"", "None"}


def classes() -> dict[str, Any]:
    """The class of each provider whose packages are installed."""
    from any_llm import AnyLLM

    found = {}
    for name in AnyLLM.get_supported_providers():
        try:
            found[name] = AnyLLM.get_provider_class(name)
        except ImportError:
            continue
    return found


@pytest.mark.slow
def test_names_and_variables_are_those_of_any_llm() -> None:
    """Every provider that answers conversations, with its key and its address."""
    from any_llm import AnyLLM

    chatting = set(AnyLLM.get_supported_providers()) - {"typesafe", "voyage"}
    assert chatting == PROVIDERS
    assert chatting == set(provider_names())
    for name, found in classes().items():
        variables = found.ENV_API_KEY_NAME.split("/")
        if " and " not in found.ENV_API_KEY_NAME and name in PROVIDERS:
            expected = [each for each in variables if each not in _NONE]
            assert expected == [*Provider(name).key_variables], name
        assert found.ENV_API_BASE_NAME == Provider(name).url_variable or name in (
            "typesafe",
            "voyage",
        )


@pytest.mark.slow
def test_requests_to_each_provider_can_be_looked_at() -> None:
    """any-llm makes a request for every installed provider, and sends none."""
    request = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    for name, found in classes().items():
        if name in PROVIDERS and found.MISSING_PACKAGES_ERROR is None:
            made = converted(found.__new__(found), request)
            hotter = converted(found.__new__(found), {**request, "temperature": 1.5})
            assert (made != hotter) == (name != "liner"), name


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("gemini-2.5-flash", "write PROVIDER:NAME, such as"),
        ("gemini:", "write PROVIDER:NAME, such as"),
        (
            "gemni:x",
            "no provider 'gemni'; did you mean 'gemini'?; installed: anthropic,",
        ),
        ("voyage:x", "any-llm knows no provider 'voyage'"),
    ],
)
def test_model_of_no_provider_is_refused(model: str, said: str) -> None:
    with pytest.raises(ComponentError) as raised:
        adapters.any(model)
    assert said in str(raised.value)


def test_missing_package_is_told_with_its_extra() -> None:
    """Before anything is imported."""
    with pytest.raises(ComponentError) as raised:
        adapters.any("groq:x", api_key="sk-1").check()
    assert "groq needs groq: pip install 'any-llm-sdk[groq]'" == str(raised.value)


def test_missing_key_is_told_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ComponentError, match="GEMINI_API_KEY"):
        adapters.any("gemini:x").check()

    monkeypatch.setenv("GOOGLE_API_KEY", "sk-google-1")
    adapters.any("gemini:x").check()


def test_provider_without_a_key_needs_none() -> None:
    """Bedrock may have the credentials of a role."""
    adapters.any("bedrock:x").check()


def test_address_of_the_environment_is_identity(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of any generator: another address is another model."""
    monkeypatch.setenv("GEMINI_API_KEY", "sk-1")
    alone = adapters.any("gemini:x").settings()
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    elsewhere = adapters.any("gemini:x").settings()

    assert (None, "http://127.0.0.1:9") == (alone["base_url"], elsewhere["base_url"])


def test_list_prices_are_those_of_the_provider_itself() -> None:
    """By the name that it has in genai-prices; another server has none."""
    native = adapters.any("gemini:x", api_key="sk-1")
    elsewhere = adapters.any("gemini:x", base_url="http://127.0.0.1:9")

    assert (True, "google") == (native.at_list_price, native.provider)
    assert (False, None) == (elsewhere.at_list_price, elsewhere.provider)


@pytest.mark.parametrize(
    ("model", "listed", "provider"),
    [
        ("gemini:gemini-2.5-flash", "gemini-2.5-flash", "google"),
        ("mistral:mistral-small-latest", "mistral-small-latest", "mistral"),
        ("xai:grok-4", "grok-4", "x-ai"),
        (
            "bedrock:anthropic.claude-haiku-4-5-20251001-v1:0",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
            "aws",
        ),
    ],
)
def test_list_price_is_that_of_the_model_without_its_provider(
    model: str, listed: str, provider: str
) -> None:
    """Names in price lists have no provider before them; an own price still wins."""
    generator = generator_record(adapters.any(model), "any")

    found = generator.price_of({}).price

    assert found is not None
    assert list_price(listed, provider, generator.price_of({}).day).price == found
    own = Price(input=1, output=1)
    assert own == generator.price_of({model: own}).price
