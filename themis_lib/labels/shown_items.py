"""What a person sees of an item: named texts and choices, and nothing that says whose
answer it is or what a judge found.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from themis_lib.builtins.conversation_judge import transcript
from themis_lib.core.models import Message
from themis_lib.core.parts import is_parts, read_part
from themis_lib.core.shown_parts import shown_content
from themis_lib.errors import ConfigError, nearest
from themis_lib.identity.digests import load_json, load_json_or_null
from themis_lib.labels.items import RunItems
from themis_lib.labels.questions import Choice, Question
from themis_lib.storage.contents import content_path
from themis_lib.storage.store import RunStore

_OF_CASE = ("input", "expected_output", "metadata")
_TITLES = {
    "input": "Input",
    "expected_output": "Expected output",
    "metadata": "Metadata",
    "value": "Answer",
    "output": "Answer",
    "conversation": "Conversation",
    "reasoning": "Reasoning",
    "trace": "Trace",
    "artifacts": "Artifacts",
}


@dataclass(frozen=True)
class ShownText:
    """A text under its title, such as `Input`.

    `column` is what it is in the tables. `files` are the addresses of the files that it
    names, each with what stands for it in the text.
    """

    title: str
    text: str
    column: str
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ShownItem:
    """An item as a person sees it.

    `choices` are in the order in which they are offered, `None` for a number. Their names
    are those of the page: where two answers are compared, which one is A changes from item
    to item, and `choice_named` undoes it.
    """

    item: str
    texts: tuple[ShownText, ...]
    choices: tuple[Choice, ...] | None
    is_swapped: bool = False

    def choice_named(self, name: str) -> str:
        """Return a choice by its name in the question, from the one that was shown."""
        swaps = {"A": "B", "B": "A"}
        return swaps.get(name, name) if self.is_swapped else name


def show(
    items: RunItems,
    item: str,
) -> ShownItem:
    """Return an item as a person sees it. Raise `ConfigError` if the run has no such."""
    if item not in items.contents:
        raise ConfigError(
            f"run {items.run.run_id!r} has no item {item!r} under metric "
            f"{items.question.metric_id!r}; {nearest(item, items.contents)}"
        )
    contents = items.contents[item]
    question = items.question
    store = items.run.store
    if question.rival is None:
        texts = [
            _text(name, text, store)
            for name, text in contents.items()
            # A case without an expected output has none to show.
            if text is not None or name not in _OF_CASE
        ]
        return ShownItem(item, tuple(texts), question.choices)
    return _pair(item, contents, question, store)


def _pair(
    item: str,
    contents: Mapping[str, str | None],
    question: Question,
    store: RunStore,
) -> ShownItem:
    """Return two answers in an order that the item's key decides, as a coin would."""
    is_swapped = int(item, 16) % 2 == 1
    answers = [("value", contents["value"]), ("rival", contents["rival"])]
    if is_swapped:
        answers.reverse()
    texts = [_text("input", contents["input"], store)]
    for name, (column, text) in zip("AB", answers, strict=True):
        shown = _text(column, text, store)
        texts.append(ShownText(f"Answer {name}", shown.text, column, shown.files))
    values = {"A": 1.0, "B": 0.0, "tie": 0.5}
    if is_swapped:
        values |= {"A": 0.0, "B": 1.0}
    choices = tuple(
        Choice(choice.name, values[choice.name]) for choice in question.choices or ()
    )
    return ShownItem(item, tuple(texts), choices, is_swapped)


def _text(
    column: str,
    text: str | None,
    store: RunStore,
) -> ShownText:
    value = load_json_or_null(text)
    if text is not None and column == "conversation":
        shown = transcript([Message(**turn) for turn in load_json(text)])
    else:
        shown = _readable(value)
    return ShownText(_TITLES.get(column, column), shown, column, _files(value, store))


def _readable(value: Any) -> str:
    """Return a value for people: texts as they are, parts as text, the rest indented."""
    if value is None:
        return "(none)"
    if isinstance(value, str):
        return value
    if is_parts(value):
        return shown_content(value)
    return json.dumps(value, indent=2, ensure_ascii=False)


def _files(
    value: Any,
    store: RunStore,
) -> tuple[tuple[str, str], ...]:
    """Return the files that an input names, each with where to look at it."""
    if isinstance(value, list):
        found: list[tuple[str, str]] = []
        for item in value:
            found += _files(item, store)
        return tuple(found)
    if not isinstance(value, dict):
        return ()
    part = read_part(value)
    if part is None:
        return _files(list(value.values()), store)
    if part.sha256 is None:
        return ()
    return ((part.shown(), store.uri(content_path(part.sha256))),)
