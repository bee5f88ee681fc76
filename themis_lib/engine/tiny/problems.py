"""Problems with one right answer, in groups.

Each group has a function that draws one problem from a seeded generator. The order of
its draws is part of the corpus: another order gives other problems for the same seed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from string import ascii_lowercase, ascii_uppercase, digits

from themis_lib.engine.tiny.lexicon import (
    ADJECTIVES,
    JOBS,
    NAMES,
    NOUNS,
    SYLLABLES,
    TENS,
    UNITS,
)
from themis_lib.engine.tiny.questions import (
    ask_kind,
    ask_largest,
    ask_letter,
    ask_smallest,
)


@dataclass(frozen=True)
class Problem:
    """A problem with one right answer.

    `content` identifies it whatever its phrasing, `phrasings` ask the same question,
    the usual one first, and `work` is the written way to the answer, if it is taught.
    """

    group: str
    content: str
    phrasings: tuple[str, ...]
    answer: str
    work: str | None = None


def number_in_words(number: int) -> str:
    """Return `number`, from 0 to 999, in English words.

    >>> number_in_words(42), number_in_words(205)
    ('forty-two', 'two hundred five')
    """
    hundreds, rest = divmod(number, 100)
    # The numbers below twenty have names of their own, made of no parts.
    if rest < 20:
        words = UNITS[rest]
    else:
        tens, ones = divmod(rest, 10)
        words = TENS[tens]
        if ones:
            words += f"-{UNITS[ones]}"
    if not hundreds:
        return words
    words_of_hundreds = f"{UNITS[hundreds]} hundred"
    if not rest:
        return words_of_hundreds
    return f"{words_of_hundreds} {words}"


def written_addition(
    first: int,
    second: int,
) -> str:
    """Return the sum worked out digit by digit from the right.

    Each line begins with what is left of the numbers, so that the next digits are
    always in the same places. The last line is `A: <sum>`.

    >>> print(written_addition(58, 27))
    58 + 27: 8 + 7 + 0 = 15, carry 1, so far 5
    5 + 2: 5 + 2 + 1 = 8, carry 0, so far 85
    A: 85
    """
    lines: list[str] = []
    whole = str(first + second)
    carry = 0
    for place in range(len(str(max(first, second)))):
        left = first // 10**place
        right = second // 10**place
        left_digit = left % 10
        right_digit = right % 10
        total = left_digit + right_digit + carry
        # On the last line the carry is written too, as there is no digit left for it.
        is_last = left <= 9 and right <= 9
        so_far = whole if is_last else whole[-place - 1 :]
        next_carry = total // 10
        lines.append(
            f"{left} + {right}: {left_digit} + {right_digit} + {carry} = {total}, "
            f"carry {next_carry}, so far {so_far}"
        )
        carry = next_carry
    lines.append(f"A: {whole}")
    return "\n".join(lines)


def add(rng: Random) -> Problem:
    """Draw the sum of two numbers up to 99."""
    first = rng.randint(1, 99)
    second = rng.randint(1, 99)
    return _addition_problem("add", first, second)


def add_long(rng: Random) -> Problem:
    """Draw the sum of two numbers of the same length, 3 or 4 digits."""
    length = rng.choice((3, 4))
    first = _draw_number(rng, length)
    second = _draw_number(rng, length)
    return _addition_problem("add_long", first, second)


def subtract(rng: Random) -> Problem:
    """Draw the difference, never negative, of two numbers up to 99."""
    small, large = sorted((rng.randint(1, 99), rng.randint(1, 99)))
    phrasings = (
        f"What is {large} - {small}?",
        f"Subtract {small} from {large}.",
        f"{large} - {small} =",
        f"Calculate {large} - {small}.",
        f"How much is {large} minus {small}?",
    )
    return Problem(
        group="subtract",
        content=f"subtract {large} {small}",
        phrasings=phrasings,
        answer=str(large - small),
    )


def multiply(rng: Random) -> Problem:
    """Draw the product of a 2-digit number and one of 1 or 2 digits."""
    first = _draw_number(rng, 2)
    if rng.random() < 0.85:
        second = rng.randint(2, 9)
    else:
        second = _draw_number(rng, 2)
    phrasings = (
        f"What is {first} * {second}?",
        f"Multiply {first} by {second}.",
        f"{first} * {second} =",
        f"Calculate {first} * {second}.",
        f"How much is {first} times {second}?",
    )
    # Sorted, so that a product is held out in both orders or in neither.
    low, high = sorted((first, second))
    return Problem(
        group="multiply",
        content=f"multiply {low} {high}",
        phrasings=phrasings,
        answer=str(first * second),
    )


def words(rng: Random) -> Problem:
    """Draw arithmetic that is asked and answered in words."""
    # Plus twice, so that it comes up as often as the other two together.
    name = rng.choice(("plus", "plus", "minus", "times"))
    top = 10 if name == "times" else 30
    small, large = sorted((rng.randint(1, top), rng.randint(1, top)))
    first, second = small, large
    # No answer is negative; otherwise both orders are as likely.
    if name == "minus" or rng.random() < 0.5:
        first, second = large, small
    results = {
        "plus": first + second,
        "minus": first - second,
        "times": first * second,
    }
    asked = f"{number_in_words(first)} {name} {number_in_words(second)}"
    phrasings = (
        f"What is {asked}?",
        f"How much is {asked}?",
        f"Answer in words: {asked}.",
        f"{asked.capitalize()} is what number?",
    )
    return Problem(
        group="words",
        content=f"words {name} {small} {large}",
        phrasings=phrasings,
        answer=number_in_words(results[name]),
    )


def copy(rng: Random) -> Problem:
    """Draw a text to repeat: a few words, or a code of letters and digits."""
    if rng.random() < 0.7:
        count = rng.randint(2, 5)
        text = " ".join(rng.choice(NOUNS + ADJECTIVES) for _ in range(count))
    else:
        # Codes are not in the lexicon: they can be copied but not guessed.
        letters = rng.choice(_CODE_ALPHABETS)
        size = rng.randint(3, 7)
        text = "".join(rng.choice(letters) for _ in range(size))
    phrasings = (
        f"Copy this: {text}",
        f"Repeat: {text}",
        f"Copy this text: {text}",
        f"Say exactly: {text}",
    )
    return Problem(
        group="copy",
        content=f"copy {text}",
        phrasings=phrasings,
        answer=text,
    )


def reverse(rng: Random) -> Problem:
    """Draw a word of 3 to 8 letters to spell backwards."""
    # The nouns are few; made-up words give as many problems as are drawn.
    word = rng.choice(NOUNS) if rng.random() < 0.2 else made_up_word(rng)
    phrasings = (
        f'Reverse the word "{word}".',
        f'Spell "{word}" backwards.',
        f'Reverse: "{word}"',
        f'What is "{word}" backwards?',
    )
    return Problem(
        group="reverse",
        content=f"reverse {word}",
        phrasings=phrasings,
        answer=word[::-1],
    )


def choose(rng: Random) -> Problem:
    """Draw a question with four options, one of them right; its letter answers it."""
    ask = rng.choice((ask_largest, ask_smallest, ask_kind, ask_letter))
    question, right, wrong = ask(rng)
    options = [right, *wrong]
    rng.shuffle(options)
    lines: list[str] = []
    for letter, option in zip(_OPTION_LETTERS, options, strict=True):
        lines.append(f"{letter}) {option}")
    listed = "\n".join(lines)
    phrasings = (
        f"{question}\n{listed}",
        f"{question}\n{listed}\nAnswer with the letter.",
        f"Choose the right option. {question}\n{listed}",
    )
    # The order of the options makes no other problem.
    return Problem(
        group="choose",
        content=f"choose {question} {' '.join(sorted(options))}",
        phrasings=phrasings,
        answer=_OPTION_LETTERS[options.index(right)],
    )


def as_json(rng: Random) -> Problem:
    """Draw two to four named values to write as a JSON object."""
    # A name and an age are drawn even where an item replaces them: every later draw
    # depends on the order of those before it.
    fields: dict[str, str | int] = {
        "name": rng.choice(NAMES),
        "age": rng.randint(2, 99),
    }
    if rng.random() < 0.5:
        fields = {
            "item": rng.choice(NOUNS),
            "count": rng.randint(2, 99),
        }
    if rng.random() < 0.5:
        fields["color"] = rng.choice(_COLORS)
    if rng.random() < 0.3:
        fields["job"] = rng.choice(JOBS)
    listed = ", ".join(f"{key} {value}" for key, value in fields.items())
    phrasings = (
        f"Write as JSON: {listed}",
        f"Give this as JSON: {listed}.",
        f"Convert to JSON: {listed}",
    )
    return Problem(
        group="json",
        content=f"json {listed}",
        phrasings=phrasings,
        answer=json.dumps(fields),
    )


def made_up_word(rng: Random) -> str:
    """Return a word of 3 to 8 letters that can be spoken but need not exist."""
    word = "".join(rng.choice(SYLLABLES) for _ in range(rng.randint(1, 3)))
    # One syllable has two letters, too few for a word to reverse.
    if len(word) < 3 or rng.random() < 0.5:
        word += rng.choice("nrstlmk")
    if len(word) < 8 and rng.random() < 0.2:
        word += rng.choice("aeiou")
    return word


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

_OPTION_LETTERS = "ABCD"
_COLORS = (
    "red",
    "blue",
    "green",
    "yellow",
    "white",
    "black",
)
_CODE_ALPHABETS = (
    ascii_lowercase,
    ascii_uppercase + digits,
    ascii_lowercase + digits,
)


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
    # Sorted, so that a sum is held out in both orders or in neither.
    low, high = sorted((first, second))
    return Problem(
        group=group,
        content=f"{group} {low} {high}",
        phrasings=phrasings,
        answer=str(first + second),
        work=written_addition(first, second),
    )
