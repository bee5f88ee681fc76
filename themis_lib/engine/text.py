"""From the bytes of tokens to text: characters never broken, stop strings found across
tokens.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """Text released token by token.

    Bytes that end within a character wait for the rest of it, and text that may be the
    beginning of a stop string waits until it is known. Bytes that are no UTF-8 become
    U+FFFD.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stops = tuple(stop for stop in stops if stop)
        self._waiting = ""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """Take the bytes of a token; the text that is now certain. Sets `stopped` where
        a stop string was found.
        """
        text = self._decoder.decode(piece)
        if not self._stops:
            return text
        text = self._waiting + text
        found = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if found:
            self.stopped = True
            self._waiting = ""
            return text[: min(found)]
        held = max(_overlap_length(text, stop) for stop in self._stops)
        self._waiting = text[len(text) - held :]
        return text[: len(text) - held]

    def end(self) -> str:
        """The text that was waiting, when the model has ended its text by itself.

        A text cut by its length does without it: it is a beginning of what a longer one
        would be.
        """
        rest = self._waiting + self._decoder.decode(b"", final=True)
        self._waiting = ""
        return rest


def _overlap_length(
    text: str,
    stop: str,
) -> int:
    """The length of the longest end of `text` that begins `stop`."""
    for length in range(min(len(stop) - 1, len(text)), 0, -1):
        if stop.startswith(text[-length:]):
            return length
    return 0
