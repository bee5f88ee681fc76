"""Values by their structure: what a value says, never where it lies in memory.

A description is JSON, the same in every process. Functions and classes of user code are
described by a name, which the caller gives them; their code is the caller's to follow.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import operator
import pathlib
import re
import sys
import types
import typing
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from themis_lib.identity.digests import digest
from themis_lib.identity.user_code import is_user_code, is_user_module

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
    slice,
    uuid.UUID,
    type(...),
    type(NotImplemented),
    typing.TypeVar,
    types.GenericAlias,
    types.UnionType,
)
#: What coordinates or reports work, and cannot change a row.
_RUNTIME_MODULES = (
    "_thread",
    "threading",
    "asyncio",
    "concurrent",
    "logging",
    "weakref",
    "_weakref",
    "_contextvars",
    "multiprocessing",
)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
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
        finally:
            del self._around[id(value)]

    def _describe_object(self, value: Any) -> Any:
        for describe in (
            self._describe_code,
            self._describe_known,
            self._describe_collection,
            self._describe_array,
        ):
            described = describe(value)
            if described is not None:
                return described
        if _is_runtime_only(value):
            return ["runtime", type(value).__qualname__]
        if is_user_module(type(value).__module__):
            return ["object", self._type_name(type(value)), self._state(value)]
        return self._describe_by_reduction(value)

    def _describe_code(self, value: Any) -> Any:
        """Describe what runs: functions, classes, methods, partials, modules."""
        if isinstance(value, types.FunctionType):
            return self._describe_function(value)
        if isinstance(value, type):
            return ["class", self._type_name(value)]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        if isinstance(value, (types.MethodType, types.BuiltinMethodType)):
            return self._describe_method(value)
        if isinstance(value, (staticmethod, classmethod)):
            return [type(value).__name__, self.describe(value.__func__)]
        if isinstance(value, property):
            accessors = (value.fget, value.fset, value.fdel)
            return ["property", *(self.describe(item) for item in accessors)]
        if isinstance(value, functools.cached_property):
            return ["cached_property", self.describe(value.func)]
        if isinstance(value, (functools.partial, functools.partialmethod)):
            parts = (value.func, value.args, value.keywords)
            return ["partial", *(self.describe(item) for item in parts)]
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is not None and callable(value):
            # `lru_cache` and the like: what they hold back is a copy of results.
            if hasattr(value, "cache_clear"):
                self.caches.append(value)
            return ["wrapper", type(value).__qualname__, self.describe(wrapped)]
        return None

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
            return ["enum", self._type_name(type(value)), value.name]
        if isinstance(value, _BY_REPR):
            return ["value", self._type_name(type(value)), _without_address(value)]
        if isinstance(value, re.Pattern):
            return ["pattern", self.describe(value.pattern), value.flags]
        if isinstance(value, (operator.attrgetter, operator.itemgetter)):
            return ["operator", repr(value)]
        if typing.get_origin(value) is not None:
            return ["type", _without_address(value)]
        if isinstance(value, dataclasses.Field):
            return ["field", _without_address(value)]
        return None

    def _describe_collection(self, value: Any) -> Any:
        kind = type(value)
        if isinstance(value, (list, tuple, collections.deque)):
            items = self._describe_items(value)
        elif isinstance(value, (set, frozenset)):
            items = sorted(self._describe_items(value), key=repr)
        elif isinstance(value, (dict, types.MappingProxyType)):
            # In their order: a component may depend on it.
            items = [
                [self.describe(key), self.describe(item)] for key, item in value.items()
            ]
        else:
            return None
        if len(items) > _LONG:
            items = [len(items), digest("values", items)]
        if kind.__module__ in ("builtins", "collections"):
            more = [self.describe(getattr(value, "default_factory", None))]
            return [kind.__name__, items, *(more if more != [None] else [])]
        described = [self._type_name(kind), items]
        if getattr(value, "__dict__", None):
            described.append(self.describe(value.__dict__))
        return described

    def _describe_items(self, values: Iterable[Any]) -> list[Any]:
        items = list(values)
        # Most tables hold texts: a call for each would take most of the time.
        if all(type(item) is str and item.isascii() for item in items):
            return items
        return [self.describe(item) for item in items]

    def _describe_array(self, value: Any) -> Any:
        """Describe arrays and tables; a library that is not loaded has made none."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
            if value.dtype.hasobject:
                return ["array", str(value.dtype), self.describe(value.tolist())]
            content = numpy.ascontiguousarray(value).tobytes().hex()
            return [
                "array",
                str(value.dtype),
                list(value.shape),
                digest("array", content),
            ]
        pandas = sys.modules.get("pandas")
        if pandas is not None and isinstance(value, pandas.DataFrame):
            columns = [self.describe(value[name]) for name in value.columns]
            return ["frame", self.describe(list(value.columns)), columns]
        if pandas is not None and isinstance(value, (pandas.Series, pandas.Index)):
            index = getattr(value, "index", None)
            described = ["series", str(value.dtype), self.describe(value.tolist())]
            if isinstance(index, pandas.Index):
                described.append(self.describe(index))
            return described
        arrow = sys.modules.get("pyarrow")
        if arrow is not None and isinstance(
            value, (arrow.Table, arrow.RecordBatch, arrow.Array, arrow.ChunkedArray)
        ):
            kind = getattr(value, "schema", getattr(value, "type", None))
            return ["arrow", str(kind), self.describe(value.to_pylist())]
        return None

    def _describe_by_reduction(self, value: Any) -> Any:
        """Describe an object of a library by what it is copied from."""
        self._libraries.add(type(value).__module__)
        if hasattr(value, "__next__"):
            raise OpaqueValueError(value)
        try:
            reduced = value.__reduce_ex__(4)
        except Exception:  # noqa: BLE001 - a library's object may raise anything
            raise OpaqueValueError(value) from None
        if isinstance(reduced, str):
            return ["library", type(value).__module__, reduced]
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
        if is_user_module(kind.__module__):
            return self._name_code(kind)
        self._libraries.add(kind.__module__)
        return f"{kind.__module__}.{kind.__qualname__}"


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


def is_changeable(value: Any) -> bool:
    """Return whether a value can change while it keeps its name."""
    if isinstance(value, (*_PLAIN, float, bytes, *_BY_REPR, enum.Enum, re.Pattern)):
        return False
    if isinstance(value, (types.FunctionType, types.BuiltinFunctionType, type)):
        return False
    if isinstance(value, (tuple, frozenset)):
        return any(is_changeable(item) for item in value)
    return True


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
    return type(value).__module__.partition(".")[0] in _RUNTIME_MODULES


def _without_address(value: Any) -> str:
    return _ADDRESS.sub("", repr(value))
