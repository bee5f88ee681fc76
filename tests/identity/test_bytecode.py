"""The identity of definitions without source, as in notebooks."""

from __future__ import annotations

import functools
from collections import namedtuple
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.new_process import printed_in_new_process
from themis_lib.identity.bytecode import (
    bytecode_of,
    captured,
    functions_of,
    is_plain,
)

SOURCE = """
import re
from math import sqrt
LIMIT = 1
PATTERN = re.compile("[0-9]")
TABLE = {"a": 1}
UNRELATED = 1
def helper(v): return inner(v) + 1  # helper
def inner(v): return v + 1  # inner
def unrelated(v): return v + 1  # unrelated
class Base:
    def base(self, v): return v + 1  # base
class Component(Base):
    threshold = 1
    @staticmethod
    def fixed(v): return v + 1  # static
    @property
    def size(self): return 1 + 1  # property
    def score(self, v, k=1):
        found = PATTERN.findall("1") + [lambda: v + 1]  # lambda
        return helper(v) + LIMIT + len(found) + TABLE["a"] + sqrt(4) + 1  # body
"""


def define(source: str, name: str = "Component") -> Any:
    """Return what a text typed into an interpreter or a notebook defines."""
    names: dict[str, Any] = {"__name__": "typed_in"}
    exec(source, names)
    return names[name]


def names_in(bytecode: list[Any]) -> list[str]:
    return [name for name, _ in bytecode]


def test_equal_definitions_have_equal_bytecode() -> None:
    """Typing the same text in again gives the same identity."""
    assert bytecode_of(define(SOURCE)) == bytecode_of(define(SOURCE))


def test_bytecode_lists_what_a_class_names() -> None:
    """Bases, helpers, their helpers, attributes, defaults and plain globals are listed
    by name; imports and containers are not.
    """
    assert [
        "Base",
        "Base.base",
        "Component",
        "Component threshold",
        "Component.score",
        "Component.score k",
        "global LIMIT",
        "global PATTERN",
        "helper",
        "inner",
    ] == names_in(bytecode_of(define(SOURCE)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+ 1  # body", "+ 2  # body"),
        ("+ 1]  # lambda", "+ 2]  # lambda"),
        ("+ 1  # helper", "+ 2  # helper"),
        ("+ 1  # inner", "+ 2  # inner"),
        ("LIMIT = 1", "LIMIT = 2"),
        ('"[0-9]"', '"[1-9]"'),
        ('"[0-9]"', '"[0-9]", re.ASCII'),
        ("+ 1  # base", "+ 2  # base"),
        ("+ 1  # static", "+ 2  # static"),
        ("+ 1  # property", "+ 2  # property"),
        ("threshold = 1", "threshold = 2"),
        ("k=1", "k=2"),
    ],
)
def test_edits_show(old: str, new: str) -> None:
    """An edit of what a class holds or names in its module changes its bytecode."""
    assert old in SOURCE

    edited = define(SOURCE.replace(old, new))

    assert bytecode_of(define(SOURCE)) != bytecode_of(edited)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+ 1  # unrelated", "+ 2  # unrelated"),
        ("UNRELATED = 1", "UNRELATED = 2"),
        ('TABLE = {"a": 1}', 'TABLE = {"a": 2}'),
        ("  # body", "  # another comment"),
        ("helper(v) + LIMIT", "( helper( v ) + LIMIT )"),
    ],
    ids=["unnamed function", "unnamed value", "mapping", "comment", "layout"],
)
def test_other_edits_do_not_show(old: str, new: str) -> None:
    """What a class does not name, what a mapping holds, comments and layout leave its
    bytecode as it is.
    """
    assert old in SOURCE

    edited = define(SOURCE.replace(old, new))

    assert bytecode_of(define(SOURCE)) == bytecode_of(edited)


def test_docstrings_do_not_show() -> None:
    """Docstrings of a class and of its methods are not part of its bytecode."""
    one = define(
        'class Component:\n    "Doc."\n    def score(self, v):\n'
        '        "Doc."\n        return v'
    )
    other = define(
        'class Component:\n    "D"\n\n    def score(self, v):\n        "D"\n        return v'
    )

    assert bytecode_of(one) == bytecode_of(other)


def test_counters_do_not_show() -> None:
    """Counters that a class keeps, in its module or on itself, leave its bytecode as it
    is.
    """
    component = define(
        "CALLS = 0\nclass Component:\n    calls = 0\n    def score(self):\n"
        "        global CALLS\n        CALLS += 1\n        type(self).calls += 1"
    )
    before = bytecode_of(component)

    component().score()

    assert 1 == component.calls
    assert before == bytecode_of(component)


def test_a_counter_kept_by_a_helper_does_not_show() -> None:
    """A global is left out even if another function than the one that reads it stores
    to it.
    """
    score = define(
        "CALLS = 0\ndef count():\n    global CALLS\n    CALLS += 1\n"
        "def score(v):\n    count()\n    return v + 0 * CALLS",
        "score",
    )
    before = bytecode_of(score)

    score(1)

    assert before == bytecode_of(score)
    assert ["count", "score"] == names_in(before)


def test_counters_in_closures_do_not_show() -> None:
    """A variable of the function around, once rebound, leaves the bytecode as it is."""
    score = define(
        "def make():\n    n = 0\n    def score(v):\n        nonlocal n\n"
        "        n += 1\n        return n\n    return score\nscore = make()",
        "score",
    )
    before = bytecode_of(score)

    assert 1 == score(1)
    assert before == bytecode_of(score)


def test_recursive_functions_end() -> None:
    """Functions that call each other are listed once."""
    even = define(
        "def even(n): return n == 0 or odd(n - 1)\n"
        "def odd(n): return n != 0 and even(n - 1)",
        "even",
    )

    assert ["even", "odd"] == names_in(bytecode_of(even))


def test_bytecode_is_the_same_in_every_process() -> None:
    """The order of sets, which differs from process to process, does not show."""
    program = (
        "from themis_lib.identity.bytecode import bytecode_of\n"
        "A, B, C, D, E = 1, 2, 3, 4, 5\n"
        "class Component:\n"
        "    def score(self, v): return v in {'a', 'b', 'c', 'd', 'e'} and A + B + C + D + E\n"
        "print(bytecode_of(Component))"
    )

    printed = set()
    for seed in ("1", "2", "3"):
        printed.add(printed_in_new_process(program, PYTHONHASHSEED=seed))

    assert 1 == len(printed)


class Members:
    """A class with a method of every sort."""

    constant = 1

    def method(self) -> None: ...

    @classmethod
    def of_class(cls) -> None: ...

    @staticmethod
    def static() -> None: ...

    @property
    def both(self) -> int:
        return 1

    @both.setter
    def both(self, value: int) -> None: ...

    @functools.cached_property
    def kept(self) -> int:
        return 1


def test_functions_of_a_class_are_those_of_its_members() -> None:
    """Methods, class and static methods, and the functions of properties are found."""
    names = [function.__name__ for function in functions_of(Members)]

    assert ["method", "of_class", "static", "both", "both", "kept"] == names


def test_inherited_methods_are_not_functions_of_a_class() -> None:
    """A subclass without members has no functions."""

    class Empty(Members):
        pass

    assert [] == list(functions_of(Empty))


def test_function_of_a_function_is_itself() -> None:
    """A function is its only function."""
    assert [define] == list(functions_of(define))


def test_captured_values_are_defaults_and_closures() -> None:
    """Defaults belong to the last arguments; keyword defaults and enclosed variables
    follow.
    """
    enclosed = 5

    def function(a: int, b: int = 1, c: int = 2, *, d: int, e: int = 3) -> int:
        return a + b + c + d + e + enclosed

    assert [("b", 1), ("c", 2), ("e", 3), ("enclosed", 5)] == list(captured(function))


def test_a_function_without_defaults_captures_nothing() -> None:
    """Arguments without defaults and globals are not captured."""
    assert [] == list(captured(names_in))


def test_variables_not_yet_assigned_are_not_captured() -> None:
    """An enclosed variable that has no value yet is left out."""

    def make() -> list[tuple[str, Any]]:
        def function() -> int:
            return later + sooner

        sooner = 1
        found = list(captured(function))
        later = 2
        return found

    assert [("sooner", 1)] == make()


Pair = namedtuple("Pair", "one other")


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {1},
        frozenset({1}),
        (1, [2]),
        (1, (2, {})),
        object(),
        len,
        Pair(1, 2),
    ],
)
def test_what_may_change_or_hide_is_not_plain(value: Any) -> None:
    """Containers other than tuples, objects, and tuples of these are not plain."""
    assert not is_plain(value)


PLAIN = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.complex_numbers(),
        st.text(),
        st.binary(),
    ),
    lambda items: st.lists(items).map(tuple),
)


@given(PLAIN)
def test_text_numbers_none_and_tuples_of_them_are_plain(value: Any) -> None:
    """Text, bytes, numbers, `None`, and tuples of them at any depth are plain."""
    assert is_plain(value)
    assert not is_plain([value])
    assert not is_plain((value, [value]))
