"""The generator `langgraph`: a graph runtime produces the candidate; everything around
it stays the pipeline's.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import threading
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

from themis_lib.adapters.faults import translated
from themis_lib.adapters.langgraph_identity import (
    config_identity,
    graph_identity,
    identity_of,
)
from themis_lib.adapters.langgraph_run import INTERRUPTED, GraphRun
from themis_lib.adapters.langgraph_values import loaded_class
from themis_lib.adapters.masking import Mask, mask_logs, masked_fault, masked_result
from themis_lib.components.builtin import Builtin
from themis_lib.components.imports import import_named, reason
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.secrets import (
    referenced_values,
    resolve_public,
    resolve_references,
)
from themis_lib.errors import ComponentError, RowError, nearest
from themis_lib.stages.calls import in_thread

_METHODS = ("astream_events", "ainvoke", "invoke")
_NEEDED = (
    "it needs `astream_events`, `ainvoke`, `invoke`, or `stream` with a `stream_mode`"
)


@dataclass(frozen=True)
class LangGraph(Builtin):
    """A compiled LangGraph graph, or any object with its methods, run once for each
    row.

    `graph` is the graph, a function that returns it, or either's name
    (`my_graphs:graph`). Trace and answer come from one stream: `astream_events`, or, of
    a graph that is sync alone, `stream` in a thread. The answer is the final output of
    the graph, or its `output_key`. Only of a graph whose event stream carries no final
    output is the answer asked for by `ainvoke` afterwards, which runs it again.

    What the graph is given: an input that is an object as it is, a list of messages as
    `{"messages": […]}`, anything else as `{"input": …}`; or what `input_builder(case,
    ctx)`, a function or its name, returns. An input builder that needs more of the case
    than its input says so in `reads`. `config` is the graph's own (`recursion_limit`,
    `configurable`, …); to its `configurable` are added `seed`, `prompt_spec` (a plain
    dict that the nodes may use as they see fit) and `thread_id`, another for each row,
    so that a checkpointer carries nothing from row to row. Credentials that `config`
    names as `${NAME}` are taken out of results, errors and log lines.

    Identity is the structure of the graph and the code of its nodes, `graph_id` (the
    graph's name, unless given), `output_key`, `config` without its credentials, and the
    code of the input builder.
    """

    component_id: ClassVar[str] = "langgraph"
    version: ClassVar[str] = "1"
    #: May hold `${NAME}` references, which are resolved where the graph is run.
    resolves: ClassVar[tuple[str, ...]] = ("config",)

    graph: Any = field(repr=False)
    graph_id: str | None = None
    output_key: str | None = None
    input_builder: Any = None
    config: dict[str, Any] | None = field(
        default=None,
        repr=False,
    )
    reads: Sequence[str] = ("input",)

    def check_settings(self) -> None:
        """Raises `ComponentError` for a setting of the wrong type."""
        super().check_settings()
        if not isinstance((self.config or {}).get("configurable", {}), Mapping):
            raise ComponentError(
                "config.configurable is no object; write names and values"
            )

    def check(self) -> None:
        """Import and look at graph and input builder. Raises `ComponentError` where
        either cannot be used.
        """
        _ = self._input_builder
        known = getattr(self._resolved_graph, "output_channels", None)
        if (
            self.output_key is not None
            and isinstance(known, (list, tuple))
            and self.output_key not in known
        ):
            raise ComponentError(
                f"output_key={self.output_key!r}: the graph has no such output; "
                f"{nearest(self.output_key, known)}"
            )

    def settings(self) -> dict[str, Any]:
        """What is run, by structure and code, and how its input and answer are made."""
        return {
            "graph_id": self.graph_id or _graph_name(self._resolved_graph),
            "graph": self._graph_identity,
            "output_key": self.output_key,
            "config": config_identity(
                resolve_public(self.config or {}, where="config")
            ),
            "input_builder": None
            if self.input_builder is None
            else identity_of(self._input_builder),
        }

    async def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """The graph's answer, with a step of the trace for each node, tool and model
        call that ended.
        """
        payload = self._input_builder(case, ctx)
        mask = self._credentials_mask  # from the first log line on
        try:
            run = await self._run_graph(payload, self._run_config(ctx))
            return masked_result(run.result(self.output_key), mask.for_outputs)
        except Exception as error:
            failure = _row_failure(error)
            if mask.secrets:  # which what caused it may hold as well
                raise masked_fault(failure, mask) from None
            if failure is error:
                raise
            raise failure from error

    @cached_property
    def _resolved_graph(self) -> Any:
        return _graph_of(
            import_named("graph", self.graph)
            if isinstance(self.graph, str)
            else self.graph
        )

    @cached_property
    def _graph_identity(self) -> Any:
        return graph_identity(self._resolved_graph)

    @cached_property
    def _input_builder(self) -> Callable[[Case, GenerateContext], Any]:
        build = self.input_builder
        if build is None:
            return _default_payload
        if isinstance(build, str):
            build = import_named("input_builder", build)
        if not callable(build) or inspect.iscoroutinefunction(build):
            raise ComponentError(
                f"input_builder is {build!r}; give a function of case and context that is not async"
            )
        return build  # type: ignore[no-any-return]

    @cached_property
    def _credentials_mask(self) -> Mask:
        """Takes the credentials of `config` out of results and errors, and from here on
        out of log lines.
        """
        found = referenced_values(self.config or {}, only_credentials=True)
        mask = Mask(found, words=filter(str.isalpha, found))
        if mask.secrets:
            mask_logs(mask)
        return mask

    def _run_config(self, ctx: GenerateContext) -> dict[str, Any]:
        config = resolve_references(self.config or {}, where="config")
        added = {
            "seed": ctx.seed,
            "prompt_spec": ctx.prompt_spec.model_dump(mode="json"),
            "thread_id": str(uuid.uuid4()),
        }
        return {**config, "configurable": {**config.get("configurable", {}), **added}}

    async def _run_graph(
        self,
        payload: Any,
        config: dict[str, Any],
    ) -> GraphRun:
        graph, run = self._resolved_graph, GraphRun()
        if hasattr(graph, "astream_events"):
            await _follow_events(
                _call_method(
                    graph.astream_events,
                    payload,
                    config=config,
                    version="v2",
                ),
                run,
            )
        elif not hasattr(graph, "ainvoke"):
            await _run_in_thread(
                graph,
                payload,
                config,
                run,
            )
        if not run.ended and hasattr(graph, "ainvoke"):
            run.end(await _call_method(graph.ainvoke, payload, config=config))
        if not run.ended:
            raise RowError("the graph ended without a final output")
        return run


def _graph_of(graph: Any) -> Any:
    """The graph that was given. Raises `ComponentError` where it is none."""
    if inspect.isfunction(graph):
        try:
            graph = graph()
        except Exception as error:  # noqa: BLE001 - a user's function may raise anything
            raise ComponentError(
                f"graph: its function raised {reason(error, TypeError)}"
            ) from None
    if inspect.iscoroutine(graph):
        graph.close()
        raise ComponentError(
            "graph: its function is async; give one that is not, or the graph itself"
        )
    if isinstance(graph, type):
        raise ComponentError(
            f"graph {graph.__name__!r} is a class; give an instance of it"
        )
    if not _can_stream(graph) and not any(
        callable(getattr(graph, method, None)) for method in _METHODS
    ):
        fix = (
            "compile it first: `graph.compile()`"
            if hasattr(graph, "compile")
            else _NEEDED
        )
        raise ComponentError(
            f"graph is {type(graph).__name__}, which cannot be run; {fix}"
        )
    return graph


def _can_stream(graph: Any) -> bool:
    """Whether a sync graph can stream what its nodes did and its final output as well."""
    return hasattr(graph, "stream") and _accepts_argument(graph.stream, "stream_mode")


def _graph_name(graph: Any) -> str:
    name = getattr(graph, "name", None)
    return name if isinstance(name, str) else type(graph).__name__


def _default_payload(
    case: Case,
    _: GenerateContext,
) -> Any:
    value = copy.deepcopy(
        case.input
    )  # a node may change it, and other samples start from it
    if isinstance(value, dict):
        return value
    is_conversation = (
        isinstance(value, list)
        and value
        and all(
            isinstance(turn, dict) and {"role", "content"} <= turn.keys()
            for turn in value
        )
    )
    return {"messages": value} if is_conversation else {"input": value}


async def _follow_events(
    events: Any,
    run: GraphRun,
) -> None:
    """Read a stream of events to its end; giving up on the way stops the graph."""
    async with contextlib.AsyncExitStack() as stack:
        if isinstance(events, AsyncGenerator):
            await stack.enter_async_context(contextlib.aclosing(events))
        async for event in events:
            run.see(event)


async def _run_in_thread(
    graph: Any,
    payload: Any,
    config: dict[str, Any],
    run: GraphRun,
) -> None:
    """Run a sync graph; when the caller gives up it stops after the step it is at."""
    given_up = threading.Event()

    def work() -> None:
        if _can_stream(graph):
            for mode, chunk in _call_method(
                graph.stream,
                payload,
                config=config,
                stream_mode=["updates", "values"],
            ):
                if given_up.is_set():
                    return
                run.see_chunk(mode, chunk)
        if not run.ended and hasattr(graph, "invoke"):
            run.end(_call_method(graph.invoke, payload, config=config))

    try:
        await in_thread(work)
    finally:
        given_up.set()


def _call_method(
    method: Callable[..., Any],
    payload: Any,
    **options: Any,
) -> Any:
    """A method of the graph with those of the options that it takes."""
    return method(
        payload,
        **{
            name: value
            for name, value in options.items()
            if _accepts_argument(method, name)
        },
    )


def _accepts_argument(
    method: Callable[..., Any],
    name: str,
) -> bool:
    try:
        parameters = inspect.signature(method).parameters
    except ValueError:  # a signature that cannot be read
        return True
    return name in parameters or any(
        one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()
    )


def _row_failure(error: Exception) -> Exception:
    """What an exception of the graph means for its row: a fact, or itself."""
    if isinstance(error, loaded_class("langgraph.errors", "GraphRecursionError")):
        return RowError(str(error).partition("\n")[0])
    if isinstance(error, loaded_class("langgraph.errors", "GraphInterrupt")):
        return RowError(INTERRUPTED)
    return translated(error)
