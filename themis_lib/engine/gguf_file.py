"""A check of GGUF files, by header, size and free memory, before llama.cpp loads them."""

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
    """Refuse files that llama.cpp would crash on, or that do not fit in memory.

    Raises `ModelError` for a file that is missing, no GGUF (versions 2 and 3,
    little-endian), damaged, shorter than its tensors, one part of several, or larger
    than the memory that is free.
    """
    if not path.exists():
        raise file_problem(
            path,
            "does not exist",
            "check the path",
        )
    if not path.is_file():
        raise file_problem(
            path,
            "is not a file",
            "give the path of the .gguf file itself",
        )
    try:
        with path.open("rb") as file:
            header = _read_header(file, path)
    except OSError as error:
        raise file_problem(
            path,
            f"cannot be read ({error})",
            "check the access rights",
        ) from error
    if header.parts > 1:
        raise file_problem(
            path,
            f"is one of {header.parts} parts",
            "merge the parts with `llama-gguf-split --merge <first part> <new file>`",
        )
    size = path.stat().st_size
    # llama.cpp maps the file: reading beyond its end kills the process.
    if size < header.needed:
        raise file_problem(
            path,
            f"is cut short: {size:,} of {header.needed:,} bytes",
            "download or copy it again",
        )
    # A tenth more, for what llama.cpp computes with beside the weights.
    needed_memory = size + size // 10
    free = free_memory()
    if needed_memory > free:
        raise file_problem(
            path,
            f"needs some {needed_memory:,} bytes of memory, and {free:,} are free",
            "choose a smaller model or a smaller quantisation",
        )


def file_problem(
    path: Path,
    what: str,
    fix: str,
) -> ModelError:
    """Return an error that names the file, what is wrong with it and the fix."""
    return ModelError(f"the model file {str(path)!r} {what}: {fix}")


#: Bytes of GGUF's scalar types by their number; 8 is a text and 9 an array (ggml,
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
#: The types of the settings that are read: unsigned integers of 16 and of 32 bits.
_UINT16, _UINT32 = 2, 4
#: Bounds the recursion on a damaged header.
_DEEPEST_ARRAY = 4
#: GGML_MAX_DIMS of ggml.h.
_MOST_DIMENSIONS = 4
#: The longest name of a setting (ggml, docs/gguf.md); those of tensors are shorter.
_LONGEST_NAME = 0xFFFF
#: The fewest bytes that a setting and a tensor take in a header, so that a damaged count
#: is refused before it is looped over.
_SMALLEST_SETTING, _SMALLEST_TENSOR = 13, 24
#: Elements and bytes of a block, by the number of the tensor type (ggml.c,
#: `type_traits`).
_BLOCKS = {
    # F32, F16, and Q4_0 to Q8_1, which have one scale for 32 weights.
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    # Q2_K to Q8_K, in blocks of 256.
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    # IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ4_NL, IQ3_S, IQ2_S, IQ4_XS.
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    # I8, I16, I32, I64, F64, IQ1_M, BF16.
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    29: (256, 56),
    30: (1, 2),
    # TQ1_0, TQ2_0, MXFP4, NVFP4.
    34: (256, 54),
    35: (256, 66),
    39: (32, 17),
    40: (64, 36),
}


@dataclass(frozen=True)
class _Header:
    """The bytes that a file must have by its header, and the number of its parts."""

    needed: int
    parts: int


def _read_header(
    file: BinaryIO,
    path: Path,
) -> _Header:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise file_problem(
            path,
            "is empty",
            "download or copy it again",
        )
    if file.read(4) != b"GGUF":
        raise file_problem(
            path,
            "is no GGUF file",
            "give a model converted for llama.cpp",
        )
    reader = _Reader(file, size)
    try:
        version = reader.number("I")
        tensors = reader.number("Q")
        pairs = reader.number("Q")
        # A big-endian file has its version in the wrong bytes, and is refused here.
        if version not in (2, 3):
            raise file_problem(
                path,
                f"has GGUF version {version}",
                "convert it to version 3, little-endian",
            )
        settings = reader.settings(pairs)
        tensors_end = reader.tensors_end(tensors)
    except EOFError:
        raise file_problem(
            path,
            "is cut short within its header",
            "download or copy it again",
        ) from None
    # `ModelError` is a `ValueError` too: the refusal above becomes the reason here.
    except ValueError as error:
        raise file_problem(
            path,
            f"is damaged ({error})",
            "download or copy it again",
        ) from None
    alignment = settings.get("general.alignment", 32)
    if alignment <= 0:
        raise file_problem(
            path,
            "is damaged (an alignment of 0)",
            "download or copy it again",
        )
    data_start = math.ceil(file.tell() / alignment) * alignment
    return _Header(
        needed=data_start + tensors_end,
        parts=settings.get("split.count", 1),
    )


class _Reader:
    """A reader of a header, beginning behind its magic.

    Before reading on, it refuses counts that the file cannot hold. It raises `EOFError`
    for those and for a file that ends, and `ValueError` for other damage.
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
        """Return the next number, of a format character of `struct`."""
        width = struct.calcsize(form)
        data = self._file.read(width)
        if len(data) < width:
            raise EOFError
        self._at += width
        return int(struct.unpack(f"<{form}", data)[0])

    def settings(self, count: int) -> dict[str, int]:
        """Return the integers among the next key-value pairs."""
        self._require(count, _SMALLEST_SETTING)
        found: dict[str, int] = {}
        for _ in range(count):
            key = self._read_name()
            kind = self.number("I")
            if kind == _UINT16:
                found[key] = self.number("H")
            elif kind == _UINT32:
                found[key] = self.number("I")
            else:
                self._skip_value(kind)
        return found

    def tensors_end(self, count: int) -> int:
        """Return where the last tensor ends, counted from the beginning of the data."""
        if count == 0:
            raise ValueError("it holds no tensor")
        self._require(count, _SMALLEST_TENSOR)
        end = 0
        for _ in range(count):
            self._read_name()
            dimensions = self.number("I")
            if dimensions > _MOST_DIMENSIONS:
                raise ValueError(f"a tensor of {dimensions} dimensions")
            elements = 1
            for _ in range(dimensions):
                elements *= self.number("Q")
            # An unknown type counts nothing: what it takes cannot be known here.
            block, width = _BLOCKS.get(self.number("I"), (1, 0))
            start = self.number("Q")
            tensor_end = start + math.ceil(elements / block) * width
            end = max(end, tensor_end)
        return end

    def _skip_value(
        self,
        kind: int,
        depth: int = 0,
    ) -> None:
        if kind == _TEXT:
            self._skip_bytes(self.number("Q"))
        elif kind == _ARRAY and depth < _DEEPEST_ARRAY:
            inner = self.number("I")
            count = self.number("Q")
            if inner in _SCALARS:
                self._skip_bytes(count * _SCALARS[inner])
                return
            # A text and an array take at least 8 bytes each, for their lengths.
            self._require(count, 8)
            for _ in range(count):
                self._skip_value(inner, depth + 1)
        elif kind in _SCALARS:
            self._skip_bytes(_SCALARS[kind])
        else:
            raise ValueError(f"a value of type {kind}")

    def _read_name(self) -> str:
        length = self.number("Q")
        if length > _LONGEST_NAME:
            raise ValueError(f"a name of {length:,} bytes")
        self._require(length, 1)
        self._at += length
        return self._file.read(length).decode("utf-8", "replace")

    def _skip_bytes(self, width: int) -> None:
        # Seeking beyond the end succeeds: only the check tells that the file ends.
        self._require(width, 1)
        self._file.seek(width, os.SEEK_CUR)
        self._at += width

    def _require(
        self,
        count: int,
        width: int,
    ) -> None:
        if count * width > self._size - self._at:
            raise EOFError


def free_memory() -> int:
    """Return the bytes of memory that can still be used.

    On Linux they are the kernel's estimate, within the limit of the control group;
    elsewhere all that is installed.
    """
    limits = []
    try:
        found = re.search(
            r"^MemAvailable:\s+(\d+) kB",
            Path("/proc/meminfo").read_text(),
            re.MULTILINE,
        )
        limits.append(int(found[1]) * 1024 if found else 0)
        # The text "max" is no limit, and a `ValueError`.
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # not Linux, or a control group without a limit
        pass
    # Windows has no `sysconf`.
    if not any(limits) and hasattr(os, "sysconf"):
        limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    # Nothing known: llama.cpp is left to try.
    return min(filter(None, limits), default=1 << 62)
