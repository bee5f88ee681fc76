"""A text chooses its tokens from logits, and ends by the model, a stop or its length.

The logits here are written by hand: one token is far likelier than all others.
"""

from __future__ import annotations

import numpy as np
import pytest

from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.generation import Request, Token
from themis_lib.engine.models import TINY
from themis_lib.engine.sampling import Sampling, log_probabilities
from themis_lib.engine.sequence import LiveSequence
from themis_lib.engine.weights import Weights
from themis_lib.errors import ConfigError

PROMPT = (5, 6, 7)


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(TINY)


def token_of(weights: Weights, text: str) -> int:
    """Return the token whose text is exactly this one."""
    for token in range(weights.n_vocab):
        if weights.piece(token) == text.encode():
            return token
    raise AssertionError(f"no token is {text!r}")


def favouring(weights: Weights, token: int, second: int | None = None) -> np.ndarray:
    row = np.zeros(weights.n_vocab, dtype=np.float32)
    row[token] = 20
    if second is not None:
        row[second] = 10
    return row


def advance(sequence: LiveSequence, row: np.ndarray) -> bool:
    return sequence.advance(row, int(row.argmax()))


def test_a_greedy_text_takes_the_likeliest_until_its_length(weights: Weights) -> None:
    told: list[Token] = []
    letter = token_of(weights, "a")
    sequence = LiveSequence(Request(PROMPT, 3), weights, room=100, on_token=told.append)
    finished = [advance(sequence, favouring(weights, letter)) for _ in range(3)]
    generation = sequence.future.result(timeout=0)

    assert [False, False, True] == finished
    assert ("aaa", "length") == (generation.text, generation.finish_reason)
    assert told == list(generation.tokens)
    assert (5, letter) == (sequence.position, sequence.newest)


def test_the_room_of_the_window_cuts_a_text(weights: Weights) -> None:
    sequence = LiveSequence(Request(PROMPT, 50), weights, room=1, on_token=None)

    assert advance(sequence, favouring(weights, token_of(weights, "a")))
    assert "length" == sequence.future.result(timeout=0).finish_reason


def test_an_end_token_ends_a_text_without_text(weights: Weights) -> None:
    (end, *_) = sorted(weights.end_tokens)
    sequence = LiveSequence(Request(PROMPT, 50), weights, room=100, on_token=None)
    advance(sequence, favouring(weights, token_of(weights, "a")))

    assert advance(sequence, favouring(weights, end))
    generation = sequence.future.result(timeout=0)
    assert ("a", "stop") == (generation.text, generation.finish_reason)
    assert end == generation.tokens[-1].token


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_end_tokens_may_be_ignored(weights: Weights, temperature: float) -> None:
    """The next likeliest comes, greedily and drawn; the row is left as it was."""
    (end, *_) = sorted(weights.end_tokens)
    letter = token_of(weights, "a")
    request = Request(
        PROMPT,
        1,
        sampling=Sampling(temperature=temperature, top_k=1),
        ignore_eos=True,
    )
    sequence = LiveSequence(request, weights, room=100, on_token=None)
    row = favouring(weights, end, second=letter)

    assert advance(sequence, row)
    assert letter == sequence.newest
    assert 20 == row[end]


def test_a_stop_string_ends_a_text_before_it(weights: Weights) -> None:
    request = Request(PROMPT, 50, stops=("ab",))
    sequence = LiveSequence(request, weights, room=100, on_token=None)
    finished = [
        advance(sequence, favouring(weights, token_of(weights, letter)))
        for letter in "cab"
    ]
    generation = sequence.future.result(timeout=0)

    assert [False, False, True] == finished
    assert ("c", "stop") == (generation.text, generation.finish_reason)


def test_what_waits_is_left_out_of_a_text_that_is_cut(weights: Weights) -> None:
    """It may turn out to be a stop string in a longer text."""
    request = Request(PROMPT, 2, stops=("ab",))
    sequence = LiveSequence(request, weights, room=100, on_token=None)
    for letter in "ca":
        advance(sequence, favouring(weights, token_of(weights, letter)))

    assert "c" == sequence.future.result(timeout=0).text


def test_a_constraint_overrules_the_likeliest_and_ends_the_text(
    weights: Weights,
) -> None:
    """Stop strings do not cut it."""
    request = Request(
        PROMPT,
        50,
        constraint=constraint(choices=["no", "yes"]),
        stops=("e",),
    )
    sequence = LiveSequence(request, weights, room=100, on_token=None)
    row = favouring(weights, token_of(weights, "a"), second=token_of(weights, "y"))
    steps = 0
    while not advance(sequence, row):
        steps += 1
        assert steps < 50
    generation = sequence.future.result(timeout=0)

    assert ("yes", "stop") == (generation.text, generation.finish_reason)


def test_a_constraint_that_does_not_fit_is_refused(weights: Weights) -> None:
    request = Request(PROMPT, 2, constraint=constraint(regex="[a-c]{50}"))

    with pytest.raises(ConfigError, match="takes 25 tokens"):
        LiveSequence(request, weights, room=100, on_token=None)


def test_a_penalty_counts_the_prompt_and_the_text(weights: Weights) -> None:
    letter, other = token_of(weights, "a"), token_of(weights, "b")
    request = Request(
        (letter,),
        2,
        sampling=Sampling(repetition_penalty=4),
    )
    sequence = LiveSequence(request, weights, room=100, on_token=None)
    row = favouring(weights, letter, second=other)
    advance(sequence, row)
    advance(sequence, row)

    tokens = [token.token for token in sequence.future.result(timeout=0).tokens]
    assert [other, letter] == tokens


def test_log_probabilities_are_the_model_s_own(weights: Weights) -> None:
    """Before the penalty, and with as many likely tokens as were asked for."""
    letter, other = token_of(weights, "a"), token_of(weights, "b")
    request = Request(
        (letter,),
        1,
        sampling=Sampling(repetition_penalty=4),
        top_logprobs=2,
    )
    sequence = LiveSequence(request, weights, room=100, on_token=None)
    row = favouring(weights, letter, second=other)
    advance(sequence, row)
    (token,) = sequence.future.result(timeout=0).tokens
    expected = log_probabilities(row, np.array([letter, other])).tolist()

    assert (other, expected[1]) == (token.token, token.logprob)
    assert [(letter, "a"), (other, "b")] == [
        (one.token, one.text) for one in token.likely
    ]
    assert expected == [one.logprob for one in token.likely]


def test_without_asking_there_are_no_log_probabilities(weights: Weights) -> None:
    sequence = LiveSequence(Request(PROMPT, 1), weights, room=100, on_token=None)
    advance(sequence, favouring(weights, token_of(weights, "a")))
    (token,) = sequence.future.result(timeout=0).tokens

    assert (None, ()) == (token.logprob, token.likely)


@pytest.mark.parametrize(("asked", "expected"), [(0, 0), (3, 3)])
def test_any_number_of_likely_tokens_may_be_asked_for(
    weights: Weights,
    asked: int,
    expected: int,
) -> None:
    request = Request(PROMPT, 1, top_logprobs=asked)
    sequence = LiveSequence(request, weights, room=100, on_token=None)
    advance(sequence, favouring(weights, token_of(weights, "a")))
    (token,) = sequence.future.result(timeout=0).tokens

    assert expected == len(token.likely)
    assert token.logprob is not None
