"""The options that a text names as the answer to a multiple-choice question.

Options are single letters or digits. A text can mention several; only wording that
singles one out makes it the answer.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple, TypeAlias

from themis_lib.builtins.answer_words import alternatives
from themis_lib.builtins.choice_patterns import (
    BEFORE_CHARS,
    CLOSING,
    HEDGE,
    OPENING,
    ChoicePatterns,
    is_refuted,
    is_word,
    named_letters,
)
from themis_lib.builtins.markers import IS, all_markers, is_supposed, marked

_Match: TypeAlias = re.Match[str]


def named_choices(
    text: str,
    choices: str,
) -> list[str]:
    """Return the options that a text names as the answer, spelled as in `choices`.

    One is the answer; several, or none, are no answer.

    >>> named_choices("The answer is b.", "ABCD")
    ['B']
    >>> named_choices("Answer: A and C", "ABCD")
    ['A', 'C']
    """
    letters = _find_named_letters(
        _plain_letters(text),
        ChoicePatterns.compile(choices),
    )
    return [choice for choice in choices if choice.upper() in letters]


# Full-width `Ａ` to `｝`, circled `Ⓐ` and parenthesized `⒜`.
_LETTERS: dict[int, int | str] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)},
    **{0x24B6 + index: 65 + index for index in range(26)},
    **{0x24D0 + index: 97 + index for index in range(26)},
    **{0x249C + index: f"({97 + index:c})" for index in range(26)},
    0x3000: " ",
}


def _plain_letters(text: str) -> str:
    if text.isascii():
        return text
    # Composed, as the words that mark an answer are.
    return unicodedata.normalize("NFC", text).translate(_LETTERS)


class _Statement(NamedTuple):
    """What a statement names; of several the greatest counts."""

    is_certain: bool
    start: int
    end: int
    letters: frozenset[str]


def _find_named_letters(
    text: str,
    patterns: ChoicePatterns,
) -> set[str]:
    """Return the letters with the strongest evidence, as capitals."""
    stated = _find_marked_choices(text, patterns)
    concluded = []
    for found in patterns.mention.finditer(text):
        if is_refuted(text, found):
            continue
        if _is_praised(text, found):
            stated.append(_praise(text, found, patterns))
        elif _is_concluded(text, found):
            concluded.append(_state(text, found, found.start(), patterns))
    # Models correct themselves: the last statement is the answer. A conclusion is
    # weaker than a statement, so it counts only without one.
    evidence = stated or concluded
    if evidence:
        return _letters_of_last(evidence)
    for pattern in (patterns.label, patterns.bold):
        letters: set[str] = set()
        for found in pattern.finditer(text):
            if not is_refuted(text, found):
                letters |= named_letters(text, found, patterns)[0]
        # Several labels are a list of the options, which names none of them alone.
        if letters:
            return letters
    return set()


def _letters_of_last(statements: list[_Statement]) -> set[str]:
    last = max(statements)
    letters = set(last.letters)
    for statement in statements:
        # `\\boxed{A} and \\boxed{C}` are two statements of one answer.
        if statement.start < last.start <= statement.end:
            letters |= statement.letters
    return letters


_MARKERS = all_markers(
    {
        "ption": rf"ption{IS}",
        "hoice": rf"hoice{IS}",
        "orrect": rf"(?<!inc)orrect\s+\w+{IS}",
        "选": r"(?<![不没别勿])选(?!项)择?(?:答案|选项)?",
        "選": r"(?<![不沒別勿])選(?!項)擇?(?:答案|選項)?",
        "ตอบ": r"ตอบ(?:ข้อ)?",
    },
    gap=OPENING + HEDGE + OPENING,
)
#: `The answers are (A) Paris and (C) Rome` may have words between the options.
_PLURAL = re.compile(r"swers\b|SWERS\b|\bare\b")
_REST_OF_SENTENCE = re.compile(r"[^.\n]*")


def _find_marked_choices(
    text: str,
    patterns: ChoicePatterns,
) -> list[_Statement]:
    """Return what each marker of an answer names."""
    statements = []
    for begin, end in marked(text, _MARKERS):
        several = patterns.several.match(text, end)
        if several:
            is_certain = not is_supposed(text, begin, end)
            letters = frozenset(several["letters"])
            statements.append(_Statement(is_certain, end, several.end(), letters))
            continue
        found = patterns.marked.match(text, end)
        if found is None or is_word(text, found) or is_refuted(text, found):
            continue
        statement = _state(text, found, begin, patterns)
        if _PLURAL.search(text, begin, end):
            rest = _REST_OF_SENTENCE.match(text, end)
            others = patterns.mention.findall(rest[0]) if rest else []
            statement = statement._replace(letters=statement.letters | set(others))
        statements.append(statement)
    return statements


def _state(
    text: str,
    found: _Match,
    begin: int,
    patterns: ChoicePatterns,
) -> _Statement:
    start = found.start("letter")
    letters, end = named_letters(text, found, patterns)
    return _Statement(not is_supposed(text, begin, start), start, end, letters)


# The space is possessive here and in `_REFUTED`: some languages' words allow it, too.
_PRAISE = re.compile(
    rf"{CLOSING}\s*+(?:"
    r"\b(?:is|are)\s+"
    r"(?:both |clearly |definitely |therefore |thus |indeed )?"
    r"(?:the )?(?:only |most )?"
    r"(?:correct|right|best|answers?)\b(?!\s+(?:only\s+)?(?:if|unless)\b)"
    rf"|{alternatives('praise')})",
)
_JOINED = re.compile(
    r"\b(?i:nor|neither|if|whether|unless|n['’]t (?:think|believe|mean)(?: that)?"
    r"|not true that|doubt(?: that)?)\s+(?:that\s+|option\s+)?[*_(\[]*\Z"
)
# The options in front of a praised one: `A, B and C are correct`.
_LIST = re.compile(
    r"(?:(?:\b[A-Z0-9]\b[)\]*_]*)(?:\s*,\s*|\s+)(?:(?:and|or)\s+)?(?:option\s+)?[*_(\[]*)+\Z"
)


def _is_praised(
    text: str,
    mention: _Match,
) -> bool:
    """Return whether an option is called correct: `B is correct`."""
    if not _PRAISE.match(text, mention.end()):
        return False
    # `neither A nor B is correct` and `if B is correct` do not name B.
    before = _before(text, mention)
    listed = _LIST.search(before)
    if listed:
        before = before[: listed.start()]
    return _JOINED.search(before) is None


def _praise(
    text: str,
    mention: _Match,
    patterns: ChoicePatterns,
) -> _Statement:
    statement = _state(text, mention, mention.start(), patterns)
    listed = _LIST.search(_before(text, mention))
    if listed is None:
        return statement
    others = patterns.mention.findall(listed[0])
    return statement._replace(letters=statement.letters | set(others))


_CONCLUSION = re.compile(
    r"\b(?i:so|therefore|thus|hence|choose|chose|pick|select|go with|it is|it's"
    r"|it must be),?"
    rf"{OPENING}{HEDGE}[*_(\[]*\Z"
)
_END = re.compile(
    rf"{CLOSING}[ \t]*(?:[.;!\n,]|$|\b(?:rather than|instead of|and|or)\b)"
)


def _is_concluded(
    text: str,
    mention: _Match,
) -> bool:
    """Return whether an option ends a conclusion: `so B.`, `I choose (B)`."""
    # `so B has …` goes on, and is an argument rather than a conclusion.
    if not _END.match(text, mention.end()):
        return False
    return _CONCLUSION.search(_before(text, mention)) is not None


def _before(
    text: str,
    mention: _Match,
) -> str:
    start = mention.start()
    earliest = max(start - BEFORE_CHARS, 0)
    return text[earliest:start]
