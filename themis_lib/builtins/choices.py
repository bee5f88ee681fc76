"""The option that a text names as the answer to a multiple-choice question.

Options are single letters or digits. A text can mention several; only wording that
singles one out makes it the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from themis_lib.builtins.markers import IS, compile_markers, marked
from themis_lib.components.builtin import Builtin
from themis_lib.errors import ComponentError

_Match: TypeAlias = re.Match[str]
_Pattern: TypeAlias = re.Pattern[str]

# Punctuation and markup that may close the letter: `(B)`, `**B**`, `$B$`.
_CLOSING = r"[)\]}*_`\"'”’$\\]*"


def check_choices(
    component: Builtin,
    choices: str,
) -> None:
    """Raise `ComponentError` unless `choices` are two or more distinct options.

    Each option is one ASCII letter or digit; `A` and `a` are the same option.
    """
    # Options are matched without regard to case.
    distinct = set(choices.upper())
    is_ambiguous = len(distinct) < len(choices)
    # They go into character classes unescaped, where `-` and `]` have a meaning.
    are_plain = re.fullmatch("[A-Za-z0-9]+", choices)
    if len(choices) < 2 or is_ambiguous or not are_plain:
        raise ComponentError(
            f"{component.component_id}: choices={choices!r}: "
            "give two or more different letters or digits"
        )


def named_choice(
    text: str,
    choices: str,
) -> str | None:
    """Return the option that a text names as the answer, spelled as in `choices`.

    Return `None` if it names no option or several.
    """
    letter = _find_named_letter(text, _ChoicePatterns.compile(choices))
    if letter is None:
        return None
    options = choices.upper()
    position = options.index(letter.upper())
    return choices[position]


@dataclass(frozen=True)
class _ChoicePatterns:
    """Spellings of options; the group `letter` of each pattern is the option."""

    marked: _Pattern
    mention: _Pattern
    label: _Pattern
    bold: _Pattern
    beside: _Pattern

    # Compiling takes longer than reading a text, and a run has few sets of choices.
    @staticmethod
    @cache
    def compile(choices: str) -> _ChoicePatterns:
        """Return the patterns for a set of options."""
        capitals = choices.upper()
        both_cases = capitals + choices.lower()
        upper = f"(?P<letter>[{capitals}])"
        letter = f"(?P<letter>[{both_cases}])"
        # Rules out `USB`, and `Apple`, `A's` and `A-level`.
        begins_word = r"(?<![\w'’])"
        ends_word = r"(?![\w'’-])"
        # `A: Paris` marks an answer in words; it is not a label of option A.
        label = (
            rf"^[ \t>*_#`\"'“(\[$-]*(?!A:){letter}"
            r"(?:[*_]*[).:\]](?=[\s*]|$)"
            rf"|{_CLOSING}[.!]?[ \t]*$)"
        )
        bold = rf"\*\*[(\[]?{upper}(?:[).:\]]+[^*\n]*)?\*\*"
        beside = rf"{_CLOSING}\s*(?:or|and|/|&)\s*[*_(\[]*{upper}(?!\w)"
        return _ChoicePatterns(
            # Lower case counts here and in labels; in a sentence `a` is a word.
            marked=re.compile(letter + ends_word),
            mention=re.compile(begins_word + upper + ends_word),
            label=re.compile(label, re.MULTILINE),
            bold=re.compile(bold),
            beside=re.compile(beside),
        )


def _find_named_letter(
    text: str,
    patterns: _ChoicePatterns,
) -> str | None:
    """Return the letter with the strongest evidence, as written in the text."""
    named = _find_marked_choice(text, patterns)
    concluded = []
    for found in _find_named(text, patterns.mention, patterns):
        if _is_praised(text, found):
            named.append(found)
        elif not named and _is_concluded(text, found):
            concluded.append(found)
    # A conclusion is weaker than a statement, so it counts only without one.
    evidence = named or concluded
    if evidence:
        # Models correct themselves: the last statement is the answer.
        last = max(evidence, key=lambda found: found.start("letter"))
        return last["letter"]
    for pattern in (patterns.label, patterns.bold):
        letters = set()
        for found in _find_named(text, pattern, patterns):
            letter = found["letter"]
            letters.add(letter.upper())
        # Several labels are a list of the options, which names none of them.
        if len(letters) == 1:
            return letters.pop()
        if letters:
            return None
    return None


def _find_named(
    text: str,
    pattern: _Pattern,
    patterns: _ChoicePatterns,
) -> list[_Match]:
    named = []
    for found in pattern.finditer(text):
        if _is_named_alone(text, found, patterns):
            named.append(found)
    return named


# `isn` and `wasn` end at an apostrophe of either kind: `isn't`, `isn’t`.
_REFUTED = re.compile(
    rf"{_CLOSING}\s*"
    r"(?:(?:is|are|was)\s+(?:also\s+)?(?:not|wrong|incorrect|false)"
    r"|isn|wasn|can't|cannot)\b"
)


def _is_named_alone(
    text: str,
    found: _Match,
    patterns: _ChoicePatterns,
) -> bool:
    """Return whether an option is neither one of several (`B or C`) nor refuted."""
    end = found.end("letter")
    if patterns.beside.match(text, end):
        return False
    return _REFUTED.match(text, end) is None


#: What may be between `the answer is` and the letter: markup, brackets, LaTeX.
_OPENING = (
    r"(?:[\s*_`\"'“‘(\[{$<:]"
    r"|\\[(\[]"
    r"|\\(?:text\w*|math\w+)\b)*"
)
_HEDGE = (
    r"(?:(?:the|option|choice|letter|definitely|clearly|probably|likely|most"
    r"|therefore|thus|simply)\b"
    r"[\s*_:]*)*"
)
# The literals lack their first letter so that one search finds `Answer` and `answer`.
# `</answer` closes a tag: what follows it is not the answer.
_MARKERS = compile_markers(
    {
        "nswer": rf"(?<!/[aA])nswer{IS}",
        "NSWER": rf"(?<!/A)NSWER(?i:{IS})",
        "ption": rf"ption{IS}",
        "hoice": rf"hoice{IS}",
        "orrect": rf"orrect\s+\w+{IS}",
    },
    gap=_OPENING + _HEDGE + _OPENING,
)


# A word behind `A` or `I` makes it a word itself, unless it begins a new clause
# (`the answer is A because …`).
_NEXT_WORD = re.compile(
    rf"{_CLOSING}\s+"
    r"(?!(?:because|since|as|is|and|which|with|due|given)\b)\w"
)
_ANY_WORD = re.compile(rf"{_CLOSING}[ \t]+\w")


def _find_marked_choice(
    text: str,
    patterns: _ChoicePatterns,
) -> list[_Match]:
    """Return the option behind the last marker that has one, or an empty list."""
    for _, end in marked(text, _MARKERS):
        found = patterns.marked.match(text, end)
        if found is None:
            continue
        letter = found["letter"]
        behind = found.end("letter")
        # The letter may be a word of the sentence: `the answer is a bit long`,
        # `Answer: A person`. In upper case only `A` and `I` are English words.
        is_article = False
        if letter.islower():
            is_article = _ANY_WORD.match(text, behind) is not None
        elif letter in "AI":
            is_article = _NEXT_WORD.match(text, behind) is not None
        if is_article:
            continue
        if _is_named_alone(text, found, patterns):
            return [found]
    return []


_PRAISE = re.compile(
    rf"{_CLOSING}\s+is\s+"
    r"(?:clearly |definitely |therefore |thus |indeed )?"
    r"(?:the )?(?:only |most )?"
    r"(?:correct|right|best|answer)\b"
)
_JOINED = re.compile(r"\b(?i:nor|or|and|if|whether)\s+[*_(\[]*$")
# How far back the words that lead to a letter can begin, in characters: `search` with
# `$` would otherwise scan the whole text for each mention.
_JOINED_CHARS = 16
_CONCLUSION_CHARS = 64


def _is_praised(
    text: str,
    mention: _Match,
) -> bool:
    """Return whether an option is called correct: `B is correct`."""
    start = mention.start()
    if not _PRAISE.match(text, mention.end()):
        return False
    # `neither A nor B is correct` and `if B is correct` do not name B.
    earliest = max(start - _JOINED_CHARS, 0)
    before = text[earliest:start]
    return _JOINED.search(before) is None


_CONCLUSION = re.compile(
    r"\b(?i:so|therefore|thus|hence|choose|chose|pick|select|go with|it is|it's"
    r"|it must be),?"
    rf"{_OPENING}{_HEDGE}[*_(\[]*$"
)
_END = re.compile(rf"{_CLOSING}[ \t]*(?:[.;!\n]|$)")


def _is_concluded(
    text: str,
    mention: _Match,
) -> bool:
    """Return whether an option ends a conclusion: `so B.`, `I choose (B)`."""
    start = mention.start()
    # `so B has …` goes on, and is an argument rather than a conclusion.
    if not _END.match(text, mention.end()):
        return False
    earliest = max(start - _CONCLUSION_CHARS, 0)
    before = text[earliest:start]
    return _CONCLUSION.search(before) is not None
