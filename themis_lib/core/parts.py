"""Content parts of a turn: text, image, audio and file, in one form whoever wrote them.

An input may have parts as the content of a message, or be a list of parts: one user
turn. A part is written in one of these forms, and `read_part` reads all of them:

    {"type": "text", "text": "What is this?"}
    {"type": "image", "path": "images/1.png"}      image, audio or file; or instead of
    {"type": "audio", "url": "https://…"}          `path` a `url`, also a data URL, or
    {"type": "file", "data": "…", "media_type": …} `data`: base64 with its media type
    {"type": "image_url", …}                       Chat Completions: image_url,
                                                   input_audio, file
    {"type": "input_image", …}                     Responses: input_text, input_image,
                                                   input_file

A file that a `path` names is read when the data is read. From then on the case has its
content by digest, `{"type": "image", "sha256": …, "media_type": …, "bytes": …}`, so that
keys cover what is in the file and not what it is called; the store keeps the bytes.

An adapter renders parts in the form of its own API:

    for turn in turns_to_send(case, ctx, builder):   # adapters.conversations
        for part in parts_of(turn.get("content")):   # `Part`s, whatever their form
            part.kind, part.text, part.url, part.media_type, part.name
            part.base64(ctx.contents)                # bytes are loaded here, not before
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeGuard, get_args
from urllib.parse import unquote_to_bytes

from themis_lib.core.media_types import plain_media_type, suffix_of
from themis_lib.errors import RowError, TransientError

Kind = Literal["text", "image", "audio", "file"]
#: The kinds that are not text, which are also the types of our own form.
MEDIA: tuple[str, ...] = get_args(Kind)[1:]
#: What our own form says of where the content is; each part has one of them.
PLACES = ("path", "url", "data", "sha256", "file_id")
#: What it may say besides.
_FACTS = ("type", "media_type", "name", "detail", "bytes")
#: What providers with a prompt cache take beside a part, under the name they have for it.
MARKS = ("cache_control",)
_TEXT_TYPES = ("text", "input_text", "output_text")


class Contents(Protocol):
    """The bytes of files that cases name by their digest."""

    def read(self, sha256: str) -> bytes:
        """Return the content with this SHA-256. Raise `TransientError` if it is gone."""


class NoContents:
    """The contents where there are none."""

    def read(self, sha256: str) -> bytes:
        """Raise `TransientError`: the content is not here."""
        raise TransientError(f"there is no content with the SHA-256 {sha256}")


@dataclass(frozen=True)
class Part:
    """One part of a turn. A text has `text`; any other has one of `PLACES`.

    `url` is never a data URL: `data` is its base64. `media_type` is `None` where only
    the provider knows it. `detail` is how closely OpenAI's models look at an image;
    `file_id` a file that was uploaded to the provider.
    """

    kind: Kind
    text: str = ""
    url: str | None = None
    data: str | None = field(default=None, repr=False)
    sha256: str | None = None
    file_id: str | None = None
    path: str | None = None
    media_type: str | None = None
    name: str | None = None
    detail: str | None = None
    bytes: int | None = None

    @property
    def has_content(self) -> bool:
        """Whether the bytes are at hand, and not behind a URL or with the provider."""
        return self.data is not None or self.sha256 is not None

    @property
    def file_name(self) -> str:
        """Its `name`, or one that only depends on its media type: `file.pdf`."""
        return self.name or f"{self.kind}.{suffix_of(self.media_type or 'bin')}"

    def base64(self, contents: Contents) -> str:
        """Return the content as base64. Only for a part that `has_content`."""
        if self.data is not None:
            return self.data
        assert self.sha256 is not None
        return base64.b64encode(contents.read(self.sha256)).decode()

    def data_url(self, contents: Contents) -> str:
        """Return the content as a data URL. Only for a part that `has_content`."""
        media_type = self.media_type or "application/octet-stream"
        return f"data:{media_type};base64,{self.base64(contents)}"

    def shown(self) -> str:
        """Return the part for people: its text, or what it is in brackets.

        >>> Part("image", sha256="…", media_type="image/png", bytes=12_345).shown()
        '[image 12 kB image/png]'
        """
        if self.kind == "text":
            return self.text
        size = self.bytes
        if size is None and self.data is not None:
            size = len(self.data) * 3 // 4
        facts = [
            self.kind,
            None if size is None else _shown_size(size),
            self.media_type,
            self.name,
            self.url or self.path or self.file_id,
        ]
        return f"[{' '.join(fact for fact in facts if fact)}]"


def parts_of(content: Any) -> list[Part]:
    """Return the content of a turn as parts: a text is one, null is none.

    Raise `RowError`, naming the first item that is no part.
    """
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [Part("text", text=content)]
    items = content if isinstance(content, list) else [content]
    parts = []
    for number, item in enumerate(items, start=1):
        part = read_part(item)
        if part is None:
            raise RowError(f"content part {number} is of no known form: {item!r:.80}")
        parts.append(part)
    return parts


def is_parts(value: Any) -> TypeGuard[list[Any]]:
    """Return whether an input is a list of parts: every item of it is one.

    >>> is_parts([{"type": "text", "text": "Hi"}]), is_parts([{"type": "text"}])
    (True, False)
    """
    if not isinstance(value, list) or not value:
        return False
    return all(read_part(item) is not None for item in value)


def read_part(value: Any) -> Part | None:
    """Return what is written as a part in any of its forms; `None` for anything else."""
    if not isinstance(value, Mapping):
        return None
    kind = value.get("type")
    if kind in _TEXT_TYPES:
        text = value.get("text")
        return Part("text", text=text) if isinstance(text, str) else None
    held = value.get(kind) if isinstance(kind, str) else None
    if kind == "image_url":
        return _image_url(held)
    if kind == "input_audio":
        return _input_audio(held)
    if kind == "file" and isinstance(held, Mapping):
        return _file(held)
    if kind == "input_image":
        return _image_url({"url": value.get("image_url"), **value})
    if kind == "input_file":
        return _file(value)
    return _own_form(value) if is_own_form(value) else None


def is_own_form(value: Any) -> bool:
    """Return whether a value is written in the form of this project, not of an API."""
    if not isinstance(value, Mapping) or value.get("type") not in MEDIA:
        return False
    given = {name for name, item in value.items() if item is not None}
    places = [name for name in PLACES if isinstance(value.get(name), str)]
    return len(places) == 1 and given <= {*_FACTS, *MARKS, *places}


def has_media(value: Any) -> bool:
    """Return whether there is an image, audio or a file in an input's turns or parts."""
    if not isinstance(value, list):
        return False
    for item in value:
        part = read_part(item)
        if part is not None and part.kind != "text":
            return True
        if (
            isinstance(item, Mapping)
            and "role" in item
            and has_media(item.get("content"))
        ):
            return True
    return False


def has_own_form(value: Any) -> bool:
    """Return whether an input's turns or parts have one in the form of this project."""
    if not isinstance(value, list):
        return False
    for item in value:
        if is_own_form(item):
            return True
        is_turn = isinstance(item, Mapping) and "role" in item
        if is_turn and has_own_form(item.get("content")):
            return True
    return False


def _own_form(value: Mapping[str, Any]) -> Part | None:
    facts: dict[str, Any] = {name: value.get(name) for name in (*_FACTS, *PLACES)}
    kind: Any = facts.pop("type")
    size = facts.get("bytes")
    are_texts = all(
        item is None or isinstance(item, str)
        for name, item in facts.items()
        if name != "bytes"
    )
    is_size = size is None or (isinstance(size, int) and not isinstance(size, bool))
    if not are_texts or not is_size:
        return None
    if facts["media_type"] is not None:
        facts["media_type"] = plain_media_type(facts["media_type"])
    return _with_content(Part(kind, **facts))


def _image_url(held: Any) -> Part | None:
    if isinstance(held, str):
        held = {"url": held}
    if not isinstance(held, Mapping):
        return None
    detail = held.get("detail")
    part = Part(
        "image",
        url=_text(held, "url"),
        file_id=_text(held, "file_id"),
        detail=detail if isinstance(detail, str) else None,
    )
    return _with_content(part) if part.url or part.file_id else None


def _input_audio(held: Any) -> Part | None:
    if not isinstance(held, Mapping):
        return None
    data, name = _text(held, "data"), _text(held, "format")
    if data is None or name is None:
        return None
    return Part("audio", data=data, media_type=plain_media_type(f"audio/{name}"))


def _file(held: Mapping[str, Any]) -> Part | None:
    part = Part(
        "file",
        url=_text(held, "file_data") or _text(held, "file_url"),
        file_id=_text(held, "file_id"),
        name=_text(held, "filename"),
    )
    return _with_content(part) if part.url or part.file_id else None


def _text(held: Mapping[str, Any], name: str) -> str | None:
    value = held.get(name)
    return value if isinstance(value, str) else None


def _with_content(part: Part) -> Part | None:
    """Return a part whose data URL is taken apart; `None` if that is malformed."""
    if part.url is None or not part.url.startswith("data:"):
        return part
    head, comma, data = part.url[len("data:") :].partition(",")
    if not comma:
        return None
    media_type, *parameters = head.split(";")
    if "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return Part(
        part.kind,
        data=data,
        media_type=part.media_type or plain_media_type(media_type) or None,
        name=part.name,
        detail=part.detail,
    )


def decoded(data: str) -> bytes:
    """Return the bytes of base64. Raise `ValueError` for what is none."""
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from None


def _shown_size(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    if size < 1_000_000:
        return f"{size / 1000:.0f} kB"
    return f"{size / 1_000_000:.1f} MB"
