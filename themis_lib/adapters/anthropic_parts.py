"""Content parts as blocks of Anthropic's Messages API.

The names are those of Anthropic's API reference.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.core.parts import Contents, Part, read_part
from themis_lib.errors import RowError

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
#: What a part may say besides, under the names of this API.
_KEPT = ("cache_control", "citations", "context", "title")


def anthropic_turns(
    turns: Sequence[JsonObject],
    contents: Contents,
) -> list[JsonObject]:
    """Return turns whose content is a text or a list of blocks.

    A block of this API stays as it is. Raise `RowError`, naming the part, for one that
    the API has no block for.
    """
    rendered = []
    for turn in turns:
        content = turn.get("content")
        if isinstance(content, list):
            blocks = []
            for number, written in enumerate(content, start=1):
                place = f"part {number} of the {turn.get('role')} turn"
                blocks.append(_block(written, contents, place))
            turn = {**turn, "content": blocks}
        rendered.append(turn)
    return rendered


def _block(
    written: Any,
    contents: Contents,
    place: str,
) -> JsonObject:
    if isinstance(written, str):
        return {"type": "text", "text": written}
    if not isinstance(written, dict):
        raise RowError(f"{place} is malformed: {written!r:.80}")
    part = read_part(written)
    is_own = "source" in written or written.get("type") == "text"
    if part is None or is_own:
        return written
    if part.path is not None:
        # `input_builder` may return one; the paths of data have been read by now.
        raise RowError(
            f"{place} names the file {part.path!r}; only the parts of a case's input may"
        )
    try:
        block = _block_of(part, contents)
    except ValueError as error:
        raise RowError(f"{place}: {error}") from None
    return {**block, **{name: written[name] for name in _KEPT if name in written}}


def _block_of(
    part: Part,
    contents: Contents,
) -> JsonObject:
    """Return the block of a part. Raise `ValueError` if there is none."""
    if part.kind == "text":
        return {"type": "text", "text": part.text}
    if part.kind == "audio":
        raise ValueError("Anthropic's API takes no audio")
    if part.kind == "file":
        block = {"type": "document", "source": _document(part, contents)}
        return {**block, "title": part.name} if part.name else block
    if part.has_content and part.media_type not in _IMAGES:
        raise ValueError(
            f"Anthropic's API takes no image of the type {part.media_type!r}; it takes "
            f"{', '.join(_IMAGES)}"
        )
    return {"type": "image", "source": _source(part, contents)}


def _document(
    part: Part,
    contents: Contents,
) -> JsonObject:
    media_type = part.media_type or ""
    if not part.has_content or media_type == "application/pdf":
        return _source(part, contents)
    if not media_type.startswith("text/"):
        raise ValueError(
            f"Anthropic's API takes no file of the type {media_type!r}; it takes "
            "application/pdf and text"
        )
    # A text is sent as one, whatever it is written in.
    text = base64.b64decode(part.base64(contents)).decode()
    return {"type": "text", "media_type": "text/plain", "data": text}


def _source(
    part: Part,
    contents: Contents,
) -> JsonObject:
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if part.has_content:
        return {
            "type": "base64",
            "media_type": part.media_type,
            "data": part.base64(contents),
        }
    return {"type": "url", "url": part.url}
