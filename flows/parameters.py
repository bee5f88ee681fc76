"""The parameters of a run: of the form in the UI, the API and the command line."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from themis_lib import ConfigError, Experiment, Matrix
from themis_lib.comparison.sequential_questions import StopRule
from themis_lib.core.option_names import GateBasis, RunnerName
from themis_lib.core.store_names import DEFAULT_STORE
from themis_lib.experiment.matrix import has_matrix


def _drop_null_defaults(schema: dict[str, Any]) -> None:
    # With a default of null, Prefect's form sends null for a field that is left empty,
    # which the field's own schema refuses.
    for field in schema["properties"].values():
        if field.get("default", "") is None:
            del field["default"]


class EvaluateParameters(BaseModel):
    """An experiment's file, and settings that take precedence over it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra=_drop_null_defaults,
    )

    experiment: str = Field(
        min_length=1,
        description="The experiment's YAML file, as the machine that runs it sees it, "
        "such as examples/demo.yaml, or a task of the catalogue, such as gsm8k",
    )
    data: str | SkipJsonSchema[None] = Field(
        default=None,
        description="A file to evaluate in place of the experiment's own data, "
        "of the same shape",
    )
    store: str | SkipJsonSchema[None] = Field(
        default=None,
        description="Where rows and runs are kept: a folder, s3://bucket/path, "
        "any fsspec URL; else where the experiment says, else in the folder "
        f"{DEFAULT_STORE!r}",
    )
    cell: str | SkipJsonSchema[None] = Field(
        default=None,
        description="One cell of the file's matrix, by its name; else all of them",
    )
    limit: Annotated[int, Field(ge=1)] | SkipJsonSchema[None] = Field(
        default=None,
        description="Only the first cases of each dataset",
    )
    until_stage: Literal["generate", "parse", "score", "reduce"] = Field(
        default="reduce",
        title="Until stage",
        description="The last stage to run",
    )
    runner: RunnerName = Field(
        default="threads",
        description="Where shards are computed: in this process, in processes, "
        "or on a cluster",
    )
    workers: Annotated[int, Field(ge=1)] | SkipJsonSchema[None] = Field(
        default=None,
        description="How many shards at once",
    )
    max_cost: Annotated[float, Field(gt=0)] | SkipJsonSchema[None] = Field(
        default=None,
        title="Max cost",
        description="Dollars that this run may spend; it stops before a call that "
        "could cost more",
    )
    gates: list[str] = Field(
        default_factory=list,
        description="What the run has to reach, such as 'exact_match >= 0.8' or "
        "'exact_match no worse than last good by 0.02'; a gate may also find "
        "that the data cannot tell",
    )
    gate_by: GateBasis = Field(
        default="interval",
        title="Gate by",
        description="What gates go by: the interval, or the mean alone, which passes "
        "or fails on little data too",
    )
    until_decided: bool = Field(
        default=False,
        title="Until decided",
        description="Take the cases in a random order, and stop as soon as gates, or "
        "the difference from `against`, are decided",
    )
    against: str | SkipJsonSchema[None] = Field(
        default=None,
        description="With `until_decided`: the run to compare with, by its id or name, "
        "or `last good`",
    )
    delta: float | SkipJsonSchema[None] = Field(
        default=None,
        description="With `until_decided`: the difference below which two sides are the "
        "same",
    )
    alpha: float = Field(
        default=0.05,
        description="With `until_decided`: the probability of a wrong decision",
    )
    order_seed: int = Field(
        default=0,
        title="Order seed",
        description="With `until_decided`: the seed of the order of the cases",
    )
    overrides: list[str] = Field(
        default_factory=list,
        description="Settings to replace, such as generation.generator.temperature=0.2; "
        "like the experiment's file, they may name code, which this run imports",
    )

    @property
    def stop_rule(self) -> StopRule | None:
        """When to stop, `None` if not before the last case.

        Raise `ConfigError` for settings of a rule without `until_decided`.
        """
        if self.until_decided:
            return StopRule(self.alpha, self.delta, self.order_seed)
        for name in ("against", "delta", "alpha", "order_seed"):
            if getattr(self, name) != type(self).model_fields[name].default:
                option = name.replace("_", "-")
                raise ConfigError(
                    f"--{option} is for a run that stops when decided; add "
                    "--until-decided, or leave it out"
                )
        return None

    @property
    def goes_in_step(self) -> bool:
        """Whether the cells of a matrix are decided against its baseline."""
        return self.until_decided and self.against is None and not self.gates

    @property
    def is_matrix(self) -> bool:
        """Whether several experiments are asked for: all cells of a matrix."""
        return self.cell is None and has_matrix(self.experiment, self.overrides)

    def load(self) -> Experiment:
        """Return the experiment as it is asked for.

        What is set here wins over what its file says. Where neither names a store, the
        experiment has the default one. Raise `ConfigError` that names the file and the
        setting.
        """
        if self.cell is not None:
            return self.load_matrix().cell(self.cell).experiment
        experiment = Experiment.from_config(
            self.experiment,
            overrides=self._settings(),
            limit=self.limit,
            data=self.data,
        )
        return experiment.with_store()

    def load_matrix(self) -> Matrix:
        """Return the matrix as it is asked for, as `load` does an experiment."""
        return Matrix.from_config(
            self.experiment,
            overrides=self._settings(),
            limit=self.limit,
            data=self.data,
        ).changed(Experiment.with_store)

    def _settings(self) -> list[str]:
        settings = list(self.overrides)
        if self.store:
            settings.append(f"storage.store={self.store}")
        if self.max_cost is not None:
            settings.append(f"cost.max_cost={self.max_cost}")
        if self.workers is not None:
            settings.append(f"runtime.workers={self.workers}")
        return settings
