"""Content parts in the forms of OpenAI's Chat Completions and Responses APIs.

The names are those of OpenAI's API reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.core.parts import Contents, Part, is_own_form, read_part
from themis_lib.errors import RowError

#: Types of the Responses API that Chat Completions have under other names.
_RESPONSES_TYPES = ("input_text", "output_text", "input_image", "input_file")
#: More than an image takes with any of OpenAI's models: the most are gpt-4o-mini's tiles
#: of 5,667. Pages of a file and seconds of audio are bounded by their bytes besides.
_MOST_MEDIA_TOKENS = 50_000
#: OpenAI's names of audio formats; others go by their own.
_AUDIO_FORMATS = {"audio/mpeg": "mp3", "audio/wav": "wav", "audio/mp4": "m4a"}


class WithoutContents:
    """Empty contents: they show whether parts can be rendered, and cost nothing."""

    def read(self, sha256: str) -> bytes:
        """Return nothing."""
        return b""


def needs_rendering(
    part: Any,
    *,
    api_mode: str,
) -> bool:
    """Return whether a part is not in a form of the API it goes to.

    Of OpenAI's own two forms, that of Chat Completions is taken for both: see
    `response_items`.
    """
    if is_own_form(part):
        return True
    is_dict = isinstance(part, dict)
    return api_mode != "responses" and is_dict and part.get("type") in _RESPONSES_TYPES


def rendered_turns(
    turns: Sequence[JsonObject],
    contents: Contents,
    *,
    api_mode: str,
) -> list[JsonObject]:
    """Return turns with all parts in a form of OpenAI's; other parts stay as they are.

    Raise `RowError`, naming the part, for one that the API has no form for.
    """
    rendered = []
    for turn in turns:
        content = turn.get("content")
        if isinstance(content, list):
            parts: list[Any] = []
            for number, written in enumerate(content, start=1):
                place = f"part {number} of the {turn.get('role')} turn"
                parts.append(_rendered(written, contents, api_mode, place))
            turn = {**turn, "content": parts}
        rendered.append(turn)
    return rendered


def most_media_tokens(turns: Sequence[JsonObject]) -> int:
    """Return an upper bound of the tokens of images, audio and files in some turns."""
    tokens = 0
    for turn in turns:
        content = turn.get("content")
        for written in content if isinstance(content, list) else []:
            part = read_part(written)
            if part is not None and part.kind != "text":
                tokens += _MOST_MEDIA_TOKENS + (part.bytes or 0)
    return tokens


def _rendered(
    written: Any,
    contents: Contents,
    api_mode: str,
    place: str,
) -> Any:
    if not needs_rendering(written, api_mode=api_mode):
        return written
    part = read_part(written)
    if part is None:
        raise RowError(f"{place} is malformed: {written!r:.80}")
    if part.path is not None:
        # `input_builder` may return one; the paths of data have been read by now.
        raise RowError(
            f"{place} names the file {part.path!r}; only the parts of a case's input may"
        )
    try:
        return _openai_part(part, contents, api_mode)
    except ValueError as error:
        raise RowError(f"{place}: {error}") from None


def _openai_part(
    part: Part,
    contents: Contents,
    api_mode: str,
) -> JsonObject:
    """Return a part as OpenAI's APIs take it. Raise `ValueError` if none does."""
    if part.kind == "text":
        return {"type": "text", "text": part.text}
    if part.kind == "image":
        return _image(part, contents, api_mode)
    if part.kind == "file":
        return _file(part, contents, api_mode)
    if not part.has_content:
        raise ValueError("audio is sent as data, not by its URL; write `path`")
    media_type = part.media_type or ""
    audio_format = _AUDIO_FORMATS.get(media_type, media_type.rpartition("/")[2])
    audio = {"data": part.base64(contents), "format": audio_format}
    return {"type": "input_audio", "input_audio": audio}


def _image(
    part: Part,
    contents: Contents,
    api_mode: str,
) -> JsonObject:
    detail = {} if part.detail is None else {"detail": part.detail}
    if part.file_id is not None:
        if api_mode != "responses":
            raise ValueError("Chat Completions take no image by `file_id`")
        return {"type": "input_image", "file_id": part.file_id, **detail}
    url = part.data_url(contents) if part.has_content else part.url
    return {"type": "image_url", "image_url": {"url": url, **detail}}


def _file(
    part: Part,
    contents: Contents,
    api_mode: str,
) -> JsonObject:
    if part.file_id is not None:
        return {"type": "file", "file": {"file_id": part.file_id}}
    if part.has_content:
        data = part.data_url(contents)
        return {
            "type": "file",
            "file": {"filename": part.file_name, "file_data": data},
        }
    if api_mode != "responses":
        raise ValueError(
            "Chat Completions take no file by its URL; write `path`, or use "
            "api_mode='responses'"
        )
    return {"type": "input_file", "file_url": part.url}
