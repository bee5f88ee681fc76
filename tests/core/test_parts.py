"""Content parts of every form, as one."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.media import as_base64, data_url, png
from themis_lib.core.parts import (
    NoContents,
    Part,
    has_media,
    is_parts,
    parts_of,
    read_part,
)
from themis_lib.errors import RowError, TransientError

PNG = png(3)
URL = data_url(PNG, "image/png")
DATA = as_base64(PNG)
HELD = Part("image", data=DATA, media_type="image/png")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"type": "text", "text": "q"}, Part("text", text="q")),
        ({"type": "input_text", "text": "q"}, Part("text", text="q")),
        ({"type": "output_text", "text": "q"}, Part("text", text="q")),
        ({"type": "image", "path": "a.png"}, Part("image", path="a.png")),
        ({"type": "image", "url": URL}, HELD),
        ({"type": "image", "data": DATA, "media_type": "image/png"}, HELD),
        ({"type": "image_url", "image_url": {"url": URL}}, HELD),
        ({"type": "image_url", "image_url": URL}, HELD),
        ({"type": "input_image", "image_url": URL}, HELD),
        ({"type": "input_image", "file_id": "f"}, Part("image", file_id="f")),
        (
            {"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}},
            Part("image", url="https://x", detail="low"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
            Part("audio", data="AAAA", media_type="audio/mpeg"),
        ),
        (
            {"type": "file", "file": {"filename": "a.png", "file_data": URL}},
            Part("file", data=DATA, media_type="image/png", name="a.png"),
        ),
        (
            {"type": "input_file", "file_url": "https://x"},
            Part("file", url="https://x"),
        ),
        ({"type": "file", "file": {"file_id": "f"}}, Part("file", file_id="f")),
        (
            {"type": "file", "url": "data:text/plain,a%20b"},
            Part("file", data=as_base64(b"a b"), media_type="text/plain"),
        ),
    ],
)
def test_every_form_is_read_as_one(written: Any, expected: Part) -> None:
    """Whatever API wrote a part, it is the same."""
    assert expected == read_part(written)


@pytest.mark.parametrize(
    "value",
    [
        "text",
        None,
        {"type": "text"},
        {"type": "text", "text": 3},
        {"type": "image"},
        {"type": "image", "path": 3},
        {"type": "image", "path": "a", "url": "b"},
        {"type": "image", "path": "a", "width": 3},
        {"type": "video", "path": "a"},
        {"type": "image_url", "image_url": {}},
        {"type": "input_audio", "input_audio": {"data": "AAAA"}},
        {"type": "file", "file": "a"},
        {"type": ["image"], "path": "a"},
    ],
)
def test_anything_else_is_no_part(value: Any) -> None:
    """Nor is a list with it a list of parts."""
    assert read_part(value) is None
    assert not is_parts([value])


def test_empty_list_is_no_list_of_parts() -> None:
    """It is JSON, as ever."""
    assert not is_parts([])


def test_parts_of_a_content() -> None:
    """A text is one part, nothing is none, and what is no part has its place."""
    assert [Part("text", text="q")] == parts_of("q")
    assert [] == parts_of(None) == parts_of("")
    with pytest.raises(RowError, match="content part 2 is of no known form"):
        parts_of([{"type": "text", "text": "q"}, {"type": "video"}])


def test_contents_are_read_when_they_are_needed() -> None:
    """By digest; a part that holds its data needs none."""
    asked = []

    class Contents:
        def read(self, sha256: str) -> bytes:
            asked.append(sha256)
            return PNG

    stored = Part("image", sha256="00", media_type="image/png")

    assert URL == stored.data_url(Contents()) == HELD.data_url(NoContents())
    assert ["00"] == asked
    with pytest.raises(TransientError, match="no content with the SHA-256 00"):
        stored.base64(NoContents())


def test_media_are_found_in_turns_and_parts() -> None:
    """Text is not among them."""
    image = {"type": "image", "path": "a.png"}
    assert has_media([image])
    assert has_media([{"role": "user", "content": [image]}])
    assert not has_media([{"type": "text", "text": "q"}])
    assert not has_media("image")
