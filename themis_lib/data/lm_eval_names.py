"""The tasks of lm-eval by name: which file defines one.

lm-eval's own index parses all of its 14,000 files, which takes ten seconds and more. A
search for the line that names a task takes half of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from themis_lib.data.sources import did_you_mean
from themis_lib.errors import DatasetError

#: The line of a task's or a group's file that says what it is called.
_NAMED = re.compile(
    r"""^["']?(task|group|class)["']?[ \t]*:[ \t]*"""
    r"""["']?([^\s"'#\[\]{}-][^"'#\n\[\]{}]*?)["']?[ \t]*(?:\#.*)?$""",
    re.MULTILINE,
)
_IGNORED = {"__pycache__", ".ipynb_checkpoints"}
#: How many tasks of a group a message lists.
_LISTED_TASKS = 3


def task_file(
    name: str,
    folders: Iterable[str] = (),
) -> Path:
    """Return the file of a task: in one of the folders, or else lm-eval's own.

    Raise `DatasetError` for a name that is unknown, with the nearest one, or a group's,
    with tasks of it; and if lm-eval is not installed or a folder does not exist.
    """
    found: tuple[str, Path] | None = None
    known: dict[str, tuple[str, Path]] = {}
    # As in lm-eval, a later folder takes precedence.
    sources = [_own_names(), *map(_names_in, folders)]
    for names in sources:
        known.update(names)
        found = names.get(name, found)
    if found is None:
        tasks = [task for task, (kind, _) in known.items() if kind == "task"]
        hint = did_you_mean(name, tasks) or "; `lm-eval ls tasks` lists them"
        raise DatasetError(f"lm-eval has no task {name!r}{hint}")
    kind, path = found
    if kind == "group":
        tasks = [task for task in known if task.startswith(f"{name}_")]
        some = ", ".join(map(repr, sorted(tasks)[:_LISTED_TASKS]))
        raise DatasetError(
            f"{name!r} is a group of tasks; give each of them as a dataset"
            + (f", such as {some}" if some else "")
        )
    return path


def _own_folder() -> str:
    """Return the folder of lm-eval's tasks. Raise `DatasetError` if there is none."""
    # Found, not imported: the import takes seconds.
    package = find_spec("lm_eval")
    if package is None or package.origin is None:
        raise DatasetError(
            "lm-eval is not installed: pip install 'themis-flows[lm-eval]'"
        )
    return str(Path(package.origin).parent / "tasks")


# Cached: its files are many, and do not change.
@cache
def _own_names() -> dict[str, tuple[str, Path]]:
    return _names_in(_own_folder())


def _names_in(folder: str) -> dict[str, tuple[str, Path]]:
    """Return the kind and the file of each name that a folder of tasks defines."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DatasetError(f"include_path: there is no folder {folder!r}")
    names: dict[str, tuple[str, Path]] = {}
    # Sorted as lm-eval sorts them: of two files with one name, the first counts.
    for path in sorted(root.glob("**/*.yaml"), key=Path.as_posix):
        if not _IGNORED.isdisjoint(path.parts):
            continue
        kinds = dict(_NAMED.findall(path.read_text(encoding="utf-8", errors="replace")))
        # A file with a class defines a task, even if it names the group of that.
        kind = "group" if "group" in kinds and "class" not in kinds else "task"
        if kind in kinds:
            names.setdefault(kinds[kind], (kind, path))
    return names
