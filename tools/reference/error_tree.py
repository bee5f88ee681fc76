"""The page of the exceptions."""

from __future__ import annotations

import inspect
from typing import Any

from themis_lib import errors
from tools.reference.markdown import code, docstring, page, table

_INTRODUCTION = """\
Every exception of the project is a `ThemisError`. [Errors and
failures](../concepts/errors-and-failures.md) explains what becomes of those that a
component raises. Import them from `themis_lib`, or from `themis_lib.errors`."""


def errors_page() -> str:
    """Return the page."""
    tree = (inspect.getdoc(errors) or "").split("\n\n", 1)[1]
    rows = []
    for definition in error_classes():
        bases = ", ".join(code(base.__name__) for base in definition.__bases__)
        text = " ".join(docstring(definition).split())
        rows.append((code(definition.__name__), bases, text))
    return page(
        "Errors",
        _INTRODUCTION,
        f"```text\n{tree}\n```",
        table(("class", "is a", "meaning"), rows),
    )


def error_classes() -> list[Any]:
    """Return the exceptions that the module defines, in its order."""
    return [
        item
        for item in vars(errors).values()
        if isinstance(item, type)
        and issubclass(item, Exception)
        and item.__module__ == errors.__name__
    ]
