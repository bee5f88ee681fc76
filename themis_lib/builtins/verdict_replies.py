"""JSON objects and labelled words in what a judge writes."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from themis_lib.builtins.answer_text import answer_text

_FENCE_BEGIN = re.compile(r"```\w*\s*(?=\{)")
_FENCE_END = re.compile(r"(?<=\})\s*```")
_OBJECT = re.compile(r"\{\s*[\"'\w].*\}", re.DOTALL)
# Markup around an object or a word; an unclosed fence is markup, too.
_MARKUP = " \t\r\n*_`~"
# With a limit, or each of many blank lines would be read to the last.
_AROUND = r"[\s*_`#>\"'“”\[\]()]{0,24}"
_LABEL = (
    r"(?:(?:my|the|final|overall)\s+)*"
    r"(?:verdict|grade|score|rating|judge?ment|decision|result|conclusion|answer)"
)
_WORDS = r"(?P<words>[^\W_][\w./]{0,40}(?: (?:out )?of \w+)?)"
_LABELLED = re.compile(
    rf"^{_AROUND}{_LABEL}{_AROUND}(?:[:：=]|\bis\b|\n){_AROUND}{_WORDS}{_AROUND}[.!]?{_AROUND}$",
    re.IGNORECASE | re.MULTILINE,
)
_ALONE = re.compile(rf"{_AROUND}{_WORDS}{_AROUND}[.!]?{_AROUND}")
# Beyond this no judge writes a verdict, and YAML is slow.
_LONGEST = 20_000


def reply_objects(reply: str) -> list[dict[str, Any]]:
    """Return the JSON objects that are a reply, or the fenced ones, or the one it ends on.

    Single quotes and a comma behind the last value are read as YAML reads them. An
    object inside a sentence may be quoted from what is judged, and does not count.

    >>> reply_objects('Sure: {"verdict": "correct"}')
    [{'verdict': 'correct'}]
    """
    whole = _decode(reply)
    if whole is not None:
        return [whole]
    text = _own_text(reply)
    found = [_decode(fenced) for fenced in _fenced_texts(text)]
    if not found:
        text = text.strip(_MARKUP)
        span = _OBJECT.search(text)
        if span and (span.start() == 0 or span.end() == len(text)):
            found = [_decode(span[0])]
    return [value for value in found if value is not None]


def reply_words(reply: str) -> list[str]:
    """Return the words behind each label, or the single word that is the whole reply.

    >>> reply_words("Both say 4.\\n**Verdict:** CORRECT.")
    ['CORRECT']
    """
    text = _own_text(reply).strip()
    alone = _ALONE.fullmatch(text)
    if alone:
        return [alone["words"].rstrip(".")]
    return [found["words"].rstrip(".") for found in _LABELLED.finditer(text)]


def _fenced_texts(text: str) -> list[str]:
    """Return what begins and ends as an object, each in a fenced block."""
    found = []
    begin = _FENCE_BEGIN.search(text)
    while begin:
        end = _FENCE_END.search(text, begin.end())
        # No later block ends either: looking for each end would take the square of the
        # text's length.
        if end is None:
            break
        found.append(text[begin.end() : end.start()])
        begin = _FENCE_BEGIN.search(text, end.end())
    return found


def _own_text(reply: str) -> str:
    try:
        return answer_text(reply)
    except ValueError:
        # Nothing but a thought.
        return ""


def _decode(text: str) -> dict[str, Any] | None:
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        return None

    def refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        # Python would keep the last of two verdicts.
        if len(value) < len(pairs):
            raise KeyError("a key occurs twice")
        return value

    try:
        value = json.loads(
            text,
            object_pairs_hook=refuse_repeated_keys,
            strict=False,
        )
    except ValueError:
        return _decode_yaml(text)
    except (KeyError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _decode_yaml(text: str) -> dict[str, Any] | None:
    if len(text) > _LONGEST:
        return None
    try:
        node = yaml.compose(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError):
        return None
    if not isinstance(node, yaml.MappingNode):
        return None
    # Keys and values that are no text, as in `{{verdict}}`, are no verdict.
    if not all(
        isinstance(item, yaml.ScalarNode) for pair in node.value for item in pair
    ):
        return None
    value = {key.value: item.value for key, item in node.value}
    # Nor are repeated keys.
    return value if len(value) == len(node.value) else None
