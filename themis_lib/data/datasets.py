"""The cases of a dataset as tables: from memory, a file, a hub or a task of lm-eval.

Rows are read, filtered and mapped a batch at a time, so a file larger than memory takes
no more of it than a small one. Only `sample` holds on to rows, as many as it keeps.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.lm_eval_dataset import LmEvalDataset
from themis_lib.core.models import Dataset
from themis_lib.data.columns import (
    CaseMapping,
    CaseTexts,
    check_targets,
    id_text,
    no_column,
)
from themis_lib.data.derived import with_derived
from themis_lib.data.json_forms import json_row
from themis_lib.data.lm_eval_cases import lm_eval_cases
from themis_lib.data.marks import row_marks
from themis_lib.data.part_files import PartFiles
from themis_lib.data.records import Record, Source
from themis_lib.data.row_filter import RowFilter
from themis_lib.data.sources import opened
from themis_lib.errors import DatasetError
from themis_lib.identity.digests import bytes_digest, canonical_json, load_json
from themis_lib.storage.index import NumberIndex
from themis_lib.storage.tables import CASES

_SCHEMA = pa.schema([item for item in CASES if item.name != "occurrence"])


def case_tables(
    dataset: AnyDataset,
    *,
    batch_rows: int = 4096,
    files: PartFiles | None = None,
) -> Iterator[pa.Table]:
    """Yield the cases in dataset order, as tables of `batch_rows` rows.

    Only the last table may have fewer. The columns are those of `tables.CASES` without
    `occurrence`; `expected_output` is null where there is none. Files that cases name are
    gathered in `files`; the cases have their digests.

    Raises `DatasetError`, naming the file and the line or row, on reaching what is
    wrong: a missing file or column, a malformed line, a value that JSON has no form
    for, no cases at all. Raises `TransientError` where reading again might help.
    Whether ids are unique is for `IdRegistry` to check.
    """
    cases = _iter_cases(dataset, files or PartFiles())
    yield from tables_of(dataset.dataset_id, cases, batch_rows=batch_rows)


def tables_of(
    dataset_id: str,
    cases: Iterable[CaseTexts],
    *,
    batch_rows: int = 4096,
) -> Iterator[pa.Table]:
    """Yield the tables of some cases of a dataset, as `case_tables` does."""
    cases = iter(cases)
    name = pa.scalar(dataset_id, pa.string())
    while batch := list(islice(cases, batch_rows)):
        columns = [pa.repeat(name, len(batch))]
        for values in zip(*batch, strict=True):
            column = pa.array(values, pa.string())
            columns.append(column)
        yield pa.table(columns, schema=_SCHEMA)


def case_rows(
    dataset: AnyDataset,
    *,
    files: PartFiles | None = None,
) -> Iterator[tuple[str, str, str | None, Any]]:
    """Yield id, input and expected output as JSON, and metadata, of each case.

    Raises as `case_tables` does.
    """
    cases = _iter_cases(dataset, files or PartFiles())
    for case_id, case_input, expected, metadata in cases:
        yield case_id, case_input, expected, load_json(metadata)


class CaseReader:
    """Makes cases of the rows of an open dataset that pass its filter.

    Without `files`, parts of inputs stay as they are written. Raises `DatasetError` for
    columns that are not there.
    """

    def __init__(
        self,
        dataset: DatasetFile | HubDataset,
        source: Source,
        *,
        files: PartFiles | None = None,
    ) -> None:
        self._where = f"dataset {dataset.dataset_id!r}: {source.name}"
        #: The dataset with its derived columns.
        self.source = with_derived(dataset, source)
        self._mapping = CaseMapping(dataset, self.source)
        self._filter = RowFilter(dataset.filter)
        self._files = files
        #: The columns of it that cases are made from.
        self.columns = self._mapping.columns
        self.has_numbered_ids = self._mapping.has_numbered_ids

    def cases(
        self,
        records: Iterable[Record],
        *,
        first_row: int = 0,
    ) -> Iterator[CaseTexts]:
        """Yield the cases of records. Raises `DatasetError` for a row that is no case."""
        source = self.source
        # Numbered before the filter, so that a case keeps its default id under another
        # one.
        for row_number, (number, row) in enumerate(records, first_row):
            try:
                if source.is_typed:
                    row = json_row(row)
                if not self._filter.keeps(row):
                    continue
                case = self._mapping.case(row_number, row)
                if self._files is not None:
                    case_id, case_input, expected, metadata = case
                    case_input = self._files.with_contents(case_input)
                    case = (case_id, case_input, expected, metadata)
            except KeyError as error:
                message = no_column(error.args[0], row)
                raise DatasetError(f"{source.place(number)}: {message}") from None
            except ValueError as error:
                raise DatasetError(f"{source.place(number)}: {error}") from None
            yield case

    def no_cases(self) -> DatasetError:
        """Return the error of a dataset of which no row became a case."""
        reason = self._filter.emptied() or "there are no rows"
        return DatasetError(f"{self._where}: {reason}")


class IdRegistry:
    """Every case id seen so far, by its mark, in sixteen bytes at most; see `data.marks`."""

    def __init__(self) -> None:
        self._new: defaultdict[str, NumberIndex] = defaultdict(NumberIndex)
        self._kept: defaultdict[str, NumberIndex] = defaultdict(NumberIndex)

    def add_all(
        self,
        dataset_id: str,
        case_ids: pa.Array[Any] | pa.ChunkedArray[Any],
    ) -> None:
        """Add the ids of some cases.

        Raises `DatasetError` naming the first id that its dataset already has.
        """
        marks = row_marks([case_ids])
        # Each mark is found at its first place in the batch.
        batch = NumberIndex()
        batch.add(marks)
        is_repeated = batch.find(marks) != np.arange(len(marks))
        for known in (self._new[dataset_id], self._kept[dataset_id]):
            is_repeated |= known.find(marks) >= 0
        _refuse_repeated(dataset_id, case_ids, is_repeated)
        self._new[dataset_id].add(marks)

    def add_kept(
        self,
        dataset_id: str,
        case_ids: pa.Array[Any] | pa.ChunkedArray[Any],
    ) -> None:
        """Do the same for cases of one cut before, whose ids all differ."""
        marks = row_marks([case_ids])
        is_repeated = self._new[dataset_id].find(marks) >= 0
        _refuse_repeated(dataset_id, case_ids, is_repeated)
        self._kept[dataset_id].add(marks)


def _refuse_repeated(
    dataset_id: str,
    case_ids: pa.Array[Any] | pa.ChunkedArray[Any],
    is_repeated: npt.NDArray[np.bool_],
) -> None:
    if is_repeated.any():
        name = case_ids[int(np.argmax(is_repeated))].as_py()
        raise DatasetError(
            f"dataset {dataset_id!r}: case id {name!r} appears twice; give each case its own"
        )


def _iter_cases(
    dataset: AnyDataset,
    files: PartFiles,
) -> Iterator[CaseTexts]:
    files.enter(dataset)
    if isinstance(dataset, Dataset):
        yield from _held_cases(dataset, files)
        return
    if isinstance(dataset, LmEvalDataset):
        yield from lm_eval_cases(dataset)
        return
    check_targets(dataset)
    with opened(dataset) as source:
        cases = read_cases(dataset, source, files=files)
        if dataset.sample is not None:
            cases = _sample_cases(cases, dataset.sample, seed=dataset.seed)
        # Last, and lazily: the rows after the limit are not even read.
        yield from islice(cases, dataset.limit)


def _held_cases(
    dataset: Dataset,
    files: PartFiles,
) -> Iterator[CaseTexts]:
    """Yield the cases of a dataset in memory."""
    where = f"dataset {dataset.dataset_id!r}"
    if not dataset.cases:
        raise DatasetError(f"{where}: there are no cases")
    for case in dataset.cases:
        expected = None
        try:
            case_id = id_text(case.case_id)
            case_input = files.with_contents(canonical_json(case.input))
            # `None` is no expected output, not the expected output null.
            if case.expected_output is not None:
                expected = canonical_json(case.expected_output)
            metadata = canonical_json(case.metadata)
        except ValueError as error:
            raise DatasetError(f"{where}: case {case.case_id!r}: {error}") from None
        yield case_id, case_input, expected, metadata


def read_cases(
    dataset: DatasetFile | HubDataset,
    source: Source,
    *,
    files: PartFiles | None = None,
) -> Iterator[CaseTexts]:
    """Yield the cases of the rows that pass the filter.

    Without `files`, parts of inputs stay as they are written. Raises `DatasetError` for
    a row that is no case, and if there are no rows.
    """
    reader = CaseReader(dataset, source, files=files)
    is_empty = True
    for case in reader.cases(reader.source.records(reader.columns)):
        is_empty = False
        yield case
    if is_empty:
        raise reader.no_cases()


def _sample_cases(
    cases: Iterable[CaseTexts],
    size: int,
    *,
    seed: int,
) -> Iterator[CaseTexts]:
    """Yield the cases whose content has the smallest digests under a seed, in order.

    The rank of a case depends neither on its place nor on the other cases, so a file
    that grows displaces few.
    """

    def rank(numbered: tuple[int, CaseTexts]) -> tuple[str, str]:
        case_id, case_input, expected, metadata = numbered[1]
        expected = expected or "null"
        content = f"[{seed},{case_input},{expected},{metadata}]"
        content_digest = bytes_digest("sample", content.encode())
        # The id breaks ties between equal contents: otherwise the order would decide.
        return content_digest, case_id

    sampled = heapq.nsmallest(size, enumerate(cases), key=rank)
    for _, case in sorted(sampled):
        yield case
