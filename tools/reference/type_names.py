"""Types as the reference writes them: what a YAML file or a call may hold."""

from __future__ import annotations

import collections.abc
import types
from typing import (
    Annotated,
    Any,
    ForwardRef,
    Literal,
    TypeVar,
    Union,
    get_args,
    get_origin,
)

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

_PLAIN = {
    bool: "bool",
    int: "integer",
    float: "number",
    str: "text",
    type(None): "null",
    dict: "mapping",
    list: "list",
    Any: "any",
}
_LISTS = (list, tuple, collections.abc.Sequence)
_MAPPINGS = (dict, collections.abc.Mapping)


def type_name(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """Return the name of a setting's type, with the limits that it declares.

    >>> type_name(int | None), type_name(list[str]), type_name(Literal["a", "b"])
    ('integer or null', 'list of text', "'a', 'b'")
    """
    origin = get_origin(annotation)
    arguments = get_args(annotation)
    if origin is Annotated:
        inner, *limits = arguments
        return type_name(inner, (*metadata, *limits))
    if origin in (Union, types.UnionType):
        return _union_name(arguments)
    if origin is Literal:
        return ", ".join(map(repr, arguments))
    if origin in _LISTS:
        items = [item for item in arguments if item is not Ellipsis]
        return f"list of {type_name(items[0])}"
    if origin in _MAPPINGS:
        return f"mapping of {type_name(arguments[1])}"
    return _simple_name(annotation) + _limits(metadata)


def _union_name(members: tuple[Any, ...]) -> str:
    names = list(dict.fromkeys(type_name(member) for member in members))
    # Null last, and an integer is a number.
    names.sort(key=lambda name: name == "null")
    return " or ".join(names)


def _simple_name(annotation: Any) -> str:
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.__name__
    if isinstance(annotation, (TypeVar, ForwardRef)) or not hasattr(
        annotation, "__name__"
    ):
        name = str(annotation)
    else:
        name = str(annotation.__name__)
    return {"JsonValue": "JSON", "Callable": "function"}.get(name, name)


def _limits(metadata: tuple[Any, ...]) -> str:
    """Return the limits among what an annotation says of a number."""
    texts = []
    for item in metadata:
        # Pydantic's `Field` holds what its arguments stand for.
        inner = item.metadata if isinstance(item, FieldInfo) else [item]
        for limit in inner:
            texts += _limit_texts(limit)
    return f" {' and '.join(texts)}" if texts else ""


def _limit_texts(limit: Any) -> list[str]:
    if isinstance(limit, annotated_types.Ge):
        return [f"≥ {limit.ge}"]
    if isinstance(limit, annotated_types.Gt):
        return [f"> {limit.gt}"]
    if isinstance(limit, annotated_types.Le):
        return [f"≤ {limit.le}"]
    if isinstance(limit, annotated_types.Lt):
        return [f"< {limit.lt}"]
    return []
