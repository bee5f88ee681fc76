"""Shards claim rows in their order, one at a time in a group."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from themis_lib.stages.claim_turns import ClaimTurn


def _run(steps: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(steps, 60))


def test_later_shard_waits_until_every_earlier_one_has_ended_its_turn() -> None:
    """By their indices, whichever began first."""

    async def steps() -> None:
        last, first, second = (ClaimTurn("run", index) for index in (2, 0, 1))
        waiting = asyncio.ensure_future(last.wait())
        await first.wait()
        first.end()
        await second.wait()
        assert not waiting.done()
        second.end()
        await waiting

    _run(steps())


def test_shard_that_is_tried_again_goes_first() -> None:
    """Its run goes on with the next shards once it is finished."""

    async def steps() -> None:
        later = ClaimTurn("run", 1)
        await later.wait()
        again = ClaimTurn("run", 0)
        waiting = asyncio.ensure_future(later.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        again.end()
        await waiting

    _run(steps())


def test_groups_do_not_wait_for_each_other() -> None:
    """Nor does a shard for itself on another run's turn."""

    async def steps() -> None:
        ClaimTurn("run", 0)
        await ClaimTurn("another run", 1).wait()
        await ClaimTurn("run", 0).wait()

    _run(steps())


def test_turn_may_end_twice() -> None:
    """Whoever ends it early need not tell who cleans up."""

    async def steps() -> None:
        turn = ClaimTurn("run", 0)
        turn.end()
        turn.end()
        await ClaimTurn("run", 1).wait()

    _run(steps())
