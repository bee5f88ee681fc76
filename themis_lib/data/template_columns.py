"""The columns that a prompt's template reads, taken as the input of each case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.lm_eval_dataset import LmEvalDataset
from themis_lib.core.models import Dataset
from themis_lib.core.templates import WHOLE_INPUT
from themis_lib.errors import DatasetError, nearest


def with_template_columns(
    datasets: Sequence[AnyDataset],
    names: Sequence[str],
) -> list[AnyDataset]:
    """Return the datasets with the names of a template as the fields of their inputs.

    A dataset that maps its `input` keeps it. No other column becomes a part of the
    input, so that its edits cost nothing. Raise `DatasetError`, naming the case and the
    nearest field, for a name that an input does not have.
    """
    return [_with_fields(dataset, names) for dataset in datasets]


def _with_fields(
    dataset: AnyDataset,
    names: Sequence[str],
) -> AnyDataset:
    if isinstance(dataset, Dataset):
        for case in dataset.cases:
            where = f"dataset {dataset.dataset_id!r}: case {case.case_id!r}"
            check_fields(case.input, names, where=where)
        return dataset
    if isinstance(dataset, LmEvalDataset):
        return dataset
    mapped = dataset.columns.get("input")
    if mapped is None and any(name != WHOLE_INPUT for name in names):
        columns = {**dataset.columns, "input": list(names)}
        return dataset.model_copy(update={"columns": columns})
    if isinstance(mapped, list):
        where = f"dataset {dataset.dataset_id!r}: columns.input"
        check_fields(dict.fromkeys(mapped), names, where=where)
    return dataset


def check_fields(
    value: Any,
    names: Sequence[str],
    *,
    where: str,
) -> None:
    """Raise `DatasetError` if an input lacks a field that a template reads."""
    fields = list(value) if isinstance(value, Mapping) else []
    for name in names:
        if name != WHOLE_INPUT and name not in fields:
            hint = nearest(name, fields) if fields else "it is not an object"
            raise DatasetError(
                f"{where} has no {name!r}, which generation.prompt_spec.template uses; {hint}"
            )
