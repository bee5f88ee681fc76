"""What makes a graph the graph it is: its structure, and the code of what it runs.

Digests are of code and settings, never of addresses or of what a run leaves behind in
an object, so that they are the same in every process.
"""

from __future__ import annotations

import dataclasses
import dis
import enum
import functools
import inspect
import re
from collections.abc import Iterator, Mapping
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from pydantic import BaseModel, SecretBytes, SecretStr

from themis_lib.core.secrets import may_be_credential
from themis_lib.identity.bytecode import captured, functions_of, is_plain
from themis_lib.identity.code import code_digest
from themis_lib.identity.digests import canonical_json, digest

#: Packages whose code is known by name: what of them a graph uses is told by the graph.
_LIBRARIES = re.compile(r"(?:langchain|langgraph|langsmith)\w*(?:\.|$)")
#: Settings of a run that cannot change what it returns: who watches it, and how much it
#: does at once.
_RUNTIME = {
    "callbacks",
    "max_concurrency",
    "run_id",
    "run_name",
}
_STORES = ("STORE_ATTR", "DELETE_ATTR")


def graph_identity(graph: Any) -> dict[str, Any]:
    """A compiled graph by its nodes, edges, branches and channels; any other object by
    its class and settings.
    """
    return (
        _graph_identity(graph, ())
        if _is_graph(graph)
        else {"object": _identity_digest(graph, ())}
    )


def config_identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a run by name. Those the user's code reads enter by digest: what
    they hold is not shown.
    """
    known = {name: item for name, item in config.items() if name not in _RUNTIME}
    configurable = {
        name: _identity_digest(item, ())
        for name, item in known.pop("configurable", {}).items()
        if not may_be_credential(name)
    }
    return {
        **{name: identity_of(item) for name, item in known.items()},
        "configurable": configurable,
    }


def identity_of(value: Any) -> Any:
    """What says what a function or an object computes, as JSON."""
    return _value_identity(value, ())


def _graph_identity(
    graph: Any,
    around: tuple[Any, ...],
) -> dict[str, Any]:
    around = (*around, graph)
    builder = getattr(graph, "builder", None)
    edges = {*getattr(builder, "edges", ()), *getattr(builder, "waiting_edges", ())}
    return {
        "nodes": {
            name: _graph_identity(node.bound, around)
            if _is_graph(node.bound)
            else _identity_digest(node.bound, around)
            for name, node in graph.nodes.items()
        },
        "edges": sorted(([start, end] for start, end in edges), key=canonical_json),
        "branches": {
            source: {
                name: _identity_digest(branch, around)
                for name, branch in branches.items()
            }
            for source, branches in getattr(builder, "branches", {}).items()
        },
        "state": _identity_digest(
            [getattr(builder, "state_schema", None), *_channel_identities(graph)],
            around,
        ),
        "settings": {
            name: _value_identity(getattr(graph, name, None), around)
            for name in (
                "input_channels",
                "output_channels",
                "interrupt_before_nodes",
                "interrupt_after_nodes",
            )
        },
        "config": config_identity(getattr(graph, "config", None) or {}),
    }


def _channel_identities(graph: Any) -> Iterator[list[Any]]:
    """The state's values and how updates of each are joined, without LangGraph's own
    wires between the nodes.
    """
    for name, channel in sorted(graph.channels.items()):
        if not name.startswith(("__", "branch:to:", "join:")):
            yield [name, type(channel), getattr(channel, "operator", None)]


def _is_graph(value: Any) -> bool:
    return isinstance(getattr(value, "nodes", None), dict) and isinstance(
        getattr(value, "channels", None), dict
    )


def _identity_digest(
    value: Any,
    around: tuple[Any, ...],
) -> str:
    return digest("graph", _value_identity(value, around))


def _value_identity(
    value: Any,
    around: tuple[Any, ...],
) -> Any:
    """The identity of a value inside the values around it, to which it may refer back."""
    for depth, outer in enumerate(around):
        if outer is value:
            return {"outer": depth}
    if is_plain(value) and not isinstance(value, tuple):
        return value if isinstance(value, (str, int, type(None))) else repr(value)
    around = (*around, value)
    if isinstance(value, Mapping):
        return {
            str(key): _value_identity(item, around)
            for key, item in value.items()
            if not may_be_credential(str(key))
        }
    if isinstance(value, (list, tuple)):
        return [_value_identity(item, around) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(
            (_value_identity(item, around) for item in value), key=canonical_json
        )
    if isinstance(
        value, (type, FunctionType, BuiltinFunctionType, MethodType, functools.partial)
    ):
        return _callable_identity(value, around)
    return _object_identity(value, around)


def _callable_identity(
    value: Any,
    around: tuple[Any, ...],
) -> Any:
    if isinstance(value, functools.partial):
        return {
            "partial": _value_identity(
                [value.func, list(value.args), value.keywords], around
            )
        }
    if isinstance(value, MethodType):
        return {"method": value.__name__, "of": _value_identity(value.__self__, around)}
    name = f"{value.__module__}:{value.__qualname__}"
    if isinstance(value, BuiltinFunctionType) or value.__module__ == "builtins":
        return {"name": name}
    code = (
        {"name": name}
        if _LIBRARIES.match(value.__module__)
        else {"code": code_digest(value)}
    )
    if isinstance(value, type):
        return code
    held = {
        name: _value_identity(item, around)
        for name, item in captured(value)
        if not is_plain(item)
        and not isinstance(item, (FunctionType, type))  # those the code digest covers
    }
    return {**code, "holds": held} if held else code


def _object_identity(
    value: Any,
    around: tuple[Any, ...],
) -> Any:
    if _is_graph(value):
        return _graph_identity(value, around)
    if isinstance(value, enum.Enum):
        return {"class": _callable_identity(type(value), around), "member": value.name}
    if isinstance(value, re.Pattern):
        return {"pattern": value.pattern, "flags": value.flags}
    return {
        "class": _callable_identity(type(value), around),
        "settings": {
            name: _value_identity(item, around)
            for name, item in _object_settings(value)
            if not may_be_credential(name)
        },
    }


def _object_settings(value: Any) -> Iterator[tuple[str, Any]]:
    """What an object was made with, by name: its fields, or attributes that only
    `__init__` sets; no credentials.

    Of attributes that are no declared fields, only plain values and what can be run:
    the rest may be what a run left behind.
    """
    declared = _field_names(value)
    names = [*getattr(value, "__dict__", ())] if declared is None else declared
    changing = frozenset() if isinstance(value, BaseModel) else _set_later(type(value))
    for name in names:
        item = getattr(value, name, None)
        if name in changing or isinstance(item, (SecretStr, SecretBytes)):
            continue
        if declared is not None or is_plain(item) or _is_runnable(item):
            yield name, item


def _field_names(value: Any) -> list[str] | None:
    if isinstance(value, BaseModel):
        return list(type(value).model_fields)
    return (
        [item.name for item in dataclasses.fields(value)]
        if dataclasses.is_dataclass(value)
        else None
    )


def _is_runnable(value: Any) -> bool:
    """Whether a value is something that a graph can run, or holds nothing else."""
    if isinstance(value, (list, tuple)):
        return bool(value) and all(map(_is_runnable, value))
    if isinstance(value, dict):
        return bool(value) and all(map(_is_runnable, value.values()))
    is_function = isinstance(
        value, (FunctionType, BuiltinFunctionType, MethodType, functools.partial)
    )
    return is_function or hasattr(value, "invoke") or _field_names(value) is not None


def _set_later(definition: type) -> frozenset[str]:
    """The attributes that methods other than `__init__` store to: counters and caches,
    not settings.
    """
    later = [
        function
        for one in definition.__mro__
        for function in functions_of(one)
        if function.__name__
        not in ("__init__", "__post_init__", "__new__", "__setattr__")
    ]
    return frozenset(
        str(step.argval)
        for function in later
        for step in dis.get_instructions(inspect.unwrap(function))
        if step.opname in _STORES
    )
