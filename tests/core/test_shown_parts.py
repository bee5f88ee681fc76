"""Content parts for people."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.media import data_url, png
from themis_lib.core.shown_parts import shown_content, without_media
from themis_lib.identity.digests import canonical_json

URL = data_url(png(3), "image/png")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"type": "image_url", "image_url": {"url": URL}}, "[image 69 B image/png]"),
        ({"type": "audio", "url": "https://x"}, "[audio https://x]"),
        (
            {"type": "file", "sha256": "0" * 64, "bytes": 2_500_000, "name": "a.pdf"},
            "[file 2.5 MB a.pdf]",
        ),
    ],
)
def test_media_are_shown_in_brackets(written: Any, expected: str) -> None:
    """Never as walls of base64."""
    assert f"q\n\n{expected}" == shown_content([{"type": "text", "text": "q"}, written])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"q": 1}, '{"q":1}'),
        ([{"type": "text", "text": "q"}], '[{"text":"q","type":"text"}]'),
        (
            {"q": [{"type": "image_url", "image_url": {"url": URL}}]},
            '{"q":["[image 69 B image/png]"]}',
        ),
    ],
)
def test_media_in_json_are_shown_in_brackets(value: Any, expected: str) -> None:
    """Wherever they are; everything else stays."""
    assert expected == without_media(canonical_json(value))
