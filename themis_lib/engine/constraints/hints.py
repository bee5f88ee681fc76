"""Hints for a completion: tokens of single bytes, and ends of texts that may fit."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.constraints.patterns import translate

if TYPE_CHECKING:
    from llguidance import LLTokenizer

# A short text of each format that llguidance enforces itself. Those of the calendar
# became patterns, which have examples.
_FORMAT_EXAMPLES = {
    "duration": "P1D",
    "email": "a@b",
    "hostname": "a",
    "ipv4": "0.0.0.0",
    "ipv6": "::",
    "uri": "a:",
    "uuid": "00000000-0000-0000-0000-000000000000",
}
# Each hint is tried at every step of a search.
_MOST_HINTS = 24


# Cached for the process: a pass over a vocabulary costs much more than a text, and few
# models are loaded at a time. No caller changes the result.
@functools.lru_cache(maxsize=8)
def byte_tokens(tokenizer: LLTokenizer) -> dict[int, int]:
    """Return the first token of each single byte that has one."""
    found: dict[int, int] = {}
    for token in range(tokenizer.vocab_size):
        piece = tokenizer.decode_bytes([token])
        # A special token may decode to a byte, but stands for none in a text.
        if len(piece) == 1 and not tokenizer.is_special_token(token):
            found.setdefault(piece[0], token)
    return found


def completion_hints(
    constraint: Constraint,
    tokens: dict[int, int],
) -> list[list[int]]:
    """Return ends of texts that the patterns of a constraint match, the shortest first.

    `tokens` are those of single bytes; an end with another byte is left out. In JSON,
    a hint ends with the closing quote.
    """
    # A choice needs no hint: the rest of each choice is tried.
    if constraint.kind == "choices":
        return []
    is_json = constraint.kind == "json_schema"
    if is_json:
        schema = json.loads(constraint.grammar)["grammars"][0]["json_schema"]
        examples = tuple(_schema_examples(schema))
    else:
        examples = translate(constraint.source["value"]).examples
    ends: set[str] = set()
    for example in examples:
        ends.update(example[start:] for start in range(len(example)))
    # The examples are hints themselves, even where many ends are shorter.
    shortest = sorted(ends, key=_length_order)[:_MOST_HINTS]
    hints: list[list[int]] = []
    for text in sorted({*shortest, *examples}, key=_length_order):
        if is_json:
            # With the closing quote, without the opening one: the string is begun.
            text = json.dumps(text, ensure_ascii=False)[1:]
        encoded = text.encode()
        if encoded and tokens.keys() >= set(encoded):
            hints.append([tokens[byte] for byte in encoded])
    return hints


def _length_order(text: str) -> tuple[int, str]:
    # The text breaks ties: the order of a set is not the same in every process.
    return len(text), text


def _schema_examples(node: Any) -> Iterator[str]:
    """Yield texts that the patterns and formats anywhere in a schema match."""
    if isinstance(node, list):
        for item in node:
            yield from _schema_examples(item)
    elif isinstance(node, dict):
        # A property may be called `pattern` or `format`: then its value is a schema.
        if isinstance(node.get("pattern"), str):
            yield from translate(node["pattern"], search=True).examples
        if isinstance(node.get("format"), str):
            yield _FORMAT_EXAMPLES.get(node["format"], "")
        for pattern in node.get("patternProperties", ()):
            yield from translate(pattern, search=True).examples
        for value in node.values():
            yield from _schema_examples(value)
