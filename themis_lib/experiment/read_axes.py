"""Reads the `matrix:` of an experiment's file: axes, what is excluded, the baseline."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from themis_lib.core.experiment_spec import ExperimentSpec
from themis_lib.errors import ConfigError, nearest
from themis_lib.experiment.axes import Axes, Axis, AxisValue
from themis_lib.experiment.model_shorthand import SHORTHANDS

BASELINE = "baseline"
EXCLUDE = "exclude"
# A name is part of the names of runs, and of commands.
_NAME = re.compile(r"[\w.:/@+=-]{1,60}")
#: What a cell cannot change: the store and the budget of all, and what makes the name.
_FOR_ALL_CELLS = ("about", "storage", "cost", "name", "matrix")


def read_axes(
    matrix: Any,
    *,
    where: str,
) -> Axes:
    """Return the axes and cells of a `matrix:` section.

    An axis is a name with named values, each a mapping of dotted settings, or a dotted
    setting with a list of its values. Raise `ConfigError`, which begins with `where`.
    """
    if not isinstance(matrix, Mapping):
        raise ConfigError(
            f"{where}: matrix: write a mapping of axes, such as "
            "{generation.generator: [a, b]}"
        )
    # YAML reads `on:` and `1:` as no texts.
    given = {_text(key): value for key, value in matrix.items()}
    keys = [key for key in given if key not in (BASELINE, EXCLUDE)]
    if not keys:
        raise ConfigError(f"{where}: matrix: there is no axis; give at least one")
    labels = _labels(keys)
    axes = tuple(_read_axis(key, labels[key], given[key], where) for key in keys)
    _refuse_shared_settings(axes, where)
    excluded = _read_excluded(given.get(EXCLUDE), axes, f"{where}: matrix.{EXCLUDE}")
    cells = _cells(axes, excluded)
    if not cells:
        raise ConfigError(f"{where}: matrix.{EXCLUDE}: it leaves no cell")
    found = Axes(axes, cells, cells[0])
    _refuse_equal_names(found, where)
    if given.get(BASELINE) is None:
        return found
    baseline = _read_baseline(given[BASELINE], found, f"{where}: matrix.{BASELINE}")
    return replace(found, baseline=baseline)


def _cells(
    axes: Sequence[Axis],
    excluded: Sequence[Mapping[str, Sequence[str]]],
) -> tuple[dict[str, str], ...]:
    """Return every combination of values that is not excluded, in order."""
    labels = [axis.label for axis in axes]
    cells = []
    for values in product(*(axis.values for axis in axes)):
        names = [value.name for value in values]
        cell = dict(zip(labels, names, strict=True))
        if not any(_matches(cell, pattern) for pattern in excluded):
            cells.append(cell)
    return tuple(cells)


def _labels(keys: Sequence[str]) -> dict[str, str]:
    """Return the last part of each key, or the whole where two keys share it."""
    last = [key.rpartition(".")[2] for key in keys]
    labels = {}
    for key, short in zip(keys, last, strict=True):
        labels[key] = short if last.count(short) == 1 else key
    return labels


def _read_axis(
    key: str,
    label: str,
    given: Any,
    where: str,
) -> Axis:
    place = f"{where}: matrix.{key}"
    if isinstance(given, Mapping):
        values = [_named_value(name, given[name], place) for name in given]
    elif isinstance(given, list):
        _check_setting(key, place)
        values = [_listed_value(key, label, item, place) for item in given]
    else:
        hint = nearest(key, [BASELINE, EXCLUDE]) if "." not in key else ""
        hint = f"; {hint}" if hint.startswith("did") else ""
        raise ConfigError(
            f"{place}: got {given!r}; an axis has named values, "
            f"{{NAME: {{setting: value}}}}, or a list of values{hint}"
        )
    if not values:
        raise ConfigError(f"{place}: the axis is empty; give it at least one value")
    names = [value.name for value in values]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"{place}: two values are named {name!r}")
    return Axis(key, label, tuple(values))


def _named_value(
    given_name: Any,
    settings: Any,
    place: str,
) -> AxisValue:
    name = _text(given_name)
    _check_name(name, place)
    if not isinstance(settings, Mapping):
        axis = place.rpartition("matrix.")[2]
        # `{model: small}` under a misspelt `baseline`.
        hint = nearest(axis, [BASELINE, EXCLUDE])
        hint = f"; {hint}" if hint.startswith("did") else ""
        raise ConfigError(
            f"{place}.{name}: got {settings!r}; write the settings that it replaces, "
            f"such as {{generation.generator: …}}{hint}"
        )
    for path in settings:
        _check_setting(str(path), f"{place}.{name}")
    paths = {str(path): value for path, value in settings.items()}
    return AxisValue(name, paths, name)


def _listed_value(
    key: str,
    label: str,
    value: Any,
    place: str,
) -> AxisValue:
    name = _text(value)
    if isinstance(value, (Mapping, list)) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"{place}: {value!r} is no name; name the values: "
            f"{label}: {{NAME: {{{key}: …}}}}"
        )
    # A number alone would not say of what; of `builtin/first`, the last part is enough.
    in_cell = f"{label}={name}"
    if isinstance(value, str):
        in_cell = name.rpartition("/")[2] or name
    return AxisValue(name, {key: value}, in_cell)


def _check_name(
    name: str,
    place: str,
) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{place}: the name {name!r}: write up to 60 letters, digits and . : / @ "
            "+ = - _, without spaces"
        )


def _check_setting(
    path: str,
    place: str,
) -> None:
    """Refuse a path that begins with no section, or with one that all cells share."""
    section, dot, _ = path.partition(".")
    if section in _FOR_ALL_CELLS:
        raise ConfigError(
            f"{place}: {path!r} is the same for all cells; set it outside the matrix"
        )
    known = {*ExperimentSpec.model_fields, *SHORTHANDS}.difference(_FOR_ALL_CELLS)
    if section not in known:
        # A key without a dot may also be one of the matrix's own.
        choices = known if dot else {*known, BASELINE, EXCLUDE}
        raise ConfigError(
            f"{place}: unknown setting {path!r}; {nearest(section, choices)}"
        )


def _refuse_shared_settings(
    axes: Sequence[Axis],
    where: str,
) -> None:
    owners: dict[str, Axis] = {}
    for axis in axes:
        for path in {path for value in axis.values for path in value.settings}:
            # `model` is `generation.generator`.
            other = owners.setdefault(SHORTHANDS.get(path, path), axis)
            if other is not axis:
                raise ConfigError(
                    f"{where}: matrix: the axes {other.key!r} and {axis.key!r} both "
                    f"set {path!r}; leave it to one of them"
                )


def _refuse_equal_names(
    axes: Axes,
    where: str,
) -> None:
    names = [axes.cell_name(cell) for cell in axes.cells]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"{where}: matrix: two cells are named {name!r}; name a value "
                "differently"
            )


def _read_excluded(
    given: Any,
    axes: Sequence[Axis],
    place: str,
) -> list[dict[str, list[str]]]:
    """Return which cells are left out, as the values of some axes."""
    if given is None:
        return []
    if not isinstance(given, list):
        raise ConfigError(f"{place}: write a list of cells, such as [{{AXIS: VALUE}}]")
    patterns = []
    for at, item in enumerate(given):
        patterns.append(_read_pattern(item, axes, f"{place}[{at}]"))
    return patterns


def _read_pattern(
    given: Any,
    axes: Sequence[Axis],
    place: str,
) -> dict[str, list[str]]:
    """Return the values that are named of some axes, by the axes' labels."""
    if not isinstance(given, Mapping) or not given:
        raise ConfigError(
            f"{place}: got {given!r}; name values of axes: {{AXIS: VALUE}}"
        )
    by_name = {axis.label: axis for axis in axes} | {axis.key: axis for axis in axes}
    pattern = {}
    for key, wanted in given.items():
        axis = by_name.get(_text(key))
        if axis is None:
            labels = [axis.label for axis in axes]
            raise ConfigError(
                f"{place}: no axis {key!r}; {nearest(_text(key), labels)}"
            )
        listed = wanted if isinstance(wanted, list) else [wanted]
        names = [_text(name) for name in listed]
        _check_values(names, axis, f"{place}.{key}")
        pattern[axis.label] = names
    return pattern


def _check_values(
    names: Sequence[str],
    axis: Axis,
    place: str,
) -> None:
    known = [value.name for value in axis.values]
    for name in names:
        if name not in known:
            raise ConfigError(f"{place}: no value {name!r}; {nearest(name, known)}")


def _matches(
    cell: Mapping[str, str],
    pattern: Mapping[str, Sequence[str]],
) -> bool:
    return all(cell[label] in names for label, names in pattern.items())


def _read_baseline(
    given: Any,
    axes: Axes,
    place: str,
) -> Mapping[str, str]:
    """Return the cell that is named, by its name or by its values.

    An axis that is left out has its first value.
    """
    by_name = {axes.cell_name(cell): cell for cell in axes.cells}
    if isinstance(given, str):
        if given not in by_name:
            raise ConfigError(f"{place}: no cell {given!r}; {nearest(given, by_name)}")
        return by_name[given]
    pattern = _read_pattern(given, axes.axes, place)
    wanted = {axis.label: axis.values[0].name for axis in axes.axes}
    for label, names in pattern.items():
        if len(names) > 1:
            raise ConfigError(f"{place}.{label}: name one value")
        wanted[label] = names[0]
    if wanted not in axes.cells:
        raise ConfigError(
            f"{place}: {axes.cell_name(wanted)!r} is no cell, it is excluded; "
            f"{nearest(axes.cell_name(wanted), by_name)}"
        )
    return wanted


def _text(value: Any) -> str:
    """Return a value as it is written in YAML."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
