"""How long the metrics of the extra `metrics` take for texts as long as a short answer."""

from __future__ import annotations

import json
import random
from typing import Any

from benchmarks.processes import fresh
from benchmarks.report import Report

_ROWS, _WORDS = 10_000, 50
_METRICS: dict[str, dict[str, Any]] = {
    "bleu": {},
    "chrf": {},
    "rouge": {"which": "rouge1"},
    "rouge, rougeL": {"which": "rougeL"},
    "edit_similarity": {},
    "json_schema": {"schema": {"type": "object", "required": ["words"]}},
    "semantic_similarity": {"embed": "benchmarks.text_metrics:letters"},
    "math_equivalence": {},
}


def measure(*, quick: bool) -> Report:
    rows = 200 if quick else _ROWS
    found = []
    for name, settings in _METRICS.items():
        metric = {"use": f"builtin/{name.partition(',')[0]}", **settings}
        seconds = fresh("score_texts", metric=metric, rows=rows)
        found.append(
            {
                "metric": name,
                "rows": rows,
                "seconds": seconds,
                "ms_per_row": 1000 * seconds / rows,
            }
        )
    return Report(
        how="scores alone, in one process after the library was imported; texts of "
        f"{_WORDS} words against one reference, JSON texts of as many, embeddings of "
        f"26 numbers, and LaTeX answers of "
        "which few are alike and half are wrong; mathematics on every core",
        rows=found,
    )


def pair(use: str, number: int) -> tuple[Any, Any]:
    """The value and the expected output of a row, the same on every machine."""
    draw = random.Random(number)
    if use == "builtin/math_equivalence":
        right = _answer(draw)
        return (right.replace(" ", "") if number % 2 else _answer(draw)), right
    words = [_word(draw) for _ in range(_WORDS)]
    if use == "builtin/json_schema":
        return json.dumps({"words": words}), None
    changed = [_word(draw) if draw.random() < 0.3 else word for word in words]
    return " ".join(changed), " ".join(words)


def letters(texts: list[str]) -> list[list[float]]:
    """How often each letter stands in each text."""
    return [
        [float(text.count(letter)) for letter in "abcdefghijklmnopqrstuvwxyz"]
        for text in texts
    ]


def _word(draw: random.Random) -> str:
    return "".join(draw.choices("aeinorst", k=draw.randint(1, 8)))


def _answer(draw: random.Random) -> str:
    a, b, c = (draw.randint(1, 999) for _ in range(3))
    forms = [
        rf"\frac{{{a}}}{{{b}}}",
        rf"{a} \sqrt{{{b}}}",
        f"{a} x^2 + {b} x - {c}",
        f"({a}, {b}]",
        f"{a}.{b}",
        f"{a}",
    ]
    return draw.choice(forms)
