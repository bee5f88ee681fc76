"""The keys by which a person gives a verdict: on the terminal and on a page alike."""

from __future__ import annotations

from collections.abc import Sequence

#: Keys that do something else: skip, undo, note, quit.
RESERVED_KEYS = "sunq"


def choice_keys(names: Sequence[str]) -> dict[str, str]:
    """Return the name of each choice by its key; empty where keys cannot tell them apart.

    Grades of one digit are keys themselves; words go by their first letter, or by their
    place where letters clash. Choices without keys are typed out.

    >>> choice_keys(["correct", "incorrect"])
    {'c': 'correct', 'i': 'incorrect'}
    >>> choice_keys(["1", "2", "3"]), choice_keys(["good", "great"])
    ({'1': '1', '2': '2', '3': '3'}, {'1': 'good', '2': 'great'})
    >>> choice_keys([str(grade) for grade in range(11)])
    {}
    """
    if all(name.lstrip("-").isdecimal() for name in names):
        is_short = all(len(name) == 1 for name in names)
        return {name: name for name in names} if is_short else {}
    letters = [name[:1].lower() for name in names]
    if len(set(letters)) == len(names) and all(map(_is_free_letter, letters)):
        return dict(zip(letters, names, strict=True))
    if len(names) > 9:
        return {}
    return {str(place): name for place, name in enumerate(names, start=1)}


def _is_free_letter(letter: str) -> bool:
    return letter.isalpha() and letter not in RESERVED_KEYS
