"""The folders that users' modules are imported from: an experiment's, then the working
directory.

They are last on `sys.path`: a file in them never takes the place of a library. What an
experiment names is looked for there first.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

#: Read by the processes that this one starts, which compute its shards.
_VARIABLE = "THEMIS_MODULE_FOLDERS"


def module_folders() -> list[str]:
    """Return the folders in order of precedence."""
    named = os.environ.get(_VARIABLE, "")
    folders = [folder for folder in named.split(os.pathsep) if folder]
    return list(dict.fromkeys([*folders, str(Path.cwd())]))


def add_module_folder(folder: Path) -> None:
    """Take a folder as the first that users' modules are in."""
    folders = [str(folder), *module_folders()]
    os.environ[_VARIABLE] = os.pathsep.join(dict.fromkeys(folders))
    make_importable()


def make_importable() -> None:
    """Put the folders at the end of `sys.path` where they are not on it."""
    for folder in module_folders():
        is_working_directory = folder == str(Path.cwd())
        if folder not in sys.path and not (is_working_directory and "" in sys.path):
            sys.path.append(folder)
