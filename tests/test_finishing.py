"""Work that is done before a signal is heeded."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import pytest

from themis_lib.finishing import finish_first

SIGNALS = (signal.SIGINT, signal.SIGTERM)


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


def strike(number: signal.Signals) -> None:
    """Send this process a signal, and give its main thread the time to notice."""
    signal.pthread_kill(threading.main_thread().ident or 0, number)
    time.sleep(0.05)


@pytest.mark.parametrize(
    ("number", "error"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)],
)
def test_a_signal_waits_for_the_end_of_the_work(
    number: signal.Signals, error: type[BaseException]
) -> None:
    """Handlers stay as they are meanwhile: Prefect looks whether its own is there."""
    handlers = [signal.getsignal(each) for each in SIGNALS]
    seen = []

    def work() -> None:
        seen.append([signal.getsignal(each) for each in SIGNALS])
        strike(number)
        seen.append([signal.getsignal(each) for each in SIGNALS])

    with pytest.raises(error):
        finish_first(work)

    assert [handlers, handlers] == seen


def test_a_second_signal_is_raised_at_once() -> None:
    """The work may hang: who presses Ctrl-C again gets out of it."""
    over = threading.Event()
    done = []

    def work() -> None:
        strike(signal.SIGINT)
        done.append("after the first")
        strike(signal.SIGTERM)
        over.wait(60)
        done.append("after the second")

    with pytest.raises(Terminated):
        finish_first(work)
    at_once = list(done)
    over.set()

    assert ["after the first"] == at_once


def test_an_error_of_the_work_is_raised() -> None:
    """As if it had been called; a signal goes first."""

    def fail() -> None:
        raise ValueError("no place")

    def fail_when_struck() -> None:
        strike(signal.SIGTERM)
        fail()

    with pytest.raises(ValueError, match="no place"):
        finish_first(fail)
    with pytest.raises(Terminated):
        finish_first(fail_when_struck)


def test_an_event_loop_hears_of_a_signal_once() -> None:
    """Also one that has handlers of its own."""
    heard = []

    async def block() -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGINT, lambda: heard.append("interrupted"))
        try:
            finish_first(lambda: strike(signal.SIGINT))
            await asyncio.sleep(0.05)
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    asyncio.run(block())

    assert ["interrupted"] == heard


def test_a_thread_that_cannot_begin_costs_no_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal that strikes before it has begun: the work is done all the same, once."""
    done = []

    def interrupted(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        finish_first(lambda: done.append("written"))

    assert ["written"] == done


def test_other_threads_do_the_work_themselves() -> None:
    """No handler raises there."""
    places = []

    def work() -> None:
        places.append(threading.get_ident())

    def in_thread() -> int:
        finish_first(work)
        return threading.get_ident()

    with ThreadPoolExecutor(1) as pool:
        assert [pool.submit(in_thread).result()] == places
