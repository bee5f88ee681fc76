"""Images, audio and files in a prompt's template: where one is printed, a part goes.

Jinja writes text. A part prints a mark that no input can contain, since it has the digest
of the input in it; the finished text is cut at the marks.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic import JsonValue

from themis_lib.core.parts import is_own_form, is_parts, read_part
from themis_lib.identity.digests import canonical_json, digest

#: How many digits of the digest show that a filter has changed a mark.
_TOLD_BY = 8


class MediaPart(dict[str, Any]):
    """A part that is no text, which prints its mark."""

    def __init__(
        self,
        part: dict[str, Any],
        mark: str,
    ) -> None:
        super().__init__(part)
        self.mark = mark

    def __str__(self) -> str:
        return self.mark


class MarkedParts:
    """The parts in one input, and their marks."""

    def __init__(self, value: JsonValue) -> None:
        self._parts: dict[str, MediaPart] = {}
        self._value = value
        self._salt = ""
        #: The input with its parts marked.
        self.value = self._marked(value)

    def cut(self, text: str) -> JsonValue:
        """Return a rendered text, as a list of parts if any is printed in it.

        Raise `ValueError` if a filter has changed what a part prints.
        """
        if not self._parts:
            return text
        pieces = re.split(f"(\x02{self._salt}:[0-9]+\x03)", text)
        content: list[JsonValue] = []
        for piece in pieces:
            if piece in self._parts:
                content.append(dict(self._parts[piece]))
                continue
            if self._salt[:_TOLD_BY] in piece.lower():
                raise ValueError(
                    "a filter changes what an image, audio or file prints; print it as "
                    "it is"
                )
            # Around a part, blanks and line breaks only lay out the template.
            if piece.strip():
                content.append({"type": "text", "text": piece.strip()})
        return text if len(pieces) == 1 else content

    def _marked(self, value: Any) -> Any:
        if isinstance(value, list):
            return list(map(self._marked, value))
        if not isinstance(value, dict):
            return value
        part = read_part(value)
        if part is None or part.kind == "text" or part.path is not None:
            return {name: self._marked(item) for name, item in value.items()}
        self._salt = self._salt or digest("marks", canonical_json(self._value))
        mark = f"\x02{self._salt}:{len(self._parts)}\x03"
        self._parts[mark] = MediaPart(value, mark)
        return self._parts[mark]


def printed(value: Any) -> str | None:
    """Return what a part, or a list of parts, prints; `None` for anything else."""
    if isinstance(value, MediaPart):
        return value.mark
    if not is_parts(value) or not any(isinstance(item, MediaPart) for item in value):
        return None
    texts = [
        item.mark if isinstance(item, MediaPart) else str(item["text"])
        for item in value
    ]
    return "\n\n".join(texts)


def check_json(value: Any) -> None:
    """Raise `ValueError` if JSON of a value has the digest of a file in it."""
    if isinstance(value, MediaPart) and is_own_form(value):
        raise ValueError(
            "it prints an image, audio or a file as JSON, which no model can see; print "
            "it by itself, as `{{ x.image }}`"
        )
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            check_json(item)
