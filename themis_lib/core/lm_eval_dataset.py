"""The dataset of a task of lm-eval, as an experiment gives it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, JsonValue, NonNegativeInt, PositiveInt, model_validator

from themis_lib.core.models import FrozenModel


class LmEvalDataset(FrozenModel):
    """A task of the lm-evaluation-harness by name (extra `lm-eval`).

    lm-eval itself makes the prompts and few-shot contexts of the cases, and its metrics
    of the task are added to those of the experiment; `metrics` keeps some of them. A
    case's metadata are the fields of its document.

    `overrides` replaces fields of the task's own YAML, such as `dataset_path` and
    `dataset_kwargs` for local data; `include_path` are folders with tasks of your own.
    The other settings have the names and defaults that they have in lm-eval:
    `num_fewshot` is the task's own without one, `limit` keeps the first documents, and
    `apply_chat_template` gives messages instead of a text.
    """

    use: Literal["lm_eval"] = "lm_eval"
    task: str
    dataset_id: str = ""
    num_fewshot: NonNegativeInt | None = None
    metrics: list[str] | None = None
    limit: PositiveInt | None = None
    overrides: dict[str, JsonValue] = Field(default_factory=dict)
    include_path: str | list[str] = Field(default_factory=list)
    apply_chat_template: bool = False
    fewshot_as_multiturn: bool = True
    system_instruction: str | None = None
    random_seed: int = 0
    numpy_random_seed: NonNegativeInt = 1234
    fewshot_random_seed: int = 1234

    @model_validator(mode="before")
    @classmethod
    def _is_named_after_its_task(cls, value: Any) -> Any:
        if isinstance(value, dict) and "task" in value and not value.get("dataset_id"):
            return {**value, "dataset_id": value["task"]}
        return value

    @property
    def folders(self) -> list[str]:
        """The folders of `include_path`, in order."""
        paths = self.include_path
        return [paths] if isinstance(paths, str) else list(paths)
