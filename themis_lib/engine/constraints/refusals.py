"""Refusals of constraints: one form of message for all of them."""

from __future__ import annotations

from typing import Any, NoReturn

from themis_lib.errors import ConfigError


def check_encodable(
    argument: str,
    text: str,
) -> None:
    """Refuse half a surrogate pair, which no vocabulary has."""
    try:
        text.encode()
    except UnicodeEncodeError:
        # A lone surrogate is legal in a `str` and in JSON, but UTF-8 cannot encode it.
        refuse(
            argument,
            text,
            "has half a surrogate pair, which is no character",
            "remove it",
        )


def refuse(
    argument: str,
    value: Any,
    problem: str,
    fix: str,
) -> NoReturn:
    """Raise `ConfigError` with the argument, its value in short, the problem and the
    fix.
    """
    raise ConfigError(f"{argument}: {shorten(repr(value), 80)} {problem}; {fix}")


def shorten(
    text: str,
    size: int,
) -> str:
    """Return a text as one line of at most `size` characters, for a message."""
    # A message is one line: a schema's repr or llguidance's error may have several.
    line = " ".join(text.split())
    if len(line) <= size:
        return line
    return line[: size - 1] + "…"
