"""Answers in words to questions of mathematics, such as `no solution`."""

from __future__ import annotations

import re

from themis_lib.builtins.math_texts import as_latex

# The beginning of a sentence that says the answer. What holds digits or operators says
# more than that.
_BEGINNING = r"[^\d\\=<>^]{0,200}\b"
_SENTENCE = rf"{_BEGINNING}(?:is|are|has|have|it) "
#: Answers in words, each with the wordings that mean it.
_ANSWERS = {
    "no solution": r"no (?:solutions?|roots?)(?: exists?)?",
    "no real solution": r"no real (?:solutions?|roots?|numbers?|values?)(?: exists?)?",
    "does not exist": rf"dne|(?:{_BEGINNING})?do(?:es)?(?: not|n't) exist",
    "undefined": r"undefined|not defined",
    "indeterminate": r"indeterminate",
    "infinitely many": r"infinite(?:ly many)?(?: solutions?)?|infinity many",
    "all real numbers": r"all reals?(?: numbers?)?",
    "none": r"none|none of (?:the above|these)",
    "yes": r"yes",
    "no": r"no",
    "true": r"true",
    "false": r"false",
}
_WORDED = {
    answer: re.compile(f"(?:{_SENTENCE})?(?:{wordings})")
    for answer, wordings in _ANSWERS.items()
}
_TEXT_COMMAND = re.compile(r"\\(?:text(?:bf|it|rm)?|mathrm|mbox)\s*\{([^{}\\]*)\}")
_LEAD_IN = re.compile(
    r"(?:(?:so|thus|therefore|hence),? )?(?:the )?(?:final )?(?:answer|result)"
    r"(?: is|:)?:? "
)
_EMPTY_SET = re.compile(r"\\emptyset|\\\{\s*\\\}")
# Shorter words without a space can be products, such as `xy`.
_LEAST_LETTERS = 4
_MATH_WORDS = frozenset(
    {
        *("infinity", "infty", "sqrt", "frac", "percent", "degrees"),
        *("alpha", "beta", "gamma", "delta", "theta", "lambda", "sigma", "omega"),
        *("sinh", "cosh", "tanh", "arcsin", "arccos", "arctan"),
    }
)


def words(text: str) -> str | None:
    r"""Return an answer in words in one of its wordings, or `None` for mathematics.

    >>> words(r"\text{No solutions.}"), words("DNE"), words("Monday"), words("xy")
    ('no solution', 'does not exist', 'monday', None)
    """
    is_text = _TEXT_COMMAND.search(text) is not None
    text = _TEXT_COMMAND.sub(r"\1", text).replace("$", " ").replace("’", "'")
    text = " ".join(text.casefold().split()).strip(" .!")
    text = _LEAD_IN.sub("", text, count=1)
    for answer, pattern in _WORDED.items():
        if pattern.fullmatch(text):
            return answer
    # Of several words the order does not count, as in a set.
    parts = re.split(r",? and |, ?", text)
    text = ", ".join(sorted(parts))
    found = re.split(r"[ ',-]+", text)
    if not all(map(str.isalpha, found)) or not _MATH_WORDS.isdisjoint(found):
        return None
    # `A and B` are options or variables, not words.
    if any(len(word) == 1 and word != "a" for word in found):
        return None
    if len(found) == 1 and not is_text and len(text) < _LEAST_LETTERS:
        return None
    return text


def same_words(
    value: str,
    expected: str,
) -> bool | None:
    r"""Return whether two answers are the same words.

    Return `None` if that does not tell: if neither is in words, or if a sentence may
    hold the other answer.

    >>> same_words("no solution", r"\text{no solution}"), same_words("5", "undefined")
    (True, False)
    >>> same_words("It is surely Monday", "Monday")
    """
    said = words(value)
    wanted = words(expected)
    if said is not None and said == wanted:
        return True
    # The solutions of an equation without any are the empty set.
    for answer, other in ((said, expected), (wanted, value)):
        if answer == "no solution" and _EMPTY_SET.search(as_latex(other)):
            return True
    if said is not None and wanted is not None:
        is_said = f" {wanted} " in f" {said} "
        return None if is_said else False
    known = said or wanted
    return False if known in _ANSWERS else None
