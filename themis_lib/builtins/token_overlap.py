"""The overlap of the words of two texts in any script."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from itertools import filterfalse

from themis_lib.builtins.word_tokens import split_unspaced

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def token_f1(
    said: Counter[str],
    expected: Counter[str],
) -> float:
    """Return the F1 of two bags of tokens, neither of them empty."""
    common = (said & expected).total()
    return 2 * common / (said.total() + expected.total())


def token_overlap(
    text: str,
    wanted: str,
) -> float:
    """Return the F1 of the words of two texts, without punctuation and articles.

    >>> token_overlap("the cat sat", "a cat."), token_overlap("+", "-")
    (0.6666666666666666, 0.0)
    """
    said = _word_counts(text)
    expected = _word_counts(wanted)
    if said and expected:
        return token_f1(said, expected)
    # Nothing but punctuation, such as `+`: removing it would make all such texts equal.
    left = _ARTICLE.sub("", text).split()
    right = _ARTICLE.sub("", wanted).split()
    return float(left == right)


def _word_counts(text: str) -> Counter[str]:
    # Punctuation goes first, as in SQuAD's script: later, the last letter of `U.S.A.`
    # would be removed as an article.
    kept = "".join(filterfalse(_is_punctuation, text))
    words: Counter[str] = Counter()
    for word in _ARTICLE.sub(" ", kept).split():
        words.update(split_unspaced(word))
    return words


def _is_punctuation(character: str) -> bool:
    # SQuAD's script also removes the symbols of ASCII, such as `$`.
    if character in string.punctuation:
        return True
    return unicodedata.category(character).startswith("P")
