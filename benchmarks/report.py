"""What a benchmark found, as a table and as JSON; and the machine it was found on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True)
class Aim:
    """A number and the bound it is meant to keep; null where this run could not measure it."""

    what: str
    value: float | None
    bound: float
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass(frozen=True)
class Report:
    """Rows of named numbers, how they were measured, and the aims beside them."""

    how: str
    rows: Sequence[dict[str, Any]]
    aims: Sequence[Aim] = field(default_factory=tuple)


def print_report(name: str, report: Report, console: Console) -> None:
    columns = list(dict.fromkeys(column for row in report.rows for column in row))
    table = Table(box=box.SIMPLE_HEAD, title=Text(name, style="bold"), title_justify="left", pad_edge=False)
    for column in columns:
        is_text = any(isinstance(row.get(column), str) for row in report.rows)
        table.add_column(column.replace("_", " "), justify="left" if is_text else "right")
    for row in report.rows:
        table.add_row(*(_shown(row.get(column)) for column in columns))
    console.print()
    console.print(table)
    console.print(Text(report.how, style="dim"))
    for aim in report.aims:
        verdict = {True: "met", False: "missed", None: "not measured"}[aim.met]
        sign = "≥" if aim.at_least else "≤"
        console.print(f"{aim.what}: {_shown(aim.value)} (aim {sign} {aim.bound:g}): {verdict}", highlight=False)


def machine() -> dict[str, str]:
    """Cores this process may use, the versions that matter, and how busy the machine was beforehand."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": str(cores),
        "python": platform.python_version(),
        "pyarrow": version("pyarrow"),
        "prefect": version("prefect"),
        "system": platform.platform(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
