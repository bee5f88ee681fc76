"""One run of a graph, gathered from its stream: the steps it took, the tokens it used,
and how it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from themis_lib.adapters.langgraph_values import as_json, conversation_of, shown
from themis_lib.core.models import GenerationResult, TokenUsage, TraceStep
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json

#: Ends that are steps of the trace, of the events of `astream_events` in version 2;
#: nodes end as chains.
_ENDS = {
    "on_tool_end": "tool",
    "on_chat_model_end": "chat_model",
    "on_llm_end": "llm",
    "on_retriever_end": "retriever",
}
#: Where usage is found in a message: LangChain's names, the inner ones below a heading.
_COUNTS = {
    "input_tokens": ("input_tokens",),
    "output_tokens": ("output_tokens",),
    "cached_tokens": ("input_token_details", "cache_read"),
    "reasoning_tokens": ("output_token_details", "reasoning"),
}
_INTERRUPT = "__interrupt__"
#: The fact about a row whose graph does not go on by itself.
INTERRUPTED = (
    "the graph was interrupted to wait for a person, whom an evaluation does not have"
)


class GraphRun:
    """What one run has shown so far. `ended` says whether its final output has come."""

    def __init__(self) -> None:
        self.ended = False
        self._output: Any = None
        self._trace: list[TraceStep] = []
        self._usage: TokenUsage | None = None

    def see(self, event: Any) -> None:
        """Take in an event: LangGraph's where it tells of a step or the end, one of any
        other make as a step.

        Raises `RowError` where the graph waits for a person.
        """
        if not isinstance(event, Mapping):
            self._trace.append(
                TraceStep(
                    name=type(event).__name__,
                    output=shown(event),
                )
            )
            return
        data = event.get("data")
        data = data if isinstance(data, Mapping) else {"output": data}
        if "run_id" in event:
            self._see_langgraph(event, data)
        else:
            self._add_step(event, str(event.get("event", "step")), data)

    def see_chunk(
        self,
        mode: str,
        chunk: Any,
    ) -> None:
        """Take in what a sync stream yields: the updates of nodes, which are steps, and
        values, of which the last ends.

        Raises `RowError` where the graph waits for a person.
        """
        _check_interrupt(chunk)
        if mode == "values":
            self.end(chunk)
        elif mode == "updates" and isinstance(chunk, Mapping):
            self._trace += [
                TraceStep(
                    name=str(name),
                    event="node",
                    output=shown(one),
                )
                for name, one in chunk.items()
            ]

    def end(self, output: Any) -> None:
        """Take in the final output."""
        _check_interrupt(output)
        self._output, self.ended = output, True

    def result(self, output_key: str | None) -> GenerationResult:
        """The run as a candidate. Raises `RowError` where its output lacks the key, or
        is not JSON.
        """
        try:
            output = as_json(
                self._output
                if output_key is None
                else _output_item(self._output, output_key)
            )
        except ValueError as error:
            raise RowError(f"the graph's output cannot be kept: {error}") from None
        return GenerationResult(
            final_output=output,
            trace=self._trace,
            conversation=conversation_of(self._output),
            usage=self._usage,
        )

    def _see_langgraph(
        self,
        event: Mapping[str, Any],
        data: Mapping[str, Any],
    ) -> None:
        kind, is_root = event.get("event", ""), event.get("parent_ids") == []
        if kind in _ENDS:
            self._add_step(event, _ENDS[kind], data)
            self._count_usage(getattr(data.get("output"), "usage_metadata", None))
        elif kind == "on_custom_event":
            self._add_step(event, "custom", {"output": event.get("data")})
        elif kind == "on_chain_end" and _is_node(event):
            self._add_step(event, "node", data)
        elif kind == "on_chain_stream" and is_root:
            _check_interrupt(data.get("chunk"))
        if kind.endswith("_end") and is_root:
            self.end(data.get("output"))

    def _add_step(
        self,
        event: Mapping[str, Any],
        kind: str,
        data: Mapping[str, Any],
    ) -> None:
        told = event.get("metadata") or {}
        facts = {
            "step": told.get("langgraph_step"),
            "path": _node_path(told),
            "model": told.get("ls_model_name"),
        }
        self._trace.append(
            TraceStep(
                name=str(event.get("name", kind)),
                event=kind,
                input=shown(data.get("input")),
                output=shown(data.get("output")),
                metadata={
                    name: fact for name, fact in facts.items() if fact is not None
                },
            )
        )

    def _count_usage(self, usage: Any) -> None:
        if not isinstance(usage, Mapping):
            return
        before = (self._usage or TokenUsage()).model_dump()
        counts = {name: _nested_value(usage, path) for name, path in _COUNTS.items()}
        self._usage = TokenUsage(
            **{
                name: n if before[name] is None else before[name] + (n or 0)
                for name, n in counts.items()
            }
        )


def _is_node(event: Mapping[str, Any]) -> bool:
    """Whether a chain is a node's or a task's run, not one inside it; a subgraph may
    bear the name of its node.
    """
    told = event.get("metadata") or {}
    if any(tag.startswith("graph:step:") for tag in event.get("tags") or ()):
        return True
    return event.get("name") == told.get("langgraph_node") and "__pregel_push" in (
        told.get("langgraph_path") or ()
    )


def _node_path(told: Mapping[str, Any]) -> str | None:
    """The nodes around a step and its own, outermost first, where it is a subgraph's;
    without the ids of their runs.
    """
    names = [
        part.partition(":")[0]
        for part in str(told.get("langgraph_checkpoint_ns", "")).split("|")
    ]
    return "/".join(names) if len(names) > 1 else None


def _nested_value(
    value: Any,
    path: tuple[str, ...],
) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _check_interrupt(chunk: Any) -> None:
    """Raise `RowError` for a chunk or an output that says that the graph has stopped
    for a person.
    """
    if isinstance(chunk, tuple) and chunk:  # with its stream mode before it
        chunk = chunk[-1]
    if not isinstance(chunk, Mapping) or _INTERRUPT not in chunk:
        return
    asked = [shown(getattr(one, "value", one)) for one in chunk[_INTERRUPT] or ()]
    said = (
        f"it asks {canonical_json(asked[0] if len(asked) == 1 else asked)}"
        if asked
        else "it stops at a node"
    )
    raise RowError(f"{INTERRUPTED}: {said}")


def _output_item(
    output: Any,
    key: str,
) -> Any:
    fields = output if isinstance(output, Mapping) else as_json(output)
    if not isinstance(fields, Mapping):
        raise RowError(
            f"the graph's output has no {key!r}: it is {type(output).__name__}, not an object"
        )
    if key not in fields:
        there = ", ".join(repr(name) for name in fields) or "none"
        raise RowError(f"the graph's output has no {key!r}; its keys are {there}")
    return fields[key]
