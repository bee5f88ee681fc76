"""Members of archives: how they are compressed, damaged, or too large."""

from __future__ import annotations

import io
import zipfile

import pytest

from tests.support.eval_logs import INSPECT
from themis_lib.errors import DatasetError
from themis_lib.eval_logs.zip_members import open_archive, read_member


def read(content: bytes, *, most_bytes: int) -> bytes:
    file = io.BytesIO(content)
    archive = open_archive(file, "log")
    info = archive.infolist()[-1]
    return read_member(archive, file, info, "log: member", most_bytes=most_bytes)


def deflated(size: int) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", b"0" * size)
    return content.getvalue()


@pytest.mark.parametrize("content", [deflated(2000), INSPECT.read_bytes()])
def test_member_is_read_up_to_a_size(content: bytes) -> None:
    """A member that would fill the memory is refused, whatever size it declares."""
    size = len(read(content, most_bytes=10**6))

    assert size == len(read(content, most_bytes=size))
    with pytest.raises(DatasetError, match=r"^log: member: larger than 0 MiB"):
        read(content, most_bytes=size - 1)


@pytest.mark.parametrize("content", [deflated(2000), INSPECT.read_bytes()])
def test_changed_member_is_damaged(content: bytes) -> None:
    """Its checksum, or the compression, tells."""
    info = zipfile.ZipFile(io.BytesIO(content)).infolist()[-1]
    at = info.header_offset + 30 + len(info.filename) + info.compress_size // 2
    changed = bytearray(content)
    changed[at] ^= 0xFF

    with pytest.raises(DatasetError, match=r"^log: member: damaged"):
        read(bytes(changed), most_bytes=10**6)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_archive_with_any_changed_byte_is_read_or_damaged(method: int) -> None:
    """Whatever is changed, in a member or in the list of them, nothing else is raised."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        archive.writestr("samples/é.json", b"0" * 500)
    original = content.getvalue()

    damaged = 0
    for at in range(len(original)):
        for mask in (0x01, 0x80, 0xFF):
            changed = bytearray(original)
            changed[at] ^= mask
            try:
                read(bytes(changed), most_bytes=10**6)
            except DatasetError:
                damaged += 1
            except IndexError:
                # An archive without members.
                continue

    assert damaged > len(original)
