"""Every regular expression that some text matches is accepted, and comes to its end."""

from __future__ import annotations

import re
import sys
from types import FrameType
from typing import Any

import numpy as np
import pytest

from tests.support.random_patterns import random_patterns
from tests.support.reference_automaton import Automaton
from tests.support.vocabularies import TOKENIZER, Vocabulary
from themis_lib.engine.constraints import closing
from themis_lib.engine.constraints.closing import MOST_STATES
from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.constraints.exact_closing import ExactClosing
from themis_lib.engine.constraints.guide import Guide
from themis_lib.engine.constraints.patterns import translate
from themis_lib.engine.constraints.search import Steps, search_completion
from themis_lib.errors import ConfigError, RowError

llguidance = pytest.importorskip("llguidance")

#: A wildcard before a literal of several tokens: reason, then answer in this form.
REASONED = [
    r".*Answer: \d+",
    r"(?s:.*)Answer: \d+",
    "<answer>.*</answer>",
    "<b>.*?</b>",
    r"(?s:.*)\n#### -?[0-9,]+",
    r"[\s\S]*\\boxed\{[^{}]+\}",
    r"(?:[^\n]+\n){2,}Answer: [A-D]",
    r"<think>(?s:.*)</think>\s*(?:yes|no)",
]


def written(pattern: str, max_tokens: int, seed: int = 0) -> tuple[str, int]:
    """Return what a model of random taste writes, and in how many tokens."""
    guide = Guide(constraint(regex=pattern), TOKENIZER, max_tokens=max_tokens)
    random = np.random.default_rng(seed)
    tokens: list[int] = []
    while not guide.finished:
        allowed = np.flatnonzero(guide.mask())
        tokens.append(guide.admit(int(random.choice(allowed))))
    if tokens and tokens[-1] in TOKENIZER.eos_tokens:
        tokens.pop()
    return TOKENIZER.decode_bytes(tokens).decode(), len(tokens)


def check_pattern(pattern: str) -> None:
    """Write texts in the fewest tokens there are, in a few more, and in many more."""
    expression = translate(pattern).expression
    automaton, size = Automaton(expression), len(expression.shortest)
    # Each byte is a token. An exhaustive search for fewer takes too long in long texts.
    fewest: int | None = size
    if size <= 50:
        fewest = automaton.fewest(list(Vocabulary.tokens[2:]), size)
    assert fewest is not None
    # The largest first: what a search did not find there, it need not look for again.
    for seed, more in enumerate((30, 3, 1, 0)):
        max_tokens = fewest + more
        if not max_tokens:
            continue
        text, written_tokens = written(pattern, max_tokens, seed)
        # Python's own matcher may take for ever over nested repetitions.
        assert automaton.accepts(text.encode()), (pattern, text)
        assert written_tokens <= max_tokens
    if 1 < fewest and size <= 50:
        with pytest.raises(ConfigError, match=f"max_new_tokens is {fewest - 1}"):
            written(pattern, fewest - 1)


@pytest.mark.parametrize("pattern", REASONED)
def test_reasoning_may_come_before_an_answer(pattern: str) -> None:
    """The text may hold anything, and still ends with the whole answer."""
    for seed, max_tokens in enumerate((60, 40)):
        text, size = written(pattern, max_tokens, seed)

        assert re.fullmatch(pattern, text), text
        assert size <= max_tokens


def test_an_answer_fits_into_its_own_tokens() -> None:
    """A wildcard takes nothing where nothing is left."""
    assert ("Answer: 0", 9) == written(r".*Answer: \d+", 9)
    with pytest.raises(ConfigError, match="takes 9 tokens; max_new_tokens is 8"):
        written(r".*Answer: \d+", 8)


def test_a_text_may_leave_what_was_easy_for_a_wildcard() -> None:
    """The search found `yes`, and the text became another one, whose end it misses."""
    pattern = "(?:yes|x.*Answer: [0-9])"
    guide = Guide(constraint(regex=pattern), TOKENIZER, max_tokens=30)
    letter = TOKENIZER.tokenize_str("x")[0]

    tokens: list[int] = []
    while not guide.finished:
        tokens.append(guide.admit(letter))

    assert re.fullmatch(pattern, TOKENIZER.decode_str(tokens).removesuffix("</s>"))


def test_a_token_that_leads_too_far_costs_no_search() -> None:
    """Counted in calls: another token is sure to fit, and is taken."""
    rule = constraint(regex=r".*Answer: (?:0|\(.{30}\))")
    guide = Guide(rule, TOKENIZER, max_tokens=18)
    for token in TOKENIZER.tokenize_str("xAnswer: "):
        guide.admit(token)
    bracket, zero = TOKENIZER.tokenize_str("(0")
    counted = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal counted
        counted += event == "call"

    sys.setprofile(count)
    try:
        admitted = guide.admit(bracket)
    finally:
        sys.setprofile(None)

    assert zero == admitted
    assert counted < 1000


@pytest.mark.parametrize(
    "pattern",
    [r"(?:yes|x.*Answer: \d)", r"x.*Answer: \d", "(?:a|x(?s:.*)END)", r"x.{2,}</b>"],
)
def test_what_a_search_does_not_find_is_looked_for_once(
    monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    """Behind a wildcard all texts are at one place, where a search takes its time."""
    failed: list[int] = []

    def search(steps: Steps, matcher: Any, limit: int, most: int) -> list[int] | None:
        plan = search_completion(steps, matcher, limit, most)
        if plan is None and most == MOST_STATES:
            failed.append(limit)
        return plan

    monkeypatch.setattr(closing, "search_completion", search)
    rule = constraint(regex=pattern)
    letter = TOKENIZER.tokenize_str("x")[0]
    texts: list[str] = []
    for _ in range(3):
        guide = Guide(rule, TOKENIZER, max_tokens=40)
        tokens: list[int] = []
        while not guide.finished:
            tokens.append(guide.admit(letter if guide.allows(letter) else 2))
        texts.append(TOKENIZER.decode_str(tokens).removesuffix("</s>"))

    assert re.fullmatch(pattern, texts[0])
    assert [texts[0]] * 3 == texts
    assert len(failed) == 1


def test_what_is_left_out_is_not_taken_for_what_another_text_left() -> None:
    """Of more than a thousand ways to go on, the derivatives keep the nearest to an end.

    A text that has gone another way is nowhere in them, and so are others.
    """
    short = [f"x{number:04d}" for number in range(1100)]
    rule = constraint(regex="|".join([*short, r"xz.*Answer: \d", "xwv*ENDING"]))

    def text(begun: str, letter: int) -> str:
        guide = Guide(rule, TOKENIZER, max_tokens=60)
        tokens = [guide.admit(token) for token in TOKENIZER.tokenize_str(begun)]
        while not guide.finished:
            chosen = letter if guide.allows(letter) else int(guide.mask().argmax())
            tokens.append(guide.admit(chosen))
        return TOKENIZER.decode_str(tokens)

    v, k = TOKENIZER.tokenize_str("vk")
    before = text("xw", v)
    with pytest.raises(RowError, match="no completion"):
        text("xz", k)

    assert before.endswith("vENDING")
    assert before == text("xw", v)


def test_a_text_does_not_go_where_no_end_is_known() -> None:
    """A token after which the derivatives have left out all ends is not taken."""
    ways = [*(rf"x.*A{number:04d}" for number in range(1100)), "xw.*v{9}END"]
    guide = Guide(constraint(regex="|".join(ways)), TOKENIZER, max_tokens=30)
    tokens: list[int] = []
    (letter,) = TOKENIZER.tokenize_str("w")
    while not guide.finished:
        chosen = letter if guide.allows(letter) else int(guide.mask().argmax())
        tokens.append(guide.admit(chosen))

    text = TOKENIZER.decode_str(tokens).removesuffix("</s>")
    assert re.fullmatch("|".join(ways), text)


def test_a_search_that_uses_up_the_lexer_leaves_the_texts_one() -> None:
    """Matchers share it, and it takes no more than a number of states."""
    pattern = random_patterns(16, seed=17, depth=2)[-1]
    expression = translate(pattern).expression
    size = len(expression.shortest)

    text, written_tokens = written(pattern, size + 30)

    assert Automaton(expression).accepts(text.encode())
    assert written_tokens <= size + 30


def test_choices_in_fewer_tokens_than_the_tokenizer_takes_are_found() -> None:
    """A tokenizer reads greedily: `aab` as `a`, `ab`, and `aaaab` as `aaaa`, `b`."""
    rule = constraint(choices=["xaaaaab", "hello w"])

    assert Guide(rule, TOKENIZER, max_tokens=2)
    with pytest.raises(ConfigError, match="max_new_tokens is 1"):
        Guide(rule, TOKENIZER, max_tokens=1)


def test_only_expressions_are_covered() -> None:
    """A schema has no expression, so its texts are searched for."""
    assert ExactClosing.covers(constraint(regex="a"))
    assert ExactClosing.covers(constraint(choices=["a"]))
    assert not ExactClosing.covers(constraint(schema={"type": "string"}))


@pytest.mark.parametrize("pattern", random_patterns(12, seed=2))
def test_random_patterns_come_to_their_end(pattern: str) -> None:
    """In as many tokens as their shortest text has bytes, and in more."""
    expression = translate(pattern).expression
    automaton, size = Automaton(expression), max(1, len(expression.shortest))

    for max_tokens in (size + 20, size):
        text, written_tokens = written(pattern, max_tokens)
        assert automaton.accepts(text.encode()), text
        assert written_tokens <= max_tokens


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 18))
def test_many_random_patterns_come_to_their_end(seed: int) -> None:
    """Two hundred of them, at lengths from the shortest on."""
    for pattern in random_patterns(25, seed=seed, depth=2):
        check_pattern(pattern)
