"""A completion is short, and what is called enough suffices everywhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.constraint_strategies import ANCHORED, COMPOSED, SCHEMAS
from tests.support.vocabularies import POOR, TOKENIZER
from themis_lib.engine.constraints.closing import Closing
from themis_lib.engine.constraints.constraint import constraint

llguidance = pytest.importorskip("llguidance")

FEW = settings(max_examples=30, derandomize=True)


@FEW
@given(
    st.one_of(
        ANCHORED.map(lambda pattern: {"regex": pattern}),
        (SCHEMAS | st.sampled_from(COMPOSED)).map(lambda schema: {"schema": schema}),
    )
)
def test_what_is_called_enough_is_enough_everywhere(asked):
    rule = constraint(**asked)
    closing, random = Closing(rule, TOKENIZER), np.random.default_rng(0)
    matcher, place = llguidance.LLMatcher(TOKENIZER, rule.grammar), closing.start()

    for _ in range(25):
        plan = closing.shortest(matcher, place, 200)
        assert plan is not None
        assert len(plan) <= closing.enough(place)
        bits = np.unpackbits(
            np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little"
        )
        allowed = [token for token in np.flatnonzero(bits) if token > 1]
        if matcher.is_stopped() or not allowed:
            break
        token = int(random.choice(allowed))
        matcher.consume_token(token)
        place = closing.after(place, token)


def shortest(asked: dict, written: str = "", limit: int = 50) -> str:
    """Return what completes a text that begins as `written`."""
    rule = constraint(**asked)
    closing = Closing(rule, TOKENIZER)
    matcher = llguidance.LLMatcher(TOKENIZER, rule.grammar)
    place = closing.start()
    for token in TOKENIZER.tokenize_str(written):
        assert matcher.consume_token(token)
        place = closing.after(place, token)
    plan = closing.shortest(matcher, place, limit)
    assert closing.completes(matcher, plan)
    return TOKENIZER.decode_str(plan)


def test_open_brackets_and_strings_are_closed():
    """What closes is tried before anything else."""
    assert '"]]' == shortest({"schema": {"type": "array"}}, '[["a')


def test_the_rest_of_the_nearest_choice_is_taken():
    """Choices that the text cannot become any more are left out."""
    asked = {"choices": ["yes, certainly", "yes!", "no"]}

    assert "!" == shortest(asked, "yes")
    assert "no" == shortest(asked)


def test_a_complete_text_needs_nothing():
    """A text that may end is not continued."""
    assert "" == shortest({"regex": "a+"}, "aa")


def test_nothing_is_enough_where_bytes_are_no_tokens():
    """A reserve of bytes says nothing about a vocabulary without them."""
    closing = Closing(constraint(regex="(?:ab)+1"), POOR)

    assert math.inf == closing.enough(closing.start())
