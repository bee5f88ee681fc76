"""The mapping from the columns of a row to the parts of a case."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from typing import Any

from themis_lib.core.config import DatasetFile, HubDataset, LabelMap
from themis_lib.data.labels import check_label, expected_of_label, label_columns
from themis_lib.data.records import Row, Source
from themis_lib.data.sources import did_you_mean
from themis_lib.errors import DatasetError, nearest
from themis_lib.identity.digests import canonical_json

#: A case as its table holds it: case_id, input, expected_output, metadata.
CaseTexts = tuple[str, str, str | None, str]
#: The parts of a case that columns can be mapped to.
TARGETS = ("input", "expected_output", "case_id", "metadata")


class CaseMapping:
    """The column, or columns, behind each part of a case.

    Raises `DatasetError` if the file lacks a column that the mapping or the filter
    names.
    """

    def __init__(
        self,
        dataset: DatasetFile | HubDataset,
        source: Source,
    ) -> None:
        mapped = dataset.columns
        known = source.columns
        self._dataset_id = dataset.dataset_id
        self._blank_is_null = source.blank_is_null
        self._input = _plain_columns(dataset, "input") or "input"
        self._label: LabelMap | None = None
        expected = mapped.get("expected_output")
        if isinstance(expected, LabelMap):
            try:
                check_label(expected)
            except ValueError as error:
                where = f"dataset {dataset.dataset_id!r}: columns.expected_output"
                raise DatasetError(f"{where}: {error}") from None
            self._label = expected
            expected = label_columns(expected)
        self._expected_output = expected
        self._metadata = _plain_columns(dataset, "metadata")
        self._case_id = _id_source(dataset, known)

        required = [
            *_as_list(self._input),
            *_as_list(self._expected_output),
            *_as_list(self._metadata),
            *_id_columns(dataset, self._case_id),
            *dataset.filter,
        ]
        for name in required:
            if name not in known:
                message = no_column(name, known)
                # Most files have no column `input`: say how to name the one they have.
                if name == "input" and "input" not in mapped:
                    message += "; map one: `columns: {input: …}`"
                raise DatasetError(f"{source.head}: {message}")

        optional = []
        for name in ("expected_output", "metadata"):
            if name not in mapped and name in known:
                optional.append(name)
        #: The columns that cases and the filter are made from, each once.
        self.columns = list(dict.fromkeys(required + optional))

    @property
    def has_numbered_ids(self) -> bool:
        """Whether the ids of cases depend on the numbers of their rows."""
        return self._case_id is None or _is_pattern(self._case_id)

    def case(
        self,
        row_number: int,
        row: Row,
    ) -> CaseTexts:
        """Return the case of one row.

        Raises `KeyError` for a column that the row lacks, `ValueError` for a value that
        does not fit its part of the case.
        """
        case_id = self._row_id(row_number, row)
        case_input = _json_text(row, self._input)
        expected = self._expected_text(row)
        metadata = self._metadata_text(row)
        return case_id, case_input, expected, metadata

    def _row_id(
        self,
        row_number: int,
        row: Row,
    ) -> str:
        if self._case_id is None:
            # The columns of JSON lines are those of the first: later ones may differ.
            if "case_id" in row:
                raise ValueError(
                    "a case_id, where the first row has none; give every row one, or none"
                )
            return f"{self._dataset_id}-{row_number:04d}"
        if not _is_pattern(self._case_id):
            return id_text(row[self._case_id])
        fields = {**row, "row": row_number}
        try:
            text = self._case_id.format_map(fields)
        # Not `KeyError`: the caller turns it into the nearest column of that name.
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"case_id {self._case_id!r}: {error}") from None
        return id_text(text)

    def _expected_text(self, row: Row) -> str | None:
        if self._label is not None:
            expected = expected_of_label(self._label, row)
            return None if expected is None else canonical_json(expected)
        source = self._expected_output or "expected_output"
        if isinstance(source, str):
            # A column that was mapped must be there; the default one may be missing.
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


def check_targets(dataset: DatasetFile | HubDataset) -> None:
    """Raise `DatasetError` if columns are mapped to something that cases do not have."""
    for target in dataset.columns:
        if target not in TARGETS:
            where = f"dataset {dataset.dataset_id!r}: columns.{target}"
            raise DatasetError(
                f"{where} is no part of a case; {nearest(target, TARGETS)}"
            )


def _plain_columns(
    dataset: DatasetFile | HubDataset,
    target: str,
) -> str | list[str] | None:
    """Return what a part of a case is mapped to, which is no label."""
    source = dataset.columns.get(target)
    if isinstance(source, LabelMap):
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: columns.{target} is a map of labels; "
            "only expected_output can be one"
        )
    return source


def id_text(value: Any) -> str:
    """Return a case id as text: a text as it is, a number as JSON.

    Raises `ValueError` for a value that cannot be an id.

    >>> id_text(1.5)
    '1.5'
    """
    # For Python a bool is an int; as an id it is a mistake.
    is_bool = isinstance(value, bool)
    if is_bool or not isinstance(value, (str, int, float)):
        raise ValueError(f"the case id is neither text nor a number: {value!r:.60}")
    text = value if isinstance(value, str) else canonical_json(value)
    if not text:
        raise ValueError("the case id is empty")
    # Raises a `ValueError` for half a surrogate pair, on which Arrow would crash later.
    text.encode()
    return text


def no_column(
    name: str,
    columns: Iterable[str],
) -> str:
    """Return the message for a missing column: the nearest one, then all there are."""
    columns = list(columns)
    known = ", ".join(map(repr, columns))
    hint = did_you_mean(name, columns)
    return f"no column {name!r}{hint} (the columns are {known})"


def _id_source(
    dataset: DatasetFile | HubDataset,
    known: Sequence[str],
) -> str | None:
    """Return the column or pattern of the case id; `None` for the row's number."""
    default = "case_id" if "case_id" in known else None
    source = _plain_columns(dataset, "case_id") or default
    if isinstance(source, list):
        fields = [f"{{{name}}}" for name in source]
        pattern = "-".join([*fields, "{row}"])
        raise DatasetError(
            f"dataset {dataset.dataset_id!r}: columns.case_id is a list; name one "
            f"column or write a pattern, {pattern!r}"
        )
    return source


def _id_columns(
    dataset: DatasetFile | HubDataset,
    source: str | None,
) -> list[str]:
    """Return the columns that a case id is made from."""
    if source is None:
        return []
    if not _is_pattern(source):
        return [source]
    columns = []
    try:
        for _, field, _, _ in string.Formatter().parse(source):
            # The text after the last field comes without one.
            if field is not None:
                # `meta[id]` and `meta.id` are fields of the column `meta`.
                column = re.split(r"[.\[]", field)[0]
                columns.append(column)
    except ValueError as error:
        where = f"dataset {dataset.dataset_id!r}: columns.case_id"
        raise DatasetError(
            f"{where}: {source!r} is not a format pattern: {error}"
        ) from None
    return [name for name in columns if name != "row"]


def _is_pattern(source: str) -> bool:
    # By `{row` alone: a column's own name may hold braces.
    return "{row" in source


def _as_list(source: str | list[str] | None) -> list[str]:
    if isinstance(source, str):
        return [source]
    return source or []


def _json_text(
    row: Row,
    source: str | list[str],
) -> str:
    """Return one column as JSON text, or several as an object."""
    value: Any
    if isinstance(source, str):
        value = row[source]
    else:
        value = {name: row[name] for name in source}
    try:
        return canonical_json(value)
    except ValueError:
        # Only now, as it takes longer: look for the column to name.
        for name in _as_list(source):
            try:
                canonical_json(row[name])
            except ValueError as error:
                raise ValueError(f"column {name!r}: {error}") from None
        raise
