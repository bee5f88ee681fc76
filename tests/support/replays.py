"""Recorded outputs for tests, and what replays them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.golden_builtins import generate_context
from themis_lib.builtins.generators import ReplayGenerator
from themis_lib.core.models import Case

ROWS = [
    {"case_id": "a", "output": "A: 1"},
    {"case_id": "b", "output": {"answer": 2}},
    {"case_id": "a", "output": "A: 3"},
]


def case(case_id: str = "a", **fields: Any) -> Case:
    """Return a case with this id."""
    return Case(case_id=case_id, input=fields.pop("input", None), **fields)


def jsonl(path: Path, rows: list[Any] = ROWS) -> str:
    """Write rows as JSON Lines, and return the path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def outputs(generator: ReplayGenerator, *samples: tuple[str, int]) -> list[Any]:
    """Return what is recorded for each pair of case id and sample."""
    return [
        generator.generate(case(case_id), generate_context(sample)).final_output
        for case_id, sample in samples
    ]
