"""Values are described by what they say: unequal ones apart, equal ones alike."""

from __future__ import annotations

import collections
import contextvars
import enum
import functools
import math
import re
import struct
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pydantic
import pytest

from themis_lib.identity.values import (
    Describer,
    OpaqueValueError,
    attributes_of,
)


def described(value: Any, is_secret: Callable[[str], bool] = lambda _: False) -> Any:
    """Return a description in which code is described by its name."""
    return Describer(lambda item: str(item.__qualname__), is_secret).describe(value)


class Pair(typing.NamedTuple):
    a: Any
    b: Any


class Color(enum.Flag):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    LOW = 1


@dataclass(slots=True)
class Slotted:
    k: int


class Hidden:
    __slots__ = ("__k", "empty")

    def __init__(self, k: Any) -> None:
        self.__k = k


class Inherits(Hidden):
    __slots__ = ()


class Cached:
    def __init__(self, k: Any) -> None:
        self.k = k

    @functools.cached_property
    def result(self) -> Any:
        return self.k


class Model(pydantic.BaseModel, extra="allow"):
    k: int = 1
    _private: int = pydantic.PrivateAttr(2)


def cycle(depth: int) -> list[Any]:
    """Return a list that holds itself that many levels below."""
    outer: list[Any] = []
    inner = outer
    for _ in range(depth):
        inner.append([])
        inner = inner[0]
    inner.append(outer)
    return outer


def model(private: int = 2, **values: Any) -> Model:
    made = Model(**values)
    made._private = private
    return made


def partial_with(value: Any) -> Any:
    made = functools.partial(max, 1)
    made.note = value  # type: ignore[attr-defined]
    return made


def refuse(pattern: type[Exception] | None = None) -> None:
    """Stand for a function of a user."""


UNEQUAL: dict[str, tuple[Any, Any]] = {
    "integer and boolean": (1, True),
    "integer and float": (1, 1.0),
    "zero and false": (0, False),
    "signs of zero": (0.0, -0.0),
    "not a number and infinity": (math.nan, math.inf),
    "sets of a number": ({1}, {1.0}),
    "sets of a boolean": ({1}, {True}),
    "keys": ({1: "a"}, {True: "a"}),
    "order of keys": ({"a": 1, "b": 1}, {"b": 1, "a": 1}),
    "list and tuple": ([1], (1,)),
    "set and frozenset": ({1}, frozenset({1})),
    "text and bytes": ("a", b"a"),
    "bytes and bytearray": (b"a", bytearray(b"a")),
    "text of a description": (["float", "1.0"], 1.0),
    "halves of a surrogate pair": ("\ud800", "\ud801"),
    "long integers": (2**100, 2**100 + 1),
    "long lists": ([1] * 2000, [1] * 1999 + [True]),
    "cycles": (cycle(0), cycle(1)),
    "named tuples": (Pair(1, 2), Pair(1, 3)),
    "named tuple and tuple": (Pair(1, 2), (1, 2)),
    "flags": (Color.RED, Color.RED | Color.BLUE),
    "empty flag": (Color(0), Color.RED),
    "enum and number": (Level.LOW, 1),
    "dataclasses with slots": (Slotted(1), Slotted(2)),
    "private slots": (Hidden(1), Hidden(2)),
    "inherited slots": (Inherits(1), Inherits(2)),
    "private attributes of models": (model(2), model(3)),
    "extra attributes of models": (model(a=1), model(a=2)),
    "models": (model(k=1), model(k=2)),
    "lengths of deques": (collections.deque([1], 1), collections.deque([1], 2)),
    "factories": (collections.defaultdict(list), collections.defaultdict(set)),
    "mapping proxies": (
        types.MappingProxyType({"a": 1}),
        types.MappingProxyType({"a": 2}),
    ),
    "views of keys": ({"a": 1}.keys(), {"b": 1}.keys()),
    "views of items": ({"a": 1}.items(), {"a": 2}.items()),
    "memory views": (memoryview(b"a"), memoryview(b"b")),
    "flags of patterns": (re.compile("a"), re.compile("a", re.IGNORECASE)),
    "structs": (struct.Struct("i"), struct.Struct("d")),
    "code": (compile("1", "f", "eval"), compile("2", "f", "eval")),
    "context variables": (
        contextvars.ContextVar("k", default=1),
        contextvars.ContextVar("k", default=2),
    ),
    "bounds of type variables": (
        typing.TypeVar("T", bound=int),
        typing.TypeVar("T", bound=str),
    ),
    "generic types": (list[int], list[str]),
    "literal types": (typing.Literal[1], typing.Literal[True]),
    "attributes of partials": (partial_with(1), partial_with(2)),
    "docstrings of properties": (
        property(refuse, doc="One."),
        property(refuse, doc="Another."),
    ),
    "adapters": (pydantic.TypeAdapter(int), pydantic.TypeAdapter(str)),
}


@pytest.mark.parametrize("kind", UNEQUAL)
def test_unequal_values_are_told_apart(kind: str) -> None:
    """Two values that differ have two descriptions, also within a list."""
    one, other = UNEQUAL[kind]

    assert repr(described(one)) != repr(described(other))
    assert repr(described([one])) != repr(described([other]))


EQUAL: dict[str, Callable[[], Any]] = {
    "not a number": lambda: float("nan"),
    "set with not a number": lambda: {float("nan"), 1},
    "nested sets": lambda: {frozenset({frozenset({"a", "b"}), 1}), 2},
    "cycle": lambda: cycle(2),
    "class without a repr": lambda: Hidden(1),
    "context variable without a value": lambda: contextvars.ContextVar("k"),
    "model": lambda: model(a=1),
    "adapter": lambda: pydantic.TypeAdapter(Model),
    "abstract type": lambda: typing.Protocol,
}


@pytest.mark.parametrize("kind", EQUAL)
def test_equal_values_are_described_alike(kind: str) -> None:
    """No description tells where a value lies in memory."""
    assert described(EQUAL[kind]()) == described(EQUAL[kind]())


def test_cached_property_is_no_attribute() -> None:
    """A result that was kept changes no object."""
    value = Cached(1)
    before = described(value)

    assert 1 == value.result
    assert before == described(value)
    assert described(Cached(2)) != before


def test_attributes_hold_private_slots_by_their_full_name() -> None:
    """A slot that was never set is left out."""
    assert {"_Hidden__k": 1} == attributes_of(Inherits(1))


def test_secrets_are_left_out() -> None:
    """What the caller calls a secret does not enter a description."""
    one, other = Cached("a"), Cached("b")

    assert described(one, lambda name: name == "k") == described(
        other, lambda name: name == "k"
    )


@pytest.mark.parametrize("value", [iter([1]), (item for item in [1]), open])
def test_iterators_are_opaque(value: Any) -> None:
    """An iterator is refused with the attributes that lead to it; a function is not."""
    if value is open:
        assert ["library", "io", "open"] == described(open)
        return
    with pytest.raises(OpaqueValueError) as caught:
        described(Cached(Cached(value)))

    assert ["k", "k"] == caught.value.path


def test_value_that_is_too_deep_is_opaque() -> None:
    """A long linked list is refused by name, and ends no program."""
    value: list[Any] = []
    for _ in range(10_000):
        value = [value]

    with pytest.raises(OpaqueValueError):
        described(value)
