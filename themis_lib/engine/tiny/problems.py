"""Problems with one right answer: a function a group, each drawing one problem from a
seeded generator.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase, ascii_uppercase, digits

from themis_lib.engine.tiny.lexicon import (
    ADJECTIVES,
    ANIMALS,
    FOODS,
    JOBS,
    NAMES,
    NOUNS,
    SYLLABLES,
    TENS,
    THINGS,
    UNITS,
)


@dataclass(frozen=True)
class Problem:
    """One problem: its content, whatever the phrasing; the phrasings; the answer; and
    written work, if taught.
    """

    group: str
    content: str
    phrasings: tuple[str, ...]
    answer: str
    work: str | None = None


def number_in_words(number: int) -> str:
    """`number`, from 0 to 999, in English words.

    >>> number_in_words(42), number_in_words(205)
    ('forty-two', 'two hundred five')
    """
    hundreds, rest = divmod(number, 100)
    tens = TENS[rest // 10] + (f"-{UNITS[rest % 10]}" if rest % 10 else "")
    words = UNITS[rest] if rest < 20 else tens
    if not hundreds:
        return words
    return f"{UNITS[hundreds]} hundred" + (f" {words}" if rest else "")


def written_addition(
    first: int,
    second: int,
) -> str:
    """The sum worked out digit by digit from the right, ending with a line `A: <sum>`.

    Each line begins with what is left of the numbers, so that the next digits always
    stand in the same places.

    >>> print(written_addition(58, 27))
    58 + 27: 8 + 7 + 0 = 15, carry 1, so far 5
    5 + 2: 5 + 2 + 1 = 8, carry 0, so far 85
    A: 85
    """
    lines, carry = [], 0
    for place in range(len(str(max(first, second)))):
        left, right = first // 10**place, second // 10**place
        a, b = left % 10, right % 10
        total = a + b + carry
        so_far = (
            str(first + second)[-place - 1 :]
            if left > 9 or right > 9
            else str(first + second)
        )
        lines.append(
            f"{left} + {right}: {a} + {b} + {carry} = {total}, carry {total // 10}, so far {so_far}"
        )
        carry = total // 10
    return "\n".join([*lines, f"A: {first + second}"])


def add(rng: Random) -> Problem:
    """The sum of two numbers up to 99."""
    return _addition_problem("add", rng.randint(1, 99), rng.randint(1, 99))


def add_long(rng: Random) -> Problem:
    """The sum of two numbers of the same length, 3 or 4 digits."""
    length = rng.choice((3, 4))
    return _addition_problem(
        "add_long", _draw_number(rng, length), _draw_number(rng, length)
    )


def subtract(rng: Random) -> Problem:
    """The difference, never negative, of two numbers up to 99."""
    small, large = sorted((rng.randint(1, 99), rng.randint(1, 99)))
    phrasings = (
        f"What is {large} - {small}?",
        f"Subtract {small} from {large}.",
        f"{large} - {small} =",
        f"Calculate {large} - {small}.",
        f"How much is {large} minus {small}?",
    )
    return Problem(
        "subtract",
        f"subtract {large} {small}",
        phrasings,
        str(large - small),
    )


def multiply(rng: Random) -> Problem:
    """The product of a 2-digit number and one of 1 or 2 digits."""
    first, second = (
        _draw_number(rng, 2),
        rng.randint(2, 9) if rng.random() < 0.85 else _draw_number(rng, 2),
    )
    phrasings = (
        f"What is {first} * {second}?",
        f"Multiply {first} by {second}.",
        f"{first} * {second} =",
        f"Calculate {first} * {second}.",
        f"How much is {first} times {second}?",
    )
    low, high = sorted((first, second))
    return Problem(
        "multiply",
        f"multiply {low} {high}",
        phrasings,
        str(first * second),
    )


def words(rng: Random) -> Problem:
    """Arithmetic asked and answered in words."""
    name = rng.choice(("plus", "plus", "minus", "times"))
    top = 10 if name == "times" else 30
    small, large = sorted((rng.randint(1, top), rng.randint(1, top)))
    first, second = (
        (large, small) if name == "minus" or rng.random() < 0.5 else (small, large)
    )
    answer = {"plus": first + second, "minus": first - second, "times": first * second}[
        name
    ]
    asked = f"{number_in_words(first)} {name} {number_in_words(second)}"
    phrasings = (
        f"What is {asked}?",
        f"How much is {asked}?",
        f"Answer in words: {asked}.",
        f"{asked.capitalize()} is what number?",
    )
    return Problem(
        "words",
        f"words {name} {small} {large}",
        phrasings,
        number_in_words(answer),
    )


def copy(rng: Random) -> Problem:
    """A text to give back unchanged: a few words or a code of letters and digits."""
    if rng.random() < 0.7:
        text = " ".join(
            rng.choice(NOUNS + ADJECTIVES) for _ in range(rng.randint(2, 5))
        )
    else:
        letters = rng.choice(
            (ascii_lowercase, ascii_uppercase + digits, ascii_lowercase + digits)
        )
        text = "".join(rng.choice(letters) for _ in range(rng.randint(3, 7)))
    phrasings = (
        f"Copy this: {text}",
        f"Repeat: {text}",
        f"Copy this text: {text}",
        f"Say exactly: {text}",
    )
    return Problem(
        "copy",
        f"copy {text}",
        phrasings,
        text,
    )


def reverse(rng: Random) -> Problem:
    """A word of 3 to 8 letters to spell backwards."""
    word = rng.choice(NOUNS) if rng.random() < 0.2 else made_up_word(rng)
    phrasings = (
        f'Reverse the word "{word}".',
        f'Spell "{word}" backwards.',
        f'Reverse: "{word}"',
        f'What is "{word}" backwards?',
    )
    return Problem(
        "reverse",
        f"reverse {word}",
        phrasings,
        word[::-1],
    )


def choose(rng: Random) -> Problem:
    """Four options, one of them right; the answer is its letter."""
    question, right, wrong = rng.choice(
        (_ask_largest, _ask_smallest, _ask_kind, _spelled_with)
    )(rng)
    options = [right, *wrong]
    rng.shuffle(options)
    listed = "\n".join(
        f"{letter}) {option}" for letter, option in zip("ABCD", options, strict=True)
    )
    phrasings = (
        f"{question}\n{listed}",
        f"{question}\n{listed}\nAnswer with the letter.",
        f"Choose the right option. {question}\n{listed}",
    )
    content = f"choose {question} {' '.join(sorted(options))}"
    return Problem(
        "choose",
        content,
        phrasings,
        "ABCD"[options.index(right)],
    )


def as_json(rng: Random) -> Problem:
    """Two or three named values to write as a JSON object."""
    fields: dict[str, str | int] = {
        "name": rng.choice(NAMES),
        "age": rng.randint(2, 99),
    }
    if rng.random() < 0.5:
        fields = {"item": rng.choice(NOUNS), "count": rng.randint(2, 99)}
    if rng.random() < 0.5:
        fields |= {
            "color": rng.choice(("red", "blue", "green", "yellow", "white", "black"))
        }
    if rng.random() < 0.3:
        fields |= {"job": rng.choice(JOBS)}
    listed = ", ".join(f"{key} {value}" for key, value in fields.items())
    phrasings = (
        f"Write as JSON: {listed}",
        f"Give this as JSON: {listed}.",
        f"Convert to JSON: {listed}",
    )
    return Problem(
        "json",
        f"json {listed}",
        phrasings,
        json.dumps(fields),
    )


def made_up_word(rng: Random) -> str:
    """A word of 3 to 8 letters that can be spoken but need not exist."""
    word = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 3)))
    if len(word) < 3 or rng.random() < 0.5:
        word += rng.choice("nrstlmk")
    return word + rng.choice("aeiou") if len(word) < 8 and rng.random() < 0.2 else word


#: The groups of problems, in the order in which the evaluation set interleaves them.
GROUPS: dict[str, Callable[[Random], Problem]] = {
    "add": add,
    "add_long": add_long,
    "subtract": subtract,
    "words": words,
    "multiply": multiply,
    "copy": copy,
    "reverse": reverse,
    "choose": choose,
    "json": as_json,
}


def _draw_number(
    rng: Random,
    length: int,
) -> int:
    return rng.randrange(10 ** (length - 1), 10**length)


def _addition_problem(
    group: str,
    first: int,
    second: int,
) -> Problem:
    phrasings = (
        f"What is {first} + {second}?",
        f"Add {first} and {second}.",
        f"{first} + {second} =",
        f"Calculate {first} + {second}.",
        f"How much is {first} plus {second}?",
    )
    low, high = sorted((first, second))
    content = f"{group} {low} {high}"
    return Problem(
        group,
        content,
        phrasings,
        str(first + second),
        written_addition(first, second),
    )


def _ask_largest(rng: Random) -> tuple[str, str, list[str]]:
    numbers = sorted(rng.sample(range(10, 1000 if rng.random() < 0.5 else 100), 4))
    return (
        "Which number is largest?",
        str(numbers[3]),
        [str(number) for number in numbers[:3]],
    )


def _ask_smallest(rng: Random) -> tuple[str, str, list[str]]:
    numbers = sorted(rng.sample(range(10, 1000 if rng.random() < 0.5 else 100), 4))
    return (
        "Which number is smallest?",
        str(numbers[0]),
        [str(number) for number in numbers[1:]],
    )


def _ask_kind(rng: Random) -> tuple[str, str, list[str]]:
    kinds = {
        "an animal": ANIMALS,
        "a food": FOODS,
        "a tool or thing": THINGS,
        "a job": JOBS,
    }
    kind = rng.choice(sorted(kinds))
    others = [
        word
        for name, members in sorted(kinds.items())
        if name != kind
        for word in members
    ]
    return f"Which word is {kind}?", rng.choice(kinds[kind]), rng.sample(others, 3)


def _spelled_with(rng: Random) -> tuple[str, str, list[str]]:
    while True:
        letter = rng.choice("abcdfghiklmnoprstuw")
        having = [word for word in NOUNS if letter in word]
        lacking = [word for word in NOUNS if letter not in word]
        if having and len(lacking) >= 3:
            return (
                f'Which word has the letter "{letter}"?',
                rng.choice(having),
                rng.sample(lacking, 3),
            )
