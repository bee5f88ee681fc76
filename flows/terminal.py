"""Text of the terminal: whatever a model or a dataset wrote is shown, never obeyed."""

from __future__ import annotations

from rich.text import Text

from themis_lib.inert import terminal_text


def as_text(
    text: str,
    style: str = "",
) -> Text:
    """Return text in one line for a console: without markup, and printable."""
    return Text(terminal_text(text), style=style)


def assemble(*parts: str | tuple[str, str]) -> Text:
    """Return one line of texts, each alone or with a style."""
    line = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        line.append(terminal_text(text), style=style)
    return line
