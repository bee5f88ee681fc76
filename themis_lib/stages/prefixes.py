"""Prompts that begin alike, so that a provider's prompt cache hits.

A provider keeps the beginning of a prompt once it has read it, and charges less for it
the next time. So rows that share a long beginning are sent together, and the first of
them goes ahead. Neither keys nor tables depend on it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import weakref
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

#: Providers cache from about 1,024 tokens on, of about four bytes each.
_BLOCK_BYTES = 4096
#: A prefix is in the cache when it has been read, which is long before a long answer
#: has been written.
_LONGEST_WAIT_S = 10.0
#: How many prefixes are remembered; a provider forgets them after some minutes.
_MOST_PREFIXES = 20_000


def prefix_names(text: str) -> list[bytes]:
    """Return a name of every beginning of a text that is whole blocks long.

    Texts that begin alike have the names of that beginning in common; short ones have
    none.
    """
    content = text.encode(errors="surrogatepass")
    hasher = hashlib.blake2b(digest_size=16)
    names = []
    for end in range(_BLOCK_BYTES, len(content) + 1, _BLOCK_BYTES):
        hasher.update(content[end - _BLOCK_BYTES : end])
        names.append(hasher.copy().digest())
    return names


def sending_order(
    texts: Sequence[str],
    *,
    in_flight: int,
) -> list[int]:
    """Return the positions of prompts in the order in which to send them.

    Prompts that share a prefix follow each other, and the others their first one at a
    distance at which it is likely to be answered, where there are enough to fill it.
    Without shared prefixes it is the order of the prompts.
    """
    names = [prefix_names(text) for text in texts]
    if not any(names):
        return list(range(len(texts)))
    first: dict[bytes, int] = {}
    for position, of_text in enumerate(names):
        for name in of_text:
            first.setdefault(name, position)
    # By the first prompt of each beginning: those that share none stay where they are.
    paths = []
    for position, of_text in enumerate(names):
        paths.append((*[first[name] for name in of_text], position))
    order = sorted(range(len(texts)), key=paths.__getitem__)
    counts = Counter(name for of_text in names for name in of_text)
    shared = [[name for name in of_text if counts[name] > 1] for of_text in names]
    return list(_spread(order, shared, in_flight))


def _spread(
    order: Sequence[int],
    shared: Sequence[Sequence[bytes]],
    distance: int,
) -> Iterator[int]:
    """Yield positions such that the first prompt of a prefix is well ahead of others."""
    sent_at: dict[bytes, int] = {}
    waiting: deque[int] = deque()
    sent = 0
    for position in order:
        is_follower = bool(shared[position]) and shared[position][-1] in sent_at
        if is_follower:
            waiting.append(position)
        else:
            for name in shared[position]:
                sent_at.setdefault(name, sent)
            yield position
            sent += 1
        while waiting and sent - sent_at[shared[waiting[0]][-1]] >= distance:
            yield waiting.popleft()
            sent += 1
    yield from waiting


class SentPrefixes:
    """The prefixes that prompts on one event loop have begun with, and their replies."""

    def __init__(self) -> None:
        # Set once a prompt with that prefix has been answered. The oldest come first.
        self._answered: OrderedDict[bytes, asyncio.Event] = OrderedDict()

    @asynccontextmanager
    async def after_first(self, names: Sequence[bytes]) -> AsyncIterator[None]:
        """Hold a prompt back while the first one with a prefix of it is on its way.

        Not for long: a first prompt that fails or takes its time holds nobody.
        """
        leads: list[asyncio.Event] = []
        for name in names:
            answered = self._answered.get(name)
            if answered is None:
                leads.append(self._begin(name))
            elif not leads and not answered.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LONGEST_WAIT_S):
                        await answered.wait()
                # Who has waited once does not wait for the next one's time as well.
                answered.set()
        try:
            yield
        finally:
            for answered in leads:
                answered.set()

    def _begin(self, name: bytes) -> asyncio.Event:
        if len(self._answered) >= _MOST_PREFIXES:
            self._answered.popitem(last=False)[1].set()
        return self._answered.setdefault(name, asyncio.Event())


#: By event loop and generator: all shards of a process share them.
_SENT: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, SentPrefixes]] = (
    weakref.WeakKeyDictionary()
)


def sent_prefixes(fingerprint: str) -> SentPrefixes:
    """Return the prefixes that a generator was sent on the running loop."""
    on_loop = _SENT.setdefault(asyncio.get_running_loop(), {})
    return on_loop.setdefault(fingerprint, SentPrefixes())


def after_first(
    call: Callable[[Any], Awaitable[Any]],
    prefixes: Sequence[Sequence[bytes]],
    sent: SentPrefixes,
) -> Callable[[Any], Awaitable[Any]]:
    """Wrap a call for a row so that it follows the first one with its prefix.

    `prefixes` are the rows' `prefix_names`.
    """

    async def call_after_first(position: int) -> Any:
        if not prefixes[position]:
            return await call(position)
        async with sent.after_first(prefixes[position]):
            return await call(position)

    return call_after_first
