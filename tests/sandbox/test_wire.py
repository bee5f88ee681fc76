"""Values on the wire: back as they were, and nothing that is read can do harm."""

from __future__ import annotations

import json
import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from themis_lib.sandbox.wire import (
    MAX_FRAME,
    UnusableFrameError,
    decode,
    encode,
    read_frame,
    write_frame,
)

HASHABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3),
    max_leaves=5,
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.sets(HASHABLE, max_size=3)
        | st.dictionaries(HASHABLE, inner, max_size=3)
        | st.tuples(inner)
    ),
    max_leaves=10,
)


def no_objects(value):
    raise AssertionError(value)


@settings(max_examples=40)
@given(VALUES)
def test_values_come_back_with_their_types(value):
    """A value is the same after JSON, and so are the types in it."""
    back = decode(json.loads(json.dumps(encode(value, no_objects))), no_objects)

    assert value == back
    assert type(value) is type(back)


def test_what_is_no_plain_data_becomes_a_reference():
    """An object crosses as a number, which its own side gives it."""
    objects = []

    def refer(value):
        objects.append(value)
        return len(objects) - 1

    assert [{"object": 0}] == encode([len], refer)
    assert [len] == decode([{"object": 0}], objects.__getitem__)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"tuple": 1},
        {"set": [[1]]},
        {"dict": [1]},
        {"bytes": "zz"},
        {"complex": ["x", 1, 2]},
        {"module": "os"},
        {"list": [], "tuple": []},
    ],
)
def test_malformed_values_are_refused(content):
    """What no value is encoded as raises one error."""
    with pytest.raises(UnusableFrameError):
        decode(content, no_objects)


def test_frames_are_bounded_on_both_sides():
    """A frame that is too long is refused before it is written, and before it is read."""
    reader, writer = os.pipe()
    os.write(writer, struct.pack("!I", MAX_FRAME + 1))

    with pytest.raises(UnusableFrameError, match="more than"):
        write_frame(writer, {"value": "x" * MAX_FRAME})
    with pytest.raises(UnusableFrameError, match="more than"):
        read_frame(reader)
    os.close(reader)
    os.close(writer)


def test_frame_that_is_cut_off_is_none():
    """A side that ends in the middle of a frame has sent nothing."""
    reader, writer = os.pipe()
    write_frame(writer, {"value": 1})
    os.write(writer, struct.pack("!I", 100) + b"{")
    os.close(writer)

    frames = [read_frame(reader), read_frame(reader)]
    os.close(reader)

    assert [{"value": 1}, None] == frames
