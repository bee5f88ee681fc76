"""Content parts as blocks of Anthropic's API."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from themis_lib.adapters.anthropic_parts import anthropic_turns
from themis_lib.core.parts import NoContents
from themis_lib.errors import RowError

DATA = base64.b64encode(b"Hello").decode()


class Contents:
    def read(self, sha256: str) -> bytes:
        return b"Hello"


def source(media_type: str) -> dict[str, str]:
    return {"type": "base64", "media_type": media_type, "data": DATA}


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


#: Parts as they are written, and the blocks that they are.
PARTS: dict[str, tuple[Any, Any]] = {
    "text": ({"type": "text", "text": "a"}, {"type": "text", "text": "a"}),
    "text of Responses": (
        {"type": "input_text", "text": "a"},
        {"type": "text", "text": "a"},
    ),
    "image by address": (
        image("https://h/a.png"),
        {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}},
    ),
    "image as data": (
        image(f"data:image/png;base64,{DATA}"),
        {"type": "image", "source": source("image/png")},
    ),
    "image of a case": (
        {"type": "image", "sha256": "1", "media_type": "image/webp", "bytes": 5},
        {"type": "image", "source": source("image/webp")},
    ),
    "PDF": (
        {
            "type": "file",
            "file": {
                "filename": "a.pdf",
                "file_data": f"data:application/pdf;base64,{DATA}",
            },
            "citations": {"enabled": True},
        },
        {
            "type": "document",
            "source": source("application/pdf"),
            "title": "a.pdf",
            "citations": {"enabled": True},
        },
    ),
    "text file": (
        {"type": "file", "sha256": "1", "media_type": "text/csv", "bytes": 5},
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Hello"},
        },
    ),
    "file of the provider": (
        {"type": "file", "file": {"file_id": "f-1"}},
        {"type": "document", "source": {"type": "file", "file_id": "f-1"}},
    ),
    "block of the API": (
        {"type": "search_result", "source": "s", "title": "t", "content": []},
        {"type": "search_result", "source": "s", "title": "t", "content": []},
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_part_is_a_block(name: str) -> None:
    """Whatever form it is written in; what is the API's own stays as it is."""
    written, block = PARTS[name]

    (turn,) = anthropic_turns([{"role": "user", "content": [written]}], Contents())

    assert {"role": "user", "content": [block]} == turn


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            {"type": "audio", "data": DATA, "media_type": "audio/wav"},
            "takes no audio",
        ),
        (image(f"data:image/bmp;base64,{DATA}"), "image/bmp.*image/jpeg"),
        (
            {"type": "file", "data": DATA, "media_type": "application/zip"},
            "application/zip.*application/pdf",
        ),
        ({"type": "image", "path": "a.png"}, "'a.png'"),
        (7, "malformed"),
    ],
)
def test_part_without_a_block_is_named(written: Any, said: str) -> None:
    """By its place, and with what the API takes."""
    turn = {"role": "user", "content": [{"type": "text", "text": "a"}, written]}

    with pytest.raises(RowError, match=f"part 2 of the user turn.*{said}"):
        anthropic_turns([turn], NoContents())
