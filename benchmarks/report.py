"""What a benchmark found, as a table and as JSON; and the machine it was found on."""

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


@dataclass(frozen=True)
class Aim:
    """A number and the bound it is meant to keep."""

    what: str
    value: float
    bound: float
    at_least: bool = False

    def __str__(self) -> str:
        met = self.value >= self.bound if self.at_least else self.value <= self.bound
        sign = "≥" if self.at_least else "≤"
        verdict = "met" if met else "missed"
        aim = f"aim {sign} {self.bound:g}"
        return f"{self.what}: {_shown(self.value)} ({aim}): {verdict}"


@dataclass(frozen=True)
class Report:
    """Rows of named numbers, how they were measured, and the aims beside them; `parts`
    are printed below.
    """

    how: str
    rows: Sequence[dict[str, Any]]
    aims: Sequence[Aim] = ()
    parts: Mapping[str, Report] = field(default_factory=dict)


def print_report(name: str, report: Report, console: Console) -> None:
    table = Table(
        box=box.SIMPLE_HEAD,
        title=Text(name, style="bold"),
        title_justify="left",
        pad_edge=False,
    )
    for column, value in report.rows[0].items():
        table.add_column(
            column.replace("_", " "),
            justify="left" if isinstance(value, str) else "right",
        )
    for row in report.rows:
        table.add_row(*map(_shown, row.values()))
    console.print(
        "",
        table,
        Text(report.how, style="dim"),
        *map(Text, map(str, report.aims)),
        sep="\n",
    )
    for part, found in report.parts.items():
        print_report(f"{name}: {part}", found, console)


def machine() -> dict[str, str]:
    """Cores this process may use, the versions that matter, and how busy the machine
    was beforehand.
    """
    return {
        "cores": str(available_cpus()),
        "python": platform.python_version(),
        "pyarrow": version("pyarrow"),
        "prefect": version("prefect"),
        "system": platform.platform(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float) and abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)
