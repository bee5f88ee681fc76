"""Which field of a request a server does not take, in the words of many servers."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from themis_lib.adapters.refusals import Refusal, refusal_of, refuses_every_try

SENT = (
    "model",
    "messages",
    "seed",
    "max_tokens",
    "temperature",
    "stop",
    "logprobs",
    "top_logprobs",
    "response_format",
    "tools",
    "extra_body",
    "top_k",
    "min_p",
    "presence_penalty",
)


class RefusedError(Exception):
    """What a client raises for a status that is not good."""

    def __init__(self, text: str, status: int = 400, param: str | None = None) -> None:
        super().__init__(text)
        self.status_code = status
        self.response = SimpleNamespace(text=text)
        self.param = param


REFUSED: list[tuple[str, str]] = [
    ("Unrecognized request argument supplied: seed", "seed"),
    ("Unrecognized request arguments supplied: top_logprobs, logprobs", "top_logprobs"),
    (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens",
    ),
    (
        "Unsupported value: 'temperature' does not support 0.1 with this model. Only the default (1) value is supported.",
        "temperature",
    ),
    ("Unknown parameter: 'top_k'.", "top_k"),
    (
        "[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not permitted'}]",
        "seed",
    ),
    (
        '{"detail":[{"type":"extra_forbidden","loc":["body","min_p"],"msg":"Extra inputs are not permitted","input":1}]}',
        "min_p",
    ),
    (
        '{"detail":[{"loc":["body","seed"],"msg":"extra fields not permitted","type":"value_error.extra"}]}',
        "seed",
    ),
    ("property 'logprobs' is unsupported", "logprobs"),
    ("'logprobs' is not supported with this model", "logprobs"),
    ("seed: Extra inputs are not permitted", "seed"),
    ('Invalid JSON payload received. Unknown name "seed": Cannot find field.', "seed"),
    ("Argument not supported on this model: stop", "stop"),
    ("Model grok-4 does not support parameter presencePenalty.", "presence_penalty"),
    ("unknown field: parameter 'seed' is not a valid field", "seed"),
    (
        "Malformed input request: #: extraneous key [stop] is not permitted, please reformat your input and try again.",
        "stop",
    ),
    (
        "litellm.UnsupportedParamsError: azure_ai does not support parameters: ['seed'], for model=x. To drop these, set `litellm.drop_params=True`",
        "seed",
    ),
    ("Extra inputs are not permitted, field: 'seed', value: 1", "seed"),
    (
        "Failed to deserialize the JSON body into the target type: unknown field `seed`, expected one of `model`, `stop` at line 1",
        "seed",
    ),
    ("create() got an unexpected keyword argument 'seed'", "seed"),
    (
        "Extra parameters ['seed', 'stop'] are not allowed when extra-parameters is not set or set to be 'error'.",
        "seed",
    ),
    ("This response_format type is unavailable now", "response_format"),
    (
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model.",
        "response_format",
    ),
    ("json_schema is not supported", "response_format"),
    ("The model does not support the `min_p` parameter", "min_p"),
    ("logprobs is not supported", "logprobs"),
    ("Parameter temperature is not supported", "temperature"),
    ("temperature parameter is not supported by this model", "temperature"),
    ("This model doesn't support tools", "tools"),
    ("top_k is not currently supported", "top_k"),
    ("Unsupported param: tools", "tools"),
]
OTHERS: list[str] = [
    "Failed to deserialize: unknown field `foo`, expected one of `model`, `stop` at line 1",
    "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens (30 in the messages, 8970 in the completion). Please reduce the length of the messages or max_tokens.",
    "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 8192 tokens and your request has 30 input tokens",
    "The response was filtered due to the prompt triggering content management policy",
    "Invalid 'messages[0].content': image input is not supported by this model",
    "Please stop and try again; the server is overloaded",
    "Unknown error: please stop",
    "Internal server error: tools crashed",
    "You do not have access. Please allow the model to stop.",
    "refused with 400",
]


@pytest.mark.parametrize(("said", "field"), REFUSED)
def test_words_name_the_field(said: str, field: str) -> None:
    """As prose, as JSON, and as JSON inside of JSON."""
    escaped = (
        '{"error": {"message": "'
        + said.replace('"', '\\"')
        + '", "type": "bad", "code": 400}}'
    )

    for text in (said, escaped):
        assert Refusal(field, True) == refusal_of(RefusedError(text), SENT)


@pytest.mark.parametrize("said", OTHERS)
def test_other_words_name_none(said: str) -> None:
    """They concern a row's text, the provider, or a field that nobody asked about."""
    assert refusal_of(RefusedError(said), SENT) is None


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 502, 503])
def test_other_statuses_refuse_no_field(status: int) -> None:
    """Whatever the words."""
    assert refusal_of(RefusedError("Unknown parameter: 'seed'", status), SENT) is None


@pytest.mark.parametrize(
    ("param", "said", "refusal"),
    [
        ("temperature", "Unsupported", Refusal("temperature", True)),
        ("temperature", "It is above the maximum", Refusal("temperature", False)),
        ("tools[0].function", "It is wrong", Refusal("tools", False)),
        ("response_format.schema", "Unknown", Refusal("response_format", True)),
        ("max_tokens", "Unsupported", Refusal("max_tokens", True)),
        ("max_tokens", "It is too large for this prompt", None),
        ("messages", "There must be the word json", None),
        ("messages[0].content", "Unsupported", None),
        ("model", "Unknown", None),
        ("foo", "It is wrong", None),
    ],
)
def test_param_names_the_field(param: str, said: str, refusal: Any) -> None:
    """Unless it is the prompt, or its length."""
    assert refusal == refusal_of(RefusedError(said, param=param), SENT)


def test_misfit_of_a_value_is_no_unknown_field() -> None:
    """The server knows the field, and takes it with another value."""
    said = "{'type': 'less_than_equal', 'loc': ('body', 'temperature'), 'msg': 'No'}"

    assert Refusal("temperature", False) == refusal_of(RefusedError(said, 500), SENT)


def test_field_that_was_not_sent_may_be_refused() -> None:
    """A server may say so whatever it is sent."""
    refusal = refusal_of(
        RefusedError("Unknown parameter: 'seed'"), ["model", "messages"]
    )

    assert Refusal("seed", True) == refusal


def test_function_of_a_client_may_lack_an_argument() -> None:
    """It is that of an injected client."""
    error = TypeError("create() got an unexpected keyword argument 'seed'")

    assert Refusal("seed", True) == refusal_of(error, SENT)
    assert refusal_of(ValueError(str(error)), SENT) is None


def test_failure_that_would_come_again_is_known() -> None:
    """A 500 that a field of the request has caused, in the server's words."""
    misfit = "{\"error\":{\"message\":\"{'loc': ('body', 'messages', 0), 'msg': 1}\"}}"

    assert refuses_every_try(500, misfit, SENT)
    assert refuses_every_try(500, "unexpected keyword argument 'min_p'", SENT)
    assert not refuses_every_try(503, misfit, SENT)
    assert not refuses_every_try(500, "out of memory", SENT)


@pytest.mark.parametrize("page", ["a." * 100_000, "['" * 100_000, "seed'" * 50_000])
def test_long_error_page_is_searched_in_little_time(page: str) -> None:
    """It holds up every request of the process."""
    began = time.process_time()

    assert refusal_of(RefusedError(page), SENT) is None
    assert time.process_time() - began < 5
