"""What a function's code refers to: names, attributes, imports, variables it changes.

It is read off the syntax tree where there is one, else off the bytecode, which tells
less: there every look-up by a computed name counts, and no variable as only written.
"""

from __future__ import annotations

import ast
import dis
import re
from dataclasses import dataclass, field
from types import CodeType

from themis_lib.identity.environment import Variables, is_reader_name, variables_of
from themis_lib.identity.sources import nested_codes, node_of, parse

#: Methods that change what they are called on, and whose result is rarely used.
_MUTATORS = {
    "add",
    "append",
    "appendleft",
    "clear",
    "discard",
    "extend",
    "insert",
    "put",
    "put_nowait",
    "remove",
    "setdefault",
    "subtract",
    "update",
}
#: Calls that look up a name which the source does not show.
_LOOK_UPS = {"exec", "eval", "compile", "globals"}
_IMPORTS = {"__import__", "import_module"}
_BY_NAME = {"getattr", "attrgetter", "methodcaller", "hasattr"}
#: Calls that read every attribute of an object.
_OF_CLASS = {"type", "isinstance", "super", "id"}
_WHOLE_OBJECT = {"vars", "asdict", "astuple", "deepcopy"}
_OWN_NAMES = {"self", "cls"}
_DOCSTRINGS = {"__doc__", "getdoc", "getsource", "model_json_schema"}
_ANNOTATIONS = {"__annotations__", "get_annotations", "get_type_hints", "signature"}
_MODULE_NAME = re.compile(r"[A-Za-z_][\w.]*")


@dataclass
class Usage:
    """What some code refers to.

    `chains` are dotted names as they are read (`helpers.text.normalise`), `imports` the
    modules imported in functions as (level, module, names), `bound` the names that
    such imports bind. `imports_anything` where a
    name is computed. `changed` are names and attributes that the code changes in
    place; `read` those that it reads otherwise.
    """

    chains: set[tuple[str, ...]] = field(default_factory=set)
    imports: set[tuple[int, str, tuple[str, ...]]] = field(default_factory=set)
    bound: dict[str, tuple[int, str, str]] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    read: set[str] = field(default_factory=set)
    variables: Variables = field(default_factory=Variables)
    is_dynamic: bool = False
    imports_anything: bool = False
    reads_docstrings: bool = False
    reads_annotations: bool = False
    reads_subclasses: bool = False
    reads_whole_objects: bool = False


def usage_of(code: CodeType) -> Usage:
    """Return what a function's code, with the functions inside it, refers to."""
    node = node_of(code)
    if node is None:
        return _bytecode_usage(code)
    visitor = _Visitor(_own_names(code))
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    # Defaults and decorators were evaluated with the definition: what is left of them
    # is seen in the function itself.
    for statement in body:
        visitor.visit(statement)
    visitor.usage.variables = variables_of(body)
    if getattr(node, "decorator_list", None):
        # A decorator may act on annotations, as a validator does.
        for item in ast.walk(node):
            if isinstance(item, ast.arg) and item.annotation is not None:
                visitor.visit(item.annotation)
    return visitor.usage


def usage_of_tree(tree: ast.Module | ast.stmt) -> Usage:
    """Return what the code of a module, or a statement of it, refers to."""
    visitor = _Visitor(_OWN_NAMES)
    visitor.visit(tree)
    visitor.usage.variables = variables_of([tree])
    return visitor.usage


def _own_names(code: CodeType) -> set[str]:
    """Return the names under which a method knows its own object."""
    around = code.co_qualname.rpartition(".")[0]
    is_method = bool(around) and not around.endswith("<locals>")
    return {*_OWN_NAMES, *(code.co_varnames[:1] if is_method else ())}


class _Visitor(ast.NodeVisitor):
    def __init__(self, own_names: set[str]) -> None:
        self.usage = Usage()
        self._own_names = own_names

    def visit_Name(self, node: ast.Name) -> None:
        if not isinstance(node.ctx, ast.Load):
            return
        self._read((node.id,))
        self._note_attribute(node.id)
        if node.id in self._own_names:
            # The object is handed on, and anything that it holds may be read.
            self.usage.reads_whole_objects = True

    def visit_Attribute(self, node: ast.Attribute) -> None:
        chain = _chain(node)
        if chain is None:
            self._note_attribute(node.attr)
            self.visit(node.value)
            return
        if isinstance(node.ctx, ast.Load):
            self._read(chain)
        elif len(chain) > 2:
            self._read(chain[:-1])
        else:
            # `thing.attribute = …` needs the thing, and changes what it holds.
            self.usage.chains.add(chain[:1])
            self.usage.changed.add(chain[1])

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if getattr(node.value, "attr", "") == "modules":
            index = node.slice
            shown = [str(index.value)] if isinstance(index, ast.Constant) else []
            self._import_by_name(shown)
        if isinstance(node.ctx, ast.Load):
            self.generic_visit(node)
            return
        self._change(node.value)
        self.visit(node.slice)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self.usage.changed.add(node.target.id)
            self.usage.chains.add((node.target.id,))
        elif isinstance(node.target, ast.Attribute):
            self._change(node.target)
        else:
            self.visit(node.target)
        self.visit(node.value)

    def visit_Expr(self, node: ast.Expr) -> None:
        call = node.value
        is_change = (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and call.func.attr in _MUTATORS
        )
        if not is_change:
            self.generic_visit(node)
            return
        assert isinstance(call, ast.Call)
        assert isinstance(call.func, ast.Attribute)
        self._change(call.func.value)
        for argument in [*call.args, *call.keywords]:
            self.visit(argument)

    def visit_Call(self, node: ast.Call) -> None:
        chain = _chain(node.func)
        name = chain[-1] if chain else getattr(node.func, "attr", "")
        self._note_special_call(name, node)
        # What only looks at an object's class reads nothing that it holds.
        if name in _OF_CLASS and all(isinstance(item, ast.Name) for item in node.args):
            for argument in node.args:
                assert isinstance(argument, ast.Name)
                self._read((argument.id,))
            return
        self.generic_visit(node)

    def _note_special_call(self, name: str, node: ast.Call) -> None:
        """Note what a call reads beside its arguments."""
        literal = [
            item.value
            for item in node.args
            if isinstance(item, ast.Constant) and isinstance(item.value, str)
        ]
        if name in _IMPORTS:
            self._import_by_name(literal)
        elif name in _LOOK_UPS:
            self._look_up_anything(literal)
        elif name in _BY_NAME:
            self._look_up(name, node, literal)
        elif name in _WHOLE_OBJECT:
            self.usage.reads_whole_objects = True

    def visit_MatchClass(self, node: ast.MatchClass) -> None:
        self.usage.read.update(node.kwd_attrs)
        if node.patterns:
            self.usage.reads_whole_objects = True
        self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.usage.imports.add((0, alias.name, ()))
            name = alias.asname or alias.name.partition(".")[0]
            module = alias.name if alias.asname else name
            self.usage.bound[name] = (0, module, "")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        for alias in node.names:
            self.usage.imports.add((node.level, module, (alias.name,)))
            name = alias.asname or alias.name
            self.usage.bound[name] = (node.level, module, alias.name)

    def _read(self, chain: tuple[str, ...]) -> None:
        self.usage.chains.add(chain)
        self.usage.read.add(chain[0])
        for name in chain[1:]:
            self._note_attribute(name)

    def _note_attribute(self, name: str) -> None:
        self.usage.read.add(name)
        if name in _DOCSTRINGS:
            self.usage.reads_docstrings = True
        if name in _ANNOTATIONS:
            self.usage.reads_annotations = True
        if name == "__subclasses__":
            self.usage.reads_subclasses = True
        if name == "__dict__":
            self.usage.reads_whole_objects = True
        if name in ("__globals__", "modules"):
            self.usage.is_dynamic = True

    def _change(self, node: ast.expr) -> None:
        """Note that the thing a target leads to is changed, and not read."""
        while isinstance(node, ast.Subscript):
            self.visit(node.slice)
            node = node.value
        chain = _chain(node)
        if chain is None and isinstance(node, ast.Attribute):
            # `type(self).calls += 1`
            self.usage.changed.add(node.attr)
            node = node.value
        if chain is None:
            self.visit(node)
            return
        self.usage.changed.add(chain[-1])
        self.usage.chains.add(chain)
        for name in chain[:-1]:
            if name != chain[0]:
                self.usage.read.add(name)

    def _import_by_name(self, literal: list[str]) -> None:
        """Note a module that is imported by name; a computed name may be any."""
        if literal:
            self.usage.imports.add((0, literal[0], ("*",)))
        else:
            self.usage.imports_anything = True
            self.usage.is_dynamic = True

    def _look_up_anything(self, literal: list[str]) -> None:
        self.usage.is_dynamic = True
        self.usage.reads_whole_objects = True
        for text in literal:
            # A program in a text may import what the module around it does not.
            try:
                self.visit(parse(text))
            except SyntaxError:
                continue

    def _look_up(self, name: str, node: ast.Call, literal: list[str]) -> None:
        """Note the attributes that a look-up by name reads, if its source shows them."""
        names = node.args[1:2] if name in ("getattr", "hasattr") else node.args
        if len(literal) < len(names) or not names:
            self.usage.is_dynamic = True
            self.usage.reads_whole_objects = True
        for text in literal:
            self._note_attribute(text.rpartition(".")[2])
            chain = _chain(node.args[0]) if name == "getattr" else None
            if chain is not None:
                self.usage.chains.add((*chain, text))


def _chain(node: ast.expr) -> tuple[str, ...] | None:
    """Return `("a", "b", "c")` for the expression `a.b.c`, and `None` for any other."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return (node.id, *reversed(names))


def _bytecode_usage(code: CodeType) -> Usage:
    usage = Usage()
    for nested in nested_codes(code):
        texts = {item for item in nested.co_consts if isinstance(item, str)}
        _note_steps(nested, usage)
        names_used = set(nested.co_names)
        if names_used & (_LOOK_UPS | _IMPORTS | _BY_NAME | {"__globals__", "modules"}):
            usage.is_dynamic = True
        if names_used & (_IMPORTS | {"modules"}):
            # Any text may be the name of a module, and the name may be computed, too.
            names = filter(_MODULE_NAME.fullmatch, texts)
            usage.imports |= {(0, name, ("*",)) for name in names}
            usage.imports_anything = True
        for item in nested.co_consts:
            if isinstance(item, (str, bytes)):
                usage.variables.add_text(item)
        usage.variables.reads_by_name |= any(map(is_reader_name, names_used))
        usage.reads_docstrings |= bool(names_used & _DOCSTRINGS)
        usage.reads_annotations |= bool(names_used & _ANNOTATIONS)
        usage.reads_subclasses |= "__subclasses__" in names_used
    usage.reads_whole_objects = True
    return usage


def _note_steps(code: CodeType, usage: Usage) -> None:
    """Note the dotted names that a code reads, and the modules that it imports."""
    before: list[object] = [None, None]
    chain: tuple[str, ...] = ()
    for step in dis.get_instructions(code):
        if step.opname == "EXTENDED_ARG":
            continue
        name = str(step.argval)
        is_attribute = step.opname in ("LOAD_ATTR", "LOAD_METHOD")
        if is_attribute:
            usage.read.add(name)
            if chain:
                chain = (*chain, name)
        elif chain:
            usage.chains.add(chain)
            usage.read.add(chain[0])
            chain = ()
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF"):
            chain = (name,)
        if step.opname == "IMPORT_NAME":
            level, names = before
            imported = names if isinstance(names, tuple) else ("*",)
            usage.imports.add((int(str(level or 0)), name, imported))
        before = [before[1], step.argval]
