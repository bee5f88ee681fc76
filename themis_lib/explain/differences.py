"""The settings in which two identities differ, as lines to read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from themis_lib.identity.digests import canonical_json

#: The longest value that a line shows whole, in characters.
_VALUE_CHARS = 60


def differences(
    before: Any,
    after: Any,
    path: str = "",
) -> list[str]:
    """Return one line for each setting that differs, named by its dotted path.

    Lists of different lengths are shown whole: their items cannot be paired.

    >>> differences({"prompt_spec": {"prefix": "a"}}, {"prompt_spec": {"prefix": "b"}})
    ['prompt_spec.prefix: "a" → "b"']
    """
    lines: list[str] = []
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in sorted(before.keys() | after.keys()):
            place = f"{path}.{name}" if path else name
            # A missing setting is shown like null, which is what most default to.
            lines += differences(before.get(name), after.get(name), place)
        return lines
    are_lists = isinstance(before, list) and isinstance(after, list)
    if are_lists and len(before) == len(after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            lines += differences(old, new, f"{path}[{index}]")
        return lines
    if before != after:
        lines.append(f"{path}: {_short_value(before)} → {_short_value(after)}")
    return lines


def _short_value(value: Any) -> str:
    text = canonical_json(value)
    if len(text) <= _VALUE_CHARS:
        return text
    return text[: _VALUE_CHARS - 1] + "…"
