"""The README's Python runs as it stands, and prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(
    r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL
)


@pytest.mark.parametrize(
    "block", BLOCKS, ids=[str(index) for index in range(len(BLOCKS))]
)
def test_python_block_prints_what_it_says(block: str) -> None:
    """Each block's last line prints the comment behind it."""
    expected = block.strip().splitlines()[-1].rpartition("  # ")[2]
    output = io.StringIO()

    with contextlib.redirect_stdout(output):
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})

    assert expected == output.getvalue().strip()


def tree_paths() -> set[str]:
    """The paths that the README's file tree names, each with a phrase behind it."""
    text = README.read_text(encoding="utf-8")
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
    root = README.parent
    found = {"tests"}
    for top in (
        "benchmarks",
        "deployments",
        "docs",
        "examples",
        "flows",
        "tasks",
        "tools",
    ):
        found.add(top)
    for init in root.glob("themis_lib/**/__init__.py"):
        found.add(init.parent.relative_to(root).as_posix())
    for module in root.glob("themis_lib/*.py"):
        if module.name != "__init__.py":
            found.add(module.relative_to(root).as_posix())
    return found


def test_file_tree_names_every_room() -> None:
    """The file tree names each room with a phrase, and names nothing that is gone."""
    assert rooms() == tree_paths()
