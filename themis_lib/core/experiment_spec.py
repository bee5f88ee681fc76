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
from themis_lib.core.models import Dataset, FrozenModel
from themis_lib.errors import ComponentError

AnyDataset = Dataset | DatasetFile | HubDataset


class ExperimentSpec(FrozenModel):
    """What to generate, how to score it, on which data, and where to keep it.

    `seeds` gives one seed for each sample; without it they are derived (see
    `CandidatePolicy`).
    """

    generation: GenerationConfig
    datasets: list[Dataset | DatasetFile | HubDataset] = Field(default_factory=list)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    storage: StorageConfig = Field(default_factory=StorageConfig)
    runtime: RuntimeConfig = Field(default_factory=RuntimeConfig)
    cost: CostConfig = Field(default_factory=CostConfig)
    identity: IdentityConfig = Field(default_factory=IdentityConfig)
    seeds: list[int] | None = None
    name: str = "experiment"

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
