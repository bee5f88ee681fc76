"""What functions hold beside their source."""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.identity.bytecode import (
    captured,
    code_identity,
    functions_of,
    is_plain,
)


def define(source: str) -> Callable[..., Any]:
    """Return the function that a text typed into an interpreter defines."""
    names: dict[str, Any] = {"__name__": "typed_in"}
    exec(source, names)
    return names["score"]


def identity_of(source: str) -> list[Any]:
    function = define(source)
    return code_identity(function.__code__, function.__doc__)


@pytest.mark.parametrize(
    "source",
    [
        "def score(v):\n    'Doc.'\n    return v + 1",
        "\n\ndef score(v):\n    'Doc.'\n    return ( v + 1 )  # comment",
    ],
)
def test_layout_and_docstrings_are_not_in_bytecode(source: str) -> None:
    """Functions that differ in layout, lines and docstrings have equal bytecode.

    A docstring is a constant, which may move the numbers of the others.
    """
    plain = identity_of("def score(v):\n    'D.'\n    return v + 1")

    assert plain[1:] == identity_of(source)[1:]


@pytest.mark.parametrize(
    "source",
    [
        "def score(v): return v + 2",
        "def score(v): return v - 1",
        "def score(v): return f(v + 1)",
        "def score(v): return (lambda: v + 1)()",
    ],
)
def test_bytecode_tells_functions_apart(source: str) -> None:
    """Constants, operations, names and functions inside are in a function's bytecode."""
    assert identity_of("def score(v): return v + 1") != identity_of(source)


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
    assert [] == list(captured(identity_of))


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
