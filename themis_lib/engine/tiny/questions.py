"""Questions with one right option and three wrong ones."""

from __future__ import annotations

from random import Random

from themis_lib.engine.tiny.lexicon import ANIMALS, FOODS, JOBS, NOUNS, THINGS

#: A question, its right answer and three wrong ones.
Question = tuple[str, str, list[str]]

# Kinds that share no word, so that only one option is ever right.
_KINDS = {
    "an animal": ANIMALS,
    "a food": FOODS,
    "a tool or thing": THINGS,
    "a job": JOBS,
}
# Without e, the most frequent letter, and those that hardly any noun has.
_ASKED_LETTERS = "abcdfghiklmnoprstuw"


def ask_largest(rng: Random) -> Question:
    """Ask for the largest of four numbers."""
    *others, largest = _draw_four_numbers(rng)
    return "Which number is largest?", largest, others


def ask_smallest(rng: Random) -> Question:
    """Ask for the smallest of four numbers."""
    smallest, *others = _draw_four_numbers(rng)
    return "Which number is smallest?", smallest, others


def ask_kind(rng: Random) -> Question:
    """Ask which of four words is of a kind."""
    kinds = sorted(_KINDS)
    kind = rng.choice(kinds)
    others: list[str] = []
    for name in kinds:
        if name != kind:
            others.extend(_KINDS[name])
    right = rng.choice(_KINDS[kind])
    return f"Which word is {kind}?", right, rng.sample(others, 3)


def ask_letter(rng: Random) -> Question:
    """Ask which of four words has a letter."""
    while True:
        letter = rng.choice(_ASKED_LETTERS)
        having = [word for word in NOUNS if letter in word]
        lacking = [word for word in NOUNS if letter not in word]
        # Draws again if the lexicon has too few words for the letter.
        if having and len(lacking) >= 3:
            question = f'Which word has the letter "{letter}"?'
            return question, rng.choice(having), rng.sample(lacking, 3)


def _draw_four_numbers(rng: Random) -> list[str]:
    """Return four different numbers, sorted by value."""
    # Half of the time all have two digits, and their length tells nothing.
    stop = 1000 if rng.random() < 0.5 else 100
    numbers = sorted(rng.sample(range(10, stop), 4))
    return list(map(str, numbers))
