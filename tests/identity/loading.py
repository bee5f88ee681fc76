"""User code for tests: modules written to a folder, imported anew, and walked."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from themis_lib.identity.code import CodeIdentity
from themis_lib.identity.walk import Walk

Files = Mapping[str, str]


def load(folder: Path, files: Files) -> ModuleType:
    """Return the module `main` of some files, imported as in a new process.

    `folder` is on `sys.path`. Modules of an earlier version are forgotten.
    """
    for name in list(sys.modules):
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(folder)):
            del sys.modules[name]
    for path in sorted(folder.rglob("*.py")):
        path.unlink()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    importlib.invalidate_caches()
    # A module compiled within a second of its edit would be taken for the new one.
    sys.dont_write_bytecode = True
    return importlib.import_module("main")


def walked(root: object, walk_class: type[Walk] = Walk) -> CodeIdentity:
    """Return what a walk from a root finds."""
    walk = walk_class()
    walk.add_root(root)
    walk.follow()
    return walk.result()
