r"""Markers of a final answer in running text.

Examples are `####`, `the answer is`, `Answer:`, `La respuesta es` and `\boxed`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

from themis_lib.builtins.answer_words import (
    WORD_CHARACTER,
    alternatives,
    noun_patterns,
)

#: Literals to look for, each with the pattern that must match where it occurs. The end
#: of the match is where the answer begins.
Markers: TypeAlias = Mapping[str, tuple[str, ...]]
#: What links `the answer` to the answer itself.
IS = (
    r"[\"'*_`]*\s*"
    r"(?:(?:is|are|was|will be|would be|would have been|should be|must be)\b"
    r"|[-=]?>|→|:|：|=)"
)
_TO_WHAT = r"(?:,?\s+(?:to\s+(?:the|this|that)\s+\w+|here|therefore|then|thus))?,?"
# `####` is how GSM8K ends a solution, `A:` how few-shot prompts do. Other literals lack
# their first letter so that one search finds `Answer` and `answer`. `</answer` closes a
# tag: what follows it is not the answer.
_OF_EVERY_ANSWER = {
    "####": "####",
    "A:": "A:",
    "\\boxed": r"\\boxed",
    "\\fbox": r"\\fbox",
    "nswer": rf"(?<!/[aA])nswers?{_TO_WHAT}{IS}",
    "NSWER": rf"(?<!/A)NSWERS?{_TO_WHAT}{IS}",
}
# How far a marker reaches, in characters. Without a limit, the gap behind each of many
# markers could run through all of them.
_MARKER_CHARS = 1000
# Indents and quote marks in front of `A:` that are looked at, in characters.
_LINE_START_CHARS = 8
# How far back words can change what a marker says, in characters.
_BEFORE_CHARS = 200

# Directly in front of a marker; `A` and the like are the letter its literal lacks.
_REFUTED = re.compile(
    rf"(?:(?<!{WORD_CHARACTER})(?:{alternatives('wrong')})"
    r"|\b(?:incorrect|wrong|false|erroneous|mistaken|invalid|bad|unlikely|rejected"
    r"|(?:not|n['’]t|never)\s+(?:the|an?|my)(?:\s+(?:correct|right|best|final))?)"
    r"|(?:n['’]t|\bnot|\bnever|\bhardly|\bcannot|\bdoubt|\bdeny)\s+"
    r"(?:(?:think|believe|say|mean|agree|be|case|true|that|to|sure|the|my|our|its"
    r"|correct|right|final)\s+)*)"
    r"\s*[AaOoCc]?\Z",
    re.IGNORECASE,
)
# Anywhere in front of a marker, in its sentence.
_SUPPOSED = re.compile(
    r"\b(?:had|were)\s+(?:it|we|the|this|that|there|you|i|they|he|she)\b"
    r"|\bif\b.*\b(?:had|were|was|would|did|instead|asked|wanted)\b"
    r"|\b(?:would|might|could|may)\s+(?:\w+\s+)?(?:be|been|say|think|guess|mention"
    r"|pick|choose|argue|answer|expect|look|write|conclude)\b"
    r"|\b(?:otherwise|suppos(?:e|ing)|imagin(?:e|ing)|hypothetical\w*|tempt\w+"
    r"|na[iï]ve\w*|first (?:sight|glance|thought|guess|answer)|initial\w*|previous"
    r"|earlier|mistakenly|wrongly)\b"
    r"|\b(?:some|others|people|students)\s+(?:\w+\s+)?(?:say|think|claim|argue|pick)"
    r"|\b(?:wenn|falls|hätte)\b.*\b(?:wäre|hätte)\b|\b(?:si|se)\s.*\b(?:hubiera"
    r"|fuera|était|avait|fosse|avesse)|如果|假如|若是|倘若|もし|만약|\bесли бы\b",
    re.IGNORECASE | re.DOTALL,
)
_SUPPOSED_LINK = re.compile(
    r"\bwould\b|\bwäre\b|\bsería\b|\bserait\b|\bsarebbe\b|\bseria\b|был бы|\bolisi\b"
    r"|\bar fi\b",
    re.IGNORECASE,
)
# `The answer is 12?` asks, and does not say.
_ASKED = re.compile(r"[\w.,$]{1,12}[)\]}*_]*\s*[?？]")
_SENTENCE_END = re.compile(r"[.!?。！？](?!\d)|\n")


def all_markers(
    patterns: Mapping[str, str],
    *,
    gap: str,
) -> Markers:
    """Return the markers of every kind of answer, and those in `patterns`.

    `gap` is a pattern of what may be between a marker and the answer.
    """
    markers = [
        *_OF_EVERY_ANSWER.items(),
        *noun_patterns(),
        *patterns.items(),
    ]
    by_literal: dict[str, tuple[str, ...]] = {}
    for literal, marker in markers:
        # Languages share nouns: `resposta`, `svar`.
        by_literal[literal] = (*by_literal.get(literal, ()), marker + gap)
    return by_literal


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    """Compile a pattern when its literal first occurs: most languages never do."""
    return re.compile(pattern, re.IGNORECASE)


def marked(
    text: str,
    markers: Markers,
) -> list[tuple[int, int]]:
    """Return where each marker begins and where its answer begins, last one first.

    Markers of a supposed answer (`it would be`) follow all others; those of a refuted
    one (`the wrong answer is`) are left out.
    """
    found = set()
    for literal, patterns in markers.items():
        # Finding a literal is many times faster than searching for the pattern, and
        # most texts hold few of them.
        begin = text.rfind(literal)
        while begin >= 0:
            # Inside a line `A:` ends a word, or `Q&A:`.
            is_marker = literal != "A:" or _begins_line(text, begin)
            for pattern in patterns:
                match = _compile(pattern).match(text, begin, begin + _MARKER_CHARS)
                if match and is_marker and not _is_refuted(text, begin):
                    found.add(match.span())
            begin = text.rfind(literal, 0, begin)

    def by_strength(span: tuple[int, int]) -> tuple[bool, int, int]:
        begin, end = span
        return (not is_supposed(text, begin, end), begin, end)

    return sorted(found, key=by_strength, reverse=True)


def is_supposed(
    text: str,
    begin: int,
    end: int,
) -> bool:
    """Return whether a statement only supposes the answer that follows it.

    `begin` and `end` are those of the statement, up to the answer.
    """
    if _SUPPOSED_LINK.search(text, begin, end) or _ASKED.match(text, end):
        return True
    before = text[max(begin - _BEFORE_CHARS, 0) : begin]
    sentence = _SENTENCE_END.split(before)[-1]
    return _SUPPOSED.search(sentence) is not None


def _is_refuted(
    text: str,
    begin: int,
) -> bool:
    before = text[max(begin - _BEFORE_CHARS, 0) : begin]
    return _REFUTED.search(before) is not None


def _begins_line(
    text: str,
    position: int,
) -> bool:
    start = max(position - _LINE_START_CHARS, 0)
    before = text[start:position]
    _, newline, line = before.rpartition("\n")
    if line.strip(" \t*_>"):
        return False
    # Without a line break, the line begins here only if the text does.
    return newline == "\n" or position <= _LINE_START_CHARS
