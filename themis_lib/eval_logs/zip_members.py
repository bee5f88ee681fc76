"""The members of a ZIP archive, Zstandard included, each with a bound on its size."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from typing import IO

import pyarrow as pa

from themis_lib.errors import DatasetError, describe

#: Compression method 93 of the ZIP specification (APPNOTE 6.3.8). The standard library
#: reads it from Python 3.14 on.
_ZSTANDARD = 93
#: The most that one member may hold. A sample with its whole transcript stays below.
MOST_BYTES = 256 * 2**20
#: A local header up to the lengths of the name and the extra field behind it.
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_SIGNATURE = b"PK\x03\x04"


def open_archive(
    file: IO[bytes],
    path: str,
) -> zipfile.ZipFile:
    """Open an archive. Raise `DatasetError` for what is none, or is cut off."""
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DatasetError(
            f"{path}: not a .eval log, or cut off: {describe(error)}"
        ) from None


def read_member(
    archive: zipfile.ZipFile,
    file: IO[bytes],
    info: zipfile.ZipInfo,
    place: str,
    *,
    most_bytes: int = MOST_BYTES,
) -> bytes:
    """Return the content of a member, at most `most_bytes` of it in memory.

    `file` is what the archive was opened from. Raise `DatasetError`, naming the place,
    for a damaged member and for one that holds more.
    """
    try:
        if info.compress_type == _ZSTANDARD:
            raw = pa.BufferReader(_compressed(file, info))
            with pa.CompressedInputStream(raw, "zstd") as stream:
                content = bytes(stream.read(most_bytes + 1))
        else:
            with archive.open(info) as member:
                content = member.read(most_bytes + 1)
    except (
        zipfile.BadZipFile,
        zlib.error,
        pa.ArrowException,
        OSError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        # Of a place before the begin of the file, or a name that is no text.
        ValueError,
        lzma.LZMAError,
        struct.error,
    ) as error:
        raise DatasetError(f"{place}: damaged: {describe(error)}") from None
    # Counted as read: the size that an archive declares may be a lie.
    if len(content) > most_bytes:
        raise DatasetError(
            f"{place}: larger than {most_bytes // 2**20} MiB, the most for one sample"
        )
    if zlib.crc32(content) != info.CRC:
        raise DatasetError(f"{place}: damaged: its checksum is wrong")
    return content


def _compressed(
    file: IO[bytes],
    info: zipfile.ZipInfo,
) -> bytes:
    file.seek(info.header_offset)
    header = file.read(_LOCAL_HEADER.size)
    signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(header)
    if signature != _SIGNATURE:
        raise zipfile.BadZipFile("a member has no header")
    file.seek(name_bytes + extra_bytes, 1)
    return file.read(info.compress_size)
