"""Text is released in whole characters up to a stop, however its bytes were cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from themis_lib.engine.text import TextStream

MANY = settings(max_examples=250, derandomize=True)
#: Few letters, so that stop strings and their beginnings are common; characters of one
#: to four bytes.
LETTERS = "ab é€🎉"
TEXTS = st.text(LETTERS, max_size=30) | st.text(max_size=20)
STOPS = st.lists(st.text(LETTERS, max_size=4), max_size=3)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:stop] for start, stop in pairwise(places)] or [b""]


def released(stream: TextStream, parts: list[bytes]) -> list[str]:
    found = []
    for part in parts:
        found.append(stream.feed(part))
        if stream.stopped:
            return found
    return [*found, stream.end()]


def before_first_stop(text: str, stops: list[str]) -> str:
    places = [place for stop in stops if stop and (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text


def _known_difference(text: str, stops: list[str]) -> bool:
    """Return whether a stop that begins earlier ends after another.

    The one that is complete first ends the text.
    """
    first_end = min(
        (text.find(stop) + len(stop) for stop in stops if stop and stop in text),
        default=0,
    )
    return before_first_stop(text[:first_end], stops) != before_first_stop(text, stops)


@MANY
@given(TEXTS, st.lists(st.integers(0, 200), max_size=12))
def test_without_stops_every_piece_joins_to_the_text(text, cuts) -> None:
    """Cut at any bytes, within characters too; no piece holds a broken character."""
    data = text.encode("utf-8", "surrogatepass")
    found = released(TextStream(), pieces(data, cuts))
    assert data.decode("utf-8", "replace") == "".join(found)
    if "\ufffd" not in data.decode("utf-8", "replace"):
        assert all("\ufffd" not in piece for piece in found)


@MANY
@given(TEXTS, STOPS, st.lists(st.integers(0, 200), max_size=12))
@example("aab", ["ab", "aab"], [])
def test_pieces_join_to_the_text_before_the_first_stop(text, stops, cuts) -> None:
    """The first to be complete; of several within one token, the first to begin."""
    text = text.encode("utf-8", "replace").decode()
    stream = TextStream(stops)
    found = "".join(released(stream, pieces(text.encode(), cuts)))
    if not _known_difference(text, stops):
        assert before_first_stop(text, stops) == found
    assert stream.stopped == any(stop in text for stop in stops if stop)
    assert text.startswith(found)


@MANY
@given(TEXTS, STOPS)
def test_how_a_text_is_cut_into_tokens_does_not_matter_byte_by_byte(
    text, stops
) -> None:
    """One byte at a time finds the first complete stop, and releases nothing of it."""
    text = text.encode("utf-8", "replace").decode()
    stream = TextStream(stops)
    found = "".join(released(stream, [bytes([byte]) for byte in text.encode()]))
    ends = [text.find(stop) + len(stop) for stop in stops if stop and stop in text]
    expected = before_first_stop(text[: min(ends)], stops) if ends else text
    assert expected == found


@MANY
@given(TEXTS, STOPS, st.lists(st.integers(0, 200), max_size=12))
def test_what_was_released_is_never_taken_back(text, stops, cuts) -> None:
    """What is released is always a beginning of the text before the first stop.

    So is a text that is cut by its length.
    """
    text = text.encode("utf-8", "replace").decode()
    stream, so_far = TextStream(stops), ""
    for part in pieces(text.encode(), cuts):
        so_far += stream.feed(part)
        assert before_first_stop(text, stops).startswith(so_far) or _known_difference(
            text, stops
        )
        if stream.stopped:
            break


@MANY
@given(st.binary(max_size=40), st.lists(st.integers(0, 200), max_size=12))
def test_bytes_that_are_no_text_become_replacement_characters(data, cuts) -> None:
    """As decoding them at once does, however they are cut."""
    assert data.decode("utf-8", "replace") == "".join(
        released(TextStream(), pieces(data, cuts))
    )


def test_half_a_character_waits_for_its_rest() -> None:
    """And is a replacement character only where the text ends within it."""
    first, second = "é"[:1].encode()[:1], "é".encode()[1:]
    stream = TextStream()
    assert ["", "é"] == [stream.feed(first), stream.feed(second)]
    stream = TextStream()
    assert ["", "\ufffd"] == [stream.feed(first), stream.end()]


def test_a_stop_string_may_span_tokens() -> None:
    """What may be its beginning waits; what is not is released with the next token."""
    stream = TextStream(["[EOS]"])
    assert ["one ", "", "[EO", ""] == [
        stream.feed(b"one [E"),
        stream.feed(b"O"),
        stream.feed(b"[EOS"),
        stream.feed(b"]"),
    ]
    assert stream.stopped


def test_what_waits_is_released_when_the_model_ends_its_text() -> None:
    """A beginning of a stop string is text after all."""
    stream = TextStream(["[EOS]"])
    assert ["one ", "[EO"] == [stream.feed(b"one [EO"), stream.end()]
    assert not stream.stopped


@pytest.mark.parametrize("stops", [(), ("",), ("", "")])
def test_an_empty_stop_string_stops_nothing(stops) -> None:
    """As if there were none."""
    stream = TextStream(stops)
    assert "text" == stream.feed(b"text")
    assert not stream.stopped
