"""Signals that wait until a block has ended."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import pytest

from themis_lib.held_signals import signals_held


class Terminated(BaseException):
    """What the handler of SIGTERM raises here, as Prefect's does."""


@pytest.fixture(autouse=True)
def raising_handler() -> Iterator[None]:
    """A handler of SIGTERM that raises."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)],
)
def test_a_signal_waits_for_the_end_of_the_block(
    number: signal.Signals, error: type[BaseException]
) -> None:
    """Its handler is called then, and is in place again."""
    handler = signal.getsignal(number)
    done = []

    def block() -> None:
        with signals_held():
            signal.raise_signal(number)
            done.append("the rest")

    with pytest.raises(error):
        block()

    assert ["the rest"] == done
    assert handler is signal.getsignal(number)


def test_a_second_signal_of_a_kind_is_not_held() -> None:
    """The block may hang: who presses Ctrl-C twice more gets out of it."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    done = []

    def block() -> None:
        with signals_held():
            signal.raise_signal(signal.SIGINT)
            done.append("after the first")
            signal.raise_signal(signal.SIGINT)
            done.append("after the second")

    with pytest.raises(KeyboardInterrupt):
        block()

    assert ["after the first"] == done
    assert handlers == [
        signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
    ]


def test_a_held_signal_is_raised_behind_the_error_of_the_block() -> None:
    """Neither is lost: the error is the context of what the handler raises."""

    def block() -> None:
        with signals_held():
            signal.raise_signal(signal.SIGTERM)
            raise ValueError

    with pytest.raises(Terminated) as raised:
        block()

    assert isinstance(raised.value.__context__, ValueError)


def test_an_event_loop_hears_of_a_signal_once() -> None:
    """Also one that has handlers of its own."""
    heard = []

    async def block() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: heard.append("interrupted"))
        try:
            with signals_held():
                signal.raise_signal(signal.SIGINT)
                await asyncio.sleep(0.01)
                assert not heard
            await asyncio.sleep(0.01)
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    asyncio.run(block())

    assert ["interrupted"] == heard


def test_nothing_is_held_in_another_thread() -> None:
    """There no signal is handled, and no handler can be set."""

    def block() -> str:
        with signals_held():
            return "done"

    with ThreadPoolExecutor(1) as pool:
        assert "done" == pool.submit(block).result()
