"""Whether a GGUF file can be loaded, by its header, its size and the memory of this
machine.
"""

from __future__ import annotations

import math
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from themis_lib.errors import ModelError


def check_gguf(path: Path) -> None:
    """Refuse what llama.cpp would crash on or choke on, by the file's header, its size
    and this machine's memory.

    Raises `ModelError` for a file that is missing, no GGUF (versions 2 and 3,
    little-endian), damaged, shorter than its tensors, one part of several, or larger
    than the memory that is free.
    """
    if not path.exists():
        raise file_problem(path, "does not exist", "check the path")
    if not path.is_file():
        raise file_problem(
            path, "is not a file", "give the path of the .gguf file itself"
        )
    try:
        with path.open("rb") as file:
            header = _read_header(file, path)
    except OSError as error:
        raise file_problem(
            path, f"cannot be read ({error})", "check the access rights"
        ) from error
    if header.parts > 1:
        merge = (
            "merge the parts with `llama-gguf-split --merge <first part> <new file>`"
        )
        raise file_problem(path, f"is one of {header.parts} parts", merge)
    size = path.stat().st_size
    if size < header.needed:
        raise file_problem(
            path,
            f"is cut short: {size:,} of {header.needed:,} bytes",
            "download or copy it again",
        )
    free = free_memory()
    if size + size // 10 > free:
        reason = (
            f"needs some {size + size // 10:,} bytes of memory, and {free:,} are free"
        )
        raise file_problem(
            path, reason, "choose a smaller model or a smaller quantisation"
        )


def file_problem(
    path: Path,
    what: str,
    fix: str,
) -> ModelError:
    """An error that names the file, what is wrong with it and the fix."""
    return ModelError(f"the model file {str(path)!r} {what}: {fix}")


#: Bytes of GGUF's scalar types, by their number; 8 is a text and 9 an array (ggml,
#: docs/gguf.md).
_SCALARS = {
    0: 1,
    1: 1,
    2: 2,
    3: 2,
    4: 4,
    5: 4,
    6: 4,
    7: 1,
    10: 8,
    11: 8,
    12: 8,
}
_TEXT, _ARRAY = 8, 9
#: Elements and bytes of a block, by the number of the tensor type (ggml.c,
#: `type_traits`).
# fmt: off
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36),
}
# fmt: on


@dataclass(frozen=True)
class _Header:
    """What a GGUF header says of its file: the bytes it must have, and how many parts
    there are.
    """

    needed: int
    parts: int


def _read_header(
    file: BinaryIO,
    path: Path,
) -> _Header:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise file_problem(path, "is empty", "download or copy it again")
    if file.read(4) != b"GGUF":
        raise file_problem(
            path, "is no GGUF file", "give a model converted for llama.cpp"
        )
    reader = _Reader(file, size)
    try:
        version, tensors, pairs = (
            reader.number("I"),
            reader.number("Q"),
            reader.number("Q"),
        )
        if version not in (2, 3):
            raise file_problem(
                path,
                f"has GGUF version {version}",
                "convert it to version 3, little-endian",
            )
        settings = reader.settings(pairs)
        end = reader.tensors_end(tensors)
    except EOFError:
        raise file_problem(
            path, "is cut short within its header", "download or copy it again"
        ) from None
    except ValueError as error:
        raise file_problem(
            path, f"is damaged ({error})", "download or copy it again"
        ) from None
    alignment = settings.get("general.alignment", 32)
    if alignment <= 0:
        raise file_problem(
            path, "is damaged (an alignment of 0)", "download or copy it again"
        )
    return _Header(
        math.ceil(file.tell() / alignment) * alignment + end,
        settings.get("split.count", 1),
    )


class _Reader:
    """Reads a header from behind its magic and refuses, before reading on, counts that
    the file cannot hold.
    """

    def __init__(
        self,
        file: BinaryIO,
        size: int,
    ) -> None:
        self._file = file
        self._size = size
        self._at = 4

    def number(self, form: str) -> int:
        width = struct.calcsize(form)
        data = self._file.read(width)
        if len(data) < width:
            raise EOFError
        self._at += width
        return int(struct.unpack(f"<{form}", data)[0])

    def settings(self, count: int) -> dict[str, int]:
        """The integers among the key-value pairs."""
        self._require_bytes(count, 13)
        found: dict[str, int] = {}
        for _ in range(count):
            key = self._read_text()
            kind = self.number("I")
            if kind in (2, 4):
                found[key] = self.number("H" if kind == 2 else "I")
            else:
                self._skip_value(kind)
        return found

    def tensors_end(self, count: int) -> int:
        """Where the last tensor ends, counted from the beginning of the data."""
        if count == 0:
            raise ValueError("it holds no tensor")
        self._require_bytes(count, 24)
        end = 0
        for _ in range(count):
            self._read_text()
            dimensions = self.number("I")
            if dimensions > 4:
                raise ValueError(f"a tensor of {dimensions} dimensions")
            elements = math.prod(self.number("Q") for _ in range(dimensions))
            block, width = _BLOCKS.get(self.number("I"), (1, 0))
            end = max(end, self.number("Q") + math.ceil(elements / block) * width)
        return end

    def _skip_value(
        self,
        kind: int,
        depth: int = 0,
    ) -> None:
        if kind == _TEXT:
            self._skip_bytes(self.number("Q"))
        elif kind == _ARRAY and depth < 4:
            inner, count = self.number("I"), self.number("Q")
            if inner in _SCALARS:
                self._skip_bytes(count * _SCALARS[inner])
                return
            self._require_bytes(count, 8)
            for _ in range(count):
                self._skip_value(inner, depth + 1)
        elif kind in _SCALARS:
            self._skip_bytes(_SCALARS[kind])
        else:
            raise ValueError(f"a value of type {kind}")

    def _read_text(self) -> str:
        length = self.number("Q")
        if length > 0xFFFF:
            raise ValueError(f"a name of {length:,} bytes")
        self._require_bytes(length, 1)
        self._at += length
        return self._file.read(length).decode("utf-8", "replace")

    def _skip_bytes(self, width: int) -> None:
        self._require_bytes(width, 1)
        self._file.seek(width, os.SEEK_CUR)
        self._at += width

    def _require_bytes(
        self,
        count: int,
        width: int,
    ) -> None:
        if count * width > self._size - self._at:
            raise EOFError


def free_memory() -> int:
    """Bytes that can still be used: Linux's estimate within the control group's limit,
    elsewhere what is installed.
    """
    limits = []
    try:
        found = re.search(
            r"^MemAvailable:\s+(\d+) kB",
            Path("/proc/meminfo").read_text(),
            re.MULTILINE,
        )
        limits.append(int(found[1]) * 1024 if found else 0)
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # not Linux, or a control group without a limit
        pass
    if not any(limits) and hasattr(os, "sysconf"):
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    return min(filter(None, limits), default=1 << 62)
