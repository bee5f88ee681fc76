"""Text from the bytes of tokens: whole characters, and stop strings across tokens."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """A text that is released token by token.

    Bytes that end within a character wait for the rest of it, and text that may be the
    beginning of a stop string waits until that is known. Bytes that are no UTF-8 become
    U+FFFD.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoder = decoder(errors="replace")
        # An empty stop string is found everywhere, and would stop every text.
        self._stops = tuple(stop for stop in stops if stop)
        self._waiting = ""
        self.stopped = False

    def feed(self, piece: bytes) -> str:
        """Take the bytes of a token, and return the text that is now certain.

        Sets `stopped` if a stop string was found.
        """
        text = self._decoder.decode(piece)
        if not self._stops:
            return text
        text = self._waiting + text
        first_stop = len(text)
        for stop in self._stops:
            place = text.find(stop)
            if place >= 0:
                first_stop = min(first_stop, place)
        if first_stop < len(text):
            self.stopped = True
            self._waiting = ""
            return text[:first_stop]
        # What may become any of the stop strings waits, so that no text is taken back.
        waiting = max(_overlap_length(text, stop) for stop in self._stops)
        certain = len(text) - waiting
        self._waiting = text[certain:]
        return text[:certain]

    def end(self) -> str:
        """Return the text that was waiting when the model ended its text.

        A text that is cut by its length does without it: it is then a beginning of what
        a longer one would be.
        """
        rest = self._waiting + self._decoder.decode(b"", final=True)
        self._waiting = ""
        return rest


def _overlap_length(
    text: str,
    stop: str,
) -> int:
    """Return the length of the longest end of `text` that begins `stop`."""
    # One less than the whole stop string: that would have been found.
    longest = min(len(stop) - 1, len(text))
    for length in range(longest, 0, -1):
        if stop.startswith(text[-length:]):
            return length
    return 0
