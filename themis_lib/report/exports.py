"""Tables for other programs: CSV for spreadsheets and notebooks, LaTeX for papers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

Cell = str | int | float | None

_ESCAPES = str.maketrans(
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
        # At the beginning of a row these would be read as an argument of the line break
        # before it.
        "[": "{[}",
        "*": "{*}",
    }
)


def csv_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
) -> str:
    """A table as CSV (RFC 4180, but for its line ends): numbers with every digit,
    nothing where there is no value.

    >>> print(csv_table(("metric", "mean"), [("exact, match", 0.5), ("f1", None)]), end="")
    metric,mean
    "exact, match",0.5
    f1,
    """
    return "".join(map(_csv_line, [headings, *rows]))


def latex_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    caption: str,
) -> str:
    r"""A table as LaTeX, which needs the package `booktabs`; cells are text, whatever
    characters they hold.

    Columns of numbers are set to the right; a value that is not there is a dash.

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
    cells = [["—" if cell is None else str(cell) for cell in row] for row in rows]
    columns = "".join(
        "r" if cells and all(_is_number(row[at]) for row in cells) else "l"
        for at in range(len(headings))
    )
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_escape_latex(caption)}}}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            _latex_line(headings),
            r"\midrule",
            *map(_latex_line, cells),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


def _csv_line(cells: Sequence[Cell]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(
        cells
    )  # only before its own line end, CR LF, does it quote a cell with a CR in it
    return line.getvalue().removesuffix("\r\n") + "\n"


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(map(_escape_latex, cells)) + r" \\"


def _escape_latex(text: str) -> str:
    return " ".join(text.split()).translate(_ESCAPES)


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").removeprefix("$"))
    except ValueError:
        return text == "—"
    return True
