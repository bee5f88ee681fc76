"""The rows of a dataset that its filter keeps."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from themis_lib.data.records import Row

#: How many of a column's values a message lists.
_SHOWN_VALUES = 10


class RowFilter:
    """Keeps the rows whose columns each hold one of the values asked for."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        self._choices: dict[str, list[Any]] = {}
        for name, value in spec.items():
            self._choices[name] = value if isinstance(value, list) else [value]
        self._checked = dict.fromkeys(spec, 0)
        self._refused: dict[str, list[str]] = {name: [] for name in spec}

    def keeps(self, row: Row) -> bool:
        """Return whether the row passes. Raises `KeyError` if it lacks a column."""
        for name, choices in self._choices.items():
            value = row[name]
            self._checked[name] += 1
            if any(_is_same_json(value, choice) for choice in choices):
                continue
            refused = self._refused[name]
            # Bounded: a column of a large file may hold as many values as rows.
            if len(refused) < _SHOWN_VALUES:
                text = f"{value!r:.60}"
                if text not in refused:
                    refused.append(text)
            return False
        return True

    def emptied(self) -> str:
        """Return which column let no row pass, with some of its values.

        For a filter that kept nothing. Empty if no row reached the filter.
        """
        reached = [name for name in self._checked if self._checked[name]]
        if not reached:
            return ""
        # A column is checked only on rows that passed those before it, so the last
        # one reached is the one that let nothing through.
        name = reached[-1]
        wanted = list(map(repr, self._choices[name]))
        refused = self._refused[name]
        hint = f"it holds {', '.join(refused)}"
        for text in wanted:
            close = difflib.get_close_matches(text, refused, n=1)
            if close:
                hint = f"did you mean {close[0]}?"
                break
        choices = " or ".join(wanted)
        rows = self._checked[name]
        return f"the filter {name}: {choices} kept none of {rows} rows; {hint}"


def _is_same_json(
    left: Any,
    right: Any,
) -> bool:
    """Return whether two JSON values are equal: 1 is 1.0, but true is not 1."""
    # For Python, `True == 1`.
    same_kind = isinstance(left, bool) == isinstance(right, bool)
    return same_kind and bool(left == right)
