"""The page of the public names of the library."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel

import themis_lib
from themis_lib import adapters, errors, steadytext
from tools.reference.markdown import (
    code,
    docstring,
    first_paragraph,
    page,
    table,
)

_INTRODUCTION = """\
What `from themis_lib import …` offers. Settings of an experiment are described under
[Configuration](configuration.md), exceptions under [Errors](errors.md), and generators
for providers under [Components](components.md)."""
#: Functions and objects first, in the order in which they are met.
_GROUPS = {
    "Running and comparing": (
        "evaluate",
        "evaluate_async",
        "Experiment",
        "compare",
        "assert_no_worse",
    ),
    "Results": (
        "RunResult",
        "RunStatus",
        "SummaryRow",
        "CaseResult",
        "Comparison",
        "RunStore",
        "InMemoryRunStore",
    ),
    "What components are given and return": (
        "Case",
        "Dataset",
        "GenerationResult",
        "ParsedOutput",
        "Score",
        "ScoreError",
        "Candidate",
        "ReducedCandidate",
        "JudgeCall",
        "Message",
        "TraceStep",
        "TokenUsage",
    ),
}
#: Functions of other modules that users call: they stay where they are.
_ELSEWHERE = (
    "themis_lib.runs.find_run:find_run",
    "themis_lib.explain.why:explain",
    "themis_lib.report.html:report_html",
    "themis_lib.report.html_comparison:comparison_html",
    "themis_lib.stats.intervals:mean_interval",
    "themis_lib.stats.intervals:wilson_interval",
    "themis_lib.stats.paired:paired_difference",
    "themis_lib.stats.paired:mcnemar_exact",
    "themis_lib.stats.power:detectable_difference",
    "themis_lib.stats.power:units_needed",
)
_SIGNATURE_WIDTH = 88


def python_api_page() -> str:
    """Return the page."""
    parts = [_INTRODUCTION]
    for title, names in _GROUPS.items():
        parts.append(f"## {title}")
        parts += [_section(name, getattr(themis_lib, name)) for name in names]
    parts += ["## Settings", _settings()]
    parts += ["## `themis_lib.adapters`", docstring(adapters), _adapters()]
    parts += ["## `themis_lib.steadytext`", docstring(steadytext)]
    for name in steadytext.__all__:
        parts.append(_section(name, getattr(steadytext, name)))
    parts.append("## Elsewhere in the library")
    for place in _ELSEWHERE:
        module, _, name = place.partition(":")
        function = getattr(importlib.import_module(module), name)
        text = _section(name, function)
        parts.append(text.replace("\n", f"\n\nFrom `{module}`.\n", 1))
    return page("Python API", *parts)


def grouped_names() -> set[str]:
    """Return the public names that have a section or a line on the page."""
    sections = {name for names in _GROUPS.values() for name in names}
    return sections | set(_settings_names()) | set(_error_names())


def _settings_names() -> list[str]:
    grouped = {name for names in _GROUPS.values() for name in names}
    return [
        name
        for name in themis_lib.__all__
        if name not in grouped and name not in _error_names()
    ]


def _error_names() -> list[str]:
    return [name for name in themis_lib.__all__ if hasattr(errors, name)]


def _settings() -> str:
    rows = []
    for name in _settings_names():
        text = first_paragraph(getattr(themis_lib, name))
        rows.append((code(name), text))
    return table(("class", "what it holds"), rows)


def _adapters() -> str:
    rows = []
    for name in adapters.__all__:
        rows.append((code(name), first_paragraph(getattr(adapters, name))))
    return table(("generator", "what it is"), rows)


def _section(name: str, item: Any) -> str:
    parts = [f"### `{name}`"]
    if inspect.isroutine(item):
        parts.append(f"```python-signature\n{signature(name, item)}\n```")
        parts.append(docstring(item))
    elif isinstance(item, type):
        parts += [docstring(item), _fields(item), *_members(item)]
    elif isinstance(item, Mapping):
        parts.append(f"A mapping with the keys {', '.join(map(code, item))}.")
    else:
        parts.append(code(repr(item)))
    text = "\n\n".join(filter(None, parts))
    # A signature is shown, and not run.
    return text.replace("```python-signature", "```text")


def signature(name: str, item: Any) -> str:
    """Return the signature of a function, a parameter a line if it is long.

    >>> signature("f", lambda a, *, b=1: None)
    'f(a, *, b=1)'
    """
    found = inspect.signature(item)
    returns = found.return_annotation
    arrow = "" if returns is inspect.Signature.empty else f" -> {_name_of(returns)}"
    parameters = list(_written(found))
    line = f"{name}({', '.join(parameters)}){arrow}"
    if len(line) <= _SIGNATURE_WIDTH:
        return line
    inner = "".join(f"    {parameter},\n" for parameter in parameters)
    return f"{name}(\n{inner}){arrow}"


def _written(found: inspect.Signature) -> Iterator[str]:
    """Yield the parameters, with a star before the first that is keyword-only."""
    has_star = False
    for parameter in found.parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and not has_star:
            has_star = True
            yield "*"
        text = parameter.name
        if parameter.kind is parameter.VAR_POSITIONAL:
            has_star = True
            text = f"*{text}"
        annotation = parameter.annotation
        is_typed = annotation is not inspect.Parameter.empty
        if is_typed:
            text += f": {_name_of(annotation)}"
        if parameter.default is not inspect.Parameter.empty:
            text += (
                f" = {parameter.default!r}" if is_typed else f"={parameter.default!r}"
            )
        yield text


def _name_of(annotation: Any) -> str:
    """Return an annotation as it is written; most are texts already."""
    if isinstance(annotation, str):
        return annotation
    return str(getattr(annotation, "__name__", annotation))


def _fields(definition: type) -> str:
    """Return the fields of a model or a dataclass, or the members of an enumeration."""
    if issubclass(definition, Enum):
        return f"One of {', '.join(code(one.value) for one in definition)}."
    if issubclass(definition, BaseModel):
        names = list(definition.model_fields)
    else:
        names = list(getattr(definition, "__dataclass_fields__", {}))
    return f"Fields: {', '.join(map(code, names))}." if names else ""


def _members(definition: type) -> Iterator[str]:
    """Yield a table of the public methods and properties that a class defines.

    Those of a base class with a section of its own are there.
    """
    public = {getattr(themis_lib, name) for name in themis_lib.__all__}
    rows = []
    for base in reversed(definition.__mro__):
        is_elsewhere = base is not definition and base in public
        if is_elsewhere or not base.__module__.startswith("themis_lib"):
            continue
        for name, item in vars(base).items():
            if name.startswith(("_", "model_")):
                continue
            row = _member(definition, name, item)
            if row is not None and row not in rows:
                rows.append(row)
    yield table(("member", "what it does"), rows)


def _member(definition: type, name: str, item: Any) -> tuple[str, str] | None:
    if isinstance(item, property) or hasattr(item, "func"):
        return code(name), first_paragraph(getattr(item, "func", item))
    if isinstance(item, (classmethod, staticmethod)) or inspect.isfunction(item):
        function = getattr(definition, name)
        if not inspect.getdoc(function):
            return None
        arguments = ", ".join(inspect.signature(function).parameters)
        arguments = arguments.removeprefix("self").removeprefix(", ")
        return code(f"{name}({arguments})"), first_paragraph(function)
    return None
