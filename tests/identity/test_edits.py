"""Edits of user code, kind by kind: each changes the identity, or is free."""

from __future__ import annotations

import decimal
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from tests.identity.edits import BASE, EDITS, FREE_EDITS
from tests.identity.loading import load, walked
from themis_lib import evaluate
from themis_lib.errors import ComponentError
from themis_lib.identity.code import CodeIdentity, code_digest, code_identity_of
from themis_lib.identity.walk import Walk


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on `sys.path`, whose modules are forgotten after the test."""
    place = tmp_path / "code"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    # An edit may set the precision of decimal numbers.
    with decimal.localcontext():
        yield place
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(place)):
            del sys.modules[name]


def versions(kind: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the files of an edit before and after it."""
    files, old, new = EDITS[kind]
    assert sum(text.count(old) for text in files.values()) >= 1
    return files, {name: text.replace(old, new) for name, text in files.items()}


@pytest.mark.parametrize("kind", EDITS)
def test_edit_changes_the_identity(kind: str, folder: Path) -> None:
    """An edit of anything that a function reaches gives it another digest."""
    before, after = versions(kind)
    first = code_digest(load(folder, before).metric)
    second = code_digest(load(folder, after).metric)
    again = code_digest(load(folder, before).metric)

    assert first != second
    assert first == again


@pytest.mark.parametrize("edit", FREE_EDITS)
def test_free_edit_keeps_the_identity(edit: str, folder: Path) -> None:
    """Comments, docstrings, layout and what is not reached are not identity."""
    name, old, new = FREE_EDITS[edit]
    assert old in BASE[name]
    after = {**BASE, name: BASE[name].replace(old, new)}

    first = code_digest(load(folder, BASE).metric)

    assert first == code_digest(load(folder, after).metric)


NUMERIC = [
    "import m",
    "from m import f",
    "relative import",
    "star import",
    "import in a function",
    "importlib with a literal",
    "importlib with a computed name",
    "two modules away",
    "base class in another file",
    "wrapping decorator",
    "registering decorator",
    "globals by name",
    "default",
    "instance attribute",
    "patched helper",
]


@pytest.mark.parametrize("kind", NUMERIC)
def test_edit_computes_rows_again(kind: str, folder: Path, tmp_path: Path) -> None:
    """After an edit, a warm store gives the rows of an empty one."""

    def mean(files: dict[str, str], store: str) -> Any:
        metric = load(folder, files).metric
        run = evaluate(
            model=str.upper,
            data=[{"input": "ab", "expected_output": "AB"}],
            metric=lambda value, expected: metric(value) / 1,
            store=str(tmp_path / store),
        )
        return run.summary[0].mean

    before, after = versions(kind)
    first = mean(before, "warm")

    second = mean(after, "warm")

    assert first != second
    assert mean(after, "empty") == second


def test_digest_is_the_same_in_every_process(folder: Path) -> None:
    """The order of sets does not enter a digest."""
    text = (
        "S = {'a', 'b', 'c', 'd', (1, 2), 3.5}\n"
        "F = {lambda v: 1, lambda v: 2, lambda v: 3}\n"
        "def metric(v): return v in {'x', 'y', 'z'} or S or F\n"
    )
    load(folder, {"main.py": text})
    program = (
        f"import sys; sys.path.insert(0, {str(folder)!r})\nimport main\n"
        "from themis_lib.identity.code import code_digest\n"
        "print(code_digest(main.metric))"
    )

    printed = set()
    for seed in ("1", "2", "3"):
        process = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        printed.add(process.stdout)

    assert 1 == len(printed)


def executed(source: str, name: str = "typed_in") -> Any:
    names: dict[str, Any] = {"__name__": name}
    exec(source, names)
    return names["metric"]


@pytest.mark.parametrize(
    ("source", "old", "new"),
    [
        ("def f(): return 1 + 1\ndef metric(v): return f()", "+ 1", "+ 2"),
        ("K = {'a': 11}\ndef metric(v): return K", "11", "22"),
        ("class C:\n  k = 11\ndef metric(v): return C.k", "11", "22"),
        ("class B:\n  def f(self): return 11\nclass metric(B): pass", "11", "22"),
    ],
)
@pytest.mark.parametrize("name", ["typed_in", "__main__"])
def test_code_without_source_shows_edits(
    source: str, old: str, new: str, name: str
) -> None:
    """What was executed is told apart by its bytecode and by the values it reads."""
    first = code_digest(executed(source, name))

    assert first == code_digest(executed(source, name))
    assert first != code_digest(executed(source.replace(old, new), name))


OPAQUE = (
    "import sqlite3\nclass Metric:\n  component_id = 'm'\n  version = '1'\n"
    "  def __init__(self): self.client = sqlite3.connect(':memory:')\n"
    "  def __call__(self, value, expected): return 1.0\nmetric = Metric()\n"
)


def test_value_without_a_description_is_named(folder: Path) -> None:
    """An object that tells nothing is named with its attribute and type."""
    metric = load(folder, {"main.py": OPAQUE}).metric

    assert {"client": "Connection"} == code_identity_of(metric).opaque


def test_value_without_a_description_is_refused(folder: Path) -> None:
    """A run says which attribute it is, and how to go on."""
    source = OPAQUE.replace("  component_id = 'm'\n  version = '1'\n", "")
    metric = load(folder, {"main.py": source}).metric

    with pytest.raises(
        ComponentError, match=r'client.*Connection.*`runtime = \("client",'
    ):
        evaluate(
            model=str.upper,
            data=[{"input": "a", "expected_output": "A"}],
            metric=metric,
        )


class NoCaptured(Walk):
    def _take_captured(self, function: FunctionType, label: str) -> dict[str, Any]:
        return {}


class NoModules(Walk):
    def _follow_module(self, module: Any, rest: tuple[str, ...]) -> None:
        pass


class NoImports(Walk):
    def _follow_bound(self, *arguments: Any) -> None:
        pass

    def _follow_import(self, *arguments: Any) -> None:
        pass


class NoGlobals(Walk):
    def _follow_chain(self, *arguments: Any) -> None:
        pass


class NoClasses(Walk):
    def _visit_class(self, kind: type, label: str) -> None:
        pass


class NoWholeModules(Walk):
    def _visit_module(self, *arguments: Any) -> None:
        pass


class NoNeighbours(Walk):
    def _visit_neighbours(self, function: FunctionType) -> None:
        pass


class NoLibrarySettings(Walk):
    def _note_module(self, name: str) -> None:
        pass


class NoValues(Walk):
    def add_slot(self, *arguments: Any, **options: Any) -> None:
        pass


class NoBases(Walk):
    def _visit_class(self, kind: type, label: str) -> None:
        super()._visit_class(kind, label)
        self.found.definitions[label].pop("bases")


class NoInspection(Walk):
    def _take_what_is_inspected(self) -> bool:
        return False


class NoDocstrings(Walk):
    def result(self) -> CodeIdentity:
        self.found.docstrings.clear()
        return super().result()


class NoSettings(Walk):
    def _follow_setting(self, module: Any, chain: tuple[str, ...]) -> None:
        pass


@pytest.mark.parametrize(
    ("walk", "kind"),
    [
        (NoCaptured, "closure: list"),
        (NoCaptured, "function below a decorator"),
        (NoModules, "import m"),
        (NoImports, "import in a function"),
        (NoImports, "importlib with a literal"),
        (NoGlobals, "from m import f"),
        (NoGlobals, "value: constant"),
        (NoClasses, "base class in another file"),
        (NoClasses, "class attribute"),
        (NoWholeModules, "globals by name"),
        (NoWholeModules, "computed getattr"),
        (NoNeighbours, "importlib with a computed name"),
        (NoLibrarySettings, "setting of a library"),
        (NoValues, "constant set by the script"),
        (NoValues, "value: numpy"),
        (NoValues, "values of slots"),
        (NoValues, "annotation of a model"),
        (NoValues, "validator of a field"),
        (NoBases, "bases alone"),
        (NoInspection, "annotations read as values"),
        (NoInspection, "subclasses"),
        (NoDocstrings, "docstring of a function"),
        (NoDocstrings, "docstring by inspect"),
        (NoSettings, "setting from a constant"),
        (NoSettings, "setting in a function"),
    ],
)
def test_walk_that_forgets_a_kind_is_caught(
    walk: type[Walk], kind: str, folder: Path
) -> None:
    """Without one part of the walk, an edit of its kind would keep the old digest."""
    before, after = versions(kind)

    first = walked(load(folder, before).metric, walk).digest
    second = walked(load(folder, after).metric, walk).digest

    assert first == second
