"""Members of a class: what its author wrote, and not what was generated."""

from __future__ import annotations

import abc
import enum
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import pydantic
import pytest

from themis_lib.identity.members import library_class, members_of


@dataclass(order=True, slots=True)
class Data:
    k: int = 1


class Named(NamedTuple):
    k: int = 1


class Model(pydantic.BaseModel):
    k: int = 1
    _private: int = 2


class Shape(Protocol):
    def area(self) -> float: ...


class Color(enum.Enum):
    RED = 1
    OTHER = enum.nonmember(2)


class Abstract(abc.ABC):
    @abc.abstractmethod
    def area(self) -> float: ...


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Data, {"k (field)", "k (flags)", "dataclass parameters"}),
        (Model, {"k (field)", "k (default)", "_private (private)"}),
        (Shape, {"area"}),
        (Color, {"order of members", "RED", "OTHER"}),
        (Abstract, {"area"}),
    ],
)
def test_written_members_are_found(kind: type, expected: set[str]) -> None:
    """Fields are described, with no generated method beside them."""
    names = {name for name, _ in members_of(kind)}

    assert expected <= names
    assert not names & {"__eq__", "__lt__", "_abc_impl", "__weakref__"}


def test_defaults_of_named_tuples_are_members() -> None:
    """Generated accessors are left out."""
    members: dict[str, Any] = dict(members_of(Named))

    assert {"k": 1} == members["_field_defaults"]
    assert "k" not in members


def test_registered_classes_are_members() -> None:
    """An abstract class holds what was registered with it."""

    class Local(abc.ABC):  # noqa: B024
        pass

    Local.register(Data)

    assert {Data} == dict(members_of(Local))["registered"]


def test_built_ins_are_named_with_their_version() -> None:
    """A library's class is its name alone."""
    assert ["builtins.int"] == library_class(int)
