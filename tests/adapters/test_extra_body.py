"""The setting `extra_body`."""

from __future__ import annotations

from typing import Any

import pytest

from themis_lib import ComponentError
from themis_lib.adapters.extra_body import (
    check_extra_body,
    longest_answer,
    without_unset,
)


@pytest.mark.parametrize("name", ["n", "stream", "background"])
def test_one_whole_reply_is_read(name: str) -> None:
    """What would bring several, or parts of one, is refused."""
    with pytest.raises(ComponentError, match=f"extra_body.{name}"):
        check_extra_body({name: 2})
    check_extra_body({name: None})


@pytest.mark.parametrize(
    ("max_tokens", "extra_body", "longest"),
    [
        (None, {}, None),
        (9, {}, 9),
        (None, {"max_completion_tokens": 9}, 9),
        (None, {"max_tokens": 9}, 9),
        (None, {"max_output_tokens": 9}, 9),
        (9, {"max_tokens": None, "top_k": 3}, 9),
    ],
)
def test_longest_answer_has_several_names(
    max_tokens: int | None, extra_body: dict[str, Any], longest: int | None
) -> None:
    """A budget counts it by any of them."""
    assert longest == longest_answer(max_tokens, extra_body)


@pytest.mark.parametrize(
    ("max_tokens", "extra_body"),
    [
        (9, {"max_completion_tokens": 9}),
        (None, {"max_completion_tokens": 9, "max_tokens": 9}),
        (None, {"max_completion_tokens": 0}),
        (None, {"max_completion_tokens": "9"}),
        (None, {"max_completion_tokens": True}),
    ],
)
def test_longest_answer_is_one_number(
    max_tokens: int | None, extra_body: dict[str, Any]
) -> None:
    """Of two, nobody would know which one bounds the cost."""
    with pytest.raises(ComponentError, match="max_completion_tokens"):
        longest_answer(max_tokens, extra_body)


def test_null_leaves_a_field_out() -> None:
    """One of the adapter's own; a null of another is sent."""
    extra = {"seed": None, "stop": None, "top_k": None, "min_p": 0.1}

    request = without_unset({"model": "m", "seed": 7, "extra_body": extra})

    assert {"model": "m", "extra_body": {"top_k": None, "min_p": 0.1}} == request
    assert {"model": "m", "seed": 7} == without_unset({"model": "m", "seed": 7})
