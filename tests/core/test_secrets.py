"""Credentials are references until they are needed, and never part of a message."""

from __future__ import annotations

import pytest

from themis_lib.core.secrets import (
    hide_values,
    may_be_credential,
    public_url,
    referenced_values,
    refuse_literal_secrets,
    resolve_public,
    resolve_references,
)
from themis_lib.errors import ConfigError


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    monkeypatch.setenv("THEMIS_TEST_KEY", "s3cr3t")
    monkeypatch.setenv("THEMIS_TEST_BUCKET", "data")
    monkeypatch.setenv("THEMIS_TEST_EMPTY", "")
    monkeypatch.delenv("THEMIS_TEST_MISSING", raising=False)


def test_references_are_resolved_through_lists_and_mappings():
    """A reference is replaced wherever it stands in a text, and nothing else is
    touched.
    """
    spec = {
        "key": "${THEMIS_TEST_KEY}",
        "paths": [
            "s3://${THEMIS_TEST_BUCKET}/a",
            ("${THEMIS_TEST_BUCKET}/${THEMIS_TEST_KEY}",),
        ],
        "nested": {"empty": "${THEMIS_TEST_EMPTY}", "${THEMIS_TEST_KEY}": None},
        "plain": [1, 0.5, True, "$HOME ${not a name} ${} $${"],
    }

    resolved = resolve_references(spec, where="storage")

    expected = {
        "key": "s3cr3t",
        "paths": ["s3://data/a", ["data/s3cr3t"]],
        "nested": {"empty": "", "${THEMIS_TEST_KEY}": None},
        "plain": [1, 0.5, True, "$HOME ${not a name} ${} $${"],
    }
    assert expected == resolved
    assert spec["key"] == "${THEMIS_TEST_KEY}", "the spec itself must stay as it was"


def test_component_inside_a_spec_keeps_its_references():
    """They are resolved when it is built, so that a resolved value is never taken for a
    literal secret.
    """
    spec = {
        "judge": [{"use": "llama", "key": "${THEMIS_TEST_KEY}"}],
        "other": "${THEMIS_TEST_KEY}",
    }

    assert {**spec, "other": "s3cr3t"} == resolve_references(spec, where="metric")


def test_value_of_a_variable_is_not_resolved_again(monkeypatch):
    """What a variable holds is taken as it is, even if it looks like a reference."""
    monkeypatch.setenv("THEMIS_TEST_BUCKET", "${THEMIS_TEST_KEY}")

    resolved = resolve_references("${THEMIS_TEST_BUCKET}", where="path")

    assert resolved == "${THEMIS_TEST_KEY}"


def test_missing_variable_is_named_with_its_place():
    """The error of a variable that is not set names it and where it stands."""
    with pytest.raises(ConfigError) as raised:
        resolve_references(
            {"options": [{"key": "${THEMIS_TEST_MISSING}"}]}, where="storage"
        )

    expected = (
        "storage.options[0].key: the environment variable 'THEMIS_TEST_MISSING' is not "
        "set"
    )
    assert expected == str(raised.value)


@pytest.mark.parametrize(
    "key",
    [
        "api_key",
        "apikey",
        "apiKey",
        "API-KEY",
        "OPENAI_API_KEY",
        "x-api-key",
        "api_keys",
        "token",
        "hf_token",
        "accessToken",
        "authtoken",
        "session_token",
        "aws_session_token",
        "password",
        "db_password",
        "PASSWORD",
        "passwd",
        "passphrase",
        "secret",
        "clientSecret",
        "secret_key",
        "aws_secret_access_key",
        "access_key",
        "private_key",
        "account_key",
        "authorization",
        "Proxy-Authorization",
        "Cookie",
        "credentials",
        "connection_string",
    ],
)
def test_literal_credential_is_refused_without_showing_it(key):
    """A text under a key that names a credential is refused; the message holds the
    place and not the text.
    """
    spec = {"generator": {"headers": [{key: "hunter2-literal"}]}}

    with pytest.raises(ConfigError) as raised:
        refuse_literal_secrets(spec, where="generation")

    assert str(raised.value).startswith(
        f"generation.generator.headers[0].{key} holds a credential as it is"
    )
    assert "hunter2" not in str(raised.value)


def test_message_proposes_a_reference():
    """The error shows what to write in place of the credential."""
    with pytest.raises(ConfigError) as raised:
        refuse_literal_secrets({"apiKey": "hunter2"}, where="judge")

    expected = (
        "judge.apiKey holds a credential as it is; put it into an environment variable "
        "and write '${API_KEY}'"
    )
    assert expected == str(raised.value)


@pytest.mark.parametrize(
    "key",
    [
        "max_tokens",
        "maxTokens",
        "max_completion_tokens",
        "tokenizer",
        "token_limit",
        "tokens",
        "tokenizer_path",
        "stop_token",
        "eos_token",
        "bosToken",
        "cost_per_token",
        "api_key_env",
        "password_file",
        "aws_access_key_id",
        "secretary",
        "key",
        "keys",
        "author",
        "model",
        "prompt",
    ],
)
def test_other_keys_may_hold_any_text(key):
    """A key that only resembles the name of a credential is left alone."""
    refuse_literal_secrets({key: "a text"}, where="generation")


@pytest.mark.parametrize(
    "value",
    [
        "${THEMIS_TEST_KEY}",
        "Bearer ${THEMIS_TEST_KEY}",
        "basic ${USER_NAME}:${PASS_WORD}",
        ["${THEMIS_TEST_KEY}", "${OTHER}"],
        "",
        "anon",
        None,
        True,
        512,
    ],
)
def test_references_and_values_that_are_no_text_are_accepted(value):
    """References pass, set or not, with an HTTP scheme or without; so does what is not
    a text.
    """
    refuse_literal_secrets(
        [{"authorization": value, "token": value}], where="generation"
    )


@pytest.mark.parametrize(
    "value",
    ["hunter2 ${THEMIS_TEST_KEY}", "${THEMIS_TEST_KEY}hunter2", ["${A}", "hunter2"]],
)
def test_reference_beside_a_literal_is_refused(value):
    """A reference does not excuse a literal part of the same credential."""
    with pytest.raises(
        ConfigError, match=r"generation\.password holds a credential as it is"
    ):
        refuse_literal_secrets({"password": value}, where="generation")


def test_values_are_hidden_in_messages():
    """The values behind a spec's references are written as references again, the
    longest first.
    """
    spec = {
        "path": "s3://${THEMIS_TEST_BUCKET}/x",
        "options": ["${THEMIS_TEST_KEY}${THEMIS_TEST_EMPTY}"],
    }

    hidden = hide_values("no access to s3://data/x with s3cr3t, or data", spec=spec)

    expected = (
        "no access to s3://${THEMIS_TEST_BUCKET}/x with ${THEMIS_TEST_KEY}, or "
        "${THEMIS_TEST_BUCKET}"
    )
    assert expected == hidden


def test_public_text_keeps_references_to_credentials():
    """A variable that names a place is resolved, one that names a credential stays a
    reference.
    """
    text = "s3://${THEMIS_TEST_BUCKET}/${THEMIS_TEST_KEY}"

    assert "s3://data/${THEMIS_TEST_KEY}" == resolve_public(text, where="path")
    with pytest.raises(ConfigError, match="THEMIS_TEST_MISSING"):
        resolve_public("${THEMIS_TEST_MISSING}", where="path")


def test_values_of_references_are_found():
    """All that the references of a spec stand for, or only what a variable's name or a
    key calls a credential.
    """
    spec = {"a": ["${THEMIS_TEST_BUCKET}", "Bearer ${THEMIS_TEST_KEY}"]}

    assert {"data", "s3cr3t"} == referenced_values(spec)
    assert {"s3cr3t"} == referenced_values(spec, only_credentials=True)
    for named in (
        {"api_key": "${THEMIS_TEST_BUCKET}"},
        ({"auth_token": [{"a": "${THEMIS_TEST_BUCKET}"}]},),
    ):
        assert {"data"} == referenced_values(named, only_credentials=True)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("CANARY_KEY", True),
        ("HF_TOKEN", True),
        ("DB_PASSWORD", True),
        ("x-api-key", True),
        ("Authorization", True),
        ("VLLM_URL", False),
        ("HOST", False),
        ("api-version", False),
        ("MAX_TOKENS", False),
    ],
)
def test_credentials_are_known_by_name(name, is_one):
    """A variable or header that ends in a key, a token or a password holds a
    credential.
    """
    assert is_one == may_be_credential(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sftp://me:pw@host/a", "sftp://me:…@host/a"),
        ("sftp://me:${PASSWORD}@host/a", "sftp://me:${PASSWORD}@host/a"),
        ("https://host/a?sig=x&b=${B}#c", "https://host/a?sig=…&b=${B}#c"),
        ("s3://bucket/a", "s3://bucket/a"),
        ("no url: me:pw@host?a=b", "no url: me:pw@host?a=b"),
        ("sftp://me@host:22/a", "sftp://me@host:22/a"),
    ],
)
def test_url_is_shown_without_its_literal_secrets(text: str, expected: str) -> None:
    """Passwords and the values of a query; references hold none."""
    assert expected == public_url(text)
