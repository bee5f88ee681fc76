"""Calls of a generator's function, each with the seconds it took."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from themis_lib.components.records import GenerateCall
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case
from themis_lib.stages.calls import AsyncCall


def timed_coroutine(
    generate: GenerateCall,
    cases: Sequence[Case],
    contexts: Sequence[GenerateContext],
) -> AsyncCall:
    """Wrap a coroutine function: from a position to the result and its seconds."""

    # Timed in here, not around the call: waiting for a limit or a thread is left out.
    async def call_and_time(position: int) -> tuple[Any, float]:
        began = time.perf_counter()
        result: Any = generate(cases[position], contexts[position])
        result = await result
        return result, time.perf_counter() - began

    return call_and_time


def timed_function(
    generate: GenerateCall,
    cases: Sequence[Case],
    contexts: Sequence[GenerateContext],
) -> Callable[[int], Any]:
    """Wrap a plain function: from a position to the result and its seconds.

    A plain function may return an awaitable; then an awaitable of both is returned.
    """

    async def await_and_time(
        result: Awaitable[Any],
        began: float,
    ) -> tuple[Any, float]:
        return await result, time.perf_counter() - began

    def call_and_time(position: int) -> Any:
        began = time.perf_counter()
        result = generate(cases[position], contexts[position])
        if inspect.isawaitable(result):
            return await_and_time(result, began)
        return result, time.perf_counter() - began

    return call_and_time
