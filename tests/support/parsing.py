"""What a parser makes of an output."""

from __future__ import annotations

from typing import Any

from tests.support.golden_builtins import PARSE
from themis_lib.core.models import GenerationResult, ParsedOutput


def parsed(parser: Any, output: Any) -> ParsedOutput:
    """Return the answer, or the reason there is none."""
    return parser.parse(GenerationResult(final_output=output), PARSE)


def value(parser: Any, output: Any) -> Any:
    """Return the value of the answer."""
    return parsed(parser, output).value
