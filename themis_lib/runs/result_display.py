"""A run as a Python shell and a notebook show it: its status and its scores."""

from __future__ import annotations

import html
from collections.abc import Sequence

from themis_lib.inert import terminal_text


def shell_text(
    heading: str,
    rows: Sequence[Sequence[str]],
) -> str:
    """Return a heading, and below it the rows with their columns aligned."""
    cells = [[terminal_text(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [terminal_text(heading)]
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append(f"  {'  '.join(padded)}".rstrip())
    return "\n".join(lines)


def notebook_html(
    heading: str,
    rows: Sequence[Sequence[str]],
) -> str:
    """Return the same as HTML: the first row as the table's headings."""
    lines = [f"<p><b>{html.escape(heading)}</b></p>"]
    if rows:
        lines.append("<table>")
        for at, row in enumerate(rows):
            tag = "th" if at == 0 else "td"
            cells = [f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row]
            lines.append(f"<tr>{''.join(cells)}</tr>")
        lines.append("</table>")
    return "\n".join(lines)
