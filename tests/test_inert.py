"""Text that some medium would obey is shown by it instead."""

from __future__ import annotations

import csv
import io
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt

from themis_lib.inert import (
    csv_text,
    latex_text,
    markdown_code,
    markdown_text,
    terminal_text,
    xml_text,
)

HOSTILE = [
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "two\nlines\r\nand \u2028 more",
    "abc\u202edcba",
    "**bold** _it_ ~~gone~~ `code`",
    "[click](http://evil.example) ![](http://evil.example/p.png)",
    "<img src=x onerror=alert(1)> &lt;b&gt;",
    "http://evil.example www.evil.example <http://evil.example>",
    "a|b|c",
    "# heading",
    "- item",
    "1. item",
    "1) item",
    "> quote",
    "---",
    "===",
    "    code block",
    "```",
    "[ref]: http://evil.example",
    "[a][b] [a [b](c)](d) ![a](b)[c](d) [e]\\(f)",
    "[x] done",
    "[ ] to do",
    "$$x$$",
    "$`x`$",
    "\\[x\\]",
    "a \\* b",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_terminal_gets_one_printable_line(text: str) -> None:
    """No control character, line break or change of direction is left."""
    assert terminal_text(text).isprintable()


def test_terminal_text_tells_texts_apart() -> None:
    """What was escaped can still be read."""
    assert r"a\nb \x1b[31m" == terminal_text("a\nb \x1b[31m")
    assert "Größe 数 🙂" == terminal_text("Größe 数 🙂")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("before", ["", "- ", "> ", "1. "])
def test_markdown_shows_the_text(text: str, before: str) -> None:
    """Rendered, it is one paragraph of the same words without any element in it."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(
        before + markdown_text(text)
    )

    [paragraph] = [token for token in tokens if token.type == "inline"]
    children = paragraph.children or []
    assert {"text", "text_special"} >= {child.type for child in children}
    shown = "".join(child.content for child in children).replace("\u200b", "")
    assert terminal_text(" ".join(text.split())) == shown


@pytest.mark.parametrize(
    "text",
    ["@team", "see #12", "a@b.example", "owner/repo#1", "GH-7"],
)
def test_markdown_mentions_nobody(text: str) -> None:
    """What the host of a page links after rendering is taken apart."""
    assert text not in markdown_text(text)
    assert text == markdown_text(text).replace("\u200b", "")


@pytest.mark.parametrize("text", ["www.evil.example", "https://evil.example"])
def test_markdown_links_no_address(text: str) -> None:
    """An address is a text."""
    assert text not in markdown_text(text)


@pytest.mark.parametrize(
    "text", ["exact_match", "-0.5", "+3", "0.64 – 0.70", "a-b.c", "score[f1]"]
)
def test_plain_text_stays_plain_in_markdown(text: str) -> None:
    """Names and numbers are easy to read in the source, too."""
    assert text == markdown_text(text)


@pytest.mark.parametrize("text", ["a", "`", "``a`", "", "a`b", "@team #1", "x\ny"])
def test_code_span_holds_any_text(text: str) -> None:
    """Backticks in it do not end it."""
    [paragraph] = [
        token
        for token in MarkdownIt().parse(markdown_code(text))
        if token.type == "inline"
    ]
    kinds = [child.type for child in paragraph.children or []]
    assert ["code_inline"] == kinds or not text


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "＝1+1"],
)
def test_no_cell_of_csv_is_a_formula(text: str) -> None:
    """A spreadsheet shows the text, behind an apostrophe."""
    assert f"'{text}" == csv_text(text)


@pytest.mark.parametrize("text", ["-5", "+3.5", "-1e-3", "", "a=b", "x"])
def test_numbers_and_texts_stay_in_csv(text: str) -> None:
    """A negative number is a number."""
    assert text == csv_text(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_xml_holds_any_text(text: str) -> None:
    """What is written can be read, and has no character that XML forbids."""
    element = ET.Element("a")
    element.text = xml_text(text)

    assert (
        xml_text(text).split()
        == (ET.fromstring(ET.tostring(element)).text or "").split()
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_latex_has_no_command_of_the_text(text: str) -> None:
    """Every special character is escaped, and there is one line."""
    shown = latex_text(text)

    assert shown.isprintable()
    assert "\\input" not in latex_text(r"\input{/etc/passwd}")


def test_csv_writer_keeps_the_apostrophe() -> None:
    """It survives the file."""
    file = io.StringIO()
    csv.writer(file).writerow([csv_text("=1")])

    assert [["'=1"]] == list(csv.reader([file.getvalue()]))
