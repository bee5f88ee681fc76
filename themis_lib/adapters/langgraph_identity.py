"""What identifies a graph: its structure, and the code of what it runs.

Digests are of code and settings, never of addresses in memory or of what a run leaves
behind in an object, so that they are equal in every process.
"""

from __future__ import annotations

import enum
import functools
import re
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any, TypeAlias

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.object_settings import FUNCTION_TYPES, settings_of
from themis_lib.core.secrets import may_be_credential
from themis_lib.identity.bytecode import captured, is_plain
from themis_lib.identity.code import code_digest
from themis_lib.identity.digests import canonical_json, digest

#: Packages that are identified by name: the graph itself says how it uses them.
_LIBRARIES = re.compile(r"(?:langchain|langgraph|langsmith)\w*(?:\.|$)")
#: Settings of a run that cannot change its output: who watches it, how much runs at once.
_RUNTIME = {
    "callbacks",
    "max_concurrency",
    "run_id",
    "run_name",
}
#: Settings of a compiled graph that are attributes of it.
_GRAPH_SETTINGS = (
    "input_channels",
    "output_channels",
    "interrupt_before_nodes",
    "interrupt_after_nodes",
)
#: LangGraph's own channels between the nodes, which follow from the edges.
_WIRES = (
    "__",
    "branch:to:",
    "join:",
)
_COLLECTIONS = (
    list,
    tuple,
    set,
    frozenset,
)
_JSON_TYPES = (
    str,
    int,
    type(None),
)

#: The values around the one that is looked at, outermost first.
_Around: TypeAlias = tuple[Any, ...]


def graph_identity(graph: Any) -> JsonObject:
    """Return a compiled graph's nodes, edges, branches and channels as JSON.

    Of any other object, return a digest of its class and settings.
    """
    if _is_graph(graph):
        return _structure_of_graph(graph, ())
    return {"object": _digest_of(graph, ())}


def config_identity(config: Mapping[str, Any]) -> JsonObject:
    """Return the settings of a run by name, without credentials.

    Those below `configurable`, which the user's code reads, are digested: their content
    is not shown.
    """
    known: JsonObject = {}
    for name, item in config.items():
        if name not in _RUNTIME and name != "configurable":
            known[name] = identity_of(item)
    public = _drop_credentials(config.get("configurable", {}))
    known["configurable"] = {name: _digest_of(public[name], ()) for name in public}
    return known


def identity_of(value: Any) -> Any:
    """Return what determines the results of a function or an object, as JSON."""
    return _identity_inside(value, ())


def _structure_of_graph(
    graph: Any,
    around: _Around,
) -> JsonObject:
    around = (*around, graph)
    # A graph of the functional API has no builder.
    builder = getattr(graph, "builder", None)
    nodes: JsonObject = {}
    for name, node in graph.nodes.items():
        # A subgraph is shown, so that a difference inside it can be told.
        if _is_graph(node.bound):
            nodes[name] = _structure_of_graph(node.bound, around)
        else:
            nodes[name] = _digest_of(node.bound, around)
    edges = {*getattr(builder, "edges", ()), *getattr(builder, "waiting_edges", ())}
    branches: JsonObject = {}
    for source, named in getattr(builder, "branches", {}).items():
        digests = {}
        for name, branch in named.items():
            digests[name] = _digest_of(branch, around)
        branches[source] = digests
    state = [getattr(builder, "state_schema", None)]
    for name, channel in sorted(graph.channels.items()):
        if not name.startswith(_WIRES):
            # The operator joins the updates of several nodes to one value.
            operator = getattr(channel, "operator", None)
            state.append([name, type(channel), operator])
    settings = {}
    for name in _GRAPH_SETTINGS:
        settings[name] = _identity_inside(getattr(graph, name, None), around)
    return {
        "nodes": nodes,
        "edges": sorted(map(list, edges), key=canonical_json),
        "branches": branches,
        "state": _digest_of(state, around),
        "settings": settings,
        "config": config_identity(getattr(graph, "config", None) or {}),
    }


def _is_graph(value: Any) -> bool:
    # By its shape: LangGraph need not be installed.
    nodes = getattr(value, "nodes", None)
    channels = getattr(value, "channels", None)
    return isinstance(nodes, dict) and isinstance(channels, dict)


def _drop_credentials(settings: Mapping[Any, Any]) -> JsonObject:
    """Return settings by name, those whose name is that of a credential left out."""
    # A new key of an API must not compute every row again.
    public = {}
    for name, item in settings.items():
        if not may_be_credential(str(name)):
            public[str(name)] = item
    return public


def _digest_of(
    value: Any,
    around: _Around,
) -> str:
    return digest("graph", _identity_inside(value, around))


def _identity_inside(
    value: Any,
    around: _Around,
) -> Any:
    """Return the identity of a value inside others, to which it may refer back."""
    # A node that holds its graph would otherwise be followed forever.
    for depth, outer in enumerate(around):
        if outer is value:
            return {"outer": depth}
    if is_plain(value) and not isinstance(value, tuple):
        # Floats and bytes, of which JSON has not all, by their text.
        return value if isinstance(value, _JSON_TYPES) else repr(value)
    around = (*around, value)
    if isinstance(value, Mapping):
        public = _drop_credentials(value)
        return {key: _identity_inside(item, around) for key, item in public.items()}
    if isinstance(value, _COLLECTIONS):
        members = [_identity_inside(item, around) for item in value]
        if isinstance(value, (set, frozenset)):
            # A set has another order in every process.
            members.sort(key=canonical_json)
        return members
    if isinstance(value, (type, *FUNCTION_TYPES)):
        return _identity_of_callable(value, around)
    return _identity_of_object(value, around)


def _identity_of_callable(
    value: Any,
    around: _Around,
) -> Any:
    """Return the identity of a function, method, partial or class."""
    if isinstance(value, functools.partial):
        parts = [value.func, list(value.args), value.keywords]
        return {"partial": _identity_inside(parts, around)}
    if isinstance(value, MethodType):
        owner = _identity_inside(value.__self__, around)
        return {
            "method": value.__name__,
            "of": owner,
        }
    name = f"{value.__module__}:{value.__qualname__}"
    if isinstance(value, BuiltinFunctionType) or value.__module__ == "builtins":
        return {"name": name}
    code: JsonObject = {}
    if _LIBRARIES.match(value.__module__):
        code["name"] = name
    else:
        code["code"] = code_digest(value)
    if isinstance(value, type):
        return code
    held = {}
    for name, item in captured(value):
        # The code digest covers plain values, functions and classes.
        if not is_plain(item) and not isinstance(item, (FunctionType, type)):
            held[name] = _identity_inside(item, around)
    if held:
        code["holds"] = held
    return code


def _identity_of_object(
    value: Any,
    around: _Around,
) -> Any:
    """Return the identity of an object: its class, and what it was made with."""
    if _is_graph(value):
        return _structure_of_graph(value, around)
    if isinstance(value, enum.Enum):
        kind = _identity_of_callable(type(value), around)
        return {
            "class": kind,
            "member": value.name,
        }
    if isinstance(value, re.Pattern):
        return {
            "pattern": value.pattern,
            "flags": value.flags,
        }
    settings = {}
    for name, item in settings_of(value):
        settings[name] = _identity_inside(item, around)
    return {
        "class": _identity_of_callable(type(value), around),
        "settings": settings,
    }
