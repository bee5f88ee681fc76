"""The page on the architecture names what there is."""

from __future__ import annotations

import re

from tests.docs.running import ROOT

PAGE = ROOT / "docs" / "architecture.md"
#: The folders of the project that are not rooms of the library.
TOPS = (
    "benchmarks",
    "deployments",
    "docs",
    "examples",
    "flows",
    "tasks",
    "tests",
    "tools",
)


def tree_paths() -> set[str]:
    """The paths that the file tree names, each with a phrase behind it."""
    text = PAGE.read_text(encoding="utf-8")
    tree = text.partition("## What is where")[2].partition("```text")[2]
    paths: set[str] = set()
    parents: list[str] = []
    for line in tree.partition("```")[0].strip("\n").splitlines():
        found = re.fullmatch(r"( *)([\w.]+/?) +(\S.*)", line)
        assert found, line
        depth = len(found[1]) // 2
        parents = [*parents[:depth], found[2].rstrip("/")]
        paths.add("/".join(parents))
    return paths


def rooms() -> set[str]:
    """The packages of the project, but those of tests, and the library's own
    modules.
    """
    found = set(TOPS)
    for init in ROOT.glob("themis_lib/**/__init__.py"):
        found.add(init.parent.relative_to(ROOT).as_posix())
    for module in ROOT.glob("themis_lib/*.py"):
        if module.name != "__init__.py":
            found.add(module.relative_to(ROOT).as_posix())
    return found


def test_file_tree_names_every_room() -> None:
    """The file tree names each room with a phrase, and names nothing that is gone."""
    assert rooms() == tree_paths()
