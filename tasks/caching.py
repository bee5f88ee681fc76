"""Prefect's cache over our rows: a shard's task key names its content, and its result
is a small JSON reference.
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
    """The key is the task's argument `cache_key`: computed by the flow, from
    fingerprint, content and store.
    """

    def compute_key(
        self,
        task_ctx: TaskRunContext,
        inputs: dict[str, Any],
        flow_parameters: dict[str, Any],
        **kwargs: Any,
    ) -> str | None:
        """The argument as it is."""
        return str(inputs["cache_key"])


def cache_key(
    stage: Stage,
    shard: Shard,
    store: RunStore,
) -> str:
    """The key of a stage's task for a shard, under which Prefect keeps its result.

    Where the rows themselves are the result, it is their place; see `StoredRows`.
    """
    name = stage.shard_name(shard)
    if store.local:
        return f"{stage.name}/{digest('task', [name, store.url])}"
    return stage.row_set(store).path(name)


class StoredRows(WritableFileSystem):
    """The results of tasks, read off the rows that they left in a store: nothing else
    is kept, or asked for.

    The server has the store's address and options as the experiment states them:
    `${NAME}` for a credential, which is read from the environment of the process that
    needs it. Prefect calls the plain methods with `_sync`.
    """

    _block_type_name = "Themis rows"
    _block_type_slug = "themis-rows"

    url: str = Field(description="The address of the store.")
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="Its fsspec options.",
    )

    def read_path(  # type: ignore[override]
        self,
        path: str,
        **_: bool,
    ) -> bytes:
        """The record of the task whose rows lie at a path. Raises `FileNotFoundError`."""
        store = opened_store(
            StorageConfig(
                store=self.url,
                parameters=self.parameters,
            )
        )
        part = store.read_part(path)
        if part is None:
            raise FileNotFoundError(path)
        metadata = ResultRecordMetadata(
            serializer=JSONSerializer(),
            storage_key=path,
            storage_block_id=self._block_document_id,
        )
        return ResultRecord(
            result=part.to_json(),
            metadata=metadata,
        ).serialize()

    async def aread_path(self, path: str) -> bytes:
        """`read_path`, for callers with an event loop."""
        return await asyncio.to_thread(self.read_path, path)

    def write_path(  # type: ignore[override]
        self,
        path: str,
        content: bytes,
        **_: bool,
    ) -> None:
        """Nothing: the task has published its rows."""

    async def awrite_path(
        self,
        path: str,
        content: bytes,
    ) -> None:
        """Nothing."""


async def result_storage(
    storage: StorageConfig,
    store: RunStore,
) -> Path | StoredRows:
    """Where Prefect finds what tasks returned: files beside the rows; elsewhere than on
    disks, the rows themselves.

    The latter is a block on the server, saved under the address of the store.
    """
    if store.local:
        return Path(store.locate("tasks")).absolute()
    url = storage.store if "${" in storage.store else store.url
    block = StoredRows(
        url=url,
        parameters=storage.parameters,
    )
    name = f"themis-{digest('block', [url, storage.parameters])}"
    await asyncio.wait_for(block.asave(name, overwrite=True), timeout=_SAVING_TIMEOUT_S)
    return block
