"""Cases as tables, wherever they lie: in memory, in a file at any fsspec URL, or on the
Hugging Face hub.

Rows are read, filtered and mapped a batch at a time, so a file larger than memory takes
no more of it than a small one. Only `sample` holds on to rows, as many as it keeps.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from themis_lib.core.config import DatasetFile, HubDataset
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.models import Dataset
from themis_lib.data.columns import (
    TARGETS,
    CaseMapping,
    CaseTexts,
    RowFilter,
    id_text,
    no_column,
)
from themis_lib.data.sources import Source, opened
from themis_lib.errors import DatasetError, nearest
from themis_lib.identity.digests import bytes_digest, canonical_json
from themis_lib.storage.tables import CASES

_SCHEMA = pa.schema([item for item in CASES if item.name != "occurrence"])


def case_tables(
    dataset: AnyDataset,
    *,
    batch_rows: int = 4096,
) -> Iterator[pa.Table]:
    """The cases in dataset order, as tables of `batch_rows` rows; only the last may
    have fewer.

    The columns are those of `tables.CASES` without `occurrence`; a null
    `expected_output` says there is none. Raises `DatasetError`, naming the file and the
    line or row, on reaching what is wrong: a file or column that is not there, a
    malformed line, a value JSON cannot say, no cases at all; and `TransientError` where
    reading again might help. Whether ids are unique is for `IdRegistry` to check.
    """
    cases = _iter_cases(dataset)
    while batch := list(islice(cases, batch_rows)):
        dataset_ids = pa.repeat(pa.scalar(dataset.dataset_id, pa.string()), len(batch))
        columns = [pa.array(values, pa.string()) for values in zip(*batch, strict=True)]
        yield pa.table([dataset_ids, *columns], schema=_SCHEMA)


class IdRegistry:
    """Every case id seen so far, in eight bytes each.

    Ids are told apart by 64 bits: among n ids of a dataset, two different ones are
    taken for equal with a probability of n²/2⁶⁵, which is 3·10⁻⁸ for a million.
    """

    def __init__(self) -> None:
        self._runs: dict[str, list[npt.NDArray[np.int64]]] = {}

    def add_all(
        self,
        dataset_id: str,
        case_ids: pa.Array[Any] | pa.ChunkedArray[Any],
    ) -> None:
        """Add the ids of some cases; raises `DatasetError` naming the first that its
        dataset already has.
        """
        names = case_ids.to_pylist()
        # Python's own hash is good enough, and fast: it never leaves this process.
        marks = np.fromiter(map(hash, names), np.int64, len(names))
        run, first = np.unique(marks, return_index=True)
        repeated = np.ones(len(marks), dtype=bool)
        repeated[first] = False
        runs = self._runs.setdefault(dataset_id, [])
        for known in runs:
            at = np.minimum(np.searchsorted(known, marks), len(known) - 1)
            repeated |= known[at] == marks
        if repeated.any():
            name = names[int(np.argmax(repeated))]
            raise DatasetError(
                f"dataset {dataset_id!r}: case id {name!r} appears twice; give each case its own"
            )
        while runs and len(runs[-1]) <= len(
            run
        ):  # runs of a size merge: n ids cost O(n log n) in all
            run = np.sort(np.concatenate([runs.pop(), run]))
        if len(run):
            runs.append(run)


def _iter_cases(dataset: AnyDataset) -> Iterator[CaseTexts]:
    if isinstance(dataset, Dataset):
        yield from _held_cases(dataset)
        return
    for target in dataset.columns:
        if target not in TARGETS:
            where = f"dataset {dataset.dataset_id!r}: columns.{target}"
            raise DatasetError(
                f"{where} is no part of a case; {nearest(target, TARGETS)}"
            )
    with opened(dataset) as source:
        cases = _read_cases(dataset, source)
        if dataset.sample is not None:
            cases = _sample_cases(cases, dataset.sample, seed=dataset.seed)
        yield from islice(cases, dataset.limit)


def _held_cases(dataset: Dataset) -> Iterator[CaseTexts]:
    if not dataset.cases:
        raise DatasetError(f"dataset {dataset.dataset_id!r}: there are no cases")
    for case in dataset.cases:
        try:
            case_id, case_input = id_text(case.case_id), canonical_json(case.input)
            expected = (
                None
                if case.expected_output is None
                else canonical_json(case.expected_output)
            )
            metadata = canonical_json(case.metadata)
        except ValueError as error:
            raise DatasetError(
                f"dataset {dataset.dataset_id!r}: case {case.case_id!r}: {error}"
            ) from None
        yield case_id, case_input, expected, metadata


def _read_cases(
    dataset: DatasetFile | HubDataset,
    source: Source,
) -> Iterator[CaseTexts]:
    mapping = CaseMapping(dataset, source)
    row_filter = RowFilter(dataset.filter)
    is_empty = True
    for row_number, (number, row) in enumerate(source.records(mapping.columns)):
        try:
            if not row_filter.keeps(row):
                continue
            case = mapping.case(row_number, row)
        except KeyError as error:
            raise DatasetError(
                f"{source.place(number)}: {no_column(error.args[0], row)}"
            ) from None
        except ValueError as error:
            raise DatasetError(f"{source.place(number)}: {error}") from None
        is_empty = False
        yield case
    if is_empty:
        reason = row_filter.emptied() or "there are no rows"
        raise DatasetError(f"dataset {dataset.dataset_id!r}: {source.name}: {reason}")


def _sample_cases(
    cases: Iterable[CaseTexts],
    size: int,
    *,
    seed: int,
) -> Iterator[CaseTexts]:
    """The cases whose content has the smallest digests under a seed, in their order.

    A case's rank depends neither on its place nor on what else there is, so a file that
    grows displaces few.
    """

    def rank(numbered: tuple[int, CaseTexts]) -> tuple[str, str]:
        case_id, case_input, expected, metadata = numbered[1]
        content = f"[{seed},{case_input},{expected or 'null'},{metadata}]"
        return bytes_digest("sample", content.encode()), case_id

    return (
        case for _, case in sorted(heapq.nsmallest(size, enumerate(cases), key=rank))
    )
