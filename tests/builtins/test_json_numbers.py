"""The numbers of a JSON object in a text."""

from __future__ import annotations

import pytest

from tests.support.parsing import value
from themis_lib.builtins.json_numbers import numeric_texts
from themis_lib.builtins.parsers import Number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"a": 1, "b": [2.5, {"c": "3 m"}], "d": true, "e": "x"}',
            ["1", "2.5", "3 m"],
        ),
        ('So: {"a": -1}', ["-1"]),
        ('{"answer": {"n": 1}, "m": 2}', ["1"]),
        ("[1, 2]", []),
        ("no {} object", []),
    ],
)
def test_numbers_are_found_at_every_depth(text, expected):
    """Also texts that hold digits; under `answer` alone, if there is that key."""
    assert expected == numeric_texts(text)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ('{"result": 42}', 42),
        ('```json\n{"total": "42 km"}\n```', 42),
        ('{"answer": {"value": -42, "unit": "m"}}', -42),
        ('{"result": 42, "confidence": 0.9}', None),
        ('{"result": "42", "confidence": 0.9}', None),
        ('{"answer": "5-6"}', None),
        ('{"answer": 42, "confidence": 0.9}', 42),
        ('He said "42" and left.', 42),
    ],
)
def test_only_number_of_an_object_is_its_answer(output, expected):
    """Which of several is meant cannot be told without a key `answer`."""
    assert expected == value(Number(), output)
