"""The numbers of a JSON object in a text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from themis_lib.builtins.json_paths import documents


def numeric_texts(text: str) -> list[str]:
    """Return the numbers of the JSON object that a text is or holds, as texts.

    Texts that hold digits are among them. With a key `answer`, only its value counts.

    >>> numeric_texts('So: {"result": 7, "confidence": "0.9"}')
    ['7', '0.9']
    """
    for document in documents(text):
        if isinstance(document, dict):
            answer = document.get("answer", document)
            found = list(_numbers_in(answer))
            if found:
                return found
    return []


_DIGIT = re.compile(r"\d")


def _numbers_in(value: Any) -> Iterator[str]:
    # In Python `True` is an integer.
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        yield repr(value)
    elif isinstance(value, str) and _DIGIT.search(value):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _numbers_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from _numbers_in(item)
