"""Secrets of a generator's settings, masked in results, errors and log lines."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from themis_lib.adapters.masking import (
    Mask,
    is_word,
    mask_logs,
    masked_fault,
    masked_result,
    secrets_in_headers,
    secrets_in_url,
)
from themis_lib.core.models import GenerationResult, Message, TraceStep
from themis_lib.errors import (
    BudgetError,
    FatalError,
    RowError,
    ThemisError,
    TransientError,
)

SECRET = 'told "51c7"/e90d'


@pytest.mark.parametrize(
    "form",
    [SECRET, quote(SECRET), quote(SECRET, safe=""), json.dumps(SECRET)[1:-1]],
    ids=["plain", "path", "query", "JSON"],
)
def test_secret_is_masked_in_every_form(form: str) -> None:
    """As it is, as URLs write it, and as JSON writes it."""
    mask = Mask([SECRET])

    assert "a *** b" == mask(f"a {form} b")
    assert mask.finds(f"a {form} b")


def test_secret_of_a_url_is_masked_as_it_was_meant() -> None:
    """A password in an address is escaped; a provider repeats it as the text it is."""
    assert "a ***" == Mask(["p%40ssword"])("a p@ssword")


def test_secret_that_contains_another_is_masked_whole() -> None:
    """No part of it stays behind the mask."""
    mask = Mask(["secret", "secret-long", "my-secret-longest"])

    assert "*** *** ***" == mask("secret-long my-secret-longest secret")
    assert ["my-secret-longest", "secret-long", "secret"] == mask.secrets


def test_short_values_are_no_secrets() -> None:
    """Masking them would spoil ordinary text."""
    mask = Mask(["", "abcde"])

    assert "abcde" == mask("abcde")
    assert [] == mask.secrets
    assert not mask.finds("abcde")


def test_every_text_of_a_json_value_is_masked() -> None:
    """Keys of objects too; what is no text is left as it is."""
    value = {"a secret": ["secret", ("b", {"c": "secret"})], "n": [1, 2.5, None, True]}

    masked = Mask(["secret"])(value)

    assert {"a ***": ["***", ["b", {"c": "***"}]], "n": [1, 2.5, None, True]} == masked


def test_outputs_keep_secrets_that_are_words() -> None:
    """A model may write an ordinary word by itself."""
    mask = Mask(["ollama", "sk-4711-x"], words=["ollama"])

    assert "*** ***" == mask("ollama sk-4711-x")
    assert "ollama ***" == mask.for_outputs("ollama sk-4711-x")


# The first draw makes tables of characters, which takes seconds on a busy machine.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    secret=st.text(st.characters(exclude_characters="*"), min_size=6),
    before=st.text(),
    after=st.text(),
)
def test_no_text_keeps_a_secret(secret: str, before: str, after: str) -> None:
    """Whatever is around it."""
    mask = Mask([secret])

    masked = mask(f"{before}{secret}{after}")

    assert not mask.finds(masked)
    assert secret not in masked
    assert "***" in masked


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    secret=st.text(min_size=6),
    before=st.text(),
    after=st.text(),
    at=st.sampled_from(["output", "key", "other object"]),
)
def test_secret_is_not_overlooked(
    secret: str, before: str, after: str, at: str
) -> None:
    """In a look at a whole value as JSON: whatever the secret is written with."""
    text = f"{before}{secret}{after}"
    values: dict[str, Any] = {
        "output": [{"said": [1, text]}],
        "key": {text: None},
        "other object": {"said": {text}},
    }

    assert Mask([secret]).may_find(values[at])


class NoSuchCaseError(RowError):
    """An error of a user's own that needs more than a message."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.number = number


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (RowError("no secret"), RowError, "no ***"),
        (BudgetError("no secret"), BudgetError, "no ***"),
        (NoSuchCaseError("no secret", 3), RowError, "no ***"),
        (ConnectionError("no secret"), TransientError, "ConnectionError: no ***"),
        (TimeoutError("no secret"), TransientError, "TimeoutError: no ***"),
        (ValueError("no secret"), ThemisError, "ValueError: no ***"),
    ],
)
def test_failure_is_of_the_same_kind_without_its_secrets(
    fault: Exception, kind: type[Exception], said: str
) -> None:
    """One of another library becomes one of this library that means the same."""
    masked = masked_fault(fault, Mask(["secret"]))

    assert (kind, said) == (type(masked), str(masked))


@pytest.mark.parametrize("is_free", [True, False])
def test_masked_failure_still_tells_whether_it_is_free(is_free: bool) -> None:
    """A budget counts only what was paid for."""
    fault = FatalError("no secret").marked(is_free=is_free)

    masked = masked_fault(fault, Mask(["secret"]))

    assert isinstance(masked, FatalError)
    assert is_free is masked.is_free


@pytest.mark.parametrize(
    "fault", [NoSuchCaseError("no case", 3), ValueError("no case")]
)
def test_failure_without_secrets_is_left_as_it_is(fault: Exception) -> None:
    """With its class, its cause and its traceback."""
    assert fault is masked_fault(fault, Mask(["secret"]))


RESULT = GenerationResult(
    final_output={"answer": "a secret"},
    trace=[TraceStep(name="step", metadata={"secret": "secret"})],
    conversation=[Message(role="user", content="secret")],
    transport={"headers": {"x-key": "secret"}},
    error="no secret",
    latency_s=0.5,
)


def test_every_text_of_a_result_is_masked() -> None:
    """Output, trace, conversation, transport and error."""
    masked = masked_result(RESULT, Mask(["secret"]))

    assert (
        GenerationResult(
            final_output={"answer": "a ***"},
            trace=[TraceStep(name="step", metadata={"***": "***"})],
            conversation=[Message(role="user", content="***")],
            transport={"headers": {"x-key": "***"}},
            error="no ***",
            latency_s=0.5,
        )
        == masked
    )


@pytest.mark.parametrize("mask", [Mask(), Mask(["another"])])
def test_result_without_secrets_is_left_as_it_is(mask: Mask) -> None:
    """No row pays for a copy of it."""
    assert RESULT is masked_result(RESULT, mask)


@pytest.mark.parametrize(
    ("headers", "secrets"),
    [
        ({"X-Team": "blue", "X-Long": "a-name-without-digits"}, set()),
        ({"Authorization": "Bearer abc-1"}, {"abc-1"}),
        ({"X-Api-Key": "abc-1"}, {"abc-1"}),
        ({"X-Api-Key": "plain"}, set()),
        ({"X-Trace": "id 0123456789abcdef"}, {"0123456789abcdef"}),
        ({"X-Trace": "0123456789abcde"}, set()),
        ({"X-Team": "${TEAM}"}, {"blue team"}),
    ],
)
def test_secrets_of_headers_are_found(
    headers: dict[str, str], secrets: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By reference, by the name of the header, or by their own looks."""
    monkeypatch.setenv("TEAM", "blue team")

    found = {one for one in secrets_in_headers(headers) if "${" not in one}

    assert secrets == found


def basic(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("http://host/v1?api-version=2024-02-01", set()),
        ("http://me:pass@host/v1", {"pass", basic("me:pass")}),
        ("http://key@host/v1", {"key", basic("key:")}),
        ("http://me:p%40ss@host/v1", {"p%40ss", basic("me:p@ss")}),
        ("http://host/v1?api_key=abc&page=2", {"abc"}),
        ("http://host/v1?id=0123456789abcdef", {"0123456789abcdef"}),
    ],
)
def test_secrets_of_an_address_are_found(url: str, secrets: set[str]) -> None:
    """In its user, also as the header of basic authentication, and in its query."""
    assert secrets == set(secrets_in_url(url, given_url=url))


def test_references_in_an_address_are_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """One in the query always is; elsewhere it goes by the name of the variable."""
    monkeypatch.setenv("MY_HOST", "my-host")
    monkeypatch.setenv("MY_KEY", "a key")
    monkeypatch.setenv("MY_PAGE", "a page")

    found = secrets_in_url(
        "http://my-host/a key?page=a page",
        given_url="http://${MY_HOST}/${MY_KEY}?page=${MY_PAGE}",
    )

    assert {"a key", "a page"} == set(found)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("ollama", True),
        ("none", True),
        ("a-long-name-without-digits", True),
        ("sk-1", True),
        ("sk-0123456789abc", False),
    ],
)
def test_key_for_a_server_that_checks_none_is_a_word(key: str, expected: bool) -> None:
    """A real key is long and has a digit."""
    assert expected is is_word(key)


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize(
    "name", ["openai", "openai._base_client", "httpx2", "httpcore2.http11", "langgraph"]
)
def test_log_lines_of_the_libraries_are_masked(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With the arguments that they were written with."""
    mask_logs(Mask(["first-secret"]))
    mask_logs(Mask(["other-secret"]))
    caplog.set_level("DEBUG")

    logging.getLogger(name).debug("%s and %s", "first-secret", {"a": "other-secret"})

    assert ["*** and {'a': '***'}"] == messages(caplog)


def test_log_lines_of_others_are_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The user's own loggers are the user's."""
    mask_logs(Mask(["first-secret"]))

    logging.getLogger("tests.masking").warning("the %s", "first-secret")

    assert ["the first-secret"] == messages(caplog)


def test_traceback_in_the_log_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    """Handlers format the exception of a record, its causes included."""
    mask_logs(Mask(["first-secret"]))
    caplog.set_level("DEBUG")
    logger = logging.getLogger("openai")

    for text in ("first-secret", "nothing"):
        try:
            raise ValueError(f"refused {text}")
        except ValueError:
            logger.exception("failed")

    secret, plain = caplog.records
    assert "ValueError: refused ***" in str(secret.exc_text)
    assert secret.exc_info is None
    assert plain.exc_info is not None
    assert "first-secret" not in caplog.text


def test_log_line_whose_arguments_do_not_fit_is_passed_on() -> None:
    """The handler reports what is wrong with it."""
    mask_logs(Mask(["first-secret"]))
    (filtered,) = logging.getLogger("openai").filters
    record = logging.LogRecord("openai", 10, "file", 1, "%d", ("text",), None)

    assert isinstance(filtered, logging.Filter)
    assert filtered.filter(record)
    assert ("%d", ("text",)) == (record.msg, record.args)


def test_masks_of_one_process_share_a_filter() -> None:
    """Many generators add nothing to the loggers."""
    for number in range(3):
        mask_logs(Mask([f"secret-{number}"]))

    assert 1 == len(logging.getLogger("httpx2").filters)


def test_mask_without_secrets_changes_nothing() -> None:
    """It matches nothing, not even an empty text."""
    value: Any = {"a": ["", 1]}

    assert value == Mask()(value)
    assert not Mask().finds("anything")
