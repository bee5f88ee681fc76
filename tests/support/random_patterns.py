"""Random regular expressions that some text matches, from a seed."""

from __future__ import annotations

import random

_WORDS = (
    "Answer: ",
    "</b>",
    "<answer>",
    "####",
    "yes",
    "no",
    "a",
    "x",
    "é",
    "日本",
    "\\(",
)
_CLASSES = (r"\d", r"\w", r"\s", "[a-c]", "[^a-z]", "[é-ü0]", r"\S", "[A-D]", r"\W")
_WILDCARDS = (".*", "(?s:.*)", ".*?", ".+", r"[^\n]*", r"[\s\S]*", r"\w*", "[^<]*")
_QUANTIFIERS = ("?", "*", "+", "{2}", "{1,3}", "{3,}", "{0,2}", "*?", "+?", "{12}")


def random_patterns(count: int, *, seed: int, depth: int = 1) -> list[str]:
    """Return patterns of wildcards, literals and classes, with groups, alternatives and
    repeats nested so deep.
    """
    source = random.Random(seed)
    return [_sequence(source, depth) for _ in range(count)]


def _sequence(source: random.Random, depth: int) -> str:
    return "".join(_item(source, depth) for _ in range(source.randint(1, 4)))


def _item(source: random.Random, depth: int) -> str:
    kinds = ["word", "class", "wildcard"]
    if depth:
        kinds += ["group", "alternatives", "repeat"]
    kind = source.choice(kinds)
    if kind == "word":
        return source.choice(_WORDS)
    if kind == "class":
        return source.choice(_CLASSES) + source.choice(("", *_QUANTIFIERS))
    if kind == "wildcard":
        return source.choice(_WILDCARDS)
    if kind == "group":
        return f"({_sequence(source, depth - 1)})"
    if kind == "alternatives":
        options = [_sequence(source, depth - 1) for _ in range(source.randint(2, 3))]
        return f"(?:{'|'.join(options)})"
    return f"(?:{_sequence(source, depth - 1)}){source.choice(_QUANTIFIERS)}"
