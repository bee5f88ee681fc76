"""Questions to a local model, their keys, and how answers are kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.engine.constraints.constraint import Constraint, constraint
from themis_lib.engine.generation import Generation, Likely, Token
from themis_lib.engine.models import ModelFile
from themis_lib.engine.sampling import Sampling
from themis_lib.steadytext.question import Answer, LocalModel, Question

FILE = ModelFile("tiny", Path("tiny.gguf"), "digest")
MODEL = LocalModel(FILE, {"engine": "1"})
QUESTION = Question(
    prompt="Hi",
    model=MODEL,
    seed=42,
    sampling=Sampling(),
    max_new_tokens=8,
    stop="[EOS]",
    constraint=None,
)
LOGPROBS = st.floats(max_value=0, allow_nan=False)
NUMBERS = st.integers(0, 2**31)
LIKELY = st.builds(Likely, NUMBERS, st.text(max_size=4), LOGPROBS)
TOKENS = st.builds(
    Token,
    NUMBERS,
    st.text(max_size=4),
    LOGPROBS,
    st.lists(LIKELY, min_size=3, max_size=3).map(tuple),
)
ANSWERS = st.builds(
    Answer,
    st.builds(
        Generation,
        st.lists(TOKENS, max_size=4).map(tuple),
        st.sampled_from(["stop", "length"]),
    ),
    NUMBERS,
    NUMBERS,
    st.just("engine"),
)
ANSWER = Answer(
    Generation((Token(7, "Hi", -0.5, (Likely(7, "Hi", -0.5),)),), "stop"),
    prompt_tokens=12,
    dropped_prompt_tokens=3,
    source="engine",
)


def choices(*values: str) -> Constraint:
    chosen = constraint(choices=list(values))
    assert chosen is not None
    return chosen


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Hi "},
        {"seed": 43},
        {"sampling": Sampling(temperature=0.5)},
        {"sampling": Sampling(top_p=0.5)},
        {"max_new_tokens": 9},
        {"stop": ""},
        {"model": LocalModel(replace(FILE, digest="other"), MODEL.identity)},
        {"model": LocalModel(FILE, {"engine": "2"})},
    ],
    ids=str,
)
def test_everything_that_can_change_the_text_is_in_the_key(
    change: dict[str, Any],
) -> None:
    """Each field that the text depends on makes another key."""
    assert QUESTION.key != replace(QUESTION, **change).key


def test_constraint_is_in_the_key() -> None:
    """So do a constraint and its content."""
    keys = {
        QUESTION.key,
        replace(QUESTION, constraint=choices("yes", "no")).key,
        replace(QUESTION, constraint=choices("yes", "never")).key,
    }

    assert 3 == len(keys)


def test_name_and_place_of_a_model_are_not_in_the_key() -> None:
    """A model file is its content: a copy elsewhere has the same texts."""
    file = ModelFile("copy", Path("/elsewhere.gguf"), "digest")
    copied = LocalModel(file, MODEL.identity)

    assert QUESTION.key == replace(QUESTION, model=copied).key


def test_key_is_the_same_in_every_release() -> None:
    """Texts that an earlier release kept are found again."""
    assert "d26f68e46733361d9cc5bba63cce6b6b" == QUESTION.key


def test_seeds_beyond_what_floats_hold_have_their_own_keys() -> None:
    """Two seeds that a JSON reader might round to one number keep two keys."""
    first, second = (replace(QUESTION, seed=2**64 - at).key for at in (1, 2))

    assert first != second


def test_equal_questions_are_found_in_a_dict() -> None:
    """A question can be hashed although its engine's identity is a mapping."""
    again = replace(QUESTION, model=LocalModel(FILE, {"engine": "1"}))

    assert {QUESTION: 1} == {again: 1}


@given(ANSWERS, st.integers(0, 3))
def test_answer_comes_back_from_json_with_what_was_asked_for(
    answer: Answer, top_logprobs: int
) -> None:
    """Through JSON, tokens and log-probabilities keep every bit, with as many likely
    tokens as are asked for.
    """
    entry = json.loads(json.dumps(answer.to_entry(3)))

    found = Answer.from_entry(entry, top_logprobs)

    tokens = []
    for token in answer.generation.tokens:
        tokens.append(replace(token, likely=token.likely[:top_logprobs]))
    generation = replace(answer.generation, tokens=tuple(tokens))
    assert replace(answer, generation=generation, source="cache") == found


@given(ANSWERS)
def test_answer_comes_back_without_logprobs(answer: Answer) -> None:
    """Without a request for log-probabilities there are none, though the entry has
    them.
    """
    found = Answer.from_entry(answer.to_entry(3), None)

    tokens = []
    for token in answer.generation.tokens:
        tokens.append(Token(token.token, token.text))
    assert found is not None
    assert tuple(tokens) == found.generation.tokens


@pytest.mark.parametrize(
    ("stored", "asked", "expected"),
    [
        (None, None, True),
        (None, 0, False),
        (0, 0, True),
        (0, 1, False),
        (5, 5, True),
        (5, 6, False),
    ],
)
def test_entry_with_too_few_logprobs_is_a_miss(
    stored: int | None, asked: int | None, expected: bool
) -> None:
    """An entry serves requests for no more log-probabilities than it has; 0 likely
    tokens are more than no log-probabilities.
    """
    found = Answer.from_entry(ANSWER.to_entry(stored), asked)

    assert expected == (found is not None)


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": None},
        {"tokens": 5},
        {"tokens": [[1, "a"]]},
        {"tokens": [[1, "a", -0.5, None]]},
        {"tokens": [[1, "a", -0.5, [[1, "a"]]]]},
        {"top_logprobs": "five"},
    ],
    ids=str,
)
def test_entry_of_another_form_is_a_miss(change: dict[str, Any]) -> None:
    """What another version may have written is generated again, not an error."""
    entry = {**ANSWER.to_entry(5), **change}

    assert None is Answer.from_entry(entry, 1)


@pytest.mark.parametrize(
    "name", ["tokens", "finish_reason", "prompt_tokens", "dropped_prompt_tokens"]
)
def test_entry_without_a_field_is_a_miss(name: str) -> None:
    """So is an entry that lacks a field."""
    entry = ANSWER.to_entry(5)
    del entry[name]

    assert None is Answer.from_entry(entry, None)
