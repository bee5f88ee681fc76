"""User code is told from libraries by where it is."""

from __future__ import annotations

import json
import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType

import numpy
import pytest

from themis_lib.identity.user_code import (
    distribution_of,
    is_user_class,
    is_user_code,
    is_user_file,
    is_user_module,
    user_module,
)


@pytest.mark.parametrize(
    "name", ["json", "sys", "numpy", "themis_lib.identity", "math"]
)
def test_libraries_are_no_user_code(name: str) -> None:
    """The standard library, distributions and this library are no user code."""
    assert not is_user_module(name)


def test_modules_made_by_hand_are_user_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """So is the script itself."""
    monkeypatch.setitem(sys.modules, "made_by_hand", ModuleType("made_by_hand"))

    assert is_user_module("made_by_hand")
    assert is_user_module("__main__")


def test_files_outside_of_site_packages_are_user_code(tmp_path: Path) -> None:
    """An editable distribution is one of them; an installed one is not."""
    assert is_user_file(str(tmp_path / "src" / "package" / "module.py"))
    assert not is_user_file(str(tmp_path / "site-packages" / "package.py"))


def test_module_of_a_namespace_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module in a folder without `__init__.py` is user code, and is imported."""
    folder = tmp_path / "namespace_of_user"
    folder.mkdir()
    (folder / "inner.py").write_text("K = 1\n")
    (folder / "broken.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module = user_module("namespace_of_user.inner")

    assert module is not None
    assert 1 == module.K
    assert user_module("namespace_of_user.broken") is None
    assert user_module("json") is None
    assert distribution_of("namespace_of_user.inner") is None


def test_classes() -> None:
    """A class of a test is user code; one of a library or in C is not."""
    assert is_user_class(type("Made", (), {}))
    assert not any(map(is_user_class, (int, json.JSONEncoder, numpy.ndarray)))


def test_generated_methods_are_no_user_code() -> None:
    """A named tuple's `__new__` is generated."""
    made = namedtuple("made", "a").__new__

    assert not is_user_code(made.__code__, made.__globals__["__name__"])
    assert is_user_code(test_classes.__code__, __name__)


def test_distributions_have_versions() -> None:
    """A submodule belongs to the distribution of its package."""
    assert ("numpy", numpy.__version__) == distribution_of("numpy.linalg")
    assert distribution_of("json") is None
