"""Runs that score two texts with a user's metric, and what they computed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from themis_lib import evaluate

DATA = [{"input": text, "expected_output": text} for text in ("ab", "cde")]

#: How many rows were scored, and the scores of all of them.
Scored = tuple[int, list[float | None]]


def scored(metric: Any, store: Path) -> Scored:
    """Score the texts "ab" and "cde" on a store."""
    result = evaluate(
        model=str,
        data=DATA,
        parser="builtin/text",
        metric=metric,
        store=str(store),
    )
    record = next(item for item in result.manifest.stages if item.name == "score")
    scores = [next(iter(case.final_scores.values())) for case in result.cases]
    return record.computed, scores


def twice(metric: Callable[[], Any], store: Path) -> list[Scored]:
    """Score the texts two times, with the metric as it is then."""
    return [scored(metric(), store) for _ in range(2)]


@contextmanager
def modules(
    folder: Path, files: Mapping[str, str], patch: pytest.MonkeyPatch
) -> Iterator[ModuleType]:
    """Import the first of some files in a folder, and forget them all afterwards."""
    patch.syspath_prepend(str(folder))
    patch.setattr(sys, "dont_write_bytecode", True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    importlib.invalidate_caches()
    yield importlib.import_module(next(iter(files)))
    for name in files:
        sys.modules.pop(name, None)
