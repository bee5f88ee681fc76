"""Which setting Anthropic's API refuses."""

from __future__ import annotations

import pytest

from themis_lib.adapters.anthropic_refusals import anthropic_refusal

SENT = {
    "model",
    "messages",
    "max_tokens",
    "temperature",
    "top_p",
    "thinking",
    "output_config",
    "tools",
    "extra_headers",
}


class RefusedError(Exception):
    """An error of a client of one's own."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.message = message


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ("temperature: range: 0..1", "temperature"),
        ("`temperature` and `top_p` cannot both be specified", "temperature"),
        ("thinking.enabled.budget_tokens: Input should be 1024 or more", "thinking"),
        ("tools.0.custom.input_schema: Field required", "tools"),
        ("output_config.format.schema: not so", "output_config"),
        ("This model does not support the effort parameter.", "output_config"),
        ("Unexpected value(s) `x` for the `anthropic-beta` header", "extra_headers"),
        ("messages.0.content.0: `tools` is nothing to say", None),
        ("prompt is too long: 9 tokens > 8 maximum", None),
        ("input length and `max_tokens` exceed context limit: 9 + 8 > 10", None),
        ("Could not process image", None),
    ],
)
def test_field_is_told_by_path_or_name(said: str, field: str | None) -> None:
    """A path says which; what depends on the row's own prompt is no setting."""
    refusal = anthropic_refusal(RefusedError(400, said), SENT)

    assert field == (None if refusal is None else refusal.field)
    assert anthropic_refusal(RefusedError(500, said), SENT) is None
