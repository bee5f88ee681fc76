"""The page of the components that come with the library."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any, get_type_hints

from themis_lib.components.imports import import_named
from themis_lib.components.records import KINDS
from themis_lib.components.registry import ADAPTERS, BUILTINS
from themis_lib.core import abilities
from tools.reference.configuration import yaml_text
from tools.reference.markdown import (
    code,
    docstring,
    first_paragraph,
    meaning,
    page,
    table,
)
from tools.reference.type_names import type_name

_INTRODUCTION = """\
Name a component in an experiment by the name below. Settings stand beside `use`:
`{use: builtin/regex, pattern: '\\d{4}'}`; `id` is what the component is called in
tables. `reads` are the columns that it is given, and that the keys of its rows cover.
`version` is part of its identity: a new one computes its rows again. Every setting is
part of the identity too, unless its meaning begins with *Runtime*."""
_TITLES = {
    "generator": "Generators",
    "parser": "Parsers",
    "metric": "Metrics",
    "reducer": "Reducers",
}
#: The extra that brings what a component needs.
_EXTRAS = {
    "anthropic": "anthropic",
    "any": "any",
    "langgraph": "langgraph",
    "llama": "local",
    "llama_choice": "local",
    "lmstudio": "openai",
    "ollama": "openai",
    "openai": "openai",
    "openrouter": "openai",
    "sglang": "openai",
    "vllm": "openai",
    "vllm_choice": "openai",
    "builtin/bleu": "metrics",
    "builtin/chrf": "metrics",
    "builtin/edit_similarity": "metrics",
    "builtin/json_schema": "metrics",
    "builtin/math_equivalence": "metrics",
    "builtin/rouge": "metrics",
}
#: What it takes to have an ability is said by a class; how it is used, by its docstring.
_OWN = """\
[Your own components](../guides/own-components.md) shows how to write one. What a
component may read, and reads if it declares no `reads`:"""


def components_page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    for kind, title in _TITLES.items():
        parts.append(f"## {title}")
        parts += [_section(name, found) for name, found in components_of(kind)]
    parts += ["## What a component may read", _OWN, _kinds(), "## Abilities"]
    parts += ["A component may offer more than its one method.", _abilities()]
    return page("Components", *parts)


def components_of(kind: str) -> Iterator[tuple[str, Any]]:
    """Yield the name and the class of each component of a kind."""
    named = dict(BUILTINS[kind])
    if kind == "generator":
        named |= ADAPTERS
    for name, place in named.items():
        yield name, import_named(kind, place)


def settings_of(definition: Any) -> Iterator[tuple[str, str, str, str]]:
    """Yield name, type, default and meaning of each setting of a component."""
    hints = get_type_hints(definition, include_extras=True)
    for item in dataclasses.fields(definition):
        yield (
            item.name,
            type_name(hints[item.name]),
            _default_of(item),
            meaning("components", definition, item.name),
        )


def _section(name: str, definition: Any) -> str:
    rows = [(code(item[0]), *item[1:]) for item in settings_of(definition)]
    facts = f"Reads {_reads(definition)}. Version {definition.version}."
    if name in _EXTRAS:
        facts += f" Needs `pip install 'themis-flows[{_EXTRAS[name]}]'`."
    libraries = getattr(definition, "libraries", ())
    if libraries:
        facts += f" Computed by {', '.join(libraries)}."
    parts = [
        f"### `{name}`",
        docstring(definition),
        facts,
        table(("setting", "type", "default", "meaning"), rows),
    ]
    return "\n\n".join(filter(None, parts))


def _reads(definition: Any) -> str:
    """Return the columns that a component reads by default."""
    fields = {item.name: item for item in dataclasses.fields(definition)}
    reads: Any = inspect.getattr_static(definition, "reads", None)
    if "reads" in fields:
        reads = fields["reads"].default
    if isinstance(reads, (tuple, list)):
        return ", ".join(map(code, reads))
    # A property: what it reads depends on its settings.
    text = first_paragraph(reads).rstrip(".")
    return text[:1].lower() + text[1:]


def _default_of(item: Any) -> str:
    if item.default is not dataclasses.MISSING:
        default = item.default
        return code(yaml_text(list(default) if isinstance(default, tuple) else default))
    if item.default_factory is not dataclasses.MISSING:
        return code(yaml_text(item.default_factory()))
    return "required"


def _kinds() -> str:
    rows = []
    for kind, rules in KINDS.items():
        rows.append(
            (
                kind,
                " or ".join(map(code, rules.methods)),
                ", ".join(map(code, rules.may_read)),
                ", ".join(map(code, rules.default_reads)),
            )
        )
    return table(("kind", "method", "may read", "reads by default"), rows)


def _abilities() -> str:
    rows = []
    for definition in vars(abilities).values():
        is_own = getattr(definition, "__module__", "") == abilities.__name__
        if isinstance(definition, type) and is_own:
            names = [*definition.__annotations__, *_methods(definition)]
            text = " ".join(docstring(definition).split())
            rows.append((", ".join(map(code, names)), text))
    return table(("attribute or method", "what it says"), rows)


def _methods(definition: type) -> list[str]:
    return [
        f"{name}()"
        for name, item in vars(definition).items()
        if inspect.isfunction(item) and not name.startswith("_")
    ]
