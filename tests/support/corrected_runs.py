"""Judged runs with labels of people who do not always agree with the judge."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from themis_lib import RunResult
from themis_lib.labels.items import items_of


def strangers_answer(text: str) -> str:
    """A model that says the same as `answers_right_or_wrong` in other words."""
    number = int(re.findall(r"\d+", text)[0])
    return f"I think it is {2 * number + (number % 3 == 0)}."


def people(run: RunResult, *, strict: int = 5) -> Callable[[str], float]:
    """People find one in `strict` of the answers that the judge accepts wrong."""
    scores = {row["item"]: row["score"] for row in items_of(run).rows.to_pylist()}

    def label(item: str) -> float:
        digits = int(hashlib.sha256(item.encode()).hexdigest(), 16)
        return float(scores[item] == 1 and digits % strict != 0)

    return label


def people_mean(run: RunResult, *, strict: int = 5) -> float:
    """What people would say of all answers of a run."""
    label = people(run, strict=strict)
    items = items_of(run).rows["item"].to_pylist()
    return sum(map(label, items)) / len(items)
