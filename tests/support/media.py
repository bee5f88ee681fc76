"""Small files of every kind of content part, and cases that name them."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any


def png(red: int = 0) -> bytes:
    """A picture of one pixel, valid, and another for each shade."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + crc

    header = (1).to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    pixel = zlib.compress(bytes([0, red, 0, 0]))
    chunks = [(b"IHDR", header), (b"IDAT", pixel), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*item) for item in chunks)


WAV = (
    b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00"
    + bytes(20)
    + b"data\x00\x00\x00\x00"
)
PDF = b"%PDF-1.4\n%%EOF\n"


def as_base64(content: bytes) -> str:
    """Base64 as text."""
    return base64.b64encode(content).decode()


def data_url(content: bytes, media_type: str) -> str:
    """A data URL."""
    return f"data:{media_type};base64,{as_base64(content)}"


def write_media(folder: Path) -> None:
    """Write a file of each kind into a folder."""
    (folder / "red.png").write_bytes(png(255))
    (folder / "tone.wav").write_bytes(WAV)
    (folder / "page.pdf").write_bytes(PDF)


def write_jsonl(path: Path, inputs: list[Any]) -> Path:
    """Write a file of cases with these inputs, in order."""
    rows = [{"input": value, "expected_output": "x"} for value in inputs]
    path.write_text("\n".join(map(json.dumps, rows)))
    return path
