"""The axes of a matrix, the values of each, and the cells that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class AxisValue:
    """One value of an axis: its name, and the settings that it replaces, by path.

    `in_cell` is its part of the name of a cell.
    """

    name: str
    settings: Mapping[str, Any]
    in_cell: str


@dataclass(frozen=True)
class Axis:
    """One dimension of a matrix. `key` is as written, `label` the short form of it."""

    key: str
    label: str
    values: tuple[AxisValue, ...]

    @property
    def changes_data(self) -> bool:
        """Whether its values have other data: scores on them are not compared."""
        return any(
            path.partition(".")[0] == "datasets"
            for value in self.values
            for path in value.settings
        )

    def value(self, name: str) -> AxisValue:
        """Return the value of this name."""
        return next(value for value in self.values if value.name == name)


@dataclass(frozen=True)
class Axes:
    """The axes of a matrix, its cells in order, and the baseline among them.

    A cell is the name of its value on each axis, by the axis's label.
    """

    axes: tuple[Axis, ...]
    cells: tuple[Mapping[str, str], ...]
    baseline: Mapping[str, str]

    def cell_name(self, cell: Mapping[str, str]) -> str:
        """Return the name of a cell: its values, joined by dashes."""
        parts = [axis.value(cell[axis.label]).in_cell for axis in self.axes]
        return "-".join(parts)

    def settings(self, cell: Mapping[str, str]) -> list[tuple[str, Any]]:
        """Return what a cell sets, as paths and values.

        Whole components come before settings inside them, whatever the order of axes.
        """
        found: list[tuple[str, Any]] = []
        for axis in self.axes:
            found += axis.value(cell[axis.label]).settings.items()
        return sorted(found, key=lambda item: item[0].count("."))

    @property
    def paths(self) -> set[str]:
        """The paths of all settings that some value replaces."""
        paths: set[str] = set()
        for axis in self.axes:
            for value in axis.values:
                paths.update(value.settings)
        return paths
