"""What the words of all languages say about an answer: patterns for a whole text.

They come from `answer_languages`; those of English are beside their use.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from themis_lib.builtins.answer_languages import LANGUAGES, AnswerWords

# Thai, kana, Chinese and Hangul: a word may touch the next one, and an option.
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
#: A letter, digit or underscore of a script that separates words.
WORD_CHARACTER = rf"[^\W{_UNSPACED}]"
#: A place that is not inside a word.
BOUNDARY = rf"(?:(?<!{WORD_CHARACTER})|(?!{WORD_CHARACTER}))"
# Between a noun and its answer; a hyphen in front of a digit is its sign.
_LINK = r"[-=]?>|→|[:：=]|[—–-](?=\s)"
#: Quotes and brackets of other scripts in front of an answer.
_OPENING = r"[\s:：(（「『【《〈«‹„]*"
_TOP_LEVEL_BAR = re.compile(r"\|(?![^(]*\))")


def alternatives(field: str) -> str:
    """Return a field of every language as one group; it matches nothing if all are empty.

    >>> alternatives("copula").startswith("(?:ist|lautet|")
    True
    """
    found = [getattr(words, field) for words in LANGUAGES.values()]
    return f"(?:{'|'.join(filter(None, found))})"


#: Nouns of every language, English included.
ANSWER_NOUNS = f"answer|{alternatives('answer')}"
QUESTION_NOUNS = f"question|{alternatives('question')}"


def noun_patterns() -> Iterator[tuple[str, str]]:
    """Yield how each noun begins, and the pattern from there to its answer."""
    for words in LANGUAGES.values():
        for noun in _TOP_LEVEL_BAR.split(words.answer):
            stem, _, _ = noun.partition("(")
            pattern = _pattern_of_noun(noun, words)
            for written in dict.fromkeys(
                (stem.lower(), stem.capitalize(), stem.upper())
            ):
                yield written, pattern


def _pattern_of_noun(
    noun: str,
    words: AnswerWords,
) -> str:
    # Arabic joins its article to the noun; scripts without case are not bounded.
    is_cased = noun[0].lower() != noun[0].upper()
    left = rf"(?<!{WORD_CHARACTER})" if is_cased else ""
    qualifier = (
        rf"(?:[\s,]*(?:{words.qualifier}){BOUNDARY})*" if words.qualifier else ""
    )
    link = _LINK
    if words.copula:
        link += rf"|(?:{words.copula}){BOUNDARY}"
    if words.is_bare:
        link += r"|(?<=\s)"
    filler = rf"(?:(?:{words.filler}){BOUNDARY}{_OPENING})*" if words.filler else ""
    return (
        rf"{left}{noun}{BOUNDARY}{qualifier}[\"'*_`]*\s*(?:{link})"
        rf"{_OPENING}{filler}"
    )
