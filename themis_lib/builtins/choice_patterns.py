"""How a text spells the options of a multiple-choice question."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

from themis_lib.builtins.answer_words import BOUNDARY, WORD_CHARACTER, alternatives

_Match: TypeAlias = re.Match[str]
_Pattern: TypeAlias = re.Pattern[str]

#: Punctuation and markup that may close the letter: `(B)`, `**B**`, `$B$`, `「B」`.
CLOSING = r"[)\]}*_`\"'”’$\\」』】》〉»›]*"
#: What may be between `the answer is` and the letter: markup, brackets, LaTeX.
OPENING = (
    r"(?:[\s*_`\"'“‘(\[{$<:：「『【《〈«‹„]"
    r"|\n[ \t]*[-•–][ \t]+"
    r"|\\[(\[]"
    r"|\\(?:text\w*|math\w+)\b)*"
)
HEDGE = (
    r"(?:(?:the|option|choice|letter|definitely|clearly|probably|likely|most"
    r"|therefore|thus|simply|either|both|indeed|maybe|perhaps|possibly)\b"
    r"[\s*_:]*)*"
)
# Rules out `USB`, and `Apple`, `A's` and `A-level`, but not `B'dir` and `C입니다`.
_BEGINS_WORD = rf"(?<!{WORD_CHARACTER})(?<!['’])"
_ENDS_WORD = rf"(?!{WORD_CHARACTER})(?!['’](?:s|ll|d|re|ve|m)\b)(?!-\w)"
# `，` and the like are written as `,` by the time they are looked for.
_SEPARATOR = (
    r"(?:\s*(?:,|;|、|/|&|\+|\||و)\s*(?:(?:and/or|and also|and|or)\b)?"
    r"|\s*(?:\b(?:and/or|as well as|and also|and|or|plus)\b"
    rf"|{BOUNDARY}{alternatives('conjunction')}){BOUNDARY}"
    r"|\s*\\text\{\s*(?:and|or|,)\s*\}"
    r"|\s*(?=\\boxed)"
    r"|\s*\n[ \t]*[-•*–](?=[ \t]+\S{1,3}[ \t]*(?:\n|$))"
    r"|[ \t]+(?=[(\[*_]*[A-Z0-9][)\]*_]*\s*(?:[.,;)]|$)))"
)
_BOX = r"(?:\\boxed\{)?"


@dataclass(frozen=True)
class ChoicePatterns:
    """Spellings of options; the group `letter` of each pattern is the option."""

    marked: _Pattern
    several: _Pattern
    mention: _Pattern
    label: _Pattern
    bold: _Pattern
    beside: _Pattern

    # Compiling takes longer than reading a text, and a run has few sets of choices.
    @staticmethod
    @cache
    def compile(choices: str) -> ChoicePatterns:
        """Return the patterns for a set of options."""
        capitals = choices.upper()
        both_cases = capitals + choices.lower()
        upper = f"(?P<letter>[{capitals}])"
        letter = f"(?P<letter>[{both_cases}])"
        # `A: Paris` marks an answer in words; it is not a label of option A.
        label = (
            rf"^[ \t>*_#`\"'“(\[$「『【-]*(?!A:){letter}"
            r"(?:[*_]*[).:\]](?=[\s*]|$)"
            rf"|{CLOSING}[.!]?[ \t]*$)"
        )
        bold = rf"\*\*[(\[]?{upper}(?:[).:\]]+[^*\n]*)?\*\*"
        return ChoicePatterns(
            # Lower case counts here and in labels; in a sentence `a` is a word.
            marked=re.compile(letter + _ENDS_WORD),
            several=re.compile(rf"(?P<letters>[{capitals}]{{2,}}){_ENDS_WORD}"),
            mention=re.compile(_BEGINS_WORD + upper + _ENDS_WORD),
            label=re.compile(label, re.MULTILINE),
            bold=re.compile(bold),
            beside=re.compile(
                rf"{CLOSING}{_SEPARATOR}{OPENING}{_BOX}{OPENING}{HEDGE}{OPENING}"
                rf"{letter}{_ENDS_WORD}",
            ),
        )


# A word behind `A` or `I` makes it a word itself, unless it begins a new clause
# (`the answer is A because …`).
_NEXT_WORD = re.compile(
    rf"{CLOSING}\s+"
    r"(?!(?:because|since|as|is|are|was|and|or|which|with|due|given|rather|instead|but"
    r"|not|hence|so|for|while|if|when|weil|denn|da|und|car|parce|et|porque|pois|ya|pues"
    r"|y|e|perché|omdat|ponieważ|bo|eftersom|fordi|koska|karena)\b)[a-z]"
)
_ANY_WORD = re.compile(rf"{CLOSING}[ \t]+[^\W\d]")


def is_word(
    text: str,
    found: _Match,
) -> bool:
    """Return whether a letter is a word of the sentence, and no option.

    As in `the answer is a bit long` and `Answer: A person`. In upper case only `A` and
    `I` are English words.
    """
    letter = found["letter"]
    behind = found.end("letter")
    if letter.islower():
        return _ANY_WORD.match(text, behind) is not None
    return letter in "AI" and _NEXT_WORD.match(text, behind) is not None


# `isn` and `wasn` end at an apostrophe of either kind: `isn't`, `isn’t`.
_REFUTED = re.compile(
    rf"{CLOSING}[: \t–—-]*+"
    r"(?:(?:(?:is|are|was|seems|must be|would be|can be|could be|were)\s+"
    r"(?:\w+ly\s+)?(?:also\s+)?"
    r"(?:not|wrong|incorrect|false|hardly|never|unlikely|out|invalid|impossible"
    r"|ruled out|eliminated|excluded|rejected|discarded|too\b))\b"
    r"|(?:isn|wasn|doesn|can't|cannot|wrong\b|incorrect\b|false\b|ruled out\b"
    r"|eliminated\b|not (?:correct|right|true)\b|does not|fails)"
    rf"|(?:{alternatives('denial')})|[❌✗✘×])",
    re.IGNORECASE,
)
_RULED_OUT = re.compile(
    r"\b(?:not|hardly|never|than|instead of|rul(?:e|ed|ing) out|eliminat(?:e|ed|ing)"
    r"|exclud(?:e|ed|ing)|reject(?:ed|ing)?|except|without|nor|neither|unlike"
    r"|discard(?:ed|ing)?|dismiss(?:ed|ing)?|cannot be|nicht|kein\w*)\s+"
    r"(?:(?:the|option|choice|answer|letter|be|for)\s+)*[*_(\[\"'`$]*\Z"
    r"|(?:不是|不选|不選|排除)\s*(?:选项|選項)?\Z",
    re.IGNORECASE,
)
# How far back the words that lead to a letter can begin, in characters: a search with
# `\Z` would otherwise scan the whole text for each mention.
BEFORE_CHARS = 64


def is_refuted(
    text: str,
    found: _Match,
) -> bool:
    """Return whether an option is named as wrong: `B is wrong`, `I ruled out B`."""
    start = found.start("letter")
    if _REFUTED.match(text, found.end("letter")):
        return True
    earliest = max(start - BEFORE_CHARS, 0)
    return _RULED_OUT.search(text[earliest:start]) is not None


# `B, C is wrong`: the second letter begins a new clause.
_NEW_CLAUSE = re.compile(
    rf"{CLOSING}\s+(?:is|was|being|has|had|would|could|can|cannot|does|doesn|isn|wasn"
    r"|seems|fails|describes|refers|gives|means|contradicts|ignores|contains|only)\b"
    r"|[:)]*\s+(?:ist|est|es|è|é|to|är|er)\b"
)


def named_letters(
    text: str,
    found: _Match,
    patterns: ChoicePatterns,
) -> tuple[frozenset[str], int]:
    """Return a found option and those beside it, as capitals, and where the last ends.

    Several are beside each other in `A and C` and in `A, C`.
    """
    letters = {found["letter"].upper()}
    end = found.end("letter")
    is_lower = found["letter"].islower()
    while beside := patterns.beside.match(text, end):
        letter = beside["letter"]
        behind = beside.end("letter")
        # `B, a city`: lower case counts only beside lower case.
        is_other_case = letter.islower() != is_lower and not letter.isdigit()
        if is_other_case or is_word(text, beside) or _NEW_CLAUSE.match(text, behind):
            break
        letters.add(letter.upper())
        end = behind
    return frozenset(letters), end
