"""The lines of text files in any encoding."""

from __future__ import annotations

import io
import time

import pytest

from themis_lib.data.text_lines import text_lines
from themis_lib.errors import DatasetError

#: A byte of the second character is that of a line end in UTF-16, and U+2028 is none.
TEXT = "e\u0301\u010a\u2028\r\n\n\u0a0a\U0001f600"


def lines_of(content: bytes, encoding: str | None = None) -> list[str]:
    return list(text_lines(io.BytesIO(content), "d.txt", encoding))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_mark_tells_the_encoding(encoding: str) -> None:
    """It is no part of the first line."""
    assert ["e\u0301\u010a\u2028\r\n", "\n", "\u0a0a\U0001f600"] == lines_of(
        TEXT.encode(encoding)
    )


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32-be", "gb18030"],
)
def test_encoding_may_be_given(encoding: str) -> None:
    """Lines end in a line feed, and nowhere else."""
    lines = lines_of(TEXT.encode(encoding), encoding)

    assert TEXT == "".join(lines)
    assert 3 == len(lines)


def test_mark_of_another_byte_order_is_left_out() -> None:
    """Also where the encoding is given without one."""
    assert ["a"] == lines_of(b"\xff\xfea\0", "utf-16-le")


@pytest.mark.parametrize(
    ("content", "encoding", "message"),
    [
        (
            b"a\nb\xff",
            None,
            ":2: not UTF-8: invalid start byte at byte 1; say its `encoding`, such as ",
        ),
        (
            b"a\n\x81",
            "cp1252",
            ":2: not CP1252: character maps to <undefined> at byte 0; `encoding: cp1252`",
        ),
        (
            "a\nb\n".encode("utf-16") + b"x",
            None,
            ":3: not UTF-16: truncated data at byte 0; say its `encoding`",
        ),
        ("a\n".encode("utf-16-le"), None, ":1: NUL characters: it is not UTF-8; say"),
    ],
)
def test_what_cannot_be_read_is_named(
    content: bytes, encoding: str | None, message: str
) -> None:
    """By the line, the byte in it and the setting."""
    with pytest.raises(DatasetError) as raised:
        lines_of(content, encoding)

    assert str(raised.value).startswith(f"d.txt{message}")


def test_empty_file_has_no_lines() -> None:
    """Whatever its encoding."""
    assert [] == lines_of(b"")
    assert [] == lines_of(b"", "utf-16")


def test_long_line_of_any_script_costs_little() -> None:
    """Each of these letters holds the byte of a line end, two lines of 200,000 too."""
    line = "\u0a95" * 200_000
    began = time.process_time()

    lines = list(text_lines(io.BytesIO(f"{line}\n{line}".encode("utf-16")), "d"))

    assert [f"{line}\n", line] == lines
    assert time.process_time() - began < 5
