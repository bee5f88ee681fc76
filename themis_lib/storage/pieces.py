"""A shard most of whose rows another file holds: pieces of files, in its order.

    <directory>/<name>.pieces    the files, by name and content, and runs of their rows

So an edit of a few rows writes these rows and a list, and no copy of the others. The
list is a piece table (Crowley, "Data Structures for Text Sequences", 1998). Few rows are
in the list, too: to read it takes no longer than to read the shard before the edit.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from themis_lib.identity.digests import digest
from themis_lib.storage.part_files import PART_SUFFIX, reader_of

PIECES_SUFFIX = ".pieces"
#: A shard of more pieces is written whole.
_MOST_PIECES = 256
#: So is one with a larger share of rows that are not in one file.
_MOST_ELSEWHERE = 0.125
#: Rows of more bytes are not in the list: a file of them takes no longer to read.
_MOST_BYTES = 32_768

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Piece:
    """Rows of a file that follow each other, from `start` on; `file` is its number."""

    file: int
    start: int
    rows: int


@dataclass(frozen=True)
class Pieces:
    """A table as pieces of files in the same directory.

    `files` maps their names to the digests of what they hold, see `content_name`;
    `columns` are the digests of the table's columns. `last` has what the last file holds,
    as `rows_bytes` writes it, or is `None`.
    """

    columns: Mapping[str, str]
    files: Mapping[str, str]
    pieces: tuple[Piece, ...]
    last: bytes | None = None

    def to_bytes(self) -> bytes:
        """Return the pieces as JSON; equal ones are equal bytes."""
        pieces = [[piece.file, piece.start, piece.rows] for piece in self.pieces]
        record: dict[str, Any] = {
            "columns": dict(self.columns),
            "files": dict(self.files),
            "pieces": pieces,
        }
        if self.last is not None:
            record["last"] = base64.b64encode(self.last).decode()
        # Without it, a flipped bit in a number would be read as other rows.
        return orjson.dumps({**record, "digest": digest("pieces", record)})

    @classmethod
    def from_bytes(cls, content: bytes) -> Pieces:
        """Return what `to_bytes` wrote. Raise `ValueError` for anything else."""
        try:
            record = orjson.loads(content)
            written = record.pop("digest")
            if written != digest("pieces", record):
                raise ValueError("not what was written")
            pieces = tuple(Piece(*numbers) for numbers in record["pieces"])
            last = record.get("last")
            return cls(
                dict(record["columns"]),
                dict(record["files"]),
                pieces,
                None if last is None else base64.b64decode(last),
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"no list of pieces ({error})") from None


def rows_bytes(table: pa.Table) -> bytes | None:
    """Return a table in Arrow's stream format, compressed; `None` if it is large."""
    if table.nbytes > _MOST_BYTES:
        return None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks())
    content = sink.getvalue()
    # As a whole: Arrow compresses each of the buffers, which takes longer to read.
    return zlib.compress(content) if content.size <= _MOST_BYTES else None


def rows_from(content: bytes) -> pa.Table:
    """Return the table that `rows_bytes` wrote."""
    with pa.ipc.open_stream(reader_of(zlib.decompress(content))) as stream:
        return stream.read_all()


def forms_of(path: str) -> tuple[str, str]:
    """Return where a shard may be: at its path, or beside it in its other form.

    >>> forms_of("rows/score/f/0a.pieces")
    ('rows/score/f/0a.pieces', 'rows/score/f/0a.parquet')
    """
    stem, _, suffix = path.rpartition(".")
    other = PART_SUFFIX if f".{suffix}" == PIECES_SUFFIX else PIECES_SUFFIX
    return path, stem + other


def content_name(columns: Mapping[str, str]) -> str:
    """Return the digest of what a file holds, from the digests of its columns."""
    return digest("content", dict(columns))


def is_piecemeal(
    elsewhere: int,
    rows: int,
) -> bool:
    """Return whether a shard is to be pieces: few of its rows are not in one file."""
    return elsewhere <= _MOST_ELSEWHERE * rows


def pieces_of(
    files: Numbers,
    positions: Numbers,
) -> tuple[Piece, ...] | None:
    """Return rows, given by the number of their file and their place in it, as pieces.

    `None` if these are too many.

    >>> pieces_of(np.array([0, 0, 1, 0]), np.array([4, 5, 0, 7]))
    (Piece(file=0, start=4, rows=2), Piece(file=1, start=0, rows=1), Piece(file=0, start=7, rows=1))
    """
    follows = (files[1:] == files[:-1]) & (positions[1:] == positions[:-1] + 1)
    starts = np.concatenate([[0], np.flatnonzero(~follows) + 1])
    if len(starts) > _MOST_PIECES:
        return None
    ends: Sequence[int] = [*starts[1:].tolist(), len(files)]
    pieces = []
    for start, end in zip(starts.tolist(), ends, strict=True):
        piece = Piece(int(files[start]), int(positions[start]), end - start)
        pieces.append(piece)
    return tuple(pieces)
