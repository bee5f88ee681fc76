"""The order in which the shards of a stage claim their rows in a process.

A shard is in memory until its last row is computed. Side by side, several would be there
as a whole, and end at the same time. In turn, the next one begins when the one before it
has no more rows to claim: all places in flight are taken, also between two shards.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Hashable


class ClaimTurn:
    """A shard's turn among those of its group on the running loop.

    It holds back later shards, those with a higher `index`, from its creation until it is
    over. Whoever cannot claim a row must end it, even if rows are left that others have
    claimed: these may be waiting for rows of a later shard.
    """

    def __init__(
        self,
        group: Hashable,
        index: int,
    ) -> None:
        self._group = group
        self._index = index
        self._is_over = asyncio.Event()
        self._turns = _TURNS.setdefault(asyncio.get_running_loop(), set())
        self._turns.add(self)

    async def wait(self) -> None:
        """Return once no earlier shard of the group has a turn."""
        # One may have begun meanwhile: a shard whose failed rows are tried again.
        while earlier := self._earlier():
            await earlier[0]._is_over.wait()

    def end(self) -> None:
        """Let later shards claim rows."""
        self._turns.discard(self)
        self._is_over.set()

    def _earlier(self) -> list[ClaimTurn]:
        return [
            turn
            for turn in self._turns
            if turn._group == self._group and turn._index < self._index
        ]


#: The turns that are not over, by event loop.
_TURNS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, set[ClaimTurn]] = (
    weakref.WeakKeyDictionary()
)
