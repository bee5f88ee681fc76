"""Prefect's cache over the rows: keys, and results that are read off a store."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.results import ResultRecord
from prefect.settings import PREFECT_API_URL, temporary_settings

from tasks.caching import ByCacheKey, StoredRows, cache_key, result_storage
from tests.test_edit_costs import base
from themis_lib import Experiment, RunStore
from themis_lib.core.config import StorageConfig
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.pipeline import Pipeline
from themis_lib.storage.shard import Shard


def compiled(**generator: Any) -> Pipeline:
    spec = base(Path("unused"))
    spec["generation"]["generator"].update(generator)
    return experiment_from_spec(Experiment, spec, where="spec").compile()


def shards_of(pipeline: Pipeline, store: RunStore) -> list[Shard]:
    return list(pipeline.shards(store))


@pytest.fixture
def memory_url() -> str:
    return f"memory://{uuid.uuid4().hex}"


# Keys


def test_policy_gives_the_argument() -> None:
    """The flow has computed the key: nothing is digested again."""
    context: Any = None

    key = ByCacheKey().compute_key(context, {"cache_key": "parse/abc", "work": 1}, {})

    assert "parse/abc" == key


def test_key_begins_with_the_stage(tmp_path: Path) -> None:
    """Results of each stage of a local store have a folder."""
    pipeline, store = compiled(), RunStore(str(tmp_path))
    shard, *_ = shards_of(pipeline, store)

    assert cache_key(pipeline.generate, shard, store).startswith("generate/")


def test_key_is_the_same_again(tmp_path: Path) -> None:
    """Another process that compiles the same experiment finds the results."""
    first, again = RunStore(str(tmp_path)), RunStore(str(tmp_path))

    keys, keys_again = (
        [
            cache_key(pipeline.generate, shard, store)
            for shard in shards_of(pipeline, store)
        ]
        for pipeline, store in ((compiled(), first), (compiled(), again))
    )

    assert keys == keys_again
    assert 3 == len(set(keys))


def test_position_and_ids_are_not_in_the_key(tmp_path: Path) -> None:
    """A shard is its content: where it is in which dataset changes nothing."""
    pipeline, store = compiled(), RunStore(str(tmp_path))
    shard, *_ = shards_of(pipeline, store)
    moved = replace(shard, index=7, start=90, dataset_id="other")

    assert cache_key(pipeline.generate, shard, store) == cache_key(
        pipeline.generate, moved, store
    )


def test_setting_and_store_are_in_the_key(tmp_path: Path) -> None:
    """Another temperature, or another store, has other results."""
    here, elsewhere = RunStore(str(tmp_path / "a")), RunStore(str(tmp_path / "b"))
    pipeline = compiled()
    shard, *_ = shards_of(pipeline, here)

    keys = {
        cache_key(pipeline.generate, shard, here),
        cache_key(pipeline.generate, shard, elsewhere),
        cache_key(compiled(temperature=0.5).generate, shard, here),
    }

    assert 3 == len(keys)


def test_key_of_a_remote_store_is_the_path_of_the_rows(memory_url: str) -> None:
    """There the rows themselves are the result."""
    pipeline, store = compiled(), RunStore(memory_url)
    shard, *_ = shards_of(pipeline, store)
    stage = pipeline.generate

    key = cache_key(stage, shard, store)

    assert (
        f"rows/generate/{stage.fingerprint}/{stage.shard_name(shard, store)}.parquet"
        == key
    )


# Results that are rows


def test_rows_are_read_as_the_record_of_their_task(memory_url: str) -> None:
    """The record has the reference to the rows as JSON, and their path as its key."""
    store = RunStore(memory_url)
    part = shards_of(compiled(), store)[0].cases

    content = StoredRows(url=store.url).read_path(part.path)

    record: ResultRecord[Any] = ResultRecord.deserialize(content)
    assert store.read_part(part.path).to_json() == record.result  # type: ignore[union-attr]
    assert part.path == record.result["path"] == record.metadata.storage_key
    assert part.rows == record.result["rows"]
    assert "json" == record.metadata.serializer.type


def test_rows_are_read_without_blocking_the_loop(memory_url: str) -> None:
    """The async method reads the same."""
    store = RunStore(memory_url)
    part = shards_of(compiled(), store)[0].cases
    block = StoredRows(url=store.url)

    content = asyncio.run(block.aread_path(part.path))

    expected, found = (json.loads(one) for one in (block.read_path(part.path), content))
    assert expected["result"] == found["result"]


def test_missing_rows_are_a_missing_result(memory_url: str) -> None:
    """Prefect takes it for no result, and runs the task."""
    block = StoredRows(url=memory_url)

    with pytest.raises(FileNotFoundError, match="nowhere"):
        block.read_path("rows/generate/f/nowhere.parquet")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        asyncio.run(block.aread_path("rows/generate/f/nowhere.parquet"))


def test_nothing_is_written_beside_the_rows(memory_url: str) -> None:
    """The task has published its rows: Prefect's own copy is not kept."""
    store = RunStore(memory_url)
    block = StoredRows(url=store.url)

    block.write_path("rows/generate/f/p.parquet", b"a record")
    asyncio.run(block.awrite_path("rows/generate/f/p.parquet", b"a record"))

    assert [] == list(store.files())


# Where results are kept


def test_results_of_a_store_on_disk_are_beside_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder is absolute, whatever folder the run was started in."""
    monkeypatch.chdir(tmp_path)
    config = StorageConfig(store="store")

    found = asyncio.run(result_storage(config, RunStore("store")))

    assert tmp_path / "store/tasks" == found


def saved_blocks(
    api_url: str, config: StorageConfig, store: RunStore, *, times: int = 1
) -> list[tuple[StoredRows, dict[str, Any]]]:
    """Each block, and what the server keeps of it."""

    async def save() -> list[tuple[StoredRows, dict[str, Any]]]:
        found = []
        async with get_client() as client:
            for _ in range(times):
                block = await result_storage(config, store)
                assert isinstance(block, StoredRows)
                assert block._block_document_id is not None
                kept = await client.read_block_document(block._block_document_id)
                found.append((block, kept.data))
        return found

    with temporary_settings({PREFECT_API_URL: api_url}):
        return asyncio.run(save())


def test_results_of_a_remote_store_are_its_rows(
    prefect_api: str, memory_url: str
) -> None:
    """The block is on the server, and saving it again makes no second one."""
    config = StorageConfig(store=memory_url)

    first, second = saved_blocks(prefect_api, config, RunStore(memory_url), times=2)

    assert RunStore(memory_url).url == first[0].url == first[1]["url"]
    assert first[0]._block_document_id == second[0]._block_document_id


def test_credentials_are_not_saved_on_the_server(
    prefect_api: str, memory_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `${NAME}` in address or options is what the server keeps."""
    monkeypatch.setenv("THEMIS_TEST_STORE", memory_url)
    monkeypatch.setenv("THEMIS_TEST_KEY", "sk-live-123")
    options = {"key": "${THEMIS_TEST_KEY}"}
    config = StorageConfig(store="${THEMIS_TEST_STORE}", parameters=options)

    ((block, kept),) = saved_blocks(prefect_api, config, RunStore(memory_url))

    assert ("${THEMIS_TEST_STORE}", options) == (block.url, block.parameters)
    assert ("${THEMIS_TEST_STORE}", options) == (kept["url"], kept["parameters"])
