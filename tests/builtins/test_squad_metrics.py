"""SQuAD's evaluation script, to the letter."""

from __future__ import annotations

import pytest

from tests.support.scoring import reason, score
from themis_lib.builtins.squad_metrics import SquadExactMatch, SquadF1, normalize_answer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The Cat!", "cat"),
        ("a  cat\nand an  apple", "cat and apple"),
        ("U.S.A.", "usa"),
        ("it's $5", "its 5"),
        ("theme", "theme"),
        ("北京。", "北京。"),
        ("“fine”", "“fine”"),
        ("The", ""),
    ],
)
def test_answers_are_normalized_as_in_the_script(text, expected):
    """Lower case, no punctuation of ASCII, no articles, single spaces."""
    assert expected == normalize_answer(text)


@pytest.mark.parametrize(
    ("value", "expected", "exact", "f1"),
    [
        ("The Cat!", "cat", 1.0, 1.0),
        ("a cat sat", "the cat", 0.0, 2 / 3),
        ("dog", ["cat", "Dog."], 1.0, 1.0),
        ("big dog", ["cat", "dog"], 0.0, 2 / 3),
        ("The", "a", 1.0, 1.0),
        ("", "cat", 0.0, 0.0),
        ("Paris Paris", "Paris", 0.0, 2 / 3),
        (4, "4", 1.0, 1.0),
    ],
)
def test_scores_are_those_of_the_script(value, expected, exact, f1):
    """The best of the accepted answers, from 0 to 1."""
    assert exact == score(SquadExactMatch(), value, expected)
    assert pytest.approx(f1) == score(SquadF1(), value, expected)


@pytest.mark.parametrize("metric", [SquadExactMatch(), SquadF1()], ids=repr)
def test_nothing_accepted_is_an_error(metric):
    """An empty list says nothing about any answer."""
    assert "the expected output is empty" == reason(metric, "cat", [])
