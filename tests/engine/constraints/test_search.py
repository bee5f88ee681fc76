"""A search finds the completion of the fewest bytes, or gives up in time."""

from __future__ import annotations

import pytest

from tests.support.vocabularies import POOR, TOKENIZER
from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.constraints.search import Steps, search_completion

llguidance = pytest.importorskip("llguidance")


def found(pattern: str, *, most_states: int = 1000, tokenizer=TOKENIZER) -> str | None:
    """Return the completion of the empty text that the search finds."""
    rule = constraint(regex=pattern)
    matcher = llguidance.LLMatcher(tokenizer, rule.grammar)
    steps = Steps(rule, tokenizer)
    plan = search_completion(steps, matcher, 20, most_states)
    return None if plan is None else tokenizer.decode_str(plan)


def test_the_shortest_text_is_found():
    """A long alternative that comes first does not hide a short one."""
    assert "z" == found("(?:abcdef|z)")
    assert "" == found("a*")


def test_what_is_forced_is_taken_at_once():
    """Forced bytes cost one state, however many they are."""
    assert "abcdefgh" == found("abcdefgh", most_states=2)


def test_a_search_gives_up_after_its_states():
    """Without any state nothing is found."""
    assert found("[a-z]{5}", most_states=3) is None
    assert found("a", most_states=0) is None


def test_a_vocabulary_without_single_letters_is_searched_in_its_pieces():
    """The shortest tokens that the mask allows stand in for bytes."""
    assert "ab1" == found("(?:ab)+1", tokenizer=POOR)


def test_the_matcher_is_not_changed():
    """The search works on copies."""
    rule = constraint(regex="a+b")
    matcher = llguidance.LLMatcher(TOKENIZER, rule.grammar)
    before = matcher.compute_bitmask()

    search_completion(Steps(rule, TOKENIZER), matcher, 20, 1000)

    assert before == matcher.compute_bitmask()


def test_a_text_is_spelled_in_bytes_if_each_has_a_token():
    """One byte without a token is enough for none."""
    steps = Steps(constraint(regex="a"), POOR)

    assert [4, 4] == steps.spell(b"11")
    assert steps.spell(b"1a") is None
