"""How alike outputs are: characters, and probabilities of first tokens."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from themis_lib.verification.text_kernels import (
    FIRST_CHARACTERS,
    first_token,
    first_token_kernel,
    hamming_kernel,
)


def test_only_the_first_characters_count() -> None:
    """What follows the first 1,000 makes no difference."""
    head = "a" * FIRST_CHARACTERS

    assert np.ones((2, 2)).tolist() == hamming_kernel([head, head + "b"]).tolist()


def test_texts_without_a_character_are_alike() -> None:
    assert np.ones((2, 2)).tolist() == hamming_kernel(["", ""]).tolist()
    assert 0.0 == hamming_kernel(["", "ab"])[0, 1]


def test_any_character_is_a_character() -> None:
    """Outside the basic plane, and NUL, too."""
    assert 0.5 == hamming_kernel(["😀\0", "😀a"])[0, 1]


def test_first_token_has_the_likely_ones_and_the_written_one() -> None:
    """As OpenAI's protocol has them in a row's artifacts."""
    likely = {"token": "a", "logprob": math.log(0.7)}
    written = {"token": "b", "logprob": math.log(0.2), "top_logprobs": [likely]}

    found = first_token(json.dumps({"logprobs": [written]}, separators=(",", ":")))

    assert found == pytest.approx({"a": 0.7, "b": 0.2})
    assert pytest.approx(0.9) == -first_token_kernel([found, {}])[0, 1]


@pytest.mark.parametrize(
    "artifacts", [None, "{}", '{"logprobs":null}', '{"logprobs":[]}']
)
def test_rows_without_log_probabilities_have_none(artifacts: str | None) -> None:
    assert first_token(artifacts) is None
