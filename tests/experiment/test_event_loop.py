"""A new event loop: what it returns, and Ctrl-C at any moment."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from themis_lib.experiment.event_loop import run_in_new_loop


def test_result_is_returned() -> None:
    """What the coroutine returns, it returns."""

    async def work() -> int:
        await asyncio.sleep(0)
        return 3

    assert 3 == run_in_new_loop(work)


class InterruptedPolicy(asyncio.DefaultEventLoopPolicy):
    """The policy of a loop during whose making Ctrl-C is pressed."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        os.kill(os.getpid(), signal.SIGINT)
        return super().new_event_loop()


def test_interrupt_before_the_first_step_leaves_nothing_open(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The loop and the coroutine are closed, so that nothing warns about them."""
    started = []

    async def work() -> None:
        started.append(True)

    asyncio.set_event_loop_policy(InterruptedPolicy())
    try:
        with pytest.raises(KeyboardInterrupt):
            run_in_new_loop(work)
    finally:
        asyncio.set_event_loop_policy(None)
    gc.collect()

    assert [] == started
    assert "" == capfd.readouterr().err


def test_other_threads_have_no_interrupts() -> None:
    """It runs in any thread, as `asyncio.run` does."""

    async def work() -> int:
        return 3

    with ThreadPoolExecutor(1) as pool:
        assert 3 == pool.submit(run_in_new_loop, work).result()


def test_interrupt_while_it_runs_cancels_it() -> None:
    """What runs is cancelled, and may clean up."""
    ended = []

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        run_in_new_loop(work)

    assert [True] == ended
