r"""Text of models and data, made inert for each medium that shows it.

An output, a case id, a metric's name or an error message may hold anything: an escape
sequence that a terminal obeys, a link, a mention, a formula. Each medium has one
function here, and everything that writes to it uses that one. HTML is the exception:
its templates escape by themselves.
"""

from __future__ import annotations

import re

_MARKDOWN_INLINE = re.compile(
    r"""[\\`*|~$&]                # code, emphasis, cells, mathematics, entities
    | \](?=[(\[:]) | (?<=\])\(    # links and images, but not `score[f1]`
    | ^\[(?=[ x]\])              # a box to tick
    | (?<![^\W_])_ | _(?![^\W_])  # emphasis, but not within `exact_match`
    | :(?=//)                     # an address that becomes a link
    | (?<=www)\.(?=\w)
    """,
    re.VERBOSE | re.IGNORECASE,
)
# What begins a heading, a list, a rule or an underline: only where a block begins.
_MARKDOWN_BLOCK = re.compile(
    r"^(?:(\d{1,9})(?=[.)](?:\s|$))|(?=[#+-](?:[\s#+-]|$)|>|=+$))"
)
# GitHub links these after Markdown is rendered, so no backslash helps.
_REFERENCE = re.compile(r"(?<=[@#])(?=\w)|(?<=\bGH-)(?=\d)", re.IGNORECASE)
_ZERO_WIDTH_SPACE = "\u200b"

# What spreadsheets take for the start of a formula (OWASP, "CSV injection").
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        # At the start of a row, `\\\\` before it would take these as its argument.
        "[": "{[}",
        "*": "{*}",
    }
)

# Characters of layout that a file of several lines may hold.
_LAYOUT = "\t\n\r"


def terminal_text(text: str) -> str:
    r"""Return text in one line, with characters escaped that a terminal would obey.

    Line breaks, escape sequences, and marks that reverse the direction of the text are
    shown as Python writes them.

    >>> print(terminal_text("red: \x1b[31m"))
    red: \x1b[31m
    """
    return _printable(text, keep="")


def terminal_lines(text: str) -> str:
    r"""Return text in its lines, with characters escaped that a terminal would obey.

    >>> print(terminal_lines("one\ntwo: \x1b[31m"))
    one
    two: \x1b[31m
    """
    lines = text.expandtabs(4).replace("\r\n", "\n")
    return _printable(lines, keep="\n")


def markdown_text(text: str) -> str:
    r"""Return text in one line that Markdown shows as it is, also in a table's cell.

    It makes no link, image, heading, list or HTML, and mentions nobody: a zero-width
    space is put behind `@` and `#`.

    >>> print(markdown_text("*a* <b> [c](http://d)"))
    \*a\* &lt;b> [c\]\(http\://d)
    >>> print(markdown_text("# not a heading"), markdown_text("-0.5 exact_match"))
    \# not a heading -0.5 exact_match
    """
    line = terminal_text(" ".join(text.split()))
    line = _MARKDOWN_INLINE.sub(r"\\\g<0>", line)
    line = _MARKDOWN_BLOCK.sub(r"\g<1>\\", line)
    line = line.replace("<", "&lt;")
    return _REFERENCE.sub(_ZERO_WIDTH_SPACE, line)


def markdown_code(text: str) -> str:
    """Return text in one line as a code span, whatever backticks it holds.

    >>> markdown_code("a `b` c")
    '`` a `b` c ``'
    """
    line = terminal_text(" ".join(text.split()))
    longest = max(map(len, re.findall(r"`+", line)), default=0)
    fence = "`" * (longest + 1)
    # A backtick at an end would join the fence; the spaces are not shown.
    padding = " " if longest or not line else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def csv_text(text: str) -> str:
    """Return text that a spreadsheet takes for no formula.

    An apostrophe is put before `=`, `+`, `-` and `@`, unless the text is a number.

    >>> csv_text("=1+1"), csv_text("-1.5"), csv_text("a=b")
    ("'=1+1", '-1.5', 'a=b')
    """
    shown = _printable(text, keep=_LAYOUT)
    if not shown.startswith(_FORMULA_STARTS) or _is_number(shown):
        return shown
    return f"'{shown}"


def latex_text(text: str) -> str:
    r"""Return text in one line that LaTeX prints as it is.

    >>> print(latex_text("100 % of $x_1$"))
    100 \% of \$x\_1\$
    """
    # An empty line would end the paragraph, and with it a table.
    return terminal_text(" ".join(text.split())).translate(_LATEX)


def xml_text(text: str) -> str:
    r"""Return text without what XML cannot hold; its writer escapes the rest.

    None of the characters that XML 1.0 forbids (section 2.2) is printable.

    >>> print(xml_text("a\x1b[31m <b>"))
    a\x1b[31m <b>
    """
    return _printable(text, keep=_LAYOUT)


def _printable(
    text: str,
    *,
    keep: str,
) -> str:
    """Return text with characters that are neither printable nor kept as escapes."""
    if text.isprintable():
        return text
    shown = []
    for character in text:
        if not (character.isprintable() or character in keep):
            character = character.encode("unicode_escape").decode()
        shown.append(character)
    return "".join(shown)


def _is_number(text: str) -> bool:
    return (
        re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", text, re.IGNORECASE)
        is not None
    )
