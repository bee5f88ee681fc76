"""The digest of code: what a user may edit for nothing, and what makes a component
another one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from themis_lib.identity.code import code_digest

Load = Callable[[str], ModuleType]

SOURCE = '''
import re
from math import sqrt as root

LIMIT = 3
TABLE = {"a": 1}
UNRELATED = "u"
CALLS = 0


def helper(text):
    return inner(text) + LIMIT


def inner(text):
    return len(text)


def unrelated(text):
    return text + UNRELATED


class Base:
    def scale(self, value):
        return value * 2


class Component(Base):
    """Counts letters."""

    version = "1"

    def score(self, text):
        """The count."""
        global CALLS
        CALLS += 1  # for the log
        return self.scale(helper(text)) + TABLE["a"] + root(4)
'''


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports a source text as a module of one name, as in a new process."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load_source(source: str) -> ModuleType:
        sys.modules.pop("loaded", None)
        (tmp_path / "loaded.py").write_text(source)
        importlib.invalidate_caches()
        return importlib.import_module("loaded")

    yield load_source
    sys.modules.pop("loaded", None)


def edited(old: str, new: str) -> str:
    assert old in SOURCE
    return SOURCE.replace(old, new)


@pytest.mark.parametrize(
    "source",
    [
        SOURCE,
        edited("  # for the log", "  # for nobody"),
        edited("  # for the log", ""),
        edited('"""Counts letters."""', '"""Counts letters, well."""'),
        edited('    """Counts letters."""\n', ""),
        edited('        """The count."""\n', ""),
        edited("    def score", "\n\n    def score"),
        edited(
            "self.scale(helper(text)) + TABLE",
            "(\n            self.scale( helper( text ) )\n        ) + TABLE",
        ),
        edited('version = "1"', "version = '1'"),
        edited("CALLS = 0\n", "CALLS = 0\n\n# a comment at module level\n"),
    ],
)
def test_layout_is_no_code(load: Load, source: str) -> None:
    """Comments, docstrings, blank lines and formatting cost nothing."""
    assert code_digest(load(SOURCE).Component) == code_digest(load(source).Component)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("text + UNRELATED", "UNRELATED + text"),
        ('UNRELATED = "u"', 'UNRELATED = "v"'),
        ("def unrelated(text):", "def unrelated(text, more=1):"),
        ("import re\n", "import os\n"),
    ],
)
def test_what_a_component_does_not_name_is_not_its_code(
    load: Load, old: str, new: str
) -> None:
    """Editing functions, constants and imports that a component does not name costs
    nothing.
    """
    assert code_digest(load(SOURCE).Component) == code_digest(
        load(edited(old, new)).Component
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return self.scale(helper(text))", "return 1 + self.scale(helper(text))"),
        ('version = "1"', 'version = "2"'),
        ("return inner(text) + LIMIT", "return inner(text) - LIMIT"),
        ("return len(text)", "return len(text) + 1"),
        ("LIMIT = 3", "LIMIT = 4"),
        ('TABLE = {"a": 1}', 'TABLE = {"a": 2}'),
        ("return value * 2", "return value * 3"),
        ("class Component(Base):", "class Component:"),
        ("from math import sqrt as root", "from math import floor as root"),
        ("CALLS = 0\n", 'CALLS = 0\nTABLE["a"] = 5\n'),
        ("CALLS = 0\n", "CALLS = 0\nTABLE.update(a=5)\n"),
        ("CALLS = 0\n", "CALLS = 0\nfor letter in 'ab':\n    TABLE[letter] = 5\n"),
    ],
)
def test_what_a_component_names_is_its_code(load: Load, old: str, new: str) -> None:
    """An edit of a body, a helper, a helper's helper, a constant, a base class or an
    import is another one.
    """
    before = code_digest(load(SOURCE).Component)

    assert before != code_digest(load(edited(old, new)).Component)


def test_conditions_belong_to_what_they_decide(load: Load) -> None:
    """A constant set under a condition changes with the condition."""
    source = "STRICT = {}\nif STRICT:\n    LIMIT = 1\nelse:\n    LIMIT = 2\ndef score(v): return v + LIMIT\n"

    one, other = (
        code_digest(load(source.format(value)).score) for value in (True, False)
    )

    assert one != other


def test_values_at_run_time_are_no_code(load: Load) -> None:
    """A counter that a component keeps in its module does not change what it is."""
    module = load(SOURCE)
    before = code_digest(module.Component)

    module.Component().score("abc")
    after = code_digest(module.Component)

    assert 1 == module.CALLS
    assert before == after


@pytest.mark.parametrize("value", ["3", "'a'", "0.5", "None", "True", "(1, 'a')"])
def test_closures_over_plain_values_are_told_apart(load: Load, value: str) -> None:
    """Two functions made by one factory from different values are two components; from
    equal values, one.
    """
    source = (
        "def make(k):\n    def score(v):\n        return v == k\n    return score\n\n"
    )
    module = load(
        source + f"one, same, other = make({value}), make({value}), make('other')\n"
    )

    assert code_digest(module.one) == code_digest(module.same)
    assert code_digest(module.one) != code_digest(module.other)


def test_counters_in_closures_are_no_code(load: Load) -> None:
    """A variable that a function rebinds in the function around it does not change what
    it is.
    """
    counting = "def make():\n    n = 0\n    def score(v):\n        nonlocal n\n        n += 1\n    return score\n"
    module = load(f"{counting}score = make()\n")
    before = code_digest(module.score)

    module.score(1)

    assert before == code_digest(module.score)


@pytest.mark.parametrize(
    "source",
    [
        "one, other = lambda v: v + 1, lambda v: v + 2",
        "one, other = [lambda v: v, lambda v: lambda w: v]",
        "def make(k):\n    return lambda v, k=k: k\none, other = make(1), make(2)",
        "def make(k):\n    def score(v, *, k=k): return k\n    return score\none, "
        "other = make(1), make(2)",
        "def plus(v): return v + 1\ndef minus(v): return v - 1\n"
        "def make(f):\n    def score(v): return f(v)\n    return score\none, other = "
        "make(plus), make(minus)",
        "import math\ndef make(f):\n    def score(v): return f(v)\n    return score\n"
        "one, other = make(math.floor), make(math.ceil)",
        "def make(k):\n    class Score:\n        def score(self, v): return k\n    return Score\n"
        "one, other = make(1), make(2)",
    ],
    ids=[
        "lambdas on a line",
        "nested lambdas",
        "defaults",
        "keyword defaults",
        "closures over functions",
        "closures over built-ins",
        "classes in a function",
    ],
)
def test_functions_that_share_their_source_are_told_apart(
    load: Load, source: str
) -> None:
    """Two functions that stand on one line or come from one factory are two components
    all the same.
    """
    module = load(source)

    assert code_digest(module.one) != code_digest(module.other)


def test_a_lambda_is_itself_and_not_its_line(load: Load) -> None:
    """What stands beside a lambda in a call is not its code."""
    first = code_digest(
        load("run = dict\nmetric = run(f=lambda v: v + 1, samples=2)['f']").metric
    )
    second = load(
        "run = dict\nmetric = run(\n    f=lambda v: v + 1,\n    samples=3,\n)['f']"
    ).metric

    assert first == code_digest(second)


def test_recursive_closures_end(load: Load) -> None:
    """A function in a function that calls itself has a digest."""
    source = "def make():\n    def fact(n): return n * fact(n - 1) if n else 1\n    return fact\nfact = make()"

    assert code_digest(load(source).fact) == code_digest(load(source).fact)


def test_dataclasses_are_their_source(load: Load) -> None:
    """The methods that `dataclass` generates do not show; fields and their defaults do."""
    source = "from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass Metric:\n    k: int = {}\n"

    one, same, other = (code_digest(load(source.format(k)).Metric) for k in (1, 1, 2))

    assert one == same
    assert one != other


def without_source(source: str) -> Any:
    """Return the class that a text typed into an interpreter or a notebook defines."""
    names: dict[str, Any] = {"__name__": "typed_in"}
    exec(source, names)
    return names["Component"]


def test_code_without_source_is_its_bytecode() -> None:
    """A class without source is told apart by its bytecode."""
    text = "class Component:\n    def score(self, v): return v + 1"
    edited_text = text.replace("+ 1", "+ 2")

    component = code_digest(without_source(text))

    assert component == code_digest(without_source(text))
    assert component != code_digest(without_source(edited_text))


def test_methods_of_types_in_c_are_told_apart(load: Load) -> None:
    """A function may close over `str.upper`, which has no module."""
    module = load(
        "def make(f):\n    def score(v): return f(v)\n    return score\n"
        "one, same, other = make(str.upper), make(str.upper), make(str.lower)"
    )

    assert code_digest(module.one) == code_digest(module.same)
    assert code_digest(module.one) != code_digest(module.other)
