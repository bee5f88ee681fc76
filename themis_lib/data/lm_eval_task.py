"""A task of lm-eval: loaded with its data, and refused where it cannot be run here."""

from __future__ import annotations

import io
import json
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from themis_lib.core.lm_eval_dataset import LmEvalDataset
from themis_lib.data.lm_eval_names import task_file
from themis_lib.errors import DatasetError, describe, nearest

#: Settings of the dataset that change nothing about the task that is loaded.
_NOT_OF_TASK = {"use", "dataset_id", "metrics", "limit"}
#: Files, and of each the time of its last change and its size.
_Local: TypeAlias = dict[str, tuple[int, int]]
#: The kinds of requests whose answers are scored one by one.
GENERATED = "generate_until"
_RATED = ("multiple_choice", "loglikelihood")


# Told apart by identity: what is loaded again is another.
@dataclass(frozen=True, eq=False)
class LmEvalTask:
    """A loaded task, an object of lm-eval, and the file that defines it.

    `chance` is the state of the random generators after loading, which prompts go on
    from. `local` are the local files that it may have read, as they were.
    """

    task: Any
    file: Path
    chance: tuple[Any, Any]
    local: _Local

    @property
    def is_generated(self) -> bool:
        """Whether its answers are generated; otherwise given ones are rated."""
        return str(self.task.OUTPUT_TYPE) == GENERATED


def load_task(dataset: LmEvalDataset) -> LmEvalTask:
    """Return the task of a dataset with its data, loaded once in a process.

    `forget_changed_tasks` has it loaded again where files have changed. Raise
    `DatasetError`, naming the dataset, for a task that is unknown, cannot be loaded, or
    needs what is not there: images, code that is run, several answers.
    """
    where = f"dataset {dataset.dataset_id!r}"
    settings = dataset.model_dump_json(exclude=_NOT_OF_TASK)
    try:
        return _load(settings)
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from None


def forget_changed_tasks(datasets: Iterable[LmEvalDataset]) -> None:
    """Have tasks loaded again whose local files are not as they were.

    A notebook and a worker outlive edits of data, of a task's YAML and of its functions:
    rows of the old ones would be stored as those of the new ones.
    """
    for dataset in datasets:
        loaded = load_task(dataset)
        if loaded.local != _local_files(dataset, loaded.task):
            _load.cache_clear()


@contextmanager
def chance_of(state: tuple[Any, Any]) -> Iterator[None]:
    """Have the process's random generators in a state, and put theirs back after."""
    held = current_chance()
    _set_chance(state)
    try:
        yield
    finally:
        _set_chance(held)


@contextmanager
def bars_on_terminals() -> Iterator[None]:
    """Show lm-eval's progress bars where standard error is a terminal, else hide them."""
    if sys.stderr is None or sys.stderr.isatty():
        yield
        return
    # In a file or a pipe each step of a bar would be a line.
    with redirect_stderr(io.StringIO()):
        yield


def current_chance() -> tuple[Any, Any]:
    """Return the state of Python's and NumPy's random generators."""
    return random.getstate(), np.random.get_state()


def _set_chance(state: tuple[Any, Any]) -> None:
    random.setstate(state[0])
    np.random.set_state(state[1])


@lru_cache(maxsize=256)
def _load(settings: str) -> LmEvalTask:
    dataset = LmEvalDataset.model_validate_json(
        f'{{"use":"lm_eval","dataset_id":"task",{settings[1:]}'
    )
    file = task_file(dataset.task, dataset.folders)
    _check_overrides(dataset)
    # lm-eval's own seeds, in its own order: some tasks shuffle as they are loaded.
    with chance_of(_seeded(dataset)), bars_on_terminals():
        try:
            task = _task_of(dataset, file)
        # Its files are programs, and its data are on a hub.
        except Exception as error:  # noqa: BLE001
            raise DatasetError(
                f"lm-eval cannot load the task {dataset.task!r}: {describe(error)}"
            ) from None
        loaded = LmEvalTask(task, file, current_chance(), _local_files(dataset, task))
    _check_kind(dataset, task)
    _set_shots(dataset, task)
    return loaded


def _local_files(
    dataset: LmEvalDataset,
    task: Any,
) -> _Local:
    """Return the files of a dataset's own folders, and those of its local data."""
    paths = list(_paths_in((task.config.dataset_kwargs or {}).get("data_files")))
    for folder in dataset.folders:
        for pattern in ("**/*.yaml", "**/*.py"):
            paths += Path(folder).expanduser().glob(pattern)
    found = {}
    for path in paths:
        # A URL or a pattern of names is no file.
        with suppress(OSError):
            facts = path.stat()
            found[str(path)] = facts.st_mtime_ns, facts.st_size
    return found


def _paths_in(data_files: Any) -> Iterator[Path]:
    """Yield the paths in a text, or in lists and mappings of texts."""
    if isinstance(data_files, str):
        yield Path(data_files)
    elif isinstance(data_files, (list, tuple)):
        for item in data_files:
            yield from _paths_in(item)
    elif isinstance(data_files, dict):
        yield from _paths_in(list(data_files.values()))


def _check_overrides(dataset: LmEvalDataset) -> None:
    """Raise `DatasetError` for a field that no task of lm-eval has."""
    from lm_eval.config.task import TaskConfig

    known = [item.name for item in fields(TaskConfig)]
    for name in dataset.overrides:
        if name not in known:
            raise DatasetError(
                f"overrides: tasks have no field {name!r}; {nearest(name, known)}"
            )


def _seeded(dataset: LmEvalDataset) -> tuple[Any, Any]:
    python = random.Random(dataset.random_seed).getstate()
    numpy = np.random.RandomState(dataset.numpy_random_seed).get_state()
    return python, numpy


def _task_of(
    dataset: LmEvalDataset,
    file: Path,
) -> Any:
    """Return lm-eval's task of a file, with the fields that the dataset overrides."""
    # Here, not above: the library is an extra, and takes seconds to import.
    from lm_eval.tasks import TaskManager

    # One file is loaded by its path: an index of all takes ten seconds.
    manager = TaskManager(include_defaults=False)
    if not dataset.overrides:
        return manager.load(str(file))["tasks"][dataset.task]
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(folder) / file.name
        content = {"include": str(file), **dataset.overrides, "task": dataset.task}
        # JSON is YAML.
        changed.write_text(json.dumps(content), encoding="utf-8")
        return manager.load(str(changed))["tasks"][dataset.task]


def _check_kind(
    dataset: LmEvalDataset,
    task: Any,
) -> None:
    """Raise `DatasetError` for a task whose answers cannot be scored one by one here."""
    name = f"the task {dataset.task!r}"
    kind = str(task.OUTPUT_TYPE)
    if getattr(task, "MULTIMODAL", False):
        raise DatasetError(f"{name} shows images or sounds; only text is sent here")
    if getattr(task, "UNSAFE_CODE", False):
        raise DatasetError(
            f"{name} runs the model's code in this process (`unsafe_code`), which is "
            "refused here"
        )
    if kind not in (GENERATED, *_RATED):
        raise DatasetError(
            f"{name} asks for {kind}: its score is one of the whole text of all "
            "documents, and no mean of cases"
        )
    repeats = task.config.repeats
    if repeats != 1:
        raise DatasetError(
            f"{name} scores {repeats} answers of a document as one (`repeats`); "
            "override it (`overrides: {repeats: 1, filter_list: …}`), and use "
            "candidate_policy.num_samples and a reducer"
        )
    if dataset.apply_chat_template and kind != GENERATED:
        raise DatasetError(
            f"apply_chat_template: {name} rates answers behind a text; only a generated "
            "answer can follow messages"
        )
    if dataset.apply_chat_template and task.config.gen_prefix:
        raise DatasetError(
            f"apply_chat_template: {name} begins the answer itself (`gen_prefix`), which "
            "messages cannot"
        )


def _set_shots(
    dataset: LmEvalDataset,
    task: Any,
) -> None:
    """Set the number of few-shot examples by the rules of lm-eval."""
    own = task.get_config("num_fewshot")
    if dataset.num_fewshot is None:
        task.set_config(key="num_fewshot", value=own or 0)
    elif own == 0 and dataset.num_fewshot != 0:
        raise DatasetError(
            f"num_fewshot={dataset.num_fewshot}: the task {dataset.task!r} has 0 in its "
            "own file, and lm-eval changes it for no other; remove the setting, or "
            "override it (`overrides: {num_fewshot: …}`)"
        )
    else:
        task.set_config(key="num_fewshot", value=dataset.num_fewshot)
