"""What files hold, also where their bytes do not show it: cells of tables, compressed
data, escaped text.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import html
import io
import json
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

#: Long enough for a key, in either alphabet.
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
_ONE_ALPHABET = bytes.maketrans(b"-_", b"+/")


def contents(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and after them everything found inside: cells, texts, and
    what they hold in turn.

    Raises what the reader of its format raises: a file that cannot be looked into hides
    nothing.
    """
    content = path.read_bytes()
    yield from _opened(content)
    if content.startswith(b"SQLite format 3\0"):
        yield from _cells_of_database(path)


def _opened(content: bytes) -> Iterator[bytes]:
    yield content
    if content.startswith(b"PAR1"):
        yield from _cells_of_parquet(content)
    elif content.startswith(b"\x1f\x8b\x08"):
        yield from _opened(gzip.decompress(content))
    elif content.startswith(b"\x28\xb5\x2f\xfd"):
        yield from _opened(
            pa.input_stream(pa.BufferReader(content), compression="zstd").read()
        )
    else:
        yield from _unescaped(content)
    for word in _BASE64.findall(content):
        yield from _opened(_from_base64(word))
        yield from (
            _from_base64(word[start:]) for start in (1, 2, 3)
        )  # after more of the same characters


def _from_base64(word: bytes) -> bytes:
    whole = word[:-1] if len(word) % 4 == 1 else word
    return base64.b64decode(whole.translate(_ONE_ALPHABET) + b"=" * (-len(whole) % 4))


def _unescaped(content: bytes) -> Iterator[bytes]:
    """The text of a page, and the strings in JSON or lines of JSON."""
    if b"&" in content:
        yield html.unescape(content.decode(errors="replace")).encode()
    for line in (
        dict.fromkeys([content, *content.splitlines()]) if b"\\" in content else ()
    ):
        with contextlib.suppress(ValueError):
            yield from _texts(json.loads(line))


def _cells_of_parquet(content: bytes) -> Iterator[bytes]:
    table = pq.read_table(io.BytesIO(content))
    yield from _texts(
        [str(table.schema.remove_metadata()), table.schema.metadata or {}]
    )
    for column in table.columns:
        yield from _texts(column.to_pylist())


def _cells_of_database(path: Path) -> Iterator[bytes]:
    """Every cell of every table, those that are only in the log beside the file
    included.
    """
    with contextlib.closing(
        sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    ) as database:
        database.text_factory = bytes
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        ).fetchall():
            for row in database.execute(f'SELECT * FROM "{name.decode()}"'):
                yield from _texts(row)


def _texts(value: Any) -> Iterator[bytes]:
    """Every text and every byte string in a value, with what it holds in turn."""
    if isinstance(value, (str, bytes)):
        yield from _opened(
            value.encode(errors="backslashreplace") if isinstance(value, str) else value
        )
    elif isinstance(value, dict):
        yield from _texts([*value.keys(), *value.values()])
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
