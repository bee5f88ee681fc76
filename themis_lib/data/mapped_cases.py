"""Cases from mappings in memory, their keys mapped as the columns of a file are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from themis_lib.core.config import DatasetFile, LabelMap
from themis_lib.core.models import Case
from themis_lib.data.columns import check_targets
from themis_lib.data.datasets import read_cases
from themis_lib.data.records import Source
from themis_lib.errors import DatasetError
from themis_lib.identity.digests import load_json, load_json_or_null


def mapped_cases(
    rows: Iterable[Any],
    columns: Mapping[str, str | list[str] | LabelMap],
    *,
    dataset_id: str = "data",
) -> list[Case]:
    """Return a case for each mapping, read as `DatasetFile.columns` reads a file's rows.

    Raise `DatasetError`, naming the item, for one that is no mapping, lacks a key, or
    holds a value that JSON has no form for; and if there are no rows.
    """
    dataset = DatasetFile(dataset_id=dataset_id, path=dataset_id, columns=dict(columns))
    check_targets(dataset)
    held = list(rows)
    if not held:
        raise DatasetError(f"{dataset_id}: there are no rows")
    for index, row in enumerate(held):
        if not isinstance(row, Mapping):
            raise DatasetError(
                f"{dataset_id}: item {index} is {type(row).__name__}; "
                "`columns` names the keys of mappings"
            )
    # What is no text cannot be named as a column.
    named = (key for row in held for key in row if isinstance(key, str))
    source = Source(
        name=dataset_id,
        columns=list(dict.fromkeys(named)),
        records=lambda _: enumerate(held),
        head=dataset_id,
        place=lambda index: f"{dataset_id}: item {index}",
    )
    cases = []
    for case_id, case_input, expected_output, metadata in read_cases(dataset, source):
        case = Case(
            case_id=case_id,
            input=load_json(case_input),
            expected_output=load_json_or_null(expected_output),
            metadata=load_json(metadata),
        )
        cases.append(case)
    return cases
