"""Places in a text: what a completion has to know about the part already written."""

from __future__ import annotations

from typing import NamedTuple

from themis_lib.engine.constraints.derivatives import Residuals

#: Where a JSON text is: outside of strings, in one, or after a backslash in one.
OUTSIDE, STRING, ESCAPE = range(3)

_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_OPENING, _CLOSING = b"[{", b"]}"


class Place(NamedTuple):
    """The end of an unfinished text.

    `depth` counts the open brackets of a JSON text, and `inside` is one of `OUTSIDE`,
    `STRING` and `ESCAPE`, or `None` for other texts. `text` is all that is written of
    a choice, and empty for other texts. `residuals` are what may follow, where that is
    known.
    """

    depth: int = 0
    inside: int | None = None
    text: bytes = b""
    residuals: Residuals = ()


def advance_json(
    place: Place,
    piece: bytes,
) -> Place:
    """Return the place in a JSON text after more bytes.

    >>> advance_json(Place(inside=OUTSIDE), b'{"a')
    Place(depth=1, inside=1, text=b'', residuals=())
    """
    # Most tokens are inside of a string and do not end it.
    if place.inside == STRING and b'"' not in piece and b"\\" not in piece:
        return place
    depth = place.depth
    inside = place.inside
    # Bytes suffice: in UTF-8, no part of a longer character looks like ASCII.
    for byte in piece:
        if inside == ESCAPE:
            # \u is not allowed, so that every escape has one letter.
            inside = STRING
        elif byte == _QUOTE:
            inside = OUTSIDE if inside == STRING else STRING
        elif inside == STRING:
            inside = ESCAPE if byte == _BACKSLASH else STRING
        elif byte in _OPENING:
            depth += 1
        elif byte in _CLOSING:
            depth -= 1
    return Place(depth, inside)
