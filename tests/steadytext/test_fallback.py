"""The text for when no model can be loaded."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.steadytext.fallback import (
    MAX_WORDS,
    MIN_WORDS,
    fallback_pieces,
    warn_fallback,
)

PROMPTS = st.text(st.characters(exclude_categories=()))
SEEDS = st.integers(0, 2**64)


@given(PROMPTS, SEEDS, st.integers(1, 200), st.integers(1, 200))
def test_shorter_is_a_prefix_of_longer(
    prompt: str, seed: int, first: int, second: int
) -> None:
    """Fewer pieces are the beginning of more, and never more than asked for, for any
    prompt there is.
    """
    short, long = sorted((first, second))
    pieces = fallback_pieces(prompt, seed=seed, max_new_tokens=long)

    assert pieces[:short] == fallback_pieces(prompt, seed=seed, max_new_tokens=short)
    assert len(pieces) <= long


@given(PROMPTS, SEEDS)
def test_text_has_content(prompt: str, seed: int) -> None:
    """A whole text is some forty to a hundred and twenty words in sentences."""
    text = "".join(fallback_pieces(prompt, seed=seed, max_new_tokens=512))

    assert MIN_WORDS <= len(text.split(" ")) <= MAX_WORDS
    assert text[0].isupper()
    assert text.endswith(".")
    assert "  " not in text


def test_prompts_and_seeds_make_different_texts() -> None:
    """A thousand prompts and a thousand seeds give two thousand texts."""
    by_prompt = {
        tuple(fallback_pieces(f"prompt {n}", seed=42, max_new_tokens=512))
        for n in range(1000)
    }
    by_seed = {
        tuple(fallback_pieces("one prompt", seed=n, max_new_tokens=512))
        for n in range(1000)
    }

    assert 2000 == len(by_prompt | by_seed)


def test_prompt_and_seed_do_not_run_into_each_other() -> None:
    """Digits moved from the prompt to the seed make another text."""
    moved = fallback_pieces("2\nstory", seed=1, max_new_tokens=512)

    assert moved != fallback_pieces("story", seed=12, max_new_tokens=512)


def test_choices_are_all_chosen() -> None:
    """With choices the text is one of them, and over the prompts every one has its
    turn.
    """
    choices = ["yes", 'n"o', "may\nbe", "🙂"]
    chosen = {
        "".join(fallback_pieces(f"{n}", seed=42, max_new_tokens=1, choices=choices))
        for n in range(100)
    }

    assert set(choices) == chosen


def test_another_process_writes_the_same() -> None:
    """Nothing of a process goes into the text, not even its hash seed."""
    program = (
        "from themis_lib.steadytext.fallback import fallback_pieces\n"
        "print(''.join(fallback_pieces('Write a story', seed=7, max_new_tokens=512)))"
    )
    done = subprocess.run(
        [sys.executable, "-R", "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )

    assert (
        "".join(fallback_pieces("Write a story", seed=7, max_new_tokens=512)) + "\n"
        == done.stdout
    )


def test_warns_once() -> None:
    """The warning names the reason, and comes once however often there is no model."""
    with pytest.warns(RuntimeWarning, match="because of a test"):
        warn_fallback("because of a test")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_fallback("because of a test")
