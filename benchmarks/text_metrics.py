"""Time of metrics that take longer than a comparison, for texts as long as a short
answer: those of the extra `metrics`, and code in its sandbox.
"""

from __future__ import annotations

import json
import random
from string import ascii_lowercase
from typing import Any

from benchmarks.call_jobs import score_texts
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
    "code_tests": {"run_code": True},
}


def measure(*, quick: bool) -> Report:
    count = 200 if quick else _ROWS
    rows = []
    for name, settings in _METRICS.items():
        # What follows a comma tells apart two settings of one metric.
        use = name.partition(",")[0]
        metric = {"use": f"builtin/{use}", **settings}
        seconds = fresh(score_texts, metric=metric, rows=count)
        row = {
            "metric": name,
            "rows": count,
            "seconds": seconds,
            "ms_per_row": 1000 * seconds / count,
        }
        rows.append(row)
    return Report(
        how="scores alone, in one process after the library was imported; texts of "
        f"{_WORDS} words against one reference, JSON texts of as many, embeddings of "
        "26 numbers, and LaTeX answers of which few are alike and half are wrong; "
        "mathematics on every core; functions of two lines against two assertions, each "
        "in a sandbox, on every core",
        rows=rows,
    )


def pair(use: str, number: int) -> tuple[Any, Any]:
    """Return the value and the expected output of a row, the same on every machine."""
    draw = random.Random(number)
    if use == "builtin/math_equivalence":
        expected = _draw_answer(draw)
        # Odd rows are right and still another text, so that they must be compared.
        if number % 2:
            return expected.replace(" ", ""), expected
        return _draw_answer(draw), expected
    if use == "builtin/code_tests":
        wrong = number % 2
        code = f"def f(x):\n    return x + {number + wrong}"
        return code, [f"assert f({x}) == {x + number}" for x in (0, 1)]
    words = [_draw_word(draw) for _ in range(_WORDS)]
    if use == "builtin/json_schema":
        document = json.dumps({"words": words})
        return document, None
    changed = []
    for word in words:
        if draw.random() < 0.3:
            word = _draw_word(draw)
        changed.append(word)
    return " ".join(changed), " ".join(words)


def letters(texts: list[str]) -> list[list[float]]:
    """Return how often each letter occurs in each text, as its embedding."""
    embeddings = []
    for text in texts:
        counts = map(text.count, ascii_lowercase)
        embeddings.append(list(map(float, counts)))
    return embeddings


def _draw_word(draw: random.Random) -> str:
    letters_drawn = draw.choices("aeinorst", k=draw.randint(1, 8))
    return "".join(letters_drawn)


def _draw_answer(draw: random.Random) -> str:
    a = draw.randint(1, 999)
    b = draw.randint(1, 999)
    c = draw.randint(1, 999)
    forms = [
        rf"\frac{{{a}}}{{{b}}}",
        rf"{a} \sqrt{{{b}}}",
        f"{a} x^2 + {b} x - {c}",
        f"({a}, {b}]",
        f"{a}.{b}",
        f"{a}",
    ]
    return draw.choice(forms)
