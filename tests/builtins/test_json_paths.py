"""JSON documents in running text, and paths into them."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import ComponentError
from themis_lib.builtins.json_paths import documents, path_steps, value_at


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("answer", ("answer",)),
        ("$.items[0].name", ("items", 0, "name")),
        ('$["a key"]', ("a key",)),
        ("[-1]", (-1,)),
        ("['']", ("",)),
    ],
)
def test_path_is_read(path: str, expected: tuple[Any, ...]) -> None:
    """Keys by name, in quotes, and indices from either end."""
    assert expected == path_steps(path, where="test")


@pytest.mark.parametrize("path", ["", "$.items[", "a..b", "[x]"])
def test_path_that_cannot_be_read_is_named(path: str) -> None:
    """With the place at which reading stopped."""
    with pytest.raises(ComponentError, match=r"^test: path "):
        path_steps(path, where="test")


def test_value_is_followed_through_objects_and_lists() -> None:
    """A text is no list of characters."""
    document = {"items": [{"name": "x"}]}

    assert "x" == value_at(document, ("items", -1, "name"))
    with pytest.raises(LookupError):
        value_at(document, ("items", 0, "name", 0))


def test_likeliest_document_comes_first() -> None:
    """The last in a fence before those in running text, later ones first."""
    text = 'First {"a": 1} and\n```json\n{"a": 2}\n```\nthen {"a": 3}.'

    found = list(documents(text))

    assert {"a": 2} == found[0]
    assert {"a": 3} == found[1]


def test_whole_text_is_a_document() -> None:
    """Nothing else is looked for before it."""
    assert [1, {"b": 2}] == next(documents('[1, {"b": 2}]'))


def test_document_behind_many_open_brackets_is_found():
    """Those that are open at one fault are not all tried."""
    text = "[" * 200 + "1 no " + '{"a": 1}'

    assert [{"a": 1}] == list(documents(text))
