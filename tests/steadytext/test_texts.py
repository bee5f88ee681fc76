"""Texts and log-probabilities in the form in which callers get them."""

from __future__ import annotations

import copy
import json
import math
import pickle
from pathlib import Path
from typing import Literal

import pytest

from themis_lib.engine.generation import Generation, Likely, Token
from themis_lib.engine.models import ModelFile
from themis_lib.engine.sampling import Sampling
from themis_lib.steadytext.question import Answer, LocalModel, Question
from themis_lib.steadytext.remote import ProviderModel, RemoteText
from themis_lib.steadytext.texts import (
    Text,
    logprobs_of_answer,
    logprobs_of_token,
    text_of_answer,
    text_of_remote,
)

TOKENS = (
    Token(7, "Hel", -0.5, (Likely(7, "Hel", -0.5), Likely(9, "Hal", -1.5))),
    Token(8, "lo", -0.25, ()),
)
MODEL = LocalModel(ModelFile("tiny", Path("tiny.gguf"), "digest"), {"engine": "1"})


def question(model: LocalModel | None) -> Question:
    return Question(
        prompt="Hi",
        model=model,
        seed=7,
        sampling=Sampling(temperature=0.8),
        max_new_tokens=2,
        stop="[EOS]",
        constraint=None,
    )


def answer(source: Literal["engine", "cache", "fallback"]) -> Answer:
    return Answer(
        Generation(TOKENS, "length"),
        prompt_tokens=12,
        dropped_prompt_tokens=3,
        source=source,
    )


def test_text_is_a_str_wherever_one_is_needed() -> None:
    """A text is compared, hashed, written as JSON, copied and pickled as a `str`, and
    its copies keep the metadata.
    """
    text = Text("naïve 🙂", {"seed": 7, "cached": False})
    plain = "naïve 🙂"

    assert plain == text
    assert {plain: 1} == {text: 1}
    assert json.dumps([plain]) == json.dumps([text])
    for other in (
        copy.copy(text),
        copy.deepcopy(text),
        pickle.loads(pickle.dumps(text)),
    ):
        assert (Text, text) == (type(other), other)
        assert {"seed": 7, "cached": False} == other.metadata


def test_text_has_no_room_for_other_attributes() -> None:
    """A misspelt attribute is an error, as it is for a `str`."""
    text = Text("text", {})

    with pytest.raises(AttributeError):
        text.metdata = {}  # type: ignore[attr-defined]


def test_answer_is_a_text_that_says_how_it_came_about() -> None:
    """The temperature is the one asked for, not the one that the text was sampled
    at.
    """
    text = text_of_answer(question(MODEL), answer("engine"), 0.0)

    assert "Hello" == text
    assert {
        "model": "tiny",
        "seed": 7,
        "temperature": 0.0,
        "finish_reason": "length",
        "prompt_tokens": 12,
        "dropped_prompt_tokens": 3,
        "output_tokens": 2,
        "cached": False,
        "fallback": False,
    } == text.metadata


@pytest.mark.parametrize(
    ("source", "cached", "fallback"),
    [("engine", False, False), ("cache", True, False), ("fallback", False, True)],
)
def test_text_says_where_it_came_from(
    source: Literal["engine", "cache", "fallback"], cached: bool, fallback: bool
) -> None:
    """`cached` and `fallback` are false for the engine, and never both true."""
    text = text_of_answer(question(MODEL), answer(source), 0.8)

    assert (cached, fallback) == (text.metadata["cached"], text.metadata["fallback"])


def test_text_without_a_model_names_none() -> None:
    """The model of a fallback text is `None`."""
    text = text_of_answer(question(None), answer("fallback"), 0.0)

    assert None is text.metadata["model"]


def test_remote_text_has_the_same_keys() -> None:
    """A remote text names provider and model, and has the keys of a local one."""
    written = RemoteText("Hi there", "stop", 4, 2, cached=True)
    remote = ProviderModel("openai", "gpt-4o-mini")

    text = text_of_remote(remote, written, seed=5, temperature=0.5)

    local = text_of_answer(question(MODEL), answer("engine"), 0.0)
    assert "Hi there" == text
    assert list(local.metadata) == list(text.metadata)
    assert {
        "model": "openai:gpt-4o-mini",
        "seed": 5,
        "temperature": 0.5,
        "finish_reason": "stop",
        "prompt_tokens": 4,
        "dropped_prompt_tokens": 0,
        "output_tokens": 2,
        "cached": True,
        "fallback": False,
    } == text.metadata


@pytest.mark.parametrize("source", ["engine", "cache"])
def test_logprobs_of_an_answer_are_lists_over_its_tokens(
    source: Literal["engine", "cache"],
) -> None:
    """Each list has an item for each token, in order."""
    assert {
        "tokens": ["Hel", "lo"],
        "token_logprobs": [-0.5, -0.25],
        "top_logprobs": [
            [
                {"token_id": 7, "token": "Hel", "logprob": -0.5},
                {"token_id": 9, "token": "Hal", "logprob": -1.5},
            ],
            [],
        ],
        # The geometric mean: the square root of the product.
        "confidence": math.exp(-0.375),
    } == logprobs_of_answer(answer(source))


def test_fallback_has_no_logprobs() -> None:
    """No model, no probabilities: neither for a text nor for a token."""
    assert None is logprobs_of_answer(answer("fallback"))
    assert None is logprobs_of_token(Token(-1, "word"))


def test_logprobs_of_a_token_name_its_number() -> None:
    """A token of a stream has its number, its log-probability and the likely ones."""
    assert {
        "token_id": 7,
        "logprob": -0.5,
        "top_logprobs": [
            {"token_id": 7, "token": "Hel", "logprob": -0.5},
            {"token_id": 9, "token": "Hal", "logprob": -1.5},
        ],
        "confidence": math.exp(-0.5),
    } == logprobs_of_token(TOKENS[0])
    # A certain token has the log-probability 0, which is not a missing one.
    assert {
        "token_id": 1,
        "logprob": 0.0,
        "top_logprobs": [],
        "confidence": 1.0,
    } == logprobs_of_token(Token(1, "a", 0.0))
