"""The calls of tools in a row, in one form, whichever generator made it.

Providers say them in the output, agents in their trace or in the messages of their
conversation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from themis_lib.core.models import GenerationResult, Message, TraceStep
from themis_lib.identity.digests import load_json

#: What adapters and agents call the step of a trace that is the call of a tool.
_CALL_EVENTS = ("tool_call", "tool_start", "on_tool_start", "tool")


@dataclass(frozen=True)
class ToolCall:
    """One call: the tool's name, and the arguments as JSON, if they are JSON."""

    name: str
    arguments: Any = None

    def to_json(self) -> dict[str, Any]:
        """Return the call as details have it."""
        return {"name": self.name, "arguments": self.arguments}


def calls_of(result: GenerationResult) -> list[ToolCall]:
    """Return the calls of a row, in their order.

    Those of the trace if it has any, else those of the conversation, else those of the
    output: they are the same calls, told more or less completely.

    >>> calls_of(GenerationResult(final_output={"tool_calls": [{"name": "now"}]}))
    [ToolCall(name='now', arguments=None)]
    """
    return (
        _calls_in_trace(result.trace or ())
        or calls_in_messages(result.conversation or ())
        or calls_in_output(result.final_output)
    )


def calls_in_output(output: Any) -> list[ToolCall]:
    """Return the calls that an output asks for, `{"tool_calls": [{"name": …}]}`."""
    if not isinstance(output, Mapping) or not isinstance(
        output.get("tool_calls"), list
    ):
        return []
    return _read_calls(output["tool_calls"])


def calls_in_messages(messages: Iterable[Message]) -> list[ToolCall]:
    """Return the calls that messages hold, as chat APIs and agents write them."""
    calls = []
    for message in messages:
        calls += _read_calls(message.tool_calls or ())
    return calls


def _calls_in_trace(trace: Iterable[TraceStep]) -> list[ToolCall]:
    calls = []
    for step in trace:
        if step.event in _CALL_EVENTS:
            calls.append(ToolCall(step.name, _as_json(step.input)))
    return calls


def _read_calls(items: Sequence[Any]) -> list[ToolCall]:
    calls = []
    for item in items:
        if not isinstance(item, Mapping):
            continue
        # Chat Completions nest the call; LangChain and our outputs do not.
        call = item.get("function", item)
        if not isinstance(call, Mapping) or not isinstance(call.get("name"), str):
            continue
        arguments = call.get("arguments", call.get("args", call.get("input")))
        calls.append(ToolCall(call["name"], _as_json(arguments)))
    return calls


def _as_json(arguments: Any) -> Any:
    """Return arguments that are JSON text as the value, anything else as it is."""
    if isinstance(arguments, str):
        with suppress(ValueError, RecursionError):
            return load_json(arguments)
    return arguments
