"""The folders that users' modules are imported from: an experiment's, then the working
directory.

They are last on `sys.path`: a file in them never takes the place of a library. What an
experiment names is looked for there first.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

#: Read by the processes that this one starts, which compute its shards.
_VARIABLE = "THEMIS_MODULE_FOLDERS"
#: The value of PYTHONSAFEPATH that this project gives to the processes that it starts:
#: Python then leaves the working directory out of their path. `flows/__init__.py` and
#: `themis_flows.pth` know it by this value.
SAFE_PATH = "themis"


def module_folders() -> list[str]:
    """Return the folders in order of precedence."""
    named: list[str] = json.loads(os.environ.get(_VARIABLE, "[]"))
    return list(dict.fromkeys([*named, str(Path.cwd())]))


def add_module_folder(folder: Path) -> None:
    """Take a folder as the first that users' modules are in."""
    named: list[str] = json.loads(os.environ.get(_VARIABLE, "[]"))
    folders = dict.fromkeys([str(folder), *named])
    os.environ[_VARIABLE] = json.dumps(list(folders))
    make_importable()


def make_importable() -> None:
    """Put the folders at the end of `sys.path`, where they are not before it."""
    folders = module_folders()
    end = len(sys.path)
    # Those that are at its end get their order, too.
    while end and (sys.path[end - 1] or str(Path.cwd())) in folders:
        end -= 1
    del sys.path[end:]
    held = {entry or str(Path.cwd()) for entry in sys.path}
    sys.path += [folder for folder in folders if folder not in held]


def leave_safe_path() -> None:
    """Have programs that a component starts find what is in the working directory."""
    if os.environ.get("PYTHONSAFEPATH") == SAFE_PATH:
        del os.environ["PYTHONSAFEPATH"]
