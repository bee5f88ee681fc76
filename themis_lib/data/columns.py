"""How the columns of a row become a case, and which rows are kept."""

from __future__ import annotations

import difflib
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.data.sources import Row, Source, did_you_mean
from themis_lib.errors import DatasetError
from themis_lib.identity.digests import canonical_json

#: A case as its table holds it: case_id, input, expected_output, metadata.
CaseTexts = tuple[str, str, str | None, str]
#: The parts of a case that columns can be mapped to.
TARGETS = ("input", "expected_output", "case_id", "metadata")


class RowFilter:
    """Keeps the rows whose columns each hold one of the values asked for."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._choices = {
            name: value if isinstance(value, list) else [value]
            for name, value in spec.items()
        }
        self._reached = dict.fromkeys(spec, 0)
        self._refused: dict[str, dict[str, None]] = {name: {} for name in spec}

    def keeps(self, row: Row) -> bool:
        """Whether the row passes. Raises `KeyError` when it lacks a column."""
        for name, choices in self._choices.items():
            value = row[name]
            self._reached[name] += 1
            if not any(_same_json(value, choice) for choice in choices):
                if len(self._refused[name]) < _SHOWN_VALUES:
                    self._refused[name][f"{value!r:.60}"] = None
                return False
        return True

    def emptied(self) -> str:
        """Which column let no row pass, and some of its values; empty when no row came
        to the filter.
        """
        reached = [name for name, rows in self._reached.items() if rows]
        if not reached:
            return ""
        name = reached[-1]
        wanted, refused = (
            [repr(choice) for choice in self._choices[name]],
            list(self._refused[name]),
        )
        close = [
            match
            for text in wanted
            for match in difflib.get_close_matches(text, refused, n=1)
        ]
        hint = (
            f"did you mean {close[0]}?" if close else f"it holds {', '.join(refused)}"
        )
        kept = f"kept none of {self._reached[name]} rows"
        return f"the filter {name}: {' or '.join(wanted)} {kept}; {hint}"


class CaseMapping:
    """How a row becomes a case: the column or columns behind each part of it.

    Raises `DatasetError` when the file lacks a column that the mapping or the filter
    names.
    """

    def __init__(
        self,
        dataset: DatasetFile | HubDataset,
        source: Source,
    ) -> None:
        mapped, known = dataset.columns, source.columns
        self._dataset_id = dataset.dataset_id
        self._blank_is_null = source.blank_is_null
        self._input = mapped.get("input", "input")
        self._expected_output = mapped.get("expected_output")
        self._metadata = mapped.get("metadata")
        self._case_id = _id_source(dataset, known)
        named = [
            self._input,
            self._expected_output,
            self._metadata,
            *_id_columns(dataset, self._case_id),
        ]
        required = list(
            dict.fromkeys([*chain.from_iterable(map(_as_list, named)), *dataset.filter])
        )
        for name in required:
            if name not in known:
                is_default = name == "input" and "input" not in mapped
                hint = "; map one: `columns: {input: …}`" if is_default else ""
                raise DatasetError(f"{source.head}: {no_column(name, known)}{hint}")
        optional = [
            name
            for name in ("expected_output", "metadata")
            if name not in mapped and name in known
        ]
        #: The columns that cases and the filter are made from.
        self.columns = list(dict.fromkeys([*required, *optional]))

    def case(
        self,
        row_number: int,
        row: Row,
    ) -> CaseTexts:
        """The case of one row. Raises `KeyError` for a column it lacks, `ValueError`
        for an unfit value.
        """
        case_id = self._row_id(row_number, row)
        return (
            case_id,
            _json_text(row, self._input),
            self._expected_text(row),
            self._metadata_text(row),
        )

    def _row_id(
        self,
        row_number: int,
        row: Row,
    ) -> str:
        if self._case_id is None:
            if "case_id" in row:
                raise ValueError(
                    "a case_id, where the first row has none; give every row one, or none"
                )
            return f"{self._dataset_id}-{row_number:04d}"
        if not _is_pattern(self._case_id):
            return id_text(row[self._case_id])
        try:
            text = self._case_id.format_map({**row, "row": row_number})
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"case_id {self._case_id!r}: {error}") from None
        return id_text(text)

    def _expected_text(self, row: Row) -> str | None:
        source = self._expected_output or "expected_output"
        if isinstance(source, str):
            value = row[source] if self._expected_output else row.get(source)
            if self._is_null(value):
                return None
        return _json_text(row, source)

    def _metadata_text(self, row: Row) -> str:
        source = self._metadata or "metadata"
        if isinstance(source, str):
            value = row[source] if self._metadata else row.get(source)
            if self._is_null(value):
                return "{}"
            if not isinstance(value, dict):
                raise ValueError(
                    f"column {source!r} is not an object: {value!r:.60}; map a list of columns"
                )
        return _json_text(row, source)

    def _is_null(self, value: Any) -> bool:
        return value is None or (self._blank_is_null and value == "")


def id_text(value: Any) -> str:
    """The text of a case id, itself or a number's JSON. Raises `ValueError` for what
    cannot be an id.
    """
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ValueError(f"the case id is neither text nor a number: {value!r:.60}")
    text = value if isinstance(value, str) else canonical_json(value)
    if not text:
        raise ValueError("the case id is empty")
    text.encode()  # raises a ValueError for half a surrogate pair, which no table can hold
    return text


def no_column(
    name: str,
    columns: Iterable[str],
) -> str:
    """The words for a column that is not there: the nearest one, and all there are."""
    known = ", ".join(map(repr, columns))
    return f"no column {name!r}{did_you_mean(name, columns)} (the columns are {known})"


_SHOWN_VALUES = 10


def _same_json(
    left: Any,
    right: Any,
) -> bool:
    """Equality of JSON values: 1 is 1.0, but true is not 1."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


def _id_source(
    dataset: DatasetFile | HubDataset,
    known: Sequence[str],
) -> str | None:
    source = dataset.columns.get("case_id", "case_id" if "case_id" in known else None)
    if isinstance(source, list):
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: columns.case_id is a list; name one "
            f"column or write a pattern, "
            + repr("-".join(f"{{{name}}}" for name in [*source, "row"]))
        )
    return source


def _id_columns(
    dataset: DatasetFile | HubDataset,
    source: str | None,
) -> list[str | None]:
    if source is None or not _is_pattern(source):
        return [source]
    try:
        fields = [
            field
            for _, field, _, _ in string.Formatter().parse(source)
            if field is not None
        ]
    except ValueError as error:
        where = f"dataset {dataset.dataset_id!r}: columns.case_id"
        raise DatasetError(
            f"{where}: {source!r} is not a format pattern: {error}"
        ) from None
    names = [re.split(r"[.\[]", field)[0] for field in fields]
    return [name for name in names if name != "row"]


def _is_pattern(source: str) -> bool:
    return "{row" in source


def _as_list(source: str | list[str] | None) -> list[str]:
    return [source] if isinstance(source, str) else source or []


def _json_text(
    row: Row,
    source: str | list[str],
) -> str:
    value = (
        row[source] if isinstance(source, str) else {name: row[name] for name in source}
    )
    try:
        return canonical_json(value)
    except ValueError:
        for name in _as_list(source):
            try:
                canonical_json(row[name])
            except ValueError as error:
                raise ValueError(f"column {name!r}: {error}") from None
        raise
