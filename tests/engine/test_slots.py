"""A prompt is put where most of it is held already, and keeps its bits there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from themis_lib.engine.context import Context
from themis_lib.engine.invariance import Invariance
from themis_lib.engine.models import TINY
from themis_lib.engine.slots import Slots
from themis_lib.engine.weights import Weights

SLOTS = 4
#: What was measured of the bundled model.
FREE = Invariance(
    decode="equal",
    width=8,
    narrowest=1,
    cut_at=1,
    shortest=2,
    threads_matter=False,
    repacked=True,
    numerics="",
)
PROMPT = np.random.default_rng(1).integers(0, 1000, 80).tolist()
OTHER = np.random.default_rng(2).integers(0, 1000, 80).tolist()
ALL = range(SLOTS)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(TINY)


@pytest.fixture
def context(weights: Weights) -> Iterator[Context]:
    context = Context(weights, slots=SLOTS, length=1024, threads=1)
    yield context
    context.close()


def wanted() -> bool:
    return True


def bits_of(context: Context, prompt: list[int]) -> bytes:
    """Return the logits after a prompt that nothing was taken from."""
    return (
        Slots(context, replace(FREE, cut_at=0)).place(prompt, [0], wanted)[1].tobytes()
    )


def test_a_prompt_is_held_in_a_free_slot(context: Context) -> None:
    slots = Slots(context, FREE)
    slot, logits = slots.place(PROMPT, [2, 3], wanted)

    assert 2 == slot
    assert logits is not None
    assert [0, 0, len(PROMPT), 0] == [slots.held(one) for one in ALL]


def test_prompts_with_nothing_in_common_take_the_slots_in_turn(
    context: Context,
) -> None:
    """The one that was used longest ago is next."""
    slots = Slots(context, FREE)
    prompts = [[number] * 5 for number in range(10, 16)]

    assert [0, 1, 2, 3, 0, 1] == [
        slots.place(prompt, ALL, wanted)[0] for prompt in prompts
    ]


def test_a_prompt_goes_where_most_of_it_is(context: Context) -> None:
    """And gives the bits that it gives from nothing."""
    continued = [*PROMPT[:60], *OTHER[:10]]
    expected = bits_of(context, continued)
    slots = Slots(context, FREE)
    slots.forget()
    slots.place(OTHER, ALL, wanted)
    slots.place(PROMPT, ALL, wanted)
    slot, logits = slots.place(continued, ALL, wanted)

    assert 1 == slot
    assert logits is not None
    assert expected == logits.tobytes()


def test_a_beginning_is_copied_from_a_slot_that_is_not_free(context: Context) -> None:
    """With the same bits; the other slot keeps what it holds."""
    continued = [*PROMPT[:60], *OTHER[:10]]
    expected = bits_of(context, continued)
    slots = Slots(context, FREE)
    slots.forget()
    source, _ = slots.place(PROMPT, ALL, wanted)
    slot, logits = slots.place(continued, [2, 3], wanted)

    assert (0, 2) == (source, slot)
    assert logits is not None
    assert expected == logits.tobytes()
    assert len(PROMPT) == slots.held(source)


def test_where_no_cut_keeps_the_bits_nothing_is_shared(context: Context) -> None:
    slots = Slots(context, replace(FREE, cut_at=0, shortest=0))
    slots.place(PROMPT, ALL, wanted)

    assert 1 == slots.place(PROMPT, ALL, wanted)[0]


def test_a_prompt_that_is_not_wanted_any_more_has_no_logits(context: Context) -> None:
    """The part that was computed is held, for the next prompt to share."""
    slots = Slots(context, FREE)
    answers = iter([True, False])
    slot, logits = slots.place(PROMPT * 10, ALL, lambda: next(answers))

    assert logits is None
    assert 512 == slots.held(slot)


def test_what_a_long_prompt_leaves_for_its_last_call_is_long_enough(
    context: Context,
) -> None:
    """Here at least 32 tokens, after cuts at multiples of 32."""
    slots = Slots(context, replace(FREE, cut_at=32, shortest=32))
    answers = iter([True, False])
    slot, _ = slots.place((PROMPT * 10)[:520], ALL, lambda: next(answers))

    assert 480 == slots.held(slot)


def test_a_prompt_is_placed_again_in_a_slot_that_has_it_or_in_a_copy(
    context: Context,
) -> None:
    slots = Slots(context, FREE)
    source, _ = slots.place(PROMPT, [1], wanted)
    copied = slots.place_again(source, [2, 3])
    found = slots.place_again(source, [0, 2, 3])

    assert (2, 2) == (copied, found)
    assert [0, len(PROMPT), len(PROMPT), 0] == [slots.held(one) for one in ALL]


def test_forgetting_empties_every_slot(context: Context) -> None:
    slots = Slots(context, FREE)
    slots.place(PROMPT, ALL, wanted)
    slots.forget()

    assert [0] * SLOTS == [slots.held(one) for one in ALL]
