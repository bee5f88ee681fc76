"""Prefect's cache over our rows: a shard's task key names its content, and its result is a small JSON reference."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.filesystems import RemoteFileSystem

from themis_lib.core.identity import digest
from themis_lib.core.stage import Shard, Stage
from themis_lib.core.store import RunStore


@dataclass
class ByCacheKey(CachePolicy):
    """The key is the task's argument `cache_key`: computed by the flow, from fingerprint, content and store."""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """The argument as it is."""
        return str(inputs["cache_key"])


def cache_key(stage: Stage, shard: Shard, store: RunStore) -> str:
    """The key of a stage's task for a shard."""
    return f"{stage.name}/{digest('task', [stage.shard_name(shard), store.url])}"


async def result_storage(store: RunStore) -> Path | str:
    """Where Prefect keeps the references: in the store, beside the data.

    A remote store needs a block on the server, saved once and named by the store's address.
    """
    if store.local:
        return Path(store.locate("tasks")).absolute()
    name = f"themis-{digest('block', store.url)}"
    block = RemoteFileSystem(basepath=f"{store.url.rstrip('/')}/tasks")
    await asyncio.wait_for(block.asave(name, overwrite=True), timeout=60)
    return f"remote-file-system/{name}"
