"""A file of the same shape, evaluated in place of an experiment's own data."""

from __future__ import annotations

from typing import Any

from themis_lib.core.config import DatasetFile
from themis_lib.core.experiment_spec import ExperimentSpec
from themis_lib.data.columns import no_column
from themis_lib.data.derived import with_derived
from themis_lib.data.sources import opened
from themis_lib.errors import ConfigError, DatasetError

#: Settings that say where data is and how it is written, and not what it holds.
_PLACE_SETTINGS = (
    "huggingface",
    "subset",
    "split",
    "revision",
    "path",
    "format",
    "encoding",
    "delimiter",
    "storage_options",
    "cases",
)


def use_data(
    spec: dict[str, Any],
    path: str,
    *,
    where: str,
) -> None:
    """Replace the data of an experiment by a file.

    It is read as the first dataset is. Raise `ConfigError` if there is none.
    """
    datasets = spec.get("datasets")
    if (
        not isinstance(datasets, list)
        or not datasets
        or not isinstance(datasets[0], dict)
    ):
        raise ConfigError(
            f"{where}: there is no dataset whose place {path!r} could take"
        )
    first = datasets[0]
    if "use" in first:
        raise ConfigError(
            f"{where}: {path!r} cannot take the place of a task of {first['use']}, which "
            "has no columns; set `overrides` of the dataset"
        )
    settings = {name: first[name] for name in first if name not in _PLACE_SETTINGS}
    # Of several, such as a benchmark's subsets, the file is all of them.
    if len(datasets) > 1:
        settings["dataset_id"] = spec.get("name", settings.get("dataset_id"))
    spec["datasets"] = [{**settings, "path": path}]


def check_shape(
    experiment: ExperimentSpec,
    *,
    name: str,
) -> None:
    """Raise `DatasetError` for a file that lacks a column of an experiment's shape.

    A column may be derived from others. `name` is what messages call the experiment.
    """
    dataset, about = experiment.datasets[0], experiment.about
    if about is None or not isinstance(dataset, DatasetFile):
        return
    columns = "; ".join(f"{column}: {what}" for column, what in about.shape.items())
    shape = f"data of {name} has {columns}"
    with opened(dataset) as source:
        try:
            known = with_derived(dataset, source).columns
        except DatasetError as error:
            raise DatasetError(f"{error}; {shape}") from None
        for column in about.shape:
            if column not in known:
                raise DatasetError(
                    f"{source.head}: {no_column(column, source.columns)}; {shape}"
                )
