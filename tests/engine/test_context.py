"""Slots of a context hold sequences on their own, with the same bits in each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from themis_lib.engine.context import MAX_BATCH, Context
from themis_lib.engine.models import TINY
from themis_lib.engine.weights import Weights
from themis_lib.errors import ModelError

SLOTS = 4
LENGTH = 1024
TOKENS = np.random.default_rng(1).integers(0, 1000, 40).tolist()


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(TINY)


@pytest.fixture
def context(weights: Weights) -> Iterator[Context]:
    context = Context(weights, slots=SLOTS, length=LENGTH, threads=1)
    yield context
    context.close()


def test_a_prompt_has_the_same_bits_in_every_slot(context: Context) -> None:
    rows = [context.prefill(slot, TOKENS, 0).tobytes() for slot in range(SLOTS)]

    assert [rows[0]] * SLOTS == rows


def test_a_prompt_gives_one_row_over_the_vocabulary(context: Context) -> None:
    """And none where it is not wanted, which changes nothing for what follows."""
    whole = context.prefill(0, TOKENS, 0).copy()
    first = context.prefill(1, TOKENS[:30], 0, wanted=False)
    second = context.prefill(1, TOKENS[30:], 30)

    assert (0, context.n_vocab) == first.shape
    assert (1, context.n_vocab) == whole.shape
    assert whole.tobytes() == second.tobytes()


def test_rows_come_in_the_order_of_the_slots(context: Context) -> None:
    for slot in range(SLOTS):
        context.prefill(slot, TOKENS[slot:], 0)
    alone = []
    for slot in range(SLOTS):
        length = len(TOKENS) - slot
        alone.append(context.decode([slot], [7], [length]).tobytes())
        context.trim(slot, length)
    order = [2, 0, 3, 1]
    lengths = [len(TOKENS) - slot for slot in order]
    together = context.decode(order, [7] * SLOTS, lengths)

    assert [alone[slot] for slot in order] == [row.tobytes() for row in together]


def test_a_copy_holds_what_its_source_held(context: Context) -> None:
    """In place of what it held itself."""
    context.prefill(0, TOKENS, 0)
    context.prefill(1, TOKENS[::-1], 0)
    context.copy(0, 1)
    expected = context.decode([0], [7], [len(TOKENS)]).copy()

    assert expected.tobytes() == context.decode([1], [7], [len(TOKENS)]).tobytes()


def test_what_is_trimmed_is_forgotten(context: Context) -> None:
    expected = context.prefill(0, TOKENS, 0).copy()
    context.trim(0, 20)
    again = context.prefill(0, TOKENS[20:], 20)

    assert expected.tobytes() == again.tobytes()


def test_a_call_takes_as_many_tokens_as_a_batch(context: Context) -> None:
    """One more does not fit into the arrays."""
    prompt = (TOKENS * 13)[:MAX_BATCH]

    assert np.isfinite(context.prefill(0, prompt, 0)).all()
    with pytest.raises(ValueError, match="could not broadcast"):
        context.prefill(1, [*prompt, 5], 0)


def test_a_token_at_a_place_that_is_taken_is_an_error(context: Context) -> None:
    """Which leaves the context as it was."""
    expected = context.prefill(0, TOKENS, 0).copy()
    with pytest.raises(ModelError, match="could not decode 1 tokens"):
        context.decode([0], [7], [3])
    context.trim(0, 0)

    assert expected.tobytes() == context.prefill(0, TOKENS, 0).tobytes()


def test_the_number_of_threads_changes_no_bit(context: Context) -> None:
    """Of the bundled model."""
    one = context.prefill(0, TOKENS, 0).copy()
    context.use_threads(2)

    assert one.tobytes() == context.prefill(1, TOKENS, 0).tobytes()
