"""Plain values between two processes that do not trust each other.

A frame is a length and a JSON document. A value is read back as exactly the built-in
type that it had, or as a reference to an object of the other side: nothing that is read
can run code. Imports nothing but the standard library: it runs in the sandbox.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from typing import Any, TypeAlias

Frame: TypeAlias = dict[str, Any]

#: The bytes that a frame may have. A longer one is refused by its writer and reader.
MAX_FRAME = 4 * 2**20
_LENGTH = struct.Struct("!I")
#: The types with a subclass, such as a named tuple or a counter, which is sent as one.
_BASES: tuple[type, ...] = (
    int,
    float,
    complex,
    str,
    bytes,
    tuple,
    list,
    dict,
    frozenset,
    set,
)


class UnusableFrameError(ValueError):
    """A frame that is too long, or no value."""


def write_frame(
    file: int,
    frame: Frame,
) -> None:
    """Write a frame. Raise `UnusableFrameError` if it is too long."""
    content = json.dumps(frame).encode()
    if len(content) > MAX_FRAME:
        raise UnusableFrameError(f"more than {MAX_FRAME} bytes as JSON")
    data = memoryview(_LENGTH.pack(len(content)) + content)
    while data:
        data = data[os.write(file, data) :]


def read_frame(file: int) -> Frame | None:
    """Return the next frame; `None` if the other side has ended.

    Raise `UnusableFrameError` for what is no frame.
    """
    header = _read_bytes(file, _LENGTH.size)
    if header is None:
        return None
    (length,) = _LENGTH.unpack(header)
    if length > MAX_FRAME:
        raise UnusableFrameError(f"more than {MAX_FRAME} bytes as JSON")
    content = _read_bytes(file, length)
    if content is None:
        return None
    try:
        frame = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UnusableFrameError(str(error)) from None
    if not isinstance(frame, dict):
        raise UnusableFrameError("no JSON object")
    return frame


def _read_bytes(
    file: int,
    length: int,
) -> bytes | None:
    content = bytearray()
    while len(content) < length:
        try:
            some = os.read(file, length - len(content))
        # The other side ended with something unread.
        except ConnectionResetError:
            return None
        if not some:
            return None
        content += some
    return bytes(content)


def encode(
    value: Any,
    refer: Callable[[Any], int],
) -> Any:
    """Return a value as JSON that keeps its type.

    What is not plain data becomes the number that `refer` gives it.
    """
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [encode(item, refer) for item in value]
    if kind in (tuple, set, frozenset):
        return {kind.__name__: [encode(item, refer) for item in value]}
    if kind is dict:
        pairs = []
        for key, item in value.items():
            pairs.append([encode(key, refer), encode(item, refer)])
        return {"dict": pairs}
    return _encode_rarer(value, refer)


def _encode_rarer(
    value: Any,
    refer: Callable[[Any], int],
) -> Any:
    if type(value) is bytes:
        return {"bytes": value.hex()}
    if type(value) is complex:
        return {"complex": [value.real, value.imag]}
    for base in _BASES:
        if isinstance(value, base):
            return encode(base(value), refer)
    return {"object": refer(value)}


def decode(
    value: Any,
    resolve: Callable[[int], Any],
) -> Any:
    """Return the value behind such JSON. Raise `UnusableFrameError` if it is none."""
    try:
        return _decode(value, resolve)
    except (
        ArithmeticError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise UnusableFrameError(str(error)) from None


def _decode(
    value: Any,
    resolve: Callable[[int], Any],
) -> Any:
    if isinstance(value, list):
        return [_decode(item, resolve) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "object":
        return resolve(content)
    if kind == "bytes":
        return bytes.fromhex(content)
    if kind == "complex":
        return complex(*content)
    items = _decode(content, resolve)
    if kind == "dict":
        return dict(items)
    return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](items)
