"""The stage contract: keys and names."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib import InMemoryRunStore
from themis_lib.identity.part import Part
from themis_lib.stages.stage import Emit, Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import ANSWERS


class Plain(Stage):
    """A stage that reads what it is told."""

    name = "plain"
    schema = ANSWERS

    def __init__(self, reads: tuple[str, ...] = ("value",), setting: int = 1) -> None:
        self._reads = reads
        self._setting = setting

    @property
    def identity(self) -> dict[str, Any]:
        return {"setting": self._setting}

    @property
    def reads(self) -> tuple[str, ...]:
        return self._reads

    def columns(self, shard: Shard, store: RunStore) -> dict[str, Any]:
        return {"cases": dict(shard.cases.columns)}

    def rows(self, shard: Shard, store: RunStore) -> pa.Table:
        raise NotImplementedError

    async def compute(self, rows: pa.Table, run_id: str, emit: Emit) -> None:
        raise NotImplementedError


def rows(values: list[str], errors: list[str | None] | None = None) -> pa.Table:
    given_errors = errors or [None] * len(values)
    return pa.table(
        {
            "value": pa.array(values, pa.string()),
            "seed": pa.array(range(len(values)), pa.int64()),
            "error": pa.array(given_errors, pa.string()),
        }
    )


def keys(stage: Stage, *values: str) -> list[bytes]:
    return list(stage.keys(rows(list(values))).to_pylist())


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=6)
)
def test_equal_rows_have_equal_keys_and_others_others(values: list[str]) -> None:
    """A key covers what is read, and nothing else: place and neighbours do not
    matter.
    """
    texts = [f'"{value}"' for value in values]
    found = keys(Plain(), *texts)

    assert len(set(texts)) == len(set(found))
    assert found == [keys(Plain(), text)[0] for text in texts]


def test_key_covers_every_column_read() -> None:
    """Rows that differ in a column that is read have different keys."""
    assert 1 == len(set(keys(Plain(("value",)), "1", "1")))
    assert 2 == len(set(keys(Plain(("value", "seed")), "1", "1")))


@pytest.mark.parametrize("other", [Plain(setting=2), Plain(reads=("seed",))])
def test_another_identity_is_another_computation(other: Stage) -> None:
    """Settings and reads are in the fingerprint, and so in every key."""
    assert Plain().fingerprint != other.fingerprint
    assert keys(Plain(), "1") != keys(other, "1")


def test_row_with_an_upstream_error_has_no_key() -> None:
    """It is neither looked up nor computed."""
    found = Plain().keys(rows(["1", "2"], [None, "generate: down"])).to_pylist()

    assert found[0] is not None
    assert found[1] is None


def test_stage_that_reads_nothing_has_one_key() -> None:
    """All its rows are one computation."""
    assert 1 == len(set(keys(Plain(()), "1", "2")))


def test_shard_is_named_by_what_is_read() -> None:
    """Not by its place in the data."""

    def shard(index: int, content: str) -> Shard:
        cases = Part(path=f"p{index}", rows=1, columns={"input": content})
        return Shard(index=index, start=index, dataset_id="d", cases=cases)

    stage, store = Plain(), InMemoryRunStore()
    assert stage.shard_name(shard(0, "x"), store) == stage.shard_name(
        shard(5, "x"), store
    )
    assert stage.shard_name(shard(0, "x"), store) != stage.shard_name(
        shard(0, "y"), store
    )


def test_defaults_of_a_stage() -> None:
    """A stage that calls no model costs nothing and takes no limit."""
    stage = Plain()

    assert "plain" == stage.label
    assert (False, False, None, None) == (
        stage.is_paid,
        stage.calls_model,
        stage.price,
        stage.global_limit,
    )
