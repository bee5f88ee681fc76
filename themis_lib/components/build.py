"""The building of components: what an experiment names becomes a typed record.

A component is read here once. Outside this package no code asks an object what it can
do.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, overload

from themis_lib.components.factories import call_factory, check_named, is_factory
from themis_lib.components.functions import function_component, is_plain_function
from themis_lib.components.imports import import_named
from themis_lib.components.records import (
    KINDS,
    BuiltComponent,
    BuiltGenerator,
    BuiltMetric,
    BuiltParser,
    BuiltReducer,
    BuiltTool,
    generator_record,
    metric_record,
    parser_record,
    reads_of,
    reducer_record,
)
from themis_lib.components.registry import ADAPTERS, BUILTINS, GUESSES, PROVIDERS
from themis_lib.core.secrets import refuse_literal_secrets, resolve_references
from themis_lib.core.tools import Tool
from themis_lib.errors import ComponentError, InputError, describe, nearest
from themis_lib.identity.watch import reading

#: What an experiment may name without a module, by kind.
_NAMED: Mapping[str, Mapping[str, str]] = {
    **BUILTINS,
    "generator": {**BUILTINS["generator"], **ADAPTERS},
}
_RECORDS: Mapping[str, Callable[[Any, str], BuiltComponent]] = {
    "generator": generator_record,
    "parser": parser_record,
    "metric": metric_record,
    "reducer": reducer_record,
}


@overload
def build(
    kind: Literal["generator"],
    spec: Any,
    *,
    where: str,
) -> BuiltGenerator: ...
@overload
def build(
    kind: Literal["parser"],
    spec: Any,
    *,
    where: str,
) -> BuiltParser: ...
@overload
def build(
    kind: Literal["metric"],
    spec: Any,
    *,
    where: str,
) -> BuiltMetric: ...
@overload
def build(
    kind: Literal["reducer"],
    spec: Any,
    *,
    where: str,
) -> BuiltReducer: ...
def build(
    kind: str,
    spec: Any,
    *,
    where: str,
) -> BuiltComponent:
    """Return the component that a configuration gives, checked, as a record of its
    kind.

    A configuration is an object, a name, or a name with parameters. Raise
    `ComponentError`, naming the place (`where`), if there is no such component, a
    parameter is unknown or refused, or the object breaks the protocol of its kind.
    """
    files: dict[str, str] = {}
    with reading(files):
        if isinstance(spec, str):
            named = _find_named(kind, spec, where=where)
            component = _component_of(kind, named, spec, {}, where=where)
        elif isinstance(spec, Mapping):
            component = _build_from_mapping(kind, spec, where=where)
        else:
            component = spec
    _check_protocol(kind, component, where=where)
    record = _RECORDS[kind](component, component_name(spec, component))
    record = replace(record, given=_given_parameters(spec), read_when_built=files)
    if isinstance(record, BuiltGenerator):
        record = _with_asked(record, where=where)
    _check_values(record, label=f"{where}: {kind} {record.name!r}")
    return record


def _with_asked(
    record: BuiltGenerator,
    *,
    where: str,
) -> BuiltGenerator:
    """Return a generator with those that it asks built, and the functions it calls."""
    asked: Mapping[str, Any] = getattr(record.component, "asked_generators", None) or {}
    asks = {}
    for name, spec in asked.items():
        built = build("generator", spec, where=f"{where}: {name}")
        if built.asks:
            raise ComponentError(
                f"{where}: {name}: {built.component_id} asks other generators itself; "
                "name one that answers"
            )
        asks[name] = built
    if not asks:
        return record
    given: Mapping[str, Tool] = getattr(record.component, "tool_functions", None) or {}
    tools = {}
    for name, tool in given.items():
        tools[name] = BuiltTool(component=tool, name=name, reads=())
        _check_values(tools[name], label=f"{where}: tool {name!r}")
    return replace(record, asks=asks, tools=tools)


def _given_parameters(spec: Any) -> dict[str, Any]:
    """Return the parameters of a configuration, `${NAME}` references as written."""
    if not isinstance(spec, Mapping):
        return {}
    return {name: value for name, value in spec.items() if name not in ("use", "id")}


def _check_values(
    record: BuiltComponent,
    *,
    label: str,
) -> None:
    """Raise `ComponentError` if a component's code reads a value that tells nothing.

    A component that says itself what identifies it is taken at its word.
    """
    if record.code is None or not record.code.opaque:
        return
    component = record.component
    says_itself = not hasattr(component, "definition") and hasattr(
        type(component), "fingerprint"
    )
    if says_itself:
        return
    place, kind = next(iter(record.code.opaque.items()))
    name = place.rpartition(".")[2].rpartition("(")[2].strip(")").split()[-1]
    raise ComponentError(
        f"{label}: {place} holds an object of {kind}, whose content cannot be seen; "
        f'name it in `runtime = ("{name}",)` if it cannot change a row, or give the '
        "component a `fingerprint()`"
    )


def component_name(
    spec: Any,
    component: Any,
) -> str:
    """Return what a component is called in tables.

    The `id` of its configuration, else its component id.
    """
    if isinstance(spec, Mapping) and spec.get("id"):
        return str(spec["id"])
    return str(component.component_id).removeprefix("builtin/")


def component_identity(
    kind: str,
    component: Any,
) -> dict[str, Any]:
    """Return the identity of a component that is not built yet; see `BuiltComponent`."""
    return _RECORDS[kind](component, component_name(None, component)).identity


def _build_from_mapping(
    kind: str,
    spec: Mapping[str, Any],
    *,
    where: str,
) -> Any:
    if "use" not in spec:
        raise ComponentError(
            f"{where}: a {kind} needs `use`, the name of a component; got {dict(spec)!r}"
        )
    refuse_literal_secrets(spec, where=where)
    name = str(spec["use"])
    named = _find_named(kind, name, where=where)
    # A component resolves some references itself, so that it never holds their values.
    own_references = getattr(named, "resolves", ())
    parameters: dict[str, Any] = {}
    resolvable: dict[str, Any] = {}
    for parameter, value in spec.items():
        # These are for the experiment; the rest is for the component.
        if parameter in ("use", "id"):
            continue
        parameters[parameter] = value
        if parameter not in own_references:
            resolvable[parameter] = value
    parameters.update(resolve_references(resolvable, where=where))
    return _component_of(kind, named, name, parameters, where=where)


def _find_named(
    kind: str,
    name: str,
    *,
    where: str,
) -> Any:
    """Return the class, function or object that a name stands for.

    It is, or makes, a component: nothing else is called.
    """
    known = _NAMED[kind]
    if name in known:
        name = known[name]
    elif ":" not in name:
        if kind == "generator" and (name in GUESSES or name in PROVIDERS):
            through_any = f"{{use: any, model: '{name}:NAME'}}"
            hint = f"write {GUESSES.get(name, through_any)}"
        elif "/" in name:
            hint = nearest(name, known)
        else:
            # `openia` is an adapter misspelt, `exact_mach` a built-in without `builtin/`.
            adapters = [short for short in known if "/" not in short]
            hint = nearest(name, adapters)
            if not hint.startswith("did you mean"):
                hint = nearest(f"builtin/{name}", known)
        raise ComponentError(
            f"{where}: unknown {kind} {name!r}; {hint} (your own: `module:attribute`)"
        )
    try:
        found = import_named(kind, name)
    except ComponentError as error:
        raise ComponentError(f"{where}: {error}") from None
    check_named(kind, found, label=f"{where}: {name!r}")
    return found


def _component_of(
    kind: str,
    named: Any,
    name: str,
    parameters: Mapping[str, Any],
    *,
    where: str,
) -> Any:
    """Return what a factory makes of the parameters, a function as a component, or an
    object as it is.
    """
    if is_factory(kind, named):
        return call_factory(named, name, parameters, where=where)
    if is_plain_function(kind, named):
        label = f"{where}: {name!r}"
        return function_component(kind, named, parameters, label=label)
    if parameters:
        raise ComponentError(
            f"{where}: {name!r} is an object and takes no parameters; "
            f"got {sorted(parameters)}"
        )
    return named


def _check_protocol(
    kind: str,
    component: Any,
    *,
    where: str,
) -> None:
    """Raise `ComponentError` if an object is not a component of its kind."""
    if isinstance(component, type):
        raise ComponentError(
            f"{where}: {kind} {component.__name__!r} is a class; give an instance of it"
        )
    # The repr of any other object is never shown: it may hold a credential.
    is_harmless = isinstance(component, (str, int, float))
    name = component if is_harmless else type(component).__name__
    label = f"{where}: {kind} {getattr(component, 'component_id', name)!r}"
    for attribute in ("component_id", "version"):
        if not isinstance(getattr(component, attribute, None), str):
            raise ComponentError(f"{label} needs a text attribute `{attribute}`")
    if not callable(getattr(component, "fingerprint", None)):
        raise ComponentError(
            f"{label} needs a method `fingerprint()` that returns its settings as text"
        )
    methods = KINDS[kind].methods
    if not any(callable(getattr(component, method, None)) for method in methods):
        raise ComponentError(f"{label} needs a method `{methods[0]}`")
    if hasattr(component, "judge_calls") and not hasattr(component, "score"):
        raise ComponentError(f"{label} asks judges, and needs a method `score`")
    if inspect.iscoroutinefunction(getattr(component, "corpus_score", None)):
        raise ComponentError(
            f"{label}: corpus_score is called without await; use `def`"
        )
    _check_reads(kind, component, label=label)
    _run_own_checks(component, where=where, label=label)


def _run_own_checks(
    component: Any,
    *,
    where: str,
    label: str,
) -> None:
    """Raise if a component says that it cannot work, or cannot name its settings."""
    if callable(getattr(component, "check", None)):
        try:
            component.check()
        except InputError as error:
            # Of the same class, which says whether a file or a setting is at fault.
            raise type(error)(f"{where}: {error}") from None
    # Called now: every key needs it, and a run would fail only after its start.
    try:
        component.fingerprint()
    except Exception as error:  # noqa: BLE001 - a user's method may raise anything
        raise ComponentError(
            f"{label}: fingerprint() raised {describe(error)}"
        ) from None


def _check_reads(
    kind: str,
    component: Any,
    *,
    label: str,
) -> None:
    reads = getattr(component, "reads", ())
    if not isinstance(reads, (tuple, list)):
        # A text is the usual slip: `reads = ("input")` has no comma.
        raise ComponentError(
            f"{label} has reads={reads!r}; "
            f"write a tuple of columns, such as ({str(reads)!r},)"
        )
    allowed = KINDS[kind].may_read
    for column in reads:
        if column not in allowed:
            raise ComponentError(
                f"{label} reads an unknown column {column!r}; "
                f"{nearest(str(column), allowed)}"
            )


__all__ = [
    "build",
    "component_identity",
    "component_name",
    "reads_of",
]
