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


def test_every_folder_of_the_file_tree_exists() -> None:
    """What the file tree names is there."""
    tree = README.read_text(encoding="utf-8").partition("## What is where")[2]

    names = re.findall(r"\b(\w+\.py)\b", tree)

    assert names
    for name in names:
        assert list(README.parent.glob(f"**/{name}")), name
