"""What an experiment says, as data: its fields, apart from what compiles and runs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import Field
from pydantic_core import PydanticSerializationError

from themis_lib.core.config import (
    CostConfig,
    DatasetFile,
    EvaluationConfig,
    GenerationConfig,
    HubDataset,
    IdentityConfig,
    RuntimeConfig,
    StorageConfig,
)
from themis_lib.core.lm_eval_dataset import LmEvalDataset
from themis_lib.core.models import Dataset, FrozenModel
from themis_lib.core.secrets import public_url
from themis_lib.errors import ComponentError

AnyDataset = Dataset | DatasetFile | HubDataset | LmEvalDataset


class About(FrozenModel):
    """What an experiment is, for people: nothing here changes a row.

    `shape` has the columns that the data needs, and what each holds.
    """

    title: str
    paper: str | None = None
    licence: str | None = None
    scoring: str | None = None
    shape: dict[str, str] = Field(default_factory=dict)


class ExperimentSpec(FrozenModel):
    """What to generate, how to score it, on which data, and where to keep it.

    `seeds` gives one seed for each sample; without it they are derived (see
    `CandidatePolicy`).
    """

    generation: GenerationConfig
    datasets: list[AnyDataset] = Field(default_factory=list)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    storage: StorageConfig = Field(default_factory=StorageConfig)
    runtime: RuntimeConfig = Field(default_factory=RuntimeConfig)
    cost: CostConfig = Field(default_factory=CostConfig)
    identity: IdentityConfig = Field(default_factory=IdentityConfig)
    seeds: list[int] | None = None
    name: str = "experiment"
    about: About | None = None

    def portable_json(self) -> str:
        """Return everything but the data as JSON, to build the same stages elsewhere.

        Raise `ComponentError` for a component that is a live object: it has no name by
        which another process could build it.
        """
        for where, component in self._named_components():
            # Checked here: pydantic would write the fields of a dataclass as a mapping.
            if not isinstance(component, (str, Mapping)):
                raise ComponentError(
                    f"{where}: {type(component).__name__} is a live object, which other "
                    "processes cannot build; name it as `module:attribute`, or with "
                    "parameters as {use: module:attribute, …}"
                )
        try:
            return self.model_dump_json(exclude={"datasets"}, exclude_unset=True)
        except PydanticSerializationError as error:
            raise ComponentError(
                f"name components as `module:attribute` to run them elsewhere: {error}"
            ) from None

    def as_written(self) -> dict[str, Any]:
        """Return the experiment as the plain data of its file, for people to read.

        References to credentials stay as they are written; a literal password in a URL
        is left out. A live object is its class in angle brackets, and so is the number
        of cases that are in memory.
        """
        components = {
            "generation": {"generator", "reducer"},
            "evaluation": {"parsers", "metrics", "judge_models"},
        }
        written: dict[str, Any] = {"name": self.name}
        rest = self.model_dump(
            mode="json",
            exclude_unset=True,
            exclude={**components, "datasets": True, "name": True},
        )
        for section, names in components.items():
            settings = getattr(self, section)
            written[section] = {}
            for name in type(settings).model_fields:
                if name not in settings.model_fields_set:
                    continue
                value = getattr(settings, name)
                if name not in names:
                    value = rest[section].pop(name)
                written[section][name] = plain_data(value)
        written["datasets"] = list(map(_written_dataset, self.datasets))
        for name in rest:
            if name not in written:
                written[name] = plain_data(rest[name])
        return written

    def _named_components(self) -> Iterator[tuple[str, Any]]:
        """Yield each component as it is configured, behind its place."""
        yield "generation.generator", self.generation.generator
        yield "generation.reducer", self.generation.reducer
        lists: dict[str, Sequence[Any]] = {
            "parsers": self.evaluation.parsers,
            "metrics": self.evaluation.metrics,
            "judge_models": self.evaluation.judge_models,
        }
        for name, components in lists.items():
            for index, component in enumerate(components):
                yield f"evaluation.{name}[{index}]", component


def plain_data(value: Any) -> Any:
    """Return a setting as plain data, with live objects named by their class."""
    if isinstance(value, Mapping):
        return {str(name): plain_data(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_data(item) for item in value]
    if isinstance(value, str):
        return public_url(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    name = getattr(value, "__qualname__", type(value).__qualname__)
    return f"<{name}>"


def _written_dataset(dataset: AnyDataset) -> dict[str, Any]:
    if isinstance(dataset, Dataset):
        cases = f"<{len(dataset.cases):,} in memory>"
        return {"dataset_id": dataset.dataset_id, "cases": cases}
    written: dict[str, Any] = plain_data(
        dataset.model_dump(mode="json", exclude_unset=True)
    )
    return written
