"""The first request of a generator goes ahead of the others.

A server that refuses a setting refuses it in every request: one is enough to know.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from contextvars import ContextVar
from types import TracebackType

from themis_lib.adapters.faults import translated
from themis_lib.errors import FatalError

#: A refusal comes before any text is generated: who has to wait longer has no need to.
_LONGEST_WAIT_S = 1.0


class FirstRequest:
    """A gate that lets one request through, and the others once that has ended well.

    It holds nobody for longer than a second. Use as an async context manager around
    each request.
    """

    def __init__(self) -> None:
        self._is_answered = False
        # Weak keys: a generator may outlive the loops that run it.
        self._answered: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, asyncio.Event
        ] = weakref.WeakKeyDictionary()

    async def __aenter__(self) -> None:
        if self._is_answered:
            return
        loop = asyncio.get_running_loop()
        answered = self._answered.get(loop)
        if answered is None:
            self._answered[loop] = asyncio.Event()
            _FIRST.set(self)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_WAIT_S):
                await answered.wait()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Exception) and isinstance(translated(error), FatalError):
            # The run ends: those who wait are not to send anything before it does.
            self._answered.pop(asyncio.get_running_loop(), None)
            return
        self.open()

    def open(self) -> None:
        """Let the others through."""
        self._is_answered = True
        answered = self._answered.pop(asyncio.get_running_loop(), None)
        if answered is not None:
            answered.set()


#: The gate whose first request the running task has under way.
_FIRST: ContextVar[FirstRequest | None] = ContextVar("first_request", default=None)


def open_for_others() -> None:
    """Let the others through while the running task's first request is tried again.

    What is tried again was not refused for its settings.
    """
    gate = _FIRST.get()
    if gate is not None:
        gate.open()
