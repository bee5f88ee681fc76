"""Columns that a dataset derives from those of its file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.core.expressions import SEED, WHOLE_ROW, Expression
from themis_lib.data.columns import no_column
from themis_lib.data.json_forms import json_row
from themis_lib.data.records import Record, Source
from themis_lib.errors import ConfigError, DatasetError


def with_derived(
    dataset: DatasetFile | HubDataset,
    source: Source,
) -> Source:
    """Return a source with the derived columns of its dataset beside its own.

    Raise `DatasetError` for an expression that is malformed or names a column that is
    not there; reading raises it, with the row, for one that has no value.
    """
    if not dataset.derive:
        return source
    expressions: dict[str, Expression] = {}
    reads: list[str] = []
    for name, text in dataset.derive.items():
        where = f"dataset {dataset.dataset_id!r}: derive.{name}"
        try:
            expression = Expression(text, where=where)
        except ConfigError as error:
            raise DatasetError(str(error)) from None
        for column in _columns_of(expression, source, list(expressions)):
            # What is derived already takes the place of a column of its name.
            if column not in expressions:
                reads.append(column)
        expressions[name] = expression

    def needed(columns: Iterable[str]) -> list[str]:
        own = [name for name in columns if name not in expressions]
        return list(dict.fromkeys([*own, *reads]))

    def derived(records: Iterable[Record]) -> Iterator[Record]:
        for number, row in records:
            try:
                values = json_row(row) if source.is_typed else dict(row)
                _derive(expressions, values, dataset.seed)
            except ValueError as error:
                raise DatasetError(f"{source.place(number)}: {error}") from None
            yield number, values

    unparsed = source.unparsed
    return replace(
        source,
        columns=list(dict.fromkeys([*source.columns, *expressions])),
        records=lambda columns: derived(source.records(needed(columns))),
        is_typed=False,
        unparsed=unparsed and unparsed.over(needed, derived),
    )


def _columns_of(
    expression: Expression,
    source: Source,
    derived: list[str],
) -> list[str]:
    """Return the columns that an expression reads, all of which are there."""
    known = list(dict.fromkeys([*source.columns, *derived]))
    needed = [name for name in expression.names if name not in (WHOLE_ROW, SEED)]
    needed += expression.row_items or []
    for name in needed:
        if name not in known:
            raise DatasetError(f"{source.head}: {no_column(name, known)}")
    if expression.row_items is None:
        return known
    # A column may be called as the row is, or as the seed.
    return needed + [name for name in (WHOLE_ROW, SEED) if name in known]


def _derive(
    expressions: dict[str, Expression],
    row: dict[str, Any],
    seed: int,
) -> None:
    """Add the derived columns to a row. Raise `ValueError`, naming the column."""
    for name, expression in expressions.items():
        try:
            row[name] = expression.value(row, seed=seed)
        except ValueError as error:
            raise ValueError(f"derive.{name}: {error}") from None
