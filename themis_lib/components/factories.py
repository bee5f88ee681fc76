"""What of an imported module makes a component when it is called.

An experiment names code as `module:attribute`, and an attribute may be anything. It is
called only if it says beforehand that a component comes of it: calling
`shutil:rmtree` to find out would be too late.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import FunctionType, SimpleNamespace, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from themis_lib.components.functions import ARGUMENTS, is_plain_function
from themis_lib.components.imports import reason
from themis_lib.components.records import KINDS
from themis_lib.core import protocols
from themis_lib.errors import ComponentError, nearest


def is_factory(
    kind: str,
    found: object,
) -> bool:
    """Return whether calling an object makes a component of a kind; it is not called.

    That is a class with the methods of the kind, or a function that is annotated to
    return one. Any other function may be a component itself, and is no factory: see
    `functions.is_plain_function`.
    """
    if isinstance(found, type):
        return not missing_methods(kind, found)
    if not isinstance(found, FunctionType) or inspect.iscoroutinefunction(found):
        return False
    return _promises(kind, _returned_type(found))


def missing_methods(
    kind: str,
    component_class: type,
) -> list[str]:
    """Return the methods that a class lacks to be of a kind.

    >>> missing_methods("metric", str)
    ['fingerprint', 'score']
    """
    missing: list[str] = []
    if not callable(getattr(component_class, "fingerprint", None)):
        missing.append("fingerprint")
    # `component_id` and `version` may be attributes of the object alone.
    methods = KINDS[kind].methods
    if not any(callable(getattr(component_class, name, None)) for name in methods):
        missing.append(methods[0])
    return missing


def check_named(
    kind: str,
    found: object,
    *,
    label: str,
) -> None:
    """Raise `ComponentError` if an object that a name leads to is nothing of a kind.

    It says what was found, and what is right.
    """
    names_itself = isinstance(getattr(found, "component_id", None), str)
    is_made = names_itself and not isinstance(found, type)
    if is_made or is_factory(kind, found) or is_plain_function(kind, found):
        return
    if isinstance(found, type):
        lacking = " and ".join(f"`{name}()`" for name in missing_methods(kind, found))
        problem = f"is a class without {lacking}"
    elif inspect.isroutine(found):
        problem = f"is a function, and does not say that it returns a {kind}"
    else:
        problem = f"is an object of {type(found).__name__}"
    method = KINDS[kind].methods[0]
    plain = ""
    if kind in ARGUMENTS:
        plain = f", or a function of your own of ({', '.join(ARGUMENTS[kind])})"
    raise ComponentError(
        f"{label} {problem}; it is not called. Name a class with `component_id`, "
        f"`version`, `fingerprint()` and `{method}()`, an object of one, a function "
        f"that is annotated to return one: `-> My{kind.capitalize()}`{plain}"
    )


def call_factory(
    factory: Callable[..., Any],
    name: str,
    parameters: Mapping[str, Any],
    *,
    where: str,
) -> Any:
    """Return what a factory makes of the parameters.

    Raise `ComponentError`, naming the place (`where`), if it refuses them.
    """
    _check_parameters(factory, name, parameters, where=where)
    try:
        return factory(**parameters)
    except ComponentError as error:
        # Built-ins name the setting and its value; the place is known only here.
        raise ComponentError(f"{where}: {error}") from None
    except Exception as error:  # noqa: BLE001 - a user's class may raise anything
        said = reason(error, TypeError, ValueError)
        raise ComponentError(
            f"{where}: {name!r} refuses its parameters: {said}"
        ) from None


def _check_parameters(
    factory: Callable[..., Any],
    name: str,
    parameters: Mapping[str, Any],
    *,
    where: str,
) -> None:
    """Raise `ComponentError` for a parameter that is unknown or missing.

    Python's own message would name neither the place nor the nearest valid choice.
    """
    try:
        accepted = inspect.signature(factory).parameters
    except ValueError:
        # Some types written in C have no signature to look at.
        return
    kinds = {item.kind for item in accepted.values()}
    # `**options` accepts any name, and what it needs is not in the signature.
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return
    for parameter in parameters:
        if parameter not in accepted:
            raise ComponentError(
                f"{where}: {name!r} has no parameter {parameter!r}; "
                f"{nearest(parameter, accepted)}"
            )
    for item in accepted.values():
        if item.kind is inspect.Parameter.VAR_POSITIONAL or item.name in parameters:
            continue
        if item.default is inspect.Parameter.empty:
            raise ComponentError(f"{where}: {name!r} needs the parameter {item.name!r}")


def _returned_type(function: FunctionType) -> Any:
    """Return the type that a function is annotated to return, or `None`."""
    annotations = inspect.get_annotations(function)
    if "return" not in annotations:
        return None
    # The return type alone: others may be imported for type checkers only, as the
    # protocols may be, too.
    promise = SimpleNamespace(__annotations__={"return": annotations["return"]})
    names = {**vars(protocols), **function.__globals__}
    try:
        return get_type_hints(promise, globalns=names)["return"]
    except Exception:  # noqa: BLE001 - an annotation may be any expression
        return None


def _promises(
    kind: str,
    annotation: Any,
) -> bool:
    """Return whether a value of an annotated type is a component of a kind."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return any(_promises(kind, option) for option in get_args(annotation))
    promised = origin or annotation
    return isinstance(promised, type) and not missing_methods(kind, promised)
