"""Prefect's cache over the rows: a task's key names the content of its shard.

A task's result is a small JSON reference to the shard's table, never the rows: Prefect
walks through what tasks pass on, which takes 7 s for 100,000 dicts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.filesystems import WritableFileSystem
from prefect.results import ResultRecord, ResultRecordMetadata  # type: ignore[attr-defined]
from prefect.serializers import JSONSerializer
from pydantic import Field

from tasks.worker import opened_store
from themis_lib.core.config import StorageConfig
from themis_lib.identity.digests import digest
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

_SAVING_TIMEOUT_S = 60


@dataclass
class ByCacheKey(CachePolicy):
    """A cache policy whose key is the task's argument `cache_key`.

    The flow computes it from fingerprint, content and store. Prefect's own policies
    digest the arguments instead: equal tables with other chunks get other keys there.
    """

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        """Return the argument as it is."""
        # Nothing here may raise: Prefect would only log it and run without a cache.
        return str(inputs["cache_key"])


def cache_key(
    stage: Stage,
    shard: Shard,
    store: RunStore,
) -> str:
    """Return the key under which Prefect keeps the result of a stage for a shard.

    Where the rows themselves are the result (see `StoredRows`) it is their path.
    """
    name = stage.shard_name(shard, store)
    if store.local:
        # The store is in the key: a reference leads to rows of that store alone.
        return f"{stage.name}/{digest('task', [name, store.url])}"
    return stage.row_set(store).path(name)


class StoredRows(WritableFileSystem):
    """A result storage that reads task results off the rows in a store.

    Nothing else is kept or looked up. The server knows the store's address and options
    as the experiment states them: a credential is a `${NAME}`, which the process that
    needs it reads from its environment.
    """

    _block_type_name = "Themis rows"
    _block_type_slug = "themis-rows"

    url: str = Field(description="The address of the store.")
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Its fsspec options.",
    )

    # Prefect calls the plain methods with a keyword `_sync`, which the base lacks.
    def read_path(  # type: ignore[override]
        self,
        path: str,
        **_: bool,
    ) -> bytes:
        """Return the record of the task whose rows are at a path.

        Raise `FileNotFoundError` where the rows are missing: the task then runs again.
        """
        storage = StorageConfig(
            store=self.url,
            parameters=self.parameters,
        )
        part = opened_store(storage).read_part(path)
        if part is None:
            raise FileNotFoundError(path)
        metadata = ResultRecordMetadata(
            serializer=JSONSerializer(),
            storage_key=path,
            storage_block_id=self._block_document_id,
        )
        record: ResultRecord[Any] = ResultRecord(
            result=part.to_json(),
            metadata=metadata,
        )
        return record.serialize()

    async def aread_path(self, path: str) -> bytes:
        """Return what `read_path` returns, without blocking the event loop."""
        return await asyncio.to_thread(self.read_path, path)

    def write_path(  # type: ignore[override]
        self,
        path: str,
        content: bytes,
        **_: bool,
    ) -> None:
        """Do nothing: the task has published its rows before it returned."""

    async def awrite_path(
        self,
        path: str,
        content: bytes,
    ) -> None:
        """Do nothing, as `write_path`."""


async def result_storage(
    storage: StorageConfig,
    store: RunStore,
) -> Path | StoredRows:
    """Return where Prefect keeps and finds what tasks returned.

    For a store on disk these are files beside the rows. For any other it is a
    `StoredRows` block, which is saved on the server here.
    """
    if store.local:
        return Path(store.locate("tasks")).absolute()
    # `${NAME}` references stay as they are: the block is stored on the server.
    url = storage.portable_url(store.url)
    block = StoredRows(
        url=url,
        parameters=storage.parameters,
    )
    # Named by its content, so that saving it again and from several runs is harmless.
    name = f"themis-{digest('block', [url, storage.parameters])}"
    await asyncio.wait_for(
        block.asave(name, overwrite=True),
        timeout=_SAVING_TIMEOUT_S,
    )
    return block
