"""Report of a benchmark, printed as a table or written as JSON, and the facts of the
machine.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from themis_lib.cpus import available_cpus

#: Named numbers and texts, in the order of a table's columns.
Row = dict[str, Any]


@dataclass(frozen=True)
class Aim:
    """A number and the bound it is meant to keep."""

    what: str
    value: float
    bound: float
    at_least: bool = False

    def __str__(self) -> str:
        if self.at_least:
            sign = "≥"
            met = self.value >= self.bound
        else:
            sign = "≤"
            met = self.value <= self.bound
        verdict = "met" if met else "missed"
        number = _format_value(self.value)
        return f"{self.what}: {number} (aim {sign} {self.bound:g}): {verdict}"


@dataclass(frozen=True)
class Report:
    """Rows of named numbers, how they were measured, and their aims; `parts` are printed
    below.
    """

    how: str
    rows: Sequence[Row]
    aims: Sequence[Aim] = ()
    parts: Mapping[str, Report] = field(default_factory=dict)


def print_report(
    name: str,
    report: Report,
    console: Console,
) -> None:
    title = Text(name, style="bold")
    table = Table(
        box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False
    )
    # The first row has a value for each column, and decides how the column is aligned.
    for column, value in report.rows[0].items():
        heading = column.replace("_", " ")
        justify = "left" if isinstance(value, str) else "right"
        table.add_column(heading, justify=justify)
    for row in report.rows:
        cells = map(_format_value, row.values())
        table.add_row(*cells)
    # `Text`, since square brackets in a plain string would be read as markup.
    how = Text(report.how, style="dim")
    console.print("", table, how, sep="\n")
    for aim in report.aims:
        console.print(Text(str(aim)))
    for part, found in report.parts.items():
        print_report(f"{name}: {part}", found, console)


def machine() -> dict[str, str]:
    """Return the cores this process may use, the versions that matter, and how busy the
    machine is.
    """
    return {
        "cores": str(available_cpus()),
        "python": platform.python_version(),
        "pyarrow": version("pyarrow"),
        "prefect": version("prefect"),
        "system": platform.platform(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _format_value(value: Any) -> str:
    if value is None:
        return "–"
    if not isinstance(value, (int, float)):
        return str(value)
    # From 1,000 on, three significant digits would become an exponent.
    if isinstance(value, float) and abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}"
