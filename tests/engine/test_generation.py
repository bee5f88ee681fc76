"""A request has defaults that ask for nothing more than a text; a result comes once."""

from __future__ import annotations

import pytest

from themis_lib.engine.generation import Generation, Pending, Request, Token
from themis_lib.engine.sampling import Sampling


def test_a_request_is_greedy_and_free_unless_it_says_otherwise() -> None:
    request = Request((1, 2), 5)

    assert (0, Sampling(), ()) == (request.seed, request.sampling, request.stops)
    assert (None, None, False) == (
        request.constraint,
        request.top_logprobs,
        request.ignore_eos,
    )


def test_a_generation_has_the_text_of_its_tokens() -> None:
    """A token may have made no text certain."""
    tokens = (Token(5, "a"), Token(6, ""), Token(7, "bc"))

    assert "abc" == Generation(tokens, "stop").text
    assert "" == Generation((), "length").text


def test_a_result_is_set() -> None:
    pending: Pending[int] = Pending()
    pending.settle(7)

    assert 7 == pending.future.result(timeout=0)


def test_an_error_is_set() -> None:
    pending: Pending[int] = Pending()
    pending.fail(KeyError("missing"))

    with pytest.raises(KeyError, match="missing"):
        pending.future.result(timeout=0)


def test_a_cancelled_future_takes_neither_a_result_nor_an_error() -> None:
    """The caller may have given it up while its last token was computed."""
    for number in range(2):
        pending: Pending[int] = Pending()
        assert pending.future.cancel()
        if number:
            pending.settle(7)
        else:
            pending.fail(KeyError("missing"))
        assert pending.future.cancelled()
