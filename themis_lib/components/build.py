"""Finds, builds and checks components: what an experiment names becomes an object that
keeps its protocol.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from themis_lib.components.builtin import Builtin
from themis_lib.components.imports import import_named, reason
from themis_lib.components.registry import ADAPTERS, BUILTINS
from themis_lib.core.protocols import (
    ANSWER_COLUMNS,
    CASE_COLUMNS,
    OUTPUT_COLUMNS,
    WHOLE_CASE,
)
from themis_lib.core.secrets import refuse_literal_secrets, resolve_references
from themis_lib.errors import ComponentError, InputError, describe, nearest
from themis_lib.identity.code import code_digest


@dataclass(frozen=True)
class _Kind:
    methods: tuple[str, ...]
    may_read: tuple[str, ...]
    reads: tuple[str, ...]


_KINDS = {
    "generator": _Kind(
        ("generate", "generate_batch"), (*CASE_COLUMNS, "sample_index"), WHOLE_CASE
    ),
    "parser": _Kind(("parse",), (*OUTPUT_COLUMNS, *CASE_COLUMNS), ("output",)),
    "metric": _Kind(
        ("score", "score_batch"),
        (*ANSWER_COLUMNS, *OUTPUT_COLUMNS, *CASE_COLUMNS),
        (*ANSWER_COLUMNS, *WHOLE_CASE),
    ),
    "reducer": _Kind(("reduce",), ("value", "score"), ("value", "score")),
}


#: What an experiment may name without a module, by kind.
_NAMED: dict[str, dict[str, str]] = {
    **BUILTINS,
    "generator": {**BUILTINS["generator"], **ADAPTERS},
}


def build(kind: str, spec: Any, *, where: str) -> Any:
    """The component that a configuration gives as an object, a name, or a name with
    parameters.

    Raises `ComponentError`, naming `where` it stands, when there is no such component,
    a parameter is unknown or refused, or the object does not keep the protocol of its
    kind.
    """
    if isinstance(spec, str):
        component = _construct(_locate(kind, spec, where=where), spec, {}, where=where)
    elif isinstance(spec, Mapping):
        component = _from_mapping(kind, spec, where=where)
    else:
        component = spec
    _check(kind, component, where=where)
    return component


def component_name(spec: Any, component: Any) -> str:
    """The name a component bears in tables: its `id` in the configuration, else its
    component id.
    """
    if isinstance(spec, Mapping) and spec.get("id"):
        return str(spec["id"])
    return str(component.component_id).removeprefix("builtin/")


def reads_of(kind: str, component: Any) -> tuple[str, ...]:
    """The columns a component declares, or those its kind reads when it declares
    nothing.
    """
    return tuple(getattr(component, "reads", _KINDS[kind].reads))


def component_identity(kind: str, component: Any) -> dict[str, Any]:
    """Everything that says what a component computes: id, version, settings, columns
    read, and a user's code.
    """
    identity: dict[str, Any] = {
        "component_id": component.component_id,
        "version": component.version,
        "reads": list(reads_of(kind, component)),
    }
    if isinstance(component, Builtin):
        return {**identity, "settings": component.settings()}
    definition = getattr(component, "definition", type(component))
    return {
        **identity,
        "fingerprint": component.fingerprint(),
        "code": code_digest(definition),
    }


def _from_mapping(kind: str, spec: Mapping[str, Any], *, where: str) -> Any:
    if "use" not in spec:
        raise ComponentError(
            f"{where}: a {kind} needs `use`, the name of a component; got {dict(spec)!r}"
        )
    refuse_literal_secrets(spec, where=where)
    factory = _locate(kind, str(spec["use"]), where=where)
    parameters = {
        name: value for name, value in spec.items() if name not in ("use", "id")
    }
    own = getattr(
        factory, "resolves", ()
    )  # what the component reads from the environment itself
    resolved = resolve_references(
        {k: v for k, v in parameters.items() if k not in own}, where=where
    )
    return _construct(
        factory, str(spec["use"]), {**parameters, **resolved}, where=where
    )


def _locate(kind: str, name: str, *, where: str) -> Any:
    known = _NAMED[kind]
    if name in known:
        name = known[name]
    elif ":" not in name:
        hint = nearest(name, [short for short in known if "/" not in short])
        if "/" in name or not hint.startswith("did you mean"):
            hint = nearest(name if "/" in name else f"builtin/{name}", known)
        raise ComponentError(
            f"{where}: unknown {kind} {name!r}; {hint} (your own: `module:attribute`)"
        )
    try:
        return import_named(kind, name)
    except ComponentError as error:
        raise ComponentError(f"{where}: {error}") from None


def _construct(
    factory: Any, name: str, parameters: Mapping[str, Any], *, where: str
) -> Any:
    if not isinstance(factory, type) and not inspect.isfunction(factory):
        if parameters:
            raise ComponentError(
                f"{where}: {name!r} is an object and takes no parameters; got {sorted(parameters)}"
            )
        return factory
    _check_parameters(factory, name, parameters, where=where)
    try:
        return factory(**parameters)
    except ComponentError as error:
        raise ComponentError(f"{where}: {error}") from None
    except Exception as error:  # noqa: BLE001 - a user's class may raise anything
        said = reason(error, TypeError, ValueError)
        raise ComponentError(
            f"{where}: {name!r} refuses its parameters: {said}"
        ) from None


def _check_parameters(
    factory: Callable[..., Any], name: str, parameters: Mapping[str, Any], *, where: str
) -> None:
    try:
        accepted = inspect.signature(factory).parameters
    except ValueError:  # a built-in type keeps its signature to itself
        return
    if any(item.kind is inspect.Parameter.VAR_KEYWORD for item in accepted.values()):
        return
    for parameter in parameters:
        if parameter not in accepted:
            raise ComponentError(
                f"{where}: {name!r} has no parameter {parameter!r}; {nearest(parameter, accepted)}"
            )
    for item in accepted.values():
        if (
            item.default is inspect.Parameter.empty
            and item.name not in parameters
            and item.kind not in (inspect.Parameter.VAR_POSITIONAL,)
        ):
            raise ComponentError(f"{where}: {name!r} needs the parameter {item.name!r}")


def _check(kind: str, component: Any, *, where: str) -> None:
    if isinstance(component, type):
        raise ComponentError(
            f"{where}: {kind} {component.__name__!r} is a class; give an instance of it"
        )
    # Never its repr: that may show a credential.
    name = (
        component
        if isinstance(component, (str, int, float))
        else type(component).__name__
    )
    label = f"{where}: {kind} {getattr(component, 'component_id', name)!r}"
    for attribute in ("component_id", "version"):
        if not isinstance(getattr(component, attribute, None), str):
            raise ComponentError(f"{label} needs a text attribute `{attribute}`")
    if not callable(getattr(component, "fingerprint", None)):
        raise ComponentError(
            f"{label} needs a method `fingerprint()` that returns its settings as text"
        )
    methods = _KINDS[kind].methods
    if not any(callable(getattr(component, method, None)) for method in methods):
        raise ComponentError(f"{label} needs a method `{methods[0]}`")
    _check_reads(kind, component, label=label)
    if callable(getattr(component, "check", None)):
        try:
            component.check()
        except InputError as error:
            raise type(error)(f"{where}: {error}") from None
    try:
        component.fingerprint()
    except Exception as error:  # noqa: BLE001 - a user's method may raise anything
        raise ComponentError(
            f"{label}: fingerprint() raised {describe(error)}"
        ) from None


def _check_reads(kind: str, component: Any, *, label: str) -> None:
    reads = getattr(component, "reads", ())
    if not isinstance(reads, (tuple, list)):
        raise ComponentError(
            f"{label} has reads={reads!r}; write a tuple of columns, such as ({str(reads)!r},)"
        )
    for column in reads:
        if column not in _KINDS[kind].may_read:
            raise ComponentError(
                f"{label} reads an unknown column {column!r}; {nearest(str(column), _KINDS[kind].may_read)}"
            )
