"""The one way in which a constraint is refused."""

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
    """Raise `ConfigError`: the argument, its value in short, what is wrong with it, and
    the fix.
    """
    raise ConfigError(f"{argument}: {shortened(repr(value), 80)} {problem}; {fix}")


def shortened(
    text: str,
    size: int,
) -> str:
    """A text as one line of at most `size` characters, for a message."""
    line = " ".join(text.split())
    return line if len(line) <= size else line[: size - 1] + "…"
