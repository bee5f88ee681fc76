"""A provider's address and credentials, and which parts of them may be kept or shown."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from themis_lib.adapters.endpoint import (
    OPENAI_URL,
    Address,
    Endpoint,
    public_url,
    refuse_literals,
)
from themis_lib.errors import ComponentError, ConfigError

KEY = "sk-of-the-environment-1"


def endpoint(**settings: Any) -> Endpoint:
    """Return an endpoint with the defaults of `openai`."""
    defaults = {
        "base_url": None,
        "api_key": None,
        "headers": {},
        "client": None,
        "sent": (),
        "timeout_s": None,
        "max_retries": 3,
        "key_variable": "OPENAI_API_KEY",
        "url_variable": "OPENAI_BASE_URL",
        "default_url": OPENAI_URL,
        "key_is_needed": True,
    }
    return Endpoint(**{**defaults, **settings})


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key in the environment, and no address."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def test_address_is_the_setting_else_the_variable_else_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An empty variable is like one that is not set."""
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    assert OPENAI_URL == endpoint().given_url

    monkeypatch.setenv("OPENAI_BASE_URL", "http://variable/v1")
    assert "http://variable/v1" == endpoint().given_url
    assert "http://setting/v1" == endpoint(base_url="http://setting/v1").given_url


@pytest.mark.parametrize(
    ("variables", "settings", "expected"),
    [
        ({"T": "t-env"}, {}, ("", "t-env")),
        ({"T": "t-env", "K": "k-env"}, {}, ("k-env", "")),
        ({"K": "k-env"}, {"auth_token": "t-set"}, ("", "t-set")),
        ({"T": "t-env"}, {"api_key": "k-set"}, ("k-set", "")),
    ],
)
def test_token_is_in_place_of_a_key(
    variables: dict[str, str],
    settings: dict[str, str],
    expected: tuple[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A setting of either wins over the variables of both, and a key over a token."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    address = endpoint(key_variable="K", token_variable="T", **settings).address

    assert expected == (address.api_key, address.auth_token)


def test_key_is_the_setting_else_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was read from a file ends in a line break, which is dropped."""
    monkeypatch.setenv("MY_KEY", "sk-mine-1\n")

    assert KEY == endpoint().address.api_key
    assert "sk-mine-1" == endpoint(api_key="${MY_KEY}").address.api_key


def test_address_has_what_a_client_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every reference is resolved; headers are sorted, so that equal ones are equal."""
    monkeypatch.setenv("MY_HOST", "host")
    monkeypatch.setenv("MY_TEAM", "blue")

    address = endpoint(
        base_url="http://${MY_HOST}/v1",
        headers={"X-Team": "${MY_TEAM}", "X-App": "a"},
        timeout_s=3.0,
        max_retries=1,
    ).address

    assert (
        Address(
            base_url="http://host/v1",
            api_key=KEY,
            headers=(("X-App", "a"), ("X-Team", "blue")),
            timeout_s=3.0,
            max_retries=1,
        )
        == address
    )


def test_missing_key_is_named_where_one_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenAI needs one; a server of one's own may not."""
    monkeypatch.delenv("OPENAI_API_KEY")

    with pytest.raises(ComponentError, match="set the environment variable OPENAI_API"):
        _ = endpoint().address
    assert "" == endpoint(base_url="http://localhost:1/v1").address.api_key
    assert "" == endpoint(key_is_needed=False).address.api_key


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"api_key": "${TWO_LINES}"}, "^api_key: .*is there a line break in it"),
        ({"headers": {"X-A": "${TWO_LINES}"}}, "^X-A: an HTTP header cannot hold"),
        ({"headers": {"X-A": "größe"}}, "^X-A: an HTTP header cannot hold its value"),
        ({"headers": {"X A": "a"}}, "^headers: 'X A' is no name of a header$"),
        ({"headers": {"": "a"}}, "^headers: '' is no name of a header$"),
        ({"base_url": "localhost:8000/v1"}, "write an address such as 'http://local"),
        ({"base_url": "ftp://host/v1"}, "^base_url='ftp://host/v1': write an address"),
        ({"base_url": "http:///v1"}, "write an address such as"),
        ({"base_url": "http://me:hunter2@host:99999/v1"}, "^base_url='http://host:99"),
        ({"base_url": "http://[oops"}, "^base_url: it is no address: "),
    ],
)
def test_address_that_no_request_can_go_to_is_refused(
    settings: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the setting and shows no credential."""
    monkeypatch.setenv("TWO_LINES", "sk-one\nsk-two")

    with pytest.raises(ComponentError, match=said) as raised:
        _ = endpoint(**settings).address

    assert not any(secret in str(raised.value) for secret in ("hunter2", "sk-one"))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host/v1", "http://host/v1"),
        ("http://host:8000/v1/", "http://host:8000/v1"),
        ("https://me:secret@host/v1?key=1#part", "https://host/v1"),
        ("http://key@host", "http://host"),
        ("http://a@b@host/v1", "http://host/v1"),
        ("http://[::1]:80/v1", "http://[::1]:80/v1"),
    ],
)
def test_public_url_has_neither_user_nor_query(url: str, expected: str) -> None:
    """These may hold credentials; host, port and path do not."""
    assert expected == public_url(url)


def test_public_url_of_an_address_is_that_of_no_address() -> None:
    """Brackets without an IPv6 address in them are no host."""
    with pytest.raises(ComponentError, match=r"^base_url: it is no address: "):
        public_url("http://[oops")


def test_public_address_shows_no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference to a plain variable is resolved, one to a credential stays."""
    monkeypatch.setenv("MY_HOST", "host")
    monkeypatch.setenv("PATH_KEY", "secret")

    given = endpoint(base_url="http://${MY_HOST}/${PATH_KEY}/v1/")

    assert "http://host/${PATH_KEY}/v1" == given.public_url


def test_address_of_an_injected_client_is_read_from_it() -> None:
    """A setting still has precedence; a client without an address has the default."""
    client = SimpleNamespace(base_url="http://me:secret@client/v1/")

    assert "http://client/v1" == endpoint(client=client).public_url
    assert "http://a/v1" == endpoint(client=client, base_url="http://a/v1").public_url
    assert OPENAI_URL == endpoint(client=object()).public_url


@pytest.mark.parametrize(
    ("query", "identity"),
    [
        ("", ""),
        ("?api-version=2024-01-01-preview", "?api-version=2024-01-01-preview"),
        ("?b=2&a=1", "?a=1&b=2"),
        ("?api_key=${MY_KEY}&a=1", "?a=1"),
        ("?a=${MY_PAGE}", ""),
        ("?id=0123456789abcdef", ""),
    ],
)
def test_plain_parts_of_the_query_are_identity(
    query: str, identity: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version of an API changes answers; what may be a credential is left out."""
    monkeypatch.setenv("MY_PAGE", "2")
    monkeypatch.setenv("MY_KEY", "secret")

    given = endpoint(base_url=f"http://host/v1{query}")

    assert f"http://host/v1{identity}" == given.identity_url


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": "${MY_SECRET}"},
        {"headers": {"Authorization": "Bearer ${MY_SECRET}"}},
        {"base_url": "http://me:${MY_SECRET}@host/v1"},
        {"base_url": "http://host/v1?key=${MY_SECRET}"},
        {"sent": ([{"headers": {"Authorization": "${MY_SECRET}"}}], None, {})},
        {"sent": ([], None, {"token": "${MY_VALUE}"})},
        {"client": SimpleNamespace(api_key="told-51c7-e90d-2b44")},
        {"client": object(), "sent": ([], None, {"key": "${MY_SECRET}"})},
    ],
    ids=["key", "header", "password", "query", "tool", "body", "client", "client body"],
)
def test_secret_of_every_setting_is_masked(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In errors, log lines and answers alike; neither does the endpoint show it."""
    for variable in ("MY_SECRET", "MY_VALUE"):
        monkeypatch.setenv(variable, "told-51c7-e90d-2b44")

    given = endpoint(**settings)

    assert "it is ***" == given.mask("it is told-51c7-e90d-2b44")
    assert "it is ***" == given.output_mask("it is told-51c7-e90d-2b44")
    assert "told" not in repr(given)


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": "${MY_WORD}"},
        {"client": SimpleNamespace(api_key="ollama")},
        {"sent": ([], None, {"api_key": "${MY_WORD}"})},
    ],
    ids=["key", "client", "body"],
)
def test_key_that_is_a_word_stays_in_answers(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers that check no key are given words, which a model may write by itself."""
    monkeypatch.setenv("MY_WORD", "ollama")

    given = endpoint(**settings)

    assert "hello ***" == given.mask("hello ollama")
    assert "hello ollama" == given.output_mask("hello ollama")


def test_key_of_the_environment_is_no_secret_of_an_injected_client() -> None:
    """Such a client brings its key; one that is no text is no key."""
    assert f"it is {KEY}" == endpoint(client=object()).mask(f"it is {KEY}")
    assert "it" == endpoint(client=SimpleNamespace(api_key=print)).mask("it")


def test_resolved_address_shows_no_credential() -> None:
    """It is resolved, and so it must not be printed."""
    address = Address("http://key@host/v1", api_key="key", headers=(("A", "key"),))

    assert "key" not in repr(address)


@pytest.mark.parametrize(
    ("base_url", "variable"),
    [
        ("http://me:hunter2@host/v1", "PASSWORD"),
        ("http://hunter2@host/v1", "USER_KEY"),
        ("http://host/v1?api-key=hunter2", "API_KEY"),
        ("http://host/v1?a=1&secret=hunter2", "SECRET"),
    ],
)
def test_literal_credential_in_an_address_is_refused(
    base_url: str, variable: str
) -> None:
    """The message says which variable to write, and not the credential."""
    with pytest.raises(ConfigError, match=rf"write '\$\{{{variable}\}}'") as raised:
        refuse_literals(base_url)

    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "http://host/v1?api-version=1",
        "http://me:${PASSWORD}@host/v1",
        "http://${USER_KEY}@host/v1?api-key=${KEY}",
        "http://host/v1?api_key=",
    ],
)
def test_address_without_literal_credentials_is_accepted(base_url: str) -> None:
    """References, plain parts, and the public user name beside a password."""
    refuse_literals(base_url)
