"""The settings in which two identities differ, as lines to read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from themis_lib.identity.digests import canonical_json

#: What identifies code, by name: see `identity.code`.
CODE_KINDS = ("definitions", "values", "libraries", "depends_on")
#: The longest value that a line shows whole, in characters.
_VALUE_CHARS = 60


def differences(
    before: Any,
    after: Any,
    path: str = "",
    *,
    places: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Return one line for each setting that differs, named by its dotted path.

    Lists of different lengths are shown whole: their items cannot be paired. Code is
    named as it is written, with its place where `places` has it.

    >>> differences({"prompt_spec": {"prefix": "a"}}, {"prompt_spec": {"prefix": "b"}})
    ['prompt_spec.prefix: "a" → "b"']
    """
    lines: list[str] = []
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            if name in CODE_KINDS:
                lines += _code_lines(before.get(name), after.get(name), name, places)
                continue
            place = f"{path}.{name}" if path else name
            # A missing setting is shown like null, which is what most default to.
            lines += differences(
                before.get(name), after.get(name), place, places=places
            )
        return lines
    are_lists = isinstance(before, list) and isinstance(after, list)
    if are_lists and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            lines += differences(old, new, f"{path}[{index}]", places=places)
        return lines
    if before != after:
        lines.append(f"{path}: {_short_value(before)} → {_short_value(after)}")
    return lines


def _code_lines(
    before: Any,
    after: Any,
    kind: str,
    places: Mapping[str, str],
) -> list[str]:
    """Return a line for each definition, value, library or dependency that differs."""
    old, new = before or {}, after or {}
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) == new.get(name):
            continue
        where = f" in {places[name]}" if name in places else ""
        if kind == "libraries":
            lines.append(
                f"library {name}: {old.get(name, 'none')} → {new.get(name, 'none')}"
            )
        elif name not in old:
            lines.append(f"`{name}`{where} is new")
        elif name not in new:
            lines.append(f"`{name}` is no longer reached")
        else:
            lines.append(f"`{name}`{where} changed")
    return lines


def _short_value(value: Any) -> str:
    text = canonical_json(value)
    if len(text) <= _VALUE_CHARS:
        return text
    return text[: _VALUE_CHARS - 1] + "…"
