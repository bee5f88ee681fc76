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
#: What is shown before the first difference of long values, in characters.
_CONTEXT_CHARS = 20


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
        old, new = _short_values(canonical_json(before), canonical_json(after))
        lines.append(f"{path}: {old} → {new}")
    return lines


def stage_differences(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    dependencies: tuple[Mapping[str, str], Mapping[str, str]],
    places: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """Return one line for each setting, definition or dependency that differs.

    `before` and `after` are identities of a stage, `dependencies` the files and variables
    that the rows of each depend on.
    """
    lines = differences(own_identity(before), own_identity(after), places=places)
    if lines:
        # Digests of files have the code as their salt: those of another say nothing.
        return lines
    old, new = dependencies
    # What a run came to read only later is named if nothing else has changed.
    known = {name: new[name] for name in old if name in new}
    known_before = {name: old[name] for name in known}
    lines = _code_lines(known_before, known, "depends_on", places)
    return lines or _code_lines(known_before, new, "depends_on", places)


def own_identity(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity of a stage without what its rows depend on beside it."""
    return {name: item for name, item in identity.items() if name != "depends_on"}


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


def _short_values(
    before: str,
    after: str,
) -> tuple[str, str]:
    """Return two texts, long ones cut to the part in which they differ."""
    pairs = enumerate(zip(before, after, strict=False))
    shared = next((at for at, (old, new) in pairs if old != new), len(before))
    start = shared - _CONTEXT_CHARS
    # Cutting a beginning that would fit anyway hides where the texts are from.
    if start < _VALUE_CHARS - 2 * _CONTEXT_CHARS:
        start = 0
    return _short_value(before, start), _short_value(after, start)


def _short_value(
    text: str,
    start: int,
) -> str:
    if start:
        text = "…" + text[start:]
    if len(text) <= _VALUE_CHARS:
        return text
    return text[: _VALUE_CHARS - 1] + "…"
