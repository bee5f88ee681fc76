"""The tasks of the catalogue: experiment files that lack nothing but a model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from themis_lib.core.experiment_spec import About
from themis_lib.errors import ConfigError, nearest

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Task:
    """A known benchmark: its name, and the path of its experiment file."""

    name: str
    path: Path

    @cached_property
    def text(self) -> str:
        """The YAML of the experiment, to copy and to change."""
        return self.path.read_text(encoding="utf-8")

    @property
    def spec(self) -> dict[str, Any]:
        """The experiment as plain data, a new copy each time."""
        import yaml

        spec: dict[str, Any] = yaml.safe_load(self.text)
        return spec

    @cached_property
    def about(self) -> About:
        """Title, paper, licence, scoring rule, and the columns of its data."""
        return About.model_validate(self.spec["about"])


def task_names() -> list[str]:
    """Return the names of all tasks, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def load_task(name: str) -> Task:
    """Return a task by its name. Raise `ConfigError` with the nearest one.

    >>> load_task("gsm8k").about.title
    'GSM8K: grade school math word problems'
    """
    names = task_names()
    if name not in names:
        raise ConfigError(
            f"no task {name!r} in the catalogue; {nearest(name.casefold(), names)}; "
            "`themis tasks` lists them"
        )
    return Task(name, _FOLDER / f"{name}.yaml")


def find_tasks(search: str) -> list[Task]:
    """Return the tasks whose name or title has a text in it, sorted by name."""
    wanted = search.casefold()
    found = []
    for task in map(load_task, task_names()):
        if wanted in f"{task.name}\n{task.about.title}".casefold():
            found.append(task)
    return found
