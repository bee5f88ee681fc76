"""Tables for other programs: CSV for spreadsheets and notebooks, LaTeX for papers."""

from __future__ import annotations

import csv
import io
from collections.abc import (
    Iterable,
    Sequence,
)
from pathlib import Path

from themis_lib.errors import ConfigError
from themis_lib.inert import csv_text, latex_text

Cell = str | int | float | None


def check_file(
    option: str,
    file: Path,
) -> None:
    """Refuse a file that cannot be written, before the work whose results are for it.

    Raises `ConfigError` that names the option.
    """
    if file.is_dir() or not file.parent.is_dir():
        raise ConfigError(
            f"{option} {str(file)!r}: there is no folder {str(file.parent)!r} for it, "
            "or it is a folder"
        )


def csv_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
) -> str:
    """Return a table as CSV (RFC 4180, except that lines end in LF).

    Numbers keep every digit; `None` is an empty cell; a text that a spreadsheet would
    take for a formula begins with an apostrophe.

    >>> print(csv_table(("metric", "mean"), [("exact, match", 0.5), ("f1", None)]), end="")
    metric,mean
    "exact, match",0.5
    f1,
    """
    lines = []
    for cells in [headings, *rows]:
        line = io.StringIO()
        # With another line end the writer would leave a cell with a CR unquoted.
        shown = [csv_text(cell) if isinstance(cell, str) else cell for cell in cells]
        csv.writer(line).writerow(shown)
        lines.append(line.getvalue().removesuffix("\r\n") + "\n")
    return "".join(lines)


def latex_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    caption: str,
) -> str:
    r"""Return a table as LaTeX; it needs the package `booktabs`.

    Cells are text, whatever characters they hold. Columns of numbers are aligned to the
    right; `None` is a dash.

    >>> print(latex_table(("metric", "mean"), [("exact_match", 0.5)], "50 % right"))
    \begin{table}
    \centering
    \caption{50 \% right}
    \begin{tabular}{lr}
    \toprule
    metric & mean \\
    \midrule
    exact\_match & 0.5 \\
    \bottomrule
    \end{tabular}
    \end{table}
    """
    cells: list[list[str]] = []
    for row in rows:
        cells.append(["—" if cell is None else str(cell) for cell in row])
    columns = ""
    for at in range(len(headings)):
        is_numeric = all(_is_number(line[at]) for line in cells)
        # A table without rows has no numbers to align.
        columns += "r" if cells and is_numeric else "l"
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{latex_text(caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _latex_line(headings),
        r"\midrule",
        *map(_latex_line, cells),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(map(latex_text, cells)) + r" \\"


def _is_number(text: str) -> bool:
    # Cells from the other reports have separators, dollar signs and dashes.
    try:
        float(text.replace(",", "").removeprefix("$"))
    except ValueError:
        return text == "—"
    return True
