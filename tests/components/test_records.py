"""Components as typed records: every ability read once, with a default."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from themis_lib import Case, GenerationResult, RuntimeConfig, TokenUsage
from themis_lib.components.build import build
from themis_lib.components.records import is_async
from themis_lib.core.contexts import GenerateContext


@dataclass(frozen=True)
class Plain:
    """A generator that offers nothing but its method."""

    component_id = "tests/plain"
    version = "1"

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult:
        return GenerationResult(final_output="x")


@dataclass(frozen=True)
class Able(Plain):
    """A generator with every ability."""

    model: str = "m1"
    max_tokens: int | None = None
    schema: Any = None
    width: int = 7

    component_id = "tests/able"
    reads = ("input",)
    deterministic = True
    is_free = True
    instructions = "Be brief."
    at_list_price = True
    global_limit = "slots"

    @property
    def calls_at_once(self) -> int:
        return self.width

    def most_tokens(self, case: Case, ctx: GenerateContext) -> TokenUsage:
        return TokenUsage(input_tokens=1)

    def with_runtime(self, runtime: RuntimeConfig) -> Able:
        return replace(self, width=runtime.max_concurrency)

    def with_schema(self, schema: Any) -> Able:
        return replace(self, schema=schema)


def test_every_ability_has_a_default() -> None:
    """A component that offers nothing beside its method needs to say nothing."""
    plain = build("generator", Plain(), where="test")

    assert ("input", "expected_output", "metadata") == plain.reads
    assert (False, False, False, False) == (
        plain.deterministic,
        plain.is_free,
        plain.at_list_price,
        plain.enforces_schemas,
    )
    for ability in (
        plain.generate_batch,
        plain.model,
        plain.instructions,
        plain.most_tokens,
        plain.max_tokens,
        plain.global_limit,
        plain.calls_at_once,
        plain.schema,
    ):
        assert ability is None
    assert not plain.has_token_limit


def test_abilities_are_read() -> None:
    """What a component offers is in its record."""
    able = build("generator", Able(), where="test")

    assert ("m1", "Be brief.", "slots", 7) == (
        able.model,
        able.instructions,
        able.global_limit,
        able.calls_at_once,
    )
    assert able.deterministic
    assert able.is_free
    assert able.at_list_price
    assert able.has_token_limit
    assert able.max_tokens is None


def test_runtime_and_schema_make_another_record() -> None:
    """A copy that keeps to a run, or to a schema, is read anew."""
    able = build("generator", {"use": f"{__name__}:Able", "id": "mine"}, where="test")

    assert 3 == able.with_runtime(RuntimeConfig(max_concurrency=3)).calls_at_once
    assert {"type": "object"} == able.with_schema({"type": "object"}).schema
    assert "mine" == able.with_schema({}).name


def test_runtime_changes_nothing_without_the_ability() -> None:
    """A plain generator is used as it was built."""
    plain = build("generator", Plain(), where="test")

    assert plain is plain.with_runtime(RuntimeConfig())


def test_identity_is_computed_once() -> None:
    """The digest of a user's code is in the identity, and is taken once."""
    able = build("generator", Able(), where="test")

    names = ["component_id", "version", "reads", "fingerprint"]
    assert [*names, "definitions", "values", "libraries"] == list(able.identity)
    assert able.identity is able.identity


class AsyncCallable:
    async def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("function", "expected"),
    [(len, False), (AsyncCallable(), True), (AsyncCallable, False)],
)
def test_async_objects_are_async(function: Any, expected: bool) -> None:
    """An object with an async `__call__` is awaited like a coroutine function."""
    assert expected == is_async(function)
