"""What an object was made with, told apart from what a run left behind in it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from tests.support.names import without_addresses
from themis_lib.adapters.object_settings import settings_of


@dataclass
class Style:
    mark: str
    parts: list[str] = field(default_factory=list)
    api_key: str = "secret"


class Model(BaseModel):
    name: str = "gpt"
    password: str = "secret"
    token_of_access: SecretStr = SecretStr("secret")
    width: int = 1

    def widen(self) -> None:
        self.width += 1


class Plain:
    """Neither dataclass nor model: its settings are what only `__init__` sets."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


class Runnable:
    def invoke(self, value: Any) -> Any:
        return value


def test_fields_of_a_dataclass_are_settings() -> None:
    """Of any type, since they are declared; credentials are left out."""
    assert [("mark", "~"), ("parts", [])] == list(settings_of(Style("~")))


def test_fields_of_a_pydantic_model_are_settings() -> None:
    """Also one that a method changes: a model declares what it is made with."""
    assert [("name", "gpt"), ("width", 1)] == list(settings_of(Model()))


@pytest.mark.parametrize(
    "value",
    [
        "text",
        3,
        None,
        (1, "a"),
        len,
        functools.partial(int, base=2),
        Runnable(),
        Style("~"),
        Model(),
        [len, Runnable()],
        {"first": len, "then": [Runnable()]},
    ],
    ids=without_addresses,
)
def test_attribute_that_is_plain_or_runs_is_a_setting(value: Any) -> None:
    """Functions, and what has the methods of one, decide what an object does."""
    assert [("value", value)] == list(settings_of(Plain(value=value)))


@pytest.mark.parametrize(
    "value",
    [[], {}, ["text"], [len, "text"], {"a": 1}, object(), {1}],
    ids=without_addresses,
)
def test_attribute_that_may_be_filled_by_a_run_is_none(value: Any) -> None:
    """Buffers, caches and connections change while rows are computed."""
    assert [] == list(settings_of(Plain(value=value)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("api_key", "a"),
        ("password", "a"),
        ("team_key", "a"),
        ("hidden", SecretStr("a")),
    ],
)
def test_credential_is_no_setting(name: str, value: Any) -> None:
    """By its name or by its type: a new key of an API computes no row again."""
    assert [("kept", 1)] == list(settings_of(Plain(**{name: value, "kept": 1})))


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*arguments: Any) -> Any:
        return function(*arguments)

    return wrapper


class Counting:
    """Sets `mark` up, and changes its other attributes later."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        self.calls = self.reads = self.last = self.gone = 0

    def __call__(self) -> None:
        self.calls += 1

    @property
    def reading(self) -> int:
        self.reads += 1
        return self.reads

    @decorated
    def remember(self, value: int) -> None:
        self.last = value

    def drop(self) -> None:
        del self.gone


class CountingMore(Counting):
    """Inherits the methods that change attributes."""

    def __init__(self, mark: str) -> None:
        super().__init__(mark)
        self.end = "."


@pytest.mark.parametrize(
    ("value", "settings"),
    [
        (Counting("~"), {"mark": "~"}),
        (CountingMore("~"), {"mark": "~", "end": "."}),
    ],
    ids=["own", "inherited"],
)
def test_attribute_that_a_method_changes_is_no_setting(
    value: Any, settings: dict[str, Any]
) -> None:
    """Counters and caches, in methods, properties and behind decorators."""
    assert settings == dict(settings_of(value))


def test_object_has_the_same_settings_after_a_run() -> None:
    """So that its identity is the same in the next one."""
    counting = Counting("~")
    before = dict(settings_of(counting))

    counting()
    counting.remember(3)
    assert 1 == counting.reading

    assert before == dict(settings_of(counting))


def test_object_without_attributes_has_no_settings() -> None:
    """Nor has one whose class has slots, which cannot be listed."""
    assert [] == list(settings_of(Runnable()))
    assert [] == list(settings_of(object()))
