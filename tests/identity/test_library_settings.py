"""Statements at the top level of a module that change a library."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from tests.identity.loading import load
from themis_lib.identity.library_settings import library_settings

START = "import decimal, sys\nT = {}\ndef setup(): pass\nC = decimal.getcontext()\n"


@pytest.mark.parametrize(
    ("statement", "is_setting"),
    [
        ("decimal.getcontext().prec = 28", True),
        ("C.prec = 28", True),
        ("C.prec += 0", True),
        ("x, C.prec = 1, 28", True),
        ("for i in [28]:\n    C.prec = i", True),
        ("class D:\n    C.prec = 28", True),
        ("setup()", True),
        ("x = 1", False),
        ("T['a'] = 1", False),
        ("sys.path.append('a')\nsys.path.pop()", False),
        ("def f():\n    C.prec = 5", False),
        ("if __name__ == '__main__':\n    C.prec = 5", False),
    ],
)
def test_settings(
    statement: str, is_setting: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting is a change of a library, or a call made for its effect."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = load(tmp_path, {"main.py": f"{START}{statement}\n"})
    del sys.modules["main"]

    found = [ast.unparse(item) for item in library_settings(module)]

    assert ([ast.unparse(ast.parse(statement))] if is_setting else []) == found
