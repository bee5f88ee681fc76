"""Code as identity: everything that a component's code can reach, by name.

From a component, every definition of user code that it names is followed, through any
number of modules, as it is in this process: its class and all its bases, what wraps
them, their closures and defaults, the functions and classes that they name. What these
read (constants, tables, attributes) is taken by value, when the experiment is compiled.

Comments, docstrings and layout are left out, and so is what is not reached. Where the
code looks names up that its source does not show, the whole module is reached.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import (
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    ModuleType,
)
from typing import Any
from weakref import WeakKeyDictionary

from themis_lib.identity.bytecode import captured, code_identity
from themis_lib.identity.digests import digest
from themis_lib.identity.sources import module_tree, node_of, tree_text
from themis_lib.identity.usage import Usage, usage_of
from themis_lib.identity.user_code import (
    distribution_of,
    is_user_code,
    is_user_module,
    user_module,
)
from themis_lib.identity.values import (
    Describer,
    OpaqueValueError,
)

Definition = type | FunctionType
#: What `class` statements and decorators of the standard library add to a class.
_ADDED = {
    "__abstractmethods__",
    "__annotate__",
    "__annotations__",
    "__annotate_func__",
    "__annotations_cache__",
    "__dataclass_params__",
    "__dict__",
    "__doc__",
    "__firstlineno__",
    "__match_args__",
    "__module__",
    "__non_callable_proto_members__",
    "__orig_bases__",
    "__parameters__",
    "__protocol_attrs__",
    "__qualname__",
    "__signature__",
    "__static_attributes__",
    "__weakref__",
    "_abc_impl",
    "_is_protocol",
    "_is_runtime_protocol",
}
#: Methods that `dataclass` generates from the fields, which are described themselves.
_GENERATED = {
    "__delattr__",
    "__eq__",
    "__ge__",
    "__getstate__",
    "__gt__",
    "__hash__",
    "__init__",
    "__le__",
    "__lt__",
    "__replace__",
    "__repr__",
    "__setattr__",
    "__setstate__",
}
#: What a notebook keeps of its own among the names of its cells.
_HISTORY = re.compile(r"In|Out|_+|_i+|_i?\d+|_[dio]h|exit|quit|get_ipython|open")
#: Libraries whose settings change no row: where modules are found, what is reported.
_HARMLESS = {"sys", "logging", "warnings", "asyncio", "themis_lib", "pytest"}
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_MISSING = object()

#: Calls whose result no seed decides: (module, name).
_CHANCE = {
    ("time", "time"): "the clock (time.time)",
    ("time", "time_ns"): "the clock (time.time_ns)",
    ("time", "monotonic"): "the clock (time.monotonic)",
    ("time", "perf_counter"): "the clock (time.perf_counter)",
    ("datetime", "now"): "the clock (datetime.now)",
    ("datetime", "utcnow"): "the clock (datetime.utcnow)",
    ("datetime", "today"): "the clock (datetime.today)",
    ("date", "today"): "the clock (date.today)",
    ("uuid", "uuid1"): "randomness (uuid.uuid1)",
    ("uuid", "uuid4"): "randomness (uuid.uuid4)",
    ("os", "urandom"): "randomness (os.urandom)",
}
_DRAWS = {"random", "randint", "choice", "choices", "sample", "shuffle", "uniform"}
_NETWORK = {"requests", "httpx", "urllib", "aiohttp", "socket", "openai"}


@dataclass(frozen=True)
class CodeIdentity:
    """What a component's code covers.

    `definitions` and `values` are digests by name (`helpers.normalise`); `places` says
    in which file and line a definition is. `libraries` are the versions of the
    distributions that it uses. `variables` are the environment variables that it reads.
    `caches` are functions that keep their results. `uncovered` are values that no
    digest covers, with the reason, and `chance` what the code uses that is not the same
    every time.
    """

    definitions: Mapping[str, str]
    values: Mapping[str, str]
    libraries: Mapping[str, str]
    variables: tuple[str, ...]
    places: Mapping[str, str]
    uncovered: Mapping[str, str]
    opaque: Mapping[str, str]
    chance: tuple[str, ...]
    caches: tuple[Any, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The one digest of definitions and values."""
        return digest("code", self.to_json())

    def clear_caches(self) -> None:
        """Have every cached function that is reached compute anew."""
        for cache in self.caches:
            cache.cache_clear()

    def to_json(self) -> dict[str, Any]:
        """Return what decides whether rows are computed again, libraries apart."""
        return {
            "definitions": dict(sorted(self.definitions.items())),
            "values": dict(sorted(self.values.items())),
        }


def code_digest(definition: Any) -> str:
    """Return the digest of a class, function or object and of all that it reaches.

    Falls back to bytecode where there is no source (code typed into an interpreter).
    """
    return code_identity_of(definition).digest


def code_identity_of(
    root: Any,
    *,
    values: Mapping[str, Mapping[str, Any]] | None = None,
    left_out: Iterable[str] = (),
    is_secret: Callable[[str], bool] = lambda _: False,
) -> CodeIdentity:
    """Return what the code of a root reaches.

    `root` is a class, a function, or any value that holds them. `values` are
    what the root's code reads beside it, by kind ("attribute") and name. Names in
    `left_out` cannot change a result, nor can those that `is_secret`.
    """
    walk = _Walk(frozenset(left_out), is_secret)
    walk.add_value("itself", root)
    for kind, named in (values or {}).items():
        for name, value in named.items():
            walk.add_slot(f"{kind} {name}", name, value)
    walk.follow()
    return walk.result()


@dataclass
class _Slot:
    """A value that code reads under a name."""

    name: str
    described: Any
    opaque: str | None = None
    is_optional: bool = False


@dataclass
class _Walk:
    """The definitions and values reached so far."""

    left_out: frozenset[str]
    is_secret: Callable[[str], bool]
    definitions: dict[str, Any] = field(default_factory=dict)
    slots: dict[str, _Slot] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    uncovered: dict[str, str] = field(default_factory=dict)
    usages: list[Usage] = field(default_factory=list)
    chance: set[str] = field(default_factory=set)
    libraries: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._waiting: list[tuple[Any, str]] = []
        self._labels: dict[int, str] = {}
        self._named: dict[str, int] = {}
        self._kept: list[Any] = []  # so that no two objects have one id
        self._whole: set[str] = set()
        self._modules: set[str] = set()
        self._docs: dict[str, str] = {}
        self._describer = Describer(self._name_code, self.is_secret)

    def follow(self) -> None:
        """Visit what waits, and what is found on the way."""
        while self._waiting:
            item, label = self._waiting.pop(0)
            if isinstance(item, FunctionType):
                self._visit_function(item, label)
            else:
                self._visit_class(item, label)

    def add_value(self, label: str, value: Any) -> None:
        """Take a value that is always read."""
        try:
            described = self._describer.describe(value)
        except OpaqueValueError as error:
            place = ".".join(error.path) or label
            self.slots[place] = _Slot("", None, type(error.value).__name__)
            return
        self.slots[label] = _Slot("", described)

    def add_slot(
        self,
        label: str,
        name: str,
        value: Any,
        *,
        is_optional: bool = False,
    ) -> None:
        """Take a value that is read under a name, unless it cannot change a result."""
        if label in self.slots or label in self.uncovered:
            return
        if name in self.left_out:
            self.uncovered[label] = "named in `runtime`"
            return
        if self.is_secret(name):
            self.uncovered[label] = "a credential"
            return
        try:
            described = self._describer.describe(value)
        except OpaqueValueError as error:
            opaque = type(error.value).__name__
            self.slots[label] = _Slot(name, None, opaque, is_optional)
            return
        is_own_name = described in (["function", label], ["class", label])
        if not is_own_name:
            self.slots[label] = _Slot(name, described, None, is_optional)

    def result(self) -> CodeIdentity:
        """Return what was found, without values that are only written."""
        changed: set[str] = set()
        read: set[str] = set()
        variables: set[str] = set()
        for usage in self.usages:
            changed |= usage.changed
            read |= usage.read
            variables |= usage.variables
        only_written = changed - read
        if any(usage.reads_whole_objects for usage in self.usages):
            only_written.clear()
        values: dict[str, str] = {}
        opaque: dict[str, str] = {}
        for label, slot in self.slots.items():
            if slot.name in only_written:
                self.uncovered[label] = "written and never read, such as a counter"
            elif slot.opaque is None:
                values[label] = digest("value", slot.described)
            elif not slot.is_optional:
                opaque[label] = slot.opaque
        definitions = dict(self.definitions)
        if any(usage.reads_docstrings for usage in self.usages):
            definitions.update(self._docs)
        return CodeIdentity(
            definitions={
                name: digest("definition", item) for name, item in definitions.items()
            },
            values=values,
            libraries=self._versions(),
            variables=tuple(sorted(variables)),
            places=self.places,
            uncovered=self.uncovered,
            opaque=opaque,
            chance=tuple(sorted(self.chance)),
            caches=tuple(self._describer.caches),
        )

    def _versions(self) -> dict[str, str]:
        versions = {}
        for module in self.libraries | self._describer.libraries:
            found = distribution_of(module)
            if found is not None:
                versions[found[0]] = found[1]
        return dict(sorted(versions.items()))

    def _name_code(self, item: Any) -> str:
        """Return the label of a function or class, and visit it in its turn."""
        label = self._labels.get(id(item))
        if label is not None:
            return label
        module = getattr(item, "__module__", None) or ""
        label = f"{module}.{item.__qualname__}"
        # Functions of one factory share their name.
        self._named[label] = self._named.get(label, 0) + 1
        if self._named[label] > 1:
            label = f"{label}~{self._named[label]}"
        self._labels[id(item)] = label
        self._kept.append(item)
        self._waiting.append((item, label))
        return label

    # -- functions --

    def _visit_function(self, function: FunctionType, label: str) -> None:
        code = function.__code__
        self.definitions[label] = _function_text(function)
        self._docs[f"{label} (docstring)"] = repr(function.__doc__)
        self.places[label] = f"{code.co_filename}:{code.co_firstlineno}"
        usage = usage_of(code)
        self.usages.append(usage)
        module = str(function.__globals__.get("__name__", ""))
        self._note_module(module)
        enclosed = self._take_captured(function, label)
        for level, name, names in sorted(usage.imports):
            self._follow_import(function, level, name, names)
        global_names = _global_names(function)
        for chain in sorted(usage.chains):
            if chain[0] in enclosed:
                # Its value was taken above; a module is read by name.
                if isinstance(enclosed[chain[0]], ModuleType):
                    self._follow_chain(label, enclosed, chain)
            elif chain[0] in usage.bound:
                self._follow_bound(function, usage.bound[chain[0]], chain)
            elif chain[0] in global_names:
                self._follow_chain(module, function.__globals__, chain)
        if usage.is_dynamic:
            self._visit_module(module, function.__globals__)

    def _take_captured(
        self,
        function: FunctionType,
        label: str,
    ) -> dict[str, Any]:
        """Take a function's defaults, attributes and enclosed values; return the last."""
        enclosed: dict[str, Any] = {}
        for name, value in captured(function):
            if name in function.__code__.co_freevars:
                enclosed[name] = value
            if not isinstance(value, ModuleType):
                self.add_slot(f"{label}({name})", name, value)
        for name, value in function.__dict__.items():
            self.add_slot(f"{label}.{name}", name, value)
        return enclosed

    def _follow_chain(
        self,
        holder: str,
        names: Mapping[str, Any],
        chain: tuple[str, ...],
    ) -> None:
        """Follow a dotted name from the names of a module."""
        value = names.get(chain[0], _MISSING)
        if value is _MISSING:
            return
        if not isinstance(value, ModuleType):
            self._note_chance(value, chain)
            self.add_slot(f"{holder}.{chain[0]}", chain[0], value)
            return
        self._follow_module(value, chain[1:])

    def _follow_module(self, module: ModuleType, rest: tuple[str, ...]) -> None:
        name = module.__name__
        if not is_user_module(name):
            self.libraries.add(name)
            self._note_library_call(name, rest)
            return
        self._note_module(name)
        if not rest:
            # It is handed on, and anything in it may be read.
            self._visit_module(name, vars(module))
        elif rest[0] in vars(module):
            self._follow_chain(name, vars(module), rest)
        elif isinstance(sub := sys.modules.get(f"{name}.{rest[0]}"), ModuleType):
            self._follow_module(sub, rest[1:])
        elif "__getattr__" in vars(module):
            self._visit_module(name, vars(module))

    def _follow_import(
        self,
        function: FunctionType,
        level: int,
        name: str,
        names: tuple[str, ...],
    ) -> None:
        """Follow an import inside a function. `("*",)` is a name that is not shown."""
        absolute = _absolute_name(function, level, name)
        module = user_module(absolute)
        if module is None:
            self.libraries.add(absolute)
            return
        self._note_module(absolute)
        for item in names:
            if item == "*":
                self._visit_module(absolute, vars(module))
            elif item in vars(module):
                self._follow_chain(absolute, vars(module), (item,))
            else:
                submodule = user_module(f"{absolute}.{item}")
                if submodule is not None:
                    self._note_module(submodule.__name__)

    def _follow_bound(
        self,
        function: FunctionType,
        bound: tuple[int, str, str],
        chain: tuple[str, ...],
    ) -> None:
        """Follow a name that an import inside a function binds."""
        level, name, item = bound
        absolute = _absolute_name(function, level, name)
        if item and user_module(f"{absolute}.{item}") is not None:
            absolute, item = f"{absolute}.{item}", ""
        module = user_module(absolute)
        if module is None:
            self.libraries.add(absolute)
            self._note_library_call(absolute, (*([item] if item else []), *chain[1:]))
        elif item:
            self._follow_chain(absolute, vars(module), (item, *chain[1:]))
        else:
            self._follow_module(module, chain[1:])

    # -- classes --

    def _visit_class(self, kind: type, label: str) -> None:
        bases: list[Any] = []
        for base in kind.__mro__[1:]:
            if is_user_module(base.__module__):
                bases.append(self._name_code(base))
            else:
                self.libraries.add(base.__module__)
                bases.append(_library_class(base))
        meta = type(kind)
        described: dict[str, Any] = {"bases": bases}
        if is_user_module(meta.__module__):
            described["metaclass"] = self._name_code(meta)
        described["annotations"] = _annotations(kind)
        described["members"] = sorted(_member_kinds(kind))
        self.definitions[label] = described
        self._docs[f"{label} (docstring)"] = repr(kind.__doc__)
        self.places[label] = _place_of_class(kind)
        self._note_module(kind.__module__)
        for name, value in _members(kind):
            # A class may hold anything that libraries put there, such as a registry.
            self.add_slot(
                f"{label}.{name}",
                name,
                value,
                is_optional=not is_user_module(kind.__module__),
            )

    # -- modules --

    def _visit_module(self, name: str, names: Mapping[str, Any]) -> None:
        """Take a module as a whole: its text, and everything that it holds."""
        if name in self._whole:
            return
        self._whole.add(name)
        file = names.get("__file__")
        tree = module_tree(str(file)) if file else None
        if tree is not None:
            self.definitions[f"module {name}"] = tree_text(tree)
            self.places[f"module {name}"] = f"{file}:1"
        for item in sorted(names):
            is_own = item.startswith("__") and item.endswith("__")
            if is_own or (tree is None and _HISTORY.fullmatch(item)):
                continue
            value = names[item]
            if isinstance(value, ModuleType):
                continue
            self.add_slot(f"{name}.{item}", item, value, is_optional=True)

    def _note_module(self, name: str) -> None:
        """Take the settings of libraries that a module makes when it is imported."""
        if name in self._modules:
            return
        self._modules.add(name)
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if module is None or file is None or not is_user_module(name):
            return
        tree = module_tree(str(file))
        if tree is None:
            return
        texts = [
            tree_text(statement)
            for statement in _statements(tree.body)
            if _sets_library(statement, vars(module))
        ]
        if texts:
            self.definitions[f"{name} (settings of libraries)"] = texts
            self.places[f"{name} (settings of libraries)"] = f"{file}:1"

    # -- chance --

    def _note_library_call(self, module: str, rest: tuple[str, ...]) -> None:
        top = module.partition(".")[0]
        for name in rest[:2]:
            what = _CHANCE.get((top, name))
            if what is not None:
                self.chance.add(what)
            if top in ("random", "secrets") and name in _DRAWS:
                self.chance.add(f"randomness ({top}.{name})")
            if (top, rest[0]) == ("numpy", "random") and name in _DRAWS:
                self.chance.add(f"randomness (numpy.random.{name})")
        if top in _NETWORK:
            self.chance.add(f"the network ({top})")

    def _note_chance(self, value: Any, chain: tuple[str, ...]) -> None:
        """Note a clock or a draw that is called by a name imported on its own."""
        module = getattr(value, "__module__", None)
        name = getattr(value, "__name__", "")
        if module is None:
            owner = getattr(value, "__self__", None)
            module = type(owner).__module__ if owner is not None else ""
        if isinstance(value, type) and module == "datetime":
            for part in chain[1:2]:
                if (name, part) in _CHANCE:
                    self.chance.add(_CHANCE[name, part])
        elif isinstance(module, str) and not is_user_module(module):
            self._note_library_call(module, (name,))


# Process-wide: the text of each function that was reached, for as long as it lives.
_TEXTS: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def _function_text(function: FunctionType) -> Any:
    """Return a function's source without docstrings and comments, else its bytecode."""
    code = function.__code__
    if code in _TEXTS:
        return _TEXTS[code]
    node = node_of(code)
    text: Any
    if node is not None:
        text = tree_text(node)
    else:
        text = code_identity(code, function.__doc__)
    _TEXTS[code] = text
    return text


def _global_names(function: FunctionType) -> set[str]:
    names: set[str] = set()
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        names.update(code.co_names)
        waiting += [item for item in code.co_consts if isinstance(item, type(code))]
    return names


def _absolute_name(function: FunctionType, level: int, name: str) -> str:
    if not level:
        return name
    package = function.__globals__.get("__package__")
    if not package:
        package = str(function.__globals__.get("__name__", "")).rpartition(".")[0]
    parts = str(package).split(".")
    base = ".".join(parts[: len(parts) - level + 1])
    return f"{base}.{name}" if name else base


def _members(kind: type) -> list[tuple[str, Any]]:
    """Return what a class holds that its author wrote, by name."""
    if issubclass(kind, enum.Enum):
        return _enum_members(kind)
    fields = kind.__dict__.get("__dataclass_fields__")
    is_in_file = getattr(sys.modules.get(kind.__module__), "__file__", None) is not None
    found: list[tuple[str, Any]] = []
    for name, value in kind.__dict__.items():
        if name in _ADDED or name.startswith(("__pydantic", "__private_attributes")):
            continue
        if name in ("model_fields", "model_computed_fields", "__class_vars__"):
            continue
        if isinstance(value, (MemberDescriptorType, GetSetDescriptorType)):
            continue
        if type(value).__name__ == "_tuplegetter":
            continue
        if fields is not None and name == "__dataclass_fields__":
            continue
        is_generated = (
            fields is not None
            and is_in_file
            and name in _GENERATED
            and isinstance(value, FunctionType)
            and _is_generated(value)
        )
        if is_generated or (name in _GENERATED and value is None):
            continue
        found.append((name, value))
    found += _field_defaults(kind, fields)
    return found


def _is_generated(method: FunctionType) -> bool:
    file = method.__code__.co_filename
    return file.startswith("<") or not is_user_code(method.__code__, method.__module__)


def _field_defaults(kind: type, fields: Any) -> list[tuple[str, Any]]:
    """Return how fields of dataclasses and pydantic models come by their defaults."""
    found = []
    for name, item in (fields or {}).items():
        if item.default_factory is not dataclasses.MISSING:
            found.append((f"{name} (default_factory)", item.default_factory))
    for name, item in (kind.__dict__.get("__pydantic_fields__") or {}).items():
        if item.default_factory is not None:
            found.append((f"{name} (default_factory)", item.default_factory))
        elif not item.is_required():
            found.append((f"{name} (default)", item.default))
    return found


def _enum_members(kind: type[enum.Enum]) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [
        (name, member.value) for name, member in kind.__members__.items()
    ]
    for name, value in kind.__dict__.items():
        is_method = isinstance(value, (FunctionType, property, classmethod))
        if is_method and is_user_module(kind.__module__):
            function = getattr(value, "fget", getattr(value, "__func__", value))
            file = getattr(getattr(function, "__code__", None), "co_filename", "")
            module = str(getattr(function, "__module__", ""))
            if file and is_user_code(function.__code__, module):
                found.append((name, value))
    return found


def _member_kinds(kind: type) -> list[str]:
    return [f"{name}: {type(value).__name__}" for name, value in _members(kind)]


def _annotations(kind: type) -> list[list[str]]:
    described = []
    for name, item in inspect.get_annotations(kind).items():
        text = item if isinstance(item, str) else _ADDRESS.sub("", repr(item))
        described.append([name, text])
    return described


def _library_class(kind: type) -> list[str]:
    named = [f"{kind.__module__}.{kind.__qualname__}"]
    # A component of this library: its declared version stands for its code.
    if kind.__module__.startswith("themis_lib.") and "version" in kind.__dict__:
        named.append(str(kind.__dict__["version"]))
    return named


def _place_of_class(kind: type) -> str:
    """Return the file and line of a class, by its first method; else its file."""
    lines = [
        value.__code__.co_firstlineno
        for value in kind.__dict__.values()
        if isinstance(value, FunctionType)
        and not value.__code__.co_filename.startswith("<")
    ]
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None) or kind.__module__
    tree = module_tree(str(file))
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__:
            return f"{file}:{node.lineno}"
    return f"{file}:{min(lines, default=1)}"


def _statements(body: Iterable[ast.stmt]) -> list[ast.stmt]:
    """Return the simple statements of a module, those in its blocks included."""
    found: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, (ast.If, ast.For, ast.While, ast.Try, ast.With)):
            if _is_main_guard(statement):
                continue
            for block in ("body", "orelse", "finalbody"):
                found += _statements(getattr(statement, block, []))
            for handler in getattr(statement, "handlers", []):
                found += _statements(handler.body)
        else:
            found.append(statement)
    return found


def _is_main_guard(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.If):
        return False
    return "__name__" in {
        node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)
    }


def _sets_library(statement: ast.stmt, names: Mapping[str, Any]) -> bool:
    """Return whether a statement changes a library, such as a context or a locale."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        target: ast.expr = statement.value.func
    elif isinstance(statement, (ast.Assign, ast.AugAssign)):
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        target = targets[0]
        if isinstance(target, ast.Name):
            return False
    else:
        return False
    while isinstance(target, (ast.Attribute, ast.Subscript, ast.Call)):
        target = target.func if isinstance(target, ast.Call) else target.value
    if not isinstance(target, ast.Name):
        return False
    value = names.get(target.id)
    if isinstance(value, ModuleType):
        module = value.__name__
    elif isinstance(value, type) or callable(value):
        module = getattr(value, "__module__", None) or ""
    else:
        return False
    top = module.partition(".")[0]
    return bool(top) and top not in _HARMLESS and not is_user_module(module)
