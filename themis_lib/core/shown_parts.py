"""Content parts for people: what stands for images, audio and files is in brackets."""

from __future__ import annotations

from typing import Any

from themis_lib.core.parts import read_part
from themis_lib.identity.digests import canonical_json, load_json


def shown_content(content: Any) -> str:
    """Return the content of a turn for people, with what stands for media in brackets."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [read_part(item) for item in content]
        if parts and all(part is not None for part in parts):
            return "\n\n".join(part.shown() for part in parts if part is not None)
    return canonical_json(content)


def without_media(text: str) -> str:
    """Return JSON text with what stands for images, audio and files in brackets."""
    # Most texts have none, and need not be read.
    return canonical_json(_named(load_json(text))) if '"type":"' in text else text


def _named(value: Any) -> Any:
    if isinstance(value, list):
        return list(map(_named, value))
    if not isinstance(value, dict):
        return value
    part = read_part(value)
    if part is not None and part.kind != "text":
        return part.shown()
    return {name: _named(item) for name, item in value.items()}
