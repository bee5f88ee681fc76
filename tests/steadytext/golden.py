"""The texts of the bundled model, as they were and must stay: `python -m tests.steadytext.golden` writes them anew.

A text that changes without a new model is a broken promise; a new one goes with `TEXT_VERSION` where the same model
writes it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from themis_lib import steadytext
from themis_lib.steadytext.tiny import TINY

GOLDEN = Path(__file__).with_name("golden.json")

PROMPTS = [
    "Write a story",
    "hello world",
    "",
    "What is 27 + 58?",
    "What is 4307 + 2915? Show your work.",
    'Reverse the word "garden".',
    "Write as JSON: name Anna, age 7",
    "Write about 🤖 and 人工智能",
    "Explain " * 1000 + "machine learning",
]
SETTINGS: list[dict[str, Any]] = [
    {},
    {"seed": 7},
    {"temperature": 0.7},
    {"seed": 123, "temperature": 1.2},
    {"regex": r"[a-z]+ \d{2}"},
    {"schema": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}},
    {"choices": ["yes", "no", "perhaps"], "seed": 5, "temperature": 1.0},
]


def golden_texts() -> list[dict[str, Any]]:
    """Every prompt under every setting, 48 tokens at most."""
    return [
        {
            "prompt": prompt[:60],
            "settings": settings,
            "text": str(steadytext.generate(prompt, max_new_tokens=48, model=str(TINY), **settings)),
        }
        for prompt in PROMPTS
        for settings in SETTINGS
    ]


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(golden_texts(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
