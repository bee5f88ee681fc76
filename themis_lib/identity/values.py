"""Values by their structure: what a value says, never where it lies in memory.

A description is JSON, the same in every process. Functions and classes of user code are
described by a name, which the caller gives them; their code is the caller's to follow.
"""

from __future__ import annotations

import collections
import contextvars
import copyreg
import datetime
import decimal
import enum
import fractions
import functools
import operator
import os
import pathlib
import pickle
import re
import struct
import sys
import threading
import types
import typing
import uuid
import weakref
from collections.abc import Callable
from typing import Any

from themis_lib.identity.arrays import array_parts
from themis_lib.identity.bytecode import code_identity
from themis_lib.identity.digests import digest
from themis_lib.identity.user_code import (
    is_user_class,
    is_user_code,
    is_user_module,
    users_module,
)

_PLAIN = (str, int, bool, type(None))
_BY_REPR = (
    complex,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    decimal.Decimal,
    fractions.Fraction,
    pathlib.PurePath,
    range,
    uuid.UUID,
    type(...),
    type(NotImplemented),
    typing.ForwardRef,
)
_VIEWS: tuple[Any, ...] = (type({}.keys()), type({}.values()), type({}.items()))
#: What coordinates or reports work, and cannot change a row.
_RUNTIME_MODULES = (
    "_thread",
    "threading",
    "asyncio",
    "concurrent",
    "logging",
    "multiprocessing",
)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_COLLECTIONS: tuple[Any, ...] = (
    collections.Counter,
    collections.OrderedDict,
    collections.defaultdict,
    collections.deque,
    dict,
    frozenset,
    list,
    set,
    tuple,
    types.MappingProxyType,
)
#: Longer collections of plain values are described by a digest.
_LONG = 1000


class OpaqueValueError(Exception):
    """A value that has no description, such as a connection.

    `path` are the attributes that lead to it.
    """

    def __init__(self, value: object) -> None:
        super().__init__(type(value).__name__)
        self.value = value
        self.path: list[str] = []


class Describer:
    """Describes values.

    `name_code` names a function or class of user code. Attributes that `is_secret`, and
    those that their class names in `runtime`, are left out.
    """

    def __init__(
        self,
        name_code: Callable[[Any], str],
        is_secret: Callable[[str], bool],
    ) -> None:
        self._name_code = name_code
        self._is_secret = is_secret
        self._libraries: set[str] = set()
        #: Functions that keep results, such as those of `lru_cache`.
        self.caches: list[Any] = []
        # Objects around the one that is described: a cycle refers back to them.
        self._around: dict[int, int] = {}

    @property
    def libraries(self) -> set[str]:
        """The modules of libraries that the values described so far come from."""
        return self._libraries

    def describe(self, value: Any) -> Any:
        """Return a value as JSON. Raise `OpaqueValueError` for one that tells nothing."""
        kind = type(value)
        if kind in _PLAIN:
            return _describe_plain(value)
        if kind is float:
            return ["float", repr(value)]
        if kind in (bytes, bytearray):
            return [kind.__name__, bytes(value).hex()]
        if id(value) in self._around:
            return ["again", self._around[id(value)]]
        self._around[id(value)] = len(self._around)
        try:
            return self._describe_object(value)
        except RecursionError:
            # Such as a long linked list.
            raise OpaqueValueError(value) from None
        finally:
            del self._around[id(value)]

    def _describe_object(self, value: Any) -> Any:
        for describe in (
            self._describe_code,
            self._describe_known,
            self._describe_collection,
        ):
            described = describe(value)
            if described is not None:
                return described
        parts = array_parts(value)
        if parts is not None:
            kind = [self._type_name(type(value))]
            # A subclass may hold more than an array does.
            more = [self._state(value)] if is_user_class(type(value)) else []
            return [*kind, *more, *(self.describe(part) for part in parts)]
        if _is_runtime_only(value):
            return ["runtime", type(value).__qualname__]
        if is_user_class(type(value)):
            described = ["object", self._type_name(type(value)), self._state(value)]
            content = _content(value)
            return (
                described if content is None else [*described, self.describe(content)]
            )
        return self._describe_by_reduction(value)

    def _describe_code(self, value: Any) -> Any:
        """Describe what runs: functions, classes, methods, partials, modules."""
        if isinstance(value, types.FunctionType):
            return self._describe_function(value)
        if value is os.environ:
            # What is read of it is a dependency of the rows, variable by variable.
            return ["environment"]
        if isinstance(value, type) and typing.get_origin(value) is None:
            return ["class", self._type_name(value)]
        if isinstance(value, types.ModuleType):
            value = users_module(value)
            is_user = is_user_module(value.__name__)
            return ["module", self._name_code(value) if is_user else value.__name__]
        if isinstance(value, (types.MethodType, types.BuiltinMethodType)):
            return self._describe_method(value)
        if hasattr(value, "cache_clear"):
            self.caches.append(value)
        parts = _wrapped_parts(value)
        if parts is None:
            return None
        name, *rest = parts
        described = [name, *(self.describe(part) for part in rest)]
        if is_user_class(type(value)):
            # A subclass may do more than what it wraps.
            described += [self._type_name(type(value)), self._state(value)]
        return described

    def _describe_function(self, function: types.FunctionType) -> Any:
        module = str(function.__globals__.get("__name__", ""))
        if is_user_code(function.__code__, module):
            return ["function", self._name_code(function)]
        self._libraries.add(function.__module__ or module)
        described: list[Any] = ["library", function.__module__, function.__qualname__]
        # A wrapper that a library made, around code of the user.
        for cell in function.__closure__ or ():
            try:
                described.append(self.describe(cell.cell_contents))
            except (ValueError, OpaqueValueError):
                continue
        wrapped = function.__dict__.get("__wrapped__")
        if wrapped is not None:
            described.append(self.describe(wrapped))
        return described

    def _describe_method(self, method: Any) -> Any:
        owner = method.__self__
        if isinstance(owner, types.ModuleType) or owner is None:
            module = method.__module__ or "builtins"
            self._libraries.add(module)
            return ["library", module, method.__qualname__]
        if isinstance(method, types.MethodType):
            return ["method", self.describe(owner), self.describe(method.__func__)]
        return ["method", self.describe(owner), method.__name__]

    def _describe_known(self, value: Any) -> Any:
        """Describe a value whose `repr` tells all, and those of a known structure."""
        if isinstance(value, enum.Enum):
            kind = self._type_name(type(value))
            return ["enum", kind, value.name, self.describe(value.value)]
        if typing.get_origin(value) is not None:
            parts = [typing.get_origin(value), *typing.get_args(value)]
            return ["type", *(self.describe(part) for part in parts)]
        if isinstance(value, slice):
            parts = [value.start, value.stop, value.step]
            return ["slice", *(self.describe(part) for part in parts)]
        if isinstance(value, _BY_REPR) and not is_user_class(type(value)):
            return ["value", self._type_name(type(value)), _without_address(value)]
        if isinstance(value, re.Pattern):
            return ["pattern", self.describe(value.pattern), value.flags]
        if isinstance(value, (operator.attrgetter, operator.itemgetter)):
            return ["operator", repr(value)]
        known = _known_parts(value)
        if known is None:
            return None
        return [type(value).__name__, *(self.describe(part) for part in known)]

    def _describe_collection(self, value: Any) -> Any:
        kind = type(value)
        # A subclass may show other items than it holds.
        plain = next((base for base in kind.__mro__ if base in _COLLECTIONS), None)
        if plain is None:
            return None
        items = self._describe_items(plain, value)
        if len(items) > _LONG:
            items = [len(items), digest("values", items)]
        if kind is plain:
            factory = getattr(value, "default_factory", None)
            more = [] if factory is None else [self.describe(factory)]
            more += [value.maxlen] if plain is collections.deque else []
            return [kind.__name__, items, *more]
        return [self._type_name(kind), items, self._state(value)]

    def _describe_items(self, plain: Any, value: Any) -> list[Any]:
        """Describe what a collection of a plain type holds; sets are sorted."""
        if issubclass(plain, (dict, types.MappingProxyType)):
            # In their order: a component may depend on it.
            return [
                [self.describe(key), self.describe(item)]
                for key, item in plain.items(value)
            ]
        items = list(plain.__iter__(value))
        # Most tables hold texts: a call for each would take most of the time.
        if not all(type(item) is str and item.isascii() for item in items):
            if issubclass(plain, (set, frozenset)):
                # Functions of one name are numbered in the order they are described.
                items.sort(key=_place_of_code)
            items = [self.describe(item) for item in items]
        if issubclass(plain, (set, frozenset)):
            items.sort(key=repr)
        return items

    def _describe_by_reduction(self, value: Any) -> Any:
        """Describe an object of a library by what it is copied from."""
        self._libraries.add(str(type(value).__module__))
        if hasattr(value, "__next__"):
            raise OpaqueValueError(value)
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            reduced = reduce(value) if reduce else value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001 - a library's object may raise anything
            raise OpaqueValueError(value) from None
        if isinstance(reduced, str):
            module = pickle.whichmodule(value, reduced)  # type: ignore[attr-defined]
            # Functions that numpy made of a user's have a name that leads nowhere.
            if getattr(sys.modules.get(module), reduced, None) is not value:
                raise OpaqueValueError(value)
            return ["library", module, reduced]
        described: list[Any] = ["object"]
        for part in reduced[:3]:
            described.append(self.describe(part))
        # Items of a list and of a mapping come as iterators.
        for part in reduced[3:5]:
            described.append(None if part is None else self.describe(list(part)))
        return described

    def _state(self, value: Any) -> Any:
        """Describe what an object of a user's class holds, attribute by attribute."""
        left_out = getattr(type(value), "runtime", ())
        described = []
        for name, item in attributes_of(value).items():
            if name in left_out or self._is_secret(name):
                continue
            try:
                described.append([name, self.describe(item)])
            except OpaqueValueError as error:
                error.path.insert(0, name)
                raise
        return described

    def _type_name(self, kind: type) -> str:
        if is_user_class(kind):
            return self._name_code(kind)
        module: object = kind.__module__
        if isinstance(module, str):
            self._libraries.add(module)
        return f"{module if isinstance(module, str) else ''}.{kind.__qualname__}"


def attributes_of(value: Any) -> dict[str, Any]:
    """Return what an object holds, by name and sorted: `__dict__` and `__slots__`.

    Results that a `cached_property` holds are left out.
    """
    held: dict[str, Any] = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        for name in _slot_names(kind):
            if hasattr(value, name):
                held[name] = getattr(value, name)
    for name in ("__pydantic_private__", "__pydantic_extra__"):
        if getattr(value, name, None):
            held[name] = getattr(value, name)
    # Which fields were given and which defaulted changes no field.
    held.pop("__pydantic_fields_set__", None)
    for name in list(held):
        if isinstance(getattr(type(value), name, None), functools.cached_property):
            del held[name]
    return dict(sorted(held.items()))


def _slot_names(kind: type) -> list[str]:
    slots = kind.__dict__.get("__slots__", ())
    names = []
    for name in (slots,) if isinstance(slots, str) else slots:
        if name in ("__dict__", "__weakref__"):
            continue
        # A private name bears the name of its class.
        is_private = name.startswith("__") and not name.endswith("__")
        names.append(f"_{kind.__name__.lstrip('_')}{name}" if is_private else name)
    return names


def _wrapped_parts(value: Any) -> list[Any] | None:
    """Return the kind of a wrapper around functions, and what it wraps."""
    kind = type(value).__qualname__
    if isinstance(value, (staticmethod, classmethod)):
        return [kind, value.__func__]
    if isinstance(value, property):
        # A docstring that is not that of its function was given as a value.
        inherits = value.__doc__ == getattr(value.fget, "__doc__", None)
        doc = None if inherits else value.__doc__
        return ["property", value.fget, value.fset, value.fdel, doc]
    if isinstance(value, functools.cached_property):
        return ["cached_property", value.func]
    if isinstance(value, (functools.partial, functools.partialmethod)):
        held = [] if is_user_class(type(value)) else [getattr(value, "__dict__", {})]
        return ["partial", value.func, value.args, value.keywords, *held]
    wrapped = getattr(value, "__wrapped__", None)
    # What `lru_cache` and the like hold back is a copy of results.
    if wrapped is not None and callable(value) and not is_user_class(type(value)):
        return ["wrapper", kind, wrapped]
    return None


def _known_parts(value: Any) -> list[Any] | None:
    """Return what a value of the standard library or of pydantic is made from."""
    if type(value).__module__ == "pydantic.type_adapter":
        # Its schema names types by their place in memory.
        return [value._type, value._config]
    if is_user_class(type(value)):
        return None
    for kinds, parts in _PARTS:
        if isinstance(value, kinds):
            return parts(value)
    return None


def _variable_parts(variable: contextvars.ContextVar[Any]) -> list[Any]:
    try:
        return [variable.name, variable.get()]
    except LookupError:
        return [variable.name]


#: What values are made from that tell nothing by their attributes.
_PARTS: tuple[tuple[Any, Callable[[Any], list[Any]]], ...] = (
    (memoryview, lambda view: [view.format, list(view.shape or ()), view.tobytes()]),
    (_VIEWS, lambda view: [list(view)]),
    (struct.Struct, lambda packed: [packed.format]),
    (types.CodeType, lambda code: [code_identity(code, None)]),
    (typing.TypeVar, lambda of: [repr(of), of.__bound__, of.__constraints__]),
    (contextvars.ContextVar, _variable_parts),
    # What this thread sees of it.
    (threading.local, lambda held: [dict(vars(held))]),
    (weakref.ref, lambda reference: [reference()]),
    (weakref.WeakKeyDictionary, lambda mapping: [list(mapping.items())]),
    (weakref.WeakValueDictionary, lambda mapping: [list(mapping.items())]),
    (weakref.WeakSet, lambda members: [set(members)]),
)


def _content(value: Any) -> Any:
    """Return what an object of a user's class holds as one of a type written in C.

    `None` if it holds nothing but its attributes.
    """
    base: Any = next(kind for kind in type(value).__mro__ if not is_user_class(kind))
    if hasattr(base, "__getnewargs__"):
        # Text and numbers.
        return base.__getnewargs__(value)
    is_plain = (
        base.__reduce_ex__ is object.__reduce_ex__
        and base.__reduce__ is object.__reduce__
    )
    if is_plain:
        return None
    try:
        reduced = base.__reduce_ex__(value, 4)
    except Exception:  # noqa: BLE001 - a library's object may raise anything
        raise OpaqueValueError(value) from None
    return list(reduced[1:2]) if isinstance(reduced, tuple) else reduced


def _place_of_code(value: Any) -> list[str]:
    code = getattr(value, "__code__", None)
    names = [str(getattr(value, "__module__", "")), getattr(value, "__qualname__", "")]
    return [*names, str(list(code.co_positions())[:1]) if code is not None else ""]


def _describe_plain(value: Any) -> Any:
    if not isinstance(value, str) or value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, which no JSON text can hold.
        return ["text", value.encode("utf-8", "surrogatepass").hex()]
    return value


def _is_runtime_only(value: Any) -> bool:
    return str(type(value).__module__).partition(".")[0] in _RUNTIME_MODULES


def _without_address(value: Any) -> str:
    return _ADDRESS.sub("", repr(value))
