"""What an experiment says, as data: its fields, apart from what compiles and runs them."""

from __future__ import annotations

from pydantic import Field

from themis_lib.core.config import (
    CostConfig,
    DatasetFile,
    EvaluationConfig,
    GenerationConfig,
    HubDataset,
    RuntimeConfig,
    StorageConfig,
)
from themis_lib.core.models import Dataset, Model

AnyDataset = Dataset | DatasetFile | HubDataset


class ExperimentSpec(Model):
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
    seeds: list[int] | None = None
    name: str = "experiment"
