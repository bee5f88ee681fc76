"""The texts and choices of the bundled model, as they must stay.

`python -m tests.support.golden_texts` writes them anew. A text that changes without a
new model is a broken promise; a new one goes with `TEXT_VERSION` where the same model
writes it, and another choice with the version of `llama_choice`.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from themis_lib import Case, PromptSpec, steadytext
from themis_lib.adapters import llama_choice
from themis_lib.core.contexts import GenerateContext
from themis_lib.engine.tiny import TINY

GOLDEN = Path(__file__).parents[1] / "engine" / "golden.json"
GOLDEN_CHOICES = Path(__file__).parents[1] / "engine" / "golden_choices.json"

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
    {
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        }
    },
    {"choices": ["yes", "no", "perhaps"], "seed": 5, "temperature": 1.0},
]


CHOICE_SETTINGS: list[dict[str, Any]] = [
    {"choices": ["85", "84", "85 apples"]},
    {"choices": ["yes", "no", "größer"], "normalize": "bytes"},
    {"choices": ["yes", "no"], "normalize": "tokens", "delimiter": "Answer: "},
]


def golden_texts() -> list[dict[str, Any]]:
    """Return every prompt under every setting, with 48 tokens at most."""
    return [
        {
            "prompt": prompt[:60],
            "settings": settings,
            "text": str(
                steadytext.generate(
                    prompt, max_new_tokens=48, model=str(TINY), **settings
                )
            ),
        }
        for prompt in PROMPTS
        for settings in SETTINGS
    ]


def golden_choices() -> dict[str, Any]:
    """Return every score of `llama_choice`, to the bit, by its version."""
    kept = [
        {
            "prompt": prompt,
            "settings": settings,
            "choices": _scores(llama_choice(model="tiny", **settings), prompt),
        }
        for prompt in ("What is 27 + 58?", "Is 7 larger than 3?")
        for settings in CHOICE_SETTINGS
    ]
    return {"version": llama_choice.version, "rated": kept}


def _scores(generator: Any, prompt: str) -> list[list[Any]]:
    context = GenerateContext("run", "case", "dataset", 0, None, PromptSpec())
    result = asyncio.run(
        generator.generate(Case(case_id="case", input=prompt), context)
    )
    return [
        [one["text"], one["logprob"].hex(), one["score"].hex()]
        for one in result.artifacts["choices"]
    ]


if __name__ == "__main__":
    for path, golden in ((GOLDEN, golden_texts()), (GOLDEN_CHOICES, golden_choices())):
        path.write_text(
            json.dumps(golden, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
        )
