"""The lines of a text file in any encoding; an error names its line and byte."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain

from themis_lib.errors import DatasetError

#: What begins a file that says its encoding; the longer marks are looked for first,
#: since that of UTF-32 begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_MARK = "\ufeff"


def text_lines(
    file: Iterable[bytes],
    path: str,
    encoding: str | None = None,
) -> Iterator[str]:
    r"""Yield the lines of a file, which end in `\n` alone, without a byte order mark.

    Without an `encoding`, a byte order mark tells it, else it is UTF-8. Raises
    `DatasetError`, naming the line, its byte and the setting, for what cannot be read.
    """
    pieces = iter(file)
    first = next(pieces, None)
    if first is None:
        return
    codec = encoding or _marked_encoding(first)
    lines = _decoded_lines(chain([first], pieces), path, codec=codec, given=encoding)
    for number, line in enumerate(lines, start=1):
        if number > 1:
            yield line
            continue
        if "\0" in line:
            raise DatasetError(
                f"{path}:1: NUL characters: it is not {codec.upper()}; "
                "say its `encoding`, such as utf-16-le"
            )
        # Editors on Windows put a byte order mark before the first line.
        yield line.removeprefix(_MARK)


def check_encoding(
    encoding: str,
    where: str,
) -> None:
    """Raise `DatasetError` if there is no text encoding of this name."""
    try:
        "".encode(encoding)
    # `rot13` and its like are codecs, too, but not of text as bytes.
    except LookupError:
        raise DatasetError(
            f"{where}: encoding {encoding!r} is unknown; write one such as utf-8, "
            "utf-16, latin-1 or cp1252"
        ) from None


def _marked_encoding(beginning: bytes) -> str:
    for mark, encoding in _MARKS.items():
        if beginning.startswith(mark):
            return encoding
    return "utf-8"


def _decoded_lines(
    pieces: Iterable[bytes],
    path: str,
    *,
    codec: str,
    given: str | None,
) -> Iterator[str]:
    """Yield the decoded lines of a file that is read in pieces ending in byte 0x0A."""
    # In UTF-16 and UTF-32, that byte may be any part of any character.
    if "\n\n".encode(codec).endswith(b"\n\n"):
        for number, piece in enumerate(pieces, start=1):
            try:
                line = piece.decode(codec)
            except UnicodeDecodeError as error:
                raise _failure(error, f"{path}:{number}", codec, given) from None
            yield line
        return
    decoder = codecs.getincrementaldecoder(codec)()
    number = 1
    # Pieces of the line that is not whole yet.
    held: list[str] = []
    for piece in chain(pieces, [b""]):
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            raise _failure(error, f"{path}:{number}", codec, given) from None
        *ends, rest = text.split("\n")
        for end in ends:
            yield "".join([*held, end, "\n"])
            held = []
        held.append(rest)
        number += len(ends)
    if any(held):
        yield "".join(held)


def _failure(
    error: UnicodeDecodeError,
    place: str,
    codec: str,
    given: str | None,
) -> DatasetError:
    fix = "say its `encoding`, such as latin-1 or utf-16"
    if given is not None:
        fix = f"`encoding: {given}` is not that of this file"
    return DatasetError(
        f"{place}: not {codec.upper()}: {error.reason} at byte {error.start}; {fix}"
    )
