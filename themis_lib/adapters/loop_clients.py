"""Clients of an event loop, each made once and closed when the loop shuts down."""

from __future__ import annotations

import asyncio
import atexit
import os
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable
from concurrent.futures import wait
from typing import Any, TypeAlias

#: How long the exit of the process may wait for connections to close.
_CLOSING_S = 2.0
_PROCESS = os.getpid()

#: How a client is closed.
Close: TypeAlias = Callable[[Any], Awaitable[object]]
_Clients: TypeAlias = dict[Hashable, tuple[Any, AsyncGenerator[None, None]]]
#: Weak keys: a client must not keep a finished loop alive.
_CLIENTS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Clients] = (
    weakref.WeakKeyDictionary()
)


async def client_of_loop(
    key: Hashable,
    make: Callable[[], Any],
    close: Close,
) -> Any:
    """Return the running loop's client under a key, made if there is none yet."""
    clients = _CLIENTS.setdefault(asyncio.get_running_loop(), {})
    if key in clients:
        return clients[key][0]
    client = make()
    lifetime = _close_with_loop(client, clients, key, close)
    clients[key] = (client, lifetime)
    # Only a generator that has started runs its `finally` when the loop shuts down.
    await anext(lifetime)
    return client


async def _close_with_loop(
    client: Any,
    clients: _Clients,
    key: Hashable,
    close: Close,
) -> AsyncGenerator[None, None]:
    """Stay suspended while the loop runs, and close the client when it shuts down."""
    # `asyncio.run` closes the async generators of its loop: no other hook is as late.
    try:
        yield
    finally:
        del clients[key]
        await close(client)


@atexit.register
def _close_at_exit() -> None:
    """Close the clients of loops that run until the process ends."""
    # Prefect's tasks share such a loop, which nobody shuts down.
    if os.getpid() != _PROCESS:
        return  # a fork inherits no threads, and so no running loop
    closing = []
    for loop, clients in list(_CLIENTS.items()):
        if not loop.is_running():
            continue
        for _, lifetime in list(clients.values()):
            future = asyncio.run_coroutine_threadsafe(lifetime.aclose(), loop)
            closing.append(future)
    # A server that does not answer must not hold up the exit.
    wait(closing, _CLOSING_S)
