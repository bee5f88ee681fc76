"""One run of a graph, gathered from its stream: its steps, its tokens, its output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from themis_lib.adapters.json_objects import without_nulls
from themis_lib.adapters.langgraph_values import as_json, conversation_of, shown
from themis_lib.core.models import GenerationResult, TokenUsage, TraceStep
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json

_Facts: TypeAlias = Mapping[str, Any]

#: Events of `astream_events`, version 2, that become steps of the trace. Nodes are not
#: among them: they end as chains.
_STEP_ENDS = {
    "on_tool_end": "tool",
    "on_chat_model_end": "chat_model",
    "on_llm_end": "llm",
    "on_retriever_end": "retriever",
}
#: Where LangChain's usage has each of our counts: a name, or one below a heading.
_USAGE_PATHS = {
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cached_tokens": ("input_token_details", "cache_read"),
    "cache_write_tokens": ("input_token_details", "cache_creation"),
    "reasoning_tokens": ("output_token_details", "reasoning"),
}
#: The key under which LangGraph reports an interrupt in chunks and outputs.
_INTERRUPT = "__interrupt__"
#: The fact about a row whose graph stops for a person's answer.
INTERRUPTED = (
    "the graph was interrupted to wait for a person, whom an evaluation does not have"
)


class GraphRun:
    """What one run has shown so far; `ended` says whether its output has arrived."""

    def __init__(self) -> None:
        self.ended = False
        self._output: Any = None
        self._trace: list[TraceStep] = []
        self._usage: TokenUsage | None = None

    def see(self, event: Any) -> None:
        """Record an event: of LangGraph's a step or the end, of any other's a step.

        Raises `RowError` if the graph waits for a person.
        """
        if not isinstance(event, Mapping):
            step = TraceStep(
                name=type(event).__name__,
                output=shown(event),
            )
            self._trace.append(step)
            return
        data = event.get("data")
        if not isinstance(data, Mapping):
            data = {"output": data}
        # Only LangGraph's own events have the id of a run.
        if "run_id" in event:
            self._see_langgraph_event(event, data)
        else:
            self._add_step(
                event,
                str(event.get("event", "step")),
                data,
            )

    def see_chunk(
        self,
        mode: str,
        chunk: Any,
    ) -> None:
        """Record a chunk of a sync stream: updates are steps, the last values the end.

        Raises `RowError` if the graph waits for a person.
        """
        _check_interrupt(chunk)
        if mode == "values":
            # Each step streams the whole state: the last one is the output.
            self.end(chunk)
        elif mode == "updates" and isinstance(chunk, Mapping):
            for name, update in chunk.items():
                step = TraceStep(
                    name=str(name),
                    event="node",
                    output=shown(update),
                )
                self._trace.append(step)

    def end(self, output: Any) -> None:
        """Record the final output. Raises `RowError` if it is an interrupt."""
        _check_interrupt(output)
        self._output = output
        self.ended = True

    def result(self, output_key: str | None) -> GenerationResult:
        """Return the run as a result, of which `output_key` chooses the output.

        Raises `RowError` if the output lacks the key or is not JSON.
        """
        try:
            output = self._output
            if output_key is not None:
                output = _select_output(output, output_key)
            output = as_json(output)
        except ValueError as error:
            raise RowError(f"the graph's output cannot be kept: {error}") from None
        return GenerationResult(
            final_output=output,
            trace=self._trace,
            conversation=conversation_of(self._output),
            usage=self._usage,
        )

    def _see_langgraph_event(
        self,
        event: _Facts,
        data: _Facts,
    ) -> None:
        kind = event.get("event", "")
        # The run of the whole graph is the one without parents.
        is_root = event.get("parent_ids") == []
        if kind in _STEP_ENDS:
            self._add_step(
                event,
                _STEP_ENDS[kind],
                data,
            )
            usage = getattr(data.get("output"), "usage_metadata", None)
            if isinstance(usage, Mapping):
                self._add_usage(usage)
        elif kind == "on_custom_event":
            self._add_step(
                event,
                "custom",
                {"output": event.get("data")},
            )
        elif kind == "on_chain_end" and _is_node(event):
            self._add_step(event, "node", data)
        elif kind == "on_chain_stream" and is_root:
            _check_interrupt(data.get("chunk"))
        if kind.endswith("_end") and is_root:
            self.end(data.get("output"))

    def _add_step(
        self,
        event: _Facts,
        kind: str,
        data: _Facts,
    ) -> None:
        told = event.get("metadata") or {}
        facts = {
            "step": told.get("langgraph_step"),
            "path": None,
            "model": told.get("ls_model_name"),
        }
        # Each part is `node:id`, outermost first; the ids differ in every run.
        namespace = str(told.get("langgraph_checkpoint_ns", ""))
        nodes = [part.partition(":")[0] for part in namespace.split("|")]
        if len(nodes) > 1:
            facts["path"] = "/".join(nodes)
        step = TraceStep(
            name=str(event.get("name", kind)),
            event=kind,
            input=shown(data.get("input")),
            output=shown(data.get("output")),
            metadata=without_nulls(facts),
        )
        self._trace.append(step)

    def _add_usage(self, usage: _Facts) -> None:
        """Add one model call's tokens to those of the run."""
        before = (self._usage or TokenUsage()).model_dump()
        counts = {}
        for name, path in _USAGE_PATHS.items():
            found: Any = usage
            for part in path:
                found = found.get(part) if isinstance(found, Mapping) else None
            # `None` is unknown: it stays so until some call reports a number.
            if before[name] is not None:
                found = before[name] + (found or 0)
            counts[name] = found
        self._usage = TokenUsage(**counts)


def _is_node(event: _Facts) -> bool:
    """Return whether a chain is the run of a node or task, not a part of one."""
    for tag in event.get("tags") or ():
        if tag.startswith("graph:step:"):
            return True
    told = event.get("metadata") or {}
    # A task has no such tag, and a subgraph may have the name of its node: only the
    # path tells that this is a task.
    path = told.get("langgraph_path") or ()
    return event.get("name") == told.get("langgraph_node") and "__pregel_push" in path


def _check_interrupt(chunk: Any) -> None:
    """Raise `RowError` if a chunk or output says that the graph waits for a person."""
    # Some streams yield pairs of a mode and a chunk.
    if isinstance(chunk, tuple) and chunk:
        chunk = chunk[-1]
    if not isinstance(chunk, Mapping) or _INTERRUPT not in chunk:
        return
    asked = []
    for interrupt in chunk[_INTERRUPT] or ():
        asked.append(shown(getattr(interrupt, "value", interrupt)))
    # `interrupt_before` and `interrupt_after` stop without asking anything.
    said = "it stops at a node"
    if len(asked) == 1:
        said = f"it asks {canonical_json(asked[0])}"
    elif asked:
        said = f"it asks {canonical_json(asked)}"
    raise RowError(f"{INTERRUPTED}: {said}")


def _select_output(
    output: Any,
    key: str,
) -> Any:
    # A pydantic state or a dataclass has its fields as JSON.
    fields = output if isinstance(output, Mapping) else as_json(output)
    if not isinstance(fields, Mapping):
        raise RowError(
            f"the graph's output has no {key!r}: it is {type(output).__name__}, "
            "not an object"
        )
    if key not in fields:
        there = ", ".join(map(repr, fields)) or "none"
        raise RowError(f"the graph's output has no {key!r}; its keys are {there}")
    return fields[key]
