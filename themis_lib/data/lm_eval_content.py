"""What of a task of lm-eval decides its scores, as JSON: the identity of its metrics."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from themis_lib.data.lm_eval_task import LmEvalTask

#: Fields of a task that choose documents or write prompts: rows cover what comes of
#: them, so that another number of examples scores only the answers that differ.
_NOT_OF_SCORES = {
    "custom_dataset",
    "dataset_kwargs",
    "dataset_name",
    "dataset_path",
    "description",
    "doc_to_decontamination_query",
    "fewshot_config",
    "fewshot_delimiter",
    "fewshot_split",
    "generation_kwargs",
    "gen_prefix",
    "metadata",
    "num_fewshot",
    "process_docs",
    "should_decontaminate",
    "tag",
    "task_alias",
    "test_split",
    "training_split",
    "validation_split",
}


def lm_eval_version() -> str:
    """Return the version of lm-eval that is installed."""
    return version("lm-eval")


def stop_texts(loaded: LmEvalTask) -> list[str]:
    """Return the texts that end a generated answer of a task; none of them is empty."""
    asked = loaded.task.config.generation_kwargs or {}
    until = asked.get("until") or []
    texts = [until] if isinstance(until, str) else list(until)
    return [text for text in dict.fromkeys(texts) if text]


def scoring_content(loaded: LmEvalTask) -> dict[str, Any]:
    """Return what decides the scores of a task: fields of its file, and its functions.

    A function of lm-eval's own is named, and its code is that of the version; one of
    yours counts with the file that it is in.
    """
    content = {}
    for name, value in vars(loaded.task.config).items():
        if name not in _NOT_OF_SCORES and value is not None:
            content[name] = _content(value)
    content["class"] = _content(type(loaded.task))
    content["until"] = stop_texts(loaded)
    return content


def _content(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _content(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_content(item) for item in value]
    if isinstance(value, partial):
        return [_content(value.func), _content(value.args), _content(value.keywords)]
    return _function_content(value) if callable(value) else value


def _function_content(function: Callable[..., Any]) -> list[str | None]:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    module = str(getattr(function, "__module__", ""))
    # lm-eval names the modules of its tasks so, and those of others by their path.
    if module.startswith("lm_eval."):
        return [module, name]
    try:
        file = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        file = None
    if file is None:
        return [name, None]
    return [name, hashlib.sha256(Path(file).read_bytes()).hexdigest()]
