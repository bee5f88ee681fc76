"""How a graph is called: by the best of the methods that it has, and once per row."""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.langgraph_run import GraphRun
from themis_lib.components.imports import import_named, reason
from themis_lib.errors import ComponentError, RowError
from themis_lib.stages.calls import in_thread

_METHODS = (
    "astream_events",
    "ainvoke",
    "invoke",
)
_NEEDED = (
    "it needs `astream_events`, `ainvoke`, `invoke`, or `stream` with a `stream_mode`"
)


def load_graph(given: Any) -> Any:
    """Return the graph that a setting gives: itself, a function's, or one by name.

    Raises `ComponentError` if it cannot be loaded or run.
    """
    graph = given
    if isinstance(graph, str):
        graph = import_named("graph", graph)
    if inspect.isfunction(graph):
        try:
            graph = graph()
        except Exception as error:  # noqa: BLE001 - a user's function may raise anything
            raise ComponentError(
                f"graph: its function raised {reason(error, TypeError)}"
            ) from None
    if inspect.iscoroutine(graph):
        # Unawaited, it would warn when it is collected.
        graph.close()
        raise ComponentError(
            "graph: its function is async; give one that is not, or the graph itself"
        )
    if isinstance(graph, type):
        raise ComponentError(
            f"graph {graph.__name__!r} is a class; give an instance of it"
        )
    methods = [getattr(graph, method, None) for method in _METHODS]
    if _can_stream(graph) or any(map(callable, methods)):
        return graph
    fix = _NEEDED
    # The builder of a graph, not the graph.
    if hasattr(graph, "compile"):
        fix = "compile it first: `graph.compile()`"
    raise ComponentError(f"graph is {type(graph).__name__}, which cannot be run; {fix}")


async def run_graph(
    graph: Any,
    payload: Any,
    config: JsonObject,
) -> GraphRun:
    """Run a graph once and return what it showed.

    Raises `RowError` if it ends without an output or waits for a person.
    """
    run = GraphRun()
    if hasattr(graph, "astream_events"):
        events = _call_with_known_options(
            graph.astream_events,
            payload,
            config=config,
            version="v2",
        )
        async with contextlib.AsyncExitStack() as stack:
            # Closed on every way out: a timeout then stops the graph as well.
            if isinstance(events, AsyncGenerator):
                await stack.enter_async_context(contextlib.aclosing(events))
            async for event in events:
                run.see(event)
    elif not hasattr(graph, "ainvoke"):
        await _run_in_thread(
            graph,
            payload,
            config,
            run,
        )
    if not run.ended and hasattr(graph, "ainvoke"):
        output = _call_with_known_options(
            graph.ainvoke,
            payload,
            config=config,
        )
        run.end(await output)
    if not run.ended:
        raise RowError("the graph ended without a final output")
    return run


def _can_stream(graph: Any) -> bool:
    """Return whether a sync graph can stream its steps together with its output."""
    return hasattr(graph, "stream") and _accepts_option(graph.stream, "stream_mode")


async def _run_in_thread(
    graph: Any,
    payload: Any,
    config: JsonObject,
    run: GraphRun,
) -> None:
    """Run a sync graph; if the caller gives up, it stops after the current step."""
    # A thread cannot be interrupted, only asked.
    given_up = threading.Event()

    def work() -> None:
        if _can_stream(graph):
            chunks = _call_with_known_options(
                graph.stream,
                payload,
                config=config,
                stream_mode=["updates", "values"],
            )
            for mode, chunk in chunks:
                if given_up.is_set():
                    return
                run.see_chunk(mode, chunk)
        if not run.ended and hasattr(graph, "invoke"):
            output = _call_with_known_options(
                graph.invoke,
                payload,
                config=config,
            )
            run.end(output)

    try:
        await in_thread(work)
    finally:
        given_up.set()


def _call_with_known_options(
    method: Callable[..., Any],
    payload: Any,
    **options: Any,
) -> Any:
    """Call a graph's method with those of the options that it accepts."""
    # A user's own graph need not know LangGraph's options.
    known = {}
    for name, value in options.items():
        if _accepts_option(method, name):
            known[name] = value
    return method(payload, **known)


def _accepts_option(
    method: Callable[..., Any],
    name: str,
) -> bool:
    try:
        parameters = inspect.signature(method).parameters
    except ValueError:
        # Methods written in C may have no signature to read.
        return True
    if name in parameters:
        return True
    kinds = [parameter.kind for parameter in parameters.values()]
    return inspect.Parameter.VAR_KEYWORD in kinds
