"""The walk from a component through every definition of user code that it reaches."""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from themis_lib.identity.bytecode import captured, code_identity
from themis_lib.identity.chance import chance_in_call, chance_in_name
from themis_lib.identity.covered import CodeIdentity
from themis_lib.identity.environment import is_environment, is_reader_name
from themis_lib.identity.found import Found, Slot
from themis_lib.identity.library_settings import library_settings
from themis_lib.identity.members import (
    annotated_names,
    annotations_of,
    library_class,
    members_of,
    patched_members,
    place_of_class,
)
from themis_lib.identity.sources import (
    module_tree,
    neighbours,
    node_of,
    tree_text,
    without_defaults,
)
from themis_lib.identity.usage import Usage, usage_of, usage_of_tree
from themis_lib.identity.user_code import (
    is_user_class,
    is_user_module,
    user_module,
    users_module,
    users_own,
    without_alias,
)
from themis_lib.identity.values import Describer, OpaqueValueError

#: What a notebook keeps of its own among the names of its cells.
_HISTORY = re.compile(r"In|Out|_+|_i+|_i?\d+|_[dio]h|exit|quit|get_ipython|open")
_MISSING = object()
#: Types whose objects take a change and do nothing else: counters, logs, caches.
_COUNTED = {
    int,
    float,
    str,
    bool,
    type(None),
    list,
    dict,
    set,
    deque,
    Counter,
    defaultdict,
}


class Walk:
    """The definitions and values that are reached from a root.

    Names in `left_out` cannot change a result, nor can those that `is_secret`.
    """

    def __init__(
        self,
        left_out: frozenset[str] = frozenset(),
        is_secret: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.found = Found()
        self._left_out = left_out
        self._is_secret = is_secret
        self._waiting: list[tuple[Any, str]] = []
        self._labels: dict[int, str] = {}
        self._named: dict[str, int] = {}
        self._kept: list[Any] = []  # so that no two objects have one id
        self._whole: set[int] = set()
        self._describer = Describer(self._name_code, is_secret)

    def follow(self) -> None:
        """Visit what waits, and what is found on the way."""
        while self._waiting or self._take_what_is_inspected():
            item, label = self._waiting.pop(0)
            if isinstance(item, FunctionType):
                self._visit_function(item, label)
            elif isinstance(item, type):
                self._visit_class(item, label)
            else:
                self._visit_module(item.__name__, vars(item))

    def _take_what_is_inspected(self) -> bool:
        """Take annotations and subclasses if code reads them; return whether it does.

        `get_type_hints` and `__subclasses__` may be called on anything that is reached.
        """
        usages = self.found.usages
        for item in list(self._kept):
            label = self._labels.get(id(item), "")
            if isinstance(item, FunctionType):
                if any(usage.reads_annotations for usage in usages):
                    named = item.__annotations__
                    self.add_slot(f"{label} (annotations)", "__annotations__", named)
            elif any(usage.reads_subclasses for usage in usages):
                below: list[type] = []
                if isinstance(item, type):
                    below = type.__subclasses__(item)
                for kind in filter(_is_current, below):
                    self._name_code(kind)
        return bool(self._waiting)

    def result(self) -> CodeIdentity:
        """Return what was found."""
        self.found.libraries |= self._describer.libraries
        self.found.caches = self._describer.caches
        return self.found.identity()

    def add_root(self, value: Any) -> None:
        """Take the value that the walk begins at."""
        try:
            slot = Slot("", self._describer.describe(value))
        except OpaqueValueError as error:
            place = ".".join(error.path) or "itself"
            self.found.add(place, Slot("", None, type(error.value).__name__))
            return
        self.found.add("itself", slot)

    def add_slot(
        self,
        label: str,
        name: str,
        value: Any,
        *,
        is_optional: bool = False,
    ) -> None:
        """Take a value that is read under a name, unless it cannot change a result."""
        if name in self._left_out:
            self.found.uncovered[label] = "named in `runtime`"
            return
        if self._is_secret(name):
            self.found.uncovered[label] = "a credential"
            return
        if is_environment(value) and not is_reader_name(name):
            self.found.has_environment = True
        try:
            described = self._describer.describe(value)
        except OpaqueValueError as error:
            opaque = type(error.value).__name__
            is_library = not is_user_class(type(value))
            self.found.add(label, Slot(name, None, opaque, is_optional, is_library))
            return
        is_own_name = described in (["function", label], ["class", label])
        if not is_own_name:
            may_be_left_out = type(value) in _COUNTED
            slot = Slot(name, described, None, is_optional, may_be_left_out)
            self.found.add(label, slot)

    def _name_code(self, item: Any) -> str:
        """Return the label of a function, class or module, and visit it in its turn."""
        label = self._labels.get(id(item))
        if label is not None:
            return label
        if isinstance(item, ModuleType):
            label = f"module {without_alias(item.__name__)}"
        else:
            module = getattr(item, "__module__", None) or ""
            label = f"{without_alias(module)}.{item.__qualname__}"
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
        text, usage = _source_of(function)
        self.found.definitions[label] = text
        self.found.docstrings[f"{label} (docstring)"] = repr(function.__doc__)
        self.found.places[label] = f"{code.co_filename}:{code.co_firstlineno}"
        self.found.usages.append(usage)
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
                continue
            if chain[0] in usage.bound:
                self._follow_bound(function, usage.bound[chain[0]], chain)
            if chain[0] in global_names:
                self._follow_chain(module, function.__globals__, chain)
        if usage.is_dynamic:
            self._visit_module(module, function.__globals__)
        if usage.imports_anything:
            self._visit_neighbours(function)

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
                # Of an enclosed module, what is named below it is read.
                if isinstance(value, ModuleType):
                    continue
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
        holder = without_alias(holder)
        value = names.get(chain[0], _MISSING)
        if value is _MISSING:
            return
        if not isinstance(value, ModuleType):
            self.found.chance |= chance_in_name(value, chain)
            self.add_slot(f"{holder}.{chain[0]}", chain[0], value)
            return
        self._follow_module(value, chain[1:])

    def _follow_module(self, module: ModuleType, rest: tuple[str, ...]) -> None:
        module = users_module(module)
        name = module.__name__
        if not is_user_module(name):
            self.found.libraries.add(name)
            self.found.chance |= chance_in_call(name, rest)
            self._take_patched(module, rest)
            return
        self._note_module(name)
        below = ".".join((without_alias(name), *rest[:1]))
        if not rest:
            # It is handed on, and anything in it may be read.
            self._visit_module(name, vars(module))
        elif rest[0] in vars(module):
            self._follow_chain(name, vars(module), rest)
        elif isinstance(sub := sys.modules.get(below), ModuleType):
            self._follow_module(sub, rest[1:])
        elif "__getattr__" in vars(module):
            self._visit_module(name, vars(module))

    def _take_patched(self, module: ModuleType, rest: tuple[str, ...]) -> None:
        """Take a function or class of user code that was put into a library."""
        value: Any = module
        for name in rest:
            value = getattr(value, name, None)
            is_code = isinstance(value, (FunctionType, type, MethodType))
            if is_code and is_user_module(str(value.__module__)):
                self.add_slot(".".join((module.__name__, *rest)), name, value)

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
            self.found.libraries.add(absolute)
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
            self.found.libraries.add(absolute)
            names = (item, *chain[1:]) if item else chain[1:]
            self.found.chance |= chance_in_call(absolute, names)
        elif item:
            self._follow_chain(absolute, vars(module), (item, *chain[1:]))
        else:
            self._follow_module(module, chain[1:])

    # -- classes --

    def _visit_class(self, kind: type, label: str) -> None:
        bases: list[Any] = []
        for base in kind.__mro__[1:]:
            if is_user_class(base):
                bases.append(self._name_code(base))
                continue
            self.found.libraries.add(base.__module__)
            bases.append(library_class(base))
            for name, value in patched_members(base):
                self.add_slot(f"{base.__qualname__}.{name}", name, value)
        described: dict[str, Any] = {"bases": bases}
        if is_user_class(type(kind)):
            described["metaclass"] = self._name_code(type(kind))
        members = members_of(kind)
        described["annotations"] = annotations_of(kind)
        described["members"] = sorted(
            f"{name}: {type(value).__name__}" for name, value in members
        )
        self.found.definitions[label] = described
        self.found.docstrings[f"{label} (docstring)"] = repr(kind.__doc__)
        self.found.places[label] = place_of_class(kind)
        self._note_module(kind.__module__)
        for name, value in members:
            self.add_slot(f"{label}.{name}", name, value)
        names = vars(sys.modules.get(kind.__module__, object))
        for name in sorted(set(annotated_names(kind))):
            self._follow_chain(kind.__module__, names, (name,))

    # -- modules --

    def _visit_module(self, name: str, names: Mapping[str, Any]) -> None:
        """Take a module as a whole: its text, and everything that it holds."""
        name = without_alias(name)
        if id(names) in self._whole:
            return
        self._whole.add(id(names))
        self._kept.append(names)
        file = names.get("__file__")
        tree = module_tree(str(file)) if file else None
        if tree is not None:
            self.found.definitions[f"module {name}"] = tree_text(tree)
            self.found.places[f"module {name}"] = f"{file}:1"
        for item in sorted(names):
            is_own = item.startswith("__") and item.endswith("__")
            if is_own or (tree is None and _HISTORY.fullmatch(item)):
                continue
            value = names[item]
            if not isinstance(value, ModuleType):
                self.add_slot(f"{name}.{item}", item, value, is_optional=True)
                continue
            module = users_module(value)
            if is_user_module(module.__name__):
                self._name_code(module)

    def _visit_neighbours(self, function: FunctionType) -> None:
        """Take every module beside a function that imports any of them, by its text."""
        for path, tree in neighbours(function.__code__.co_filename):
            label = f"file {path.name}"
            self.found.places[label] = f"{path}:1"
            texts = self.found.definitions.setdefault(label, [])
            texts.append(tree_text(tree))
            self.found.usages.append(usage_of_tree(tree))

    def _note_module(self, name: str) -> None:
        """Take the settings of libraries that a module makes when it is imported."""
        name = users_own(name)
        module = sys.modules.get(name)
        if name in self.found.modules or module is None or not is_user_module(name):
            return
        self.found.modules.add(name)
        settings = library_settings(module)
        if not settings:
            return
        label = f"{without_alias(name)} (settings of libraries)"
        self.found.definitions[label] = [tree_text(item) for item in settings]
        self.found.places[label] = f"{module.__file__}:1"
        for statement in settings:
            for chain in sorted(usage_of_tree(statement).chains):
                self._follow_setting(module, chain)

    def _follow_setting(self, module: ModuleType, chain: tuple[str, ...]) -> None:
        """Take what a setting is made from; what is set is in its text."""
        value = vars(module).get(chain[0], _MISSING)
        if isinstance(value, ModuleType):
            value = users_module(value)
            if is_user_module(value.__name__) and chain[1:]:
                self._follow_module(value, chain[1:])
            return
        kind = type(value)
        is_code = isinstance(value, (FunctionType, type))
        if value is not _MISSING and (
            is_code or kind.__module__ == "builtins" or is_user_class(kind)
        ):
            holder = without_alias(module.__name__)
            label = f"{holder}.{chain[0]} (setting)"
            self.add_slot(label, chain[0], value, is_optional=True)


# Process-wide: what the code of each function that was reached says, for as long as the
# function lives.
_SAID: WeakKeyDictionary[FunctionType, tuple[CodeType, Any, Usage]]
_SAID = WeakKeyDictionary()


def _source_of(function: FunctionType) -> tuple[Any, Usage]:
    """Return a function's source without docstrings and comments, else its bytecode; and
    what it refers to.
    """
    code = function.__code__
    known = _SAID.get(function)
    if known is not None and known[0] is code:
        return known[1:]
    # Code does not tell its annotations: a text of before a reload would match it.
    module_tree(code.co_filename)
    node = node_of(code)
    text: Any
    if node is not None:
        text = tree_text(without_defaults(node))
    else:
        text = code_identity(code, function.__doc__)
    usage = usage_of(code)
    _SAID[function] = (code, text, usage)
    return text, usage


def _global_names(function: FunctionType) -> set[str]:
    names: set[str] = set()
    waiting = [function.__code__]
    while waiting:
        code = waiting.pop()
        names.update(code.co_names)
        waiting += [item for item in code.co_consts if isinstance(item, type(code))]
    return names


def _is_current(kind: type) -> bool:
    """Return whether a class is what its module holds, not one of an earlier import."""
    value: Any = sys.modules.get(kind.__module__)
    for name in kind.__qualname__.split("."):
        value = getattr(value, name, None)
    return value is kind


def _absolute_name(function: FunctionType, level: int, name: str) -> str:
    if not level:
        return name
    package = function.__globals__.get("__package__")
    if not package:
        package = str(function.__globals__.get("__name__", "")).rpartition(".")[0]
    parts = str(package).split(".")
    base = ".".join(parts[: len(parts) - level + 1])
    return f"{base}.{name}" if name else base
