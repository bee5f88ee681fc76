"""The option that a text names as the answer to a multiple-choice question, by its
letter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from themis_lib.builtins.markers import IS, compile_markers, marked
from themis_lib.components.builtin import Builtin
from themis_lib.errors import ComponentError


def check_choices(
    component: Builtin,
    choices: str,
) -> None:
    """Raises `ComponentError` unless `choices` are two or more different letters or
    digits.
    """
    are_alike = len(set(choices.upper())) < len(choices)
    if len(choices) < 2 or are_alike or not re.fullmatch("[A-Za-z0-9]+", choices):
        raise ComponentError(
            f"{component.component_id}: choices={choices!r}: give two or more different letters or digits"
        )


def named_choice(
    text: str,
    choices: str,
) -> str | None:
    """The option that a text names as the answer, as it stands in `choices`; null where
    it names none or several.
    """
    letter = _named_letter(text, _choice_patterns(choices))
    return None if letter is None else choices[choices.upper().index(letter.upper())]


def _named_letter(
    text: str,
    patterns: _ChoicePatterns,
) -> str | None:
    mentions = [
        found
        for found in _named_options(text, patterns.mention, patterns)
        if not _in_word(text, found)
    ]
    named = [
        *_marked_choice(text, patterns),
        *(found for found in mentions if _is_praised(text, found)),
    ]
    named = named or [found for found in mentions if _is_concluded(text, found)]
    if named:
        return max(named, key=lambda found: found.start("letter"))["letter"]
    for pattern in (patterns.label, patterns.bold):
        letters = {
            found["letter"].upper() for found in _named_options(text, pattern, patterns)
        }
        if letters:
            return letters.pop() if len(letters) == 1 else None
    return None


@dataclass(frozen=True)
class _ChoicePatterns:
    """How options are written; group `letter` of each pattern is the option's letter."""

    marked: re.Pattern[str]
    mention: re.Pattern[str]
    label: re.Pattern[str]
    bold: re.Pattern[str]
    beside: re.Pattern[str]


_CLOSING = r"[)\]}*_`\"'”’$\\]*"


@cache
def _choice_patterns(choices: str) -> _ChoicePatterns:
    upper = f"(?P<letter>[{choices.upper()}])"
    letter = f"(?P<letter>[{choices.upper()}{choices.lower()}])"
    return _ChoicePatterns(
        marked=re.compile(rf"{letter}(?![\w'’-])"),
        mention=re.compile(rf"{upper}(?![\w'’-])"),
        label=re.compile(
            rf"^[ \t>*_#`\"'“(\[$-]*(?!A:){letter}(?:[*_]*[).:\]](?=[\s*]|$)|{_CLOSING}[.!]?[ \t]*$)",
            re.MULTILINE,
        ),
        bold=re.compile(rf"\*\*[(\[]?{upper}(?:[).:\]]+[^*\n]*)?\*\*"),
        beside=re.compile(rf"{_CLOSING}\s*(?:or|and|/|&)\s*[*_(\[]*{upper}(?!\w)"),
    )


_REFUTED = re.compile(
    rf"{_CLOSING}\s*(?:(?:is|are|was)\s+(?:also\s+)?(?:not|wrong|incorrect|false)|isn|wasn|can't|cannot)\b"
)


def _named_options(
    text: str,
    pattern: re.Pattern[str],
    patterns: _ChoicePatterns,
) -> list[re.Match[str]]:
    return [
        found for found in pattern.finditer(text) if _is_named(text, found, patterns)
    ]


def _is_named(
    text: str,
    found: re.Match[str],
    patterns: _ChoicePatterns,
) -> bool:
    """Whether an option is named alone, and not as wrong."""
    end = found.end("letter")
    return not (patterns.beside.match(text, end) or _REFUTED.match(text, end))


def _in_word(
    text: str,
    mention: re.Match[str],
) -> bool:
    before = text[max(mention.start() - 1, 0) : mention.start()]
    return before.isalnum() or before in tuple("_'’")


#: What may stand between `the answer is` and the letter.
_OPENING = r"(?:[\s*_`\"'“‘(\[{$<:]|\\[(\[]|\\(?:text\w*|math\w+)\b)*"
_HEDGE = (
    r"(?:(?:the|option|choice|letter|definitely|clearly|probably|likely|most|therefore|thus|simply)\b"
    r"[\s*_:]*)*"
)
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


def _marked_choice(
    text: str,
    patterns: _ChoicePatterns,
) -> list[re.Match[str]]:
    """The option behind the last marker that has one; empty where none has."""
    for _, end in marked(text, _MARKERS):
        found = patterns.marked.match(text, end)
        if found and _is_named(text, found, patterns) and not _is_article(text, found):
            return [found]
    return []


#: What a word may follow without making `A` or `I` a word of the sentence itself.
_NEXT_WORD = re.compile(
    rf"{_CLOSING}\s+(?!(?:because|since|as|is|and|which|with|due|given)\b)\w"
)
_ANY_WORD = re.compile(rf"{_CLOSING}[ \t]+\w")


def _is_article(
    text: str,
    found: re.Match[str],
) -> bool:
    """Whether a letter is a word of the sentence: `the answer is a bit long`, `Answer:
    A person`.
    """
    if found["letter"].islower():
        return _ANY_WORD.match(text, found.end("letter")) is not None
    return (
        found["letter"] in "AI"
        and _NEXT_WORD.match(text, found.end("letter")) is not None
    )


_PRAISE = re.compile(
    rf"{_CLOSING}\s+is\s+(?:clearly |definitely |therefore |thus |indeed )?(?:the )?(?:only |most )?"
    r"(?:correct|right|best|answer)\b"
)
_JOINED = re.compile(r"\b(?i:nor|or|and|if|whether)\s+[*_(\[]*$")


def _is_praised(
    text: str,
    mention: re.Match[str],
) -> bool:
    """`B is correct`, but not in `neither A nor B is correct`."""
    if not _PRAISE.match(text, mention.end()):
        return False
    return not _JOINED.search(text[max(mention.start() - 16, 0) : mention.start()])


_CONCLUSION = re.compile(
    r"\b(?i:so|therefore|thus|hence|choose|chose|pick|select|go with|it is|it's|it must be),?"
    rf"{_OPENING}{_HEDGE}[*_(\[]*$"
)
_END = re.compile(rf"{_CLOSING}[ \t]*(?:[.;!\n]|$)")


def _is_concluded(
    text: str,
    mention: re.Match[str],
) -> bool:
    """`so B.`, `I choose (B)`."""
    if not _END.match(text, mention.end()):
        return False
    return bool(
        _CONCLUSION.search(text[max(mention.start() - 64, 0) : mention.start()])
    )
