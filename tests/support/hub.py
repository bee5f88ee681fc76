"""A stand-in for the `datasets` library of the Hugging Face hub."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest


class HubRows:
    """Rows as the `datasets` library returns them; a row with `broken` cannot be read."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    @property
    def column_names(self) -> list[str]:
        return list(self._rows[0])

    def select_columns(self, names: list[str]) -> HubRows:
        return HubRows([{name: row[name] for name in names} for row in self._rows])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for row in self._rows:
            if "broken" in row:
                raise OSError(f"the shard of {row['broken']} is damaged")
            yield row


def install_hub(monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]]) -> Any:
    """Install the stand-in, and return it.

    `asked` lists what it was asked for; `answer` is what it returns or raises.
    """
    module: Any = types.ModuleType("datasets")
    module.asked = []
    module.answer = HubRows(rows)

    def load_dataset(*names: str | None, **options: Any) -> HubRows:
        module.asked.append((names, options))
        if isinstance(module.answer, Exception):
            raise module.answer
        answer: HubRows = module.answer
        return answer

    module.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", module)
    return module
