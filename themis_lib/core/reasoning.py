"""The reasoning that a model wrote in front of its answer, kept apart from it.

Only what a text begins with is reasoning: tags in the middle of an answer are part of
it. Providers that return reasoning in a field of its own need none of this.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# A tag in quotes is only mentioned.
UNQUOTED = r"(?<![\"'“‘])"
_NAME = r"(?:\w+:)?(?:think(?:ing)?|thoughts?)"
#: Why there is no answer where the model was still thinking.
CUT_OFF = (
    "the output is a thought that was cut off: the model was still thinking; "
    "raise max_tokens"
)
#: How models mark a thought, its begin and its end, other than by tags: Magistral; Kimi;
#: Sky-T1; Command A; Gemma. Apriel writes its thought first and marks the answer alone.
SPECIAL_MARKS = (
    (r"\[THINK\]", r"\[/THINK\]"),
    (r"◁think▷", r"◁/think▷"),
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    (r"<\|START_THINKING\|>", r"<\|END_THINKING\|>"),
    (r"<\|channel>thought\b", r"<channel\|>"),
    (r"(?!)", r"\[BEGIN FINAL RESPONSE\]"),
)
#: The channels of OpenAI's harmony format: only the final one is for the user.
CHANNEL = re.compile(
    r"<\|channel\|>\s*(?P<name>\w++)[^<]*+(?:<\|constrain\|>\w+\s*)?<\|message\|>"
)
#: The same without its control tokens, as some servers return it.
BARE_CHANNELS = re.compile(
    r"\s*(?:analysis|commentary)"
    r"(?:(?P<thought>.*)assistantfinal(?P<final>.*)|(?=[A-Z])(?P<cut>.*))",
    re.DOTALL,
)
_MESSAGE_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")

# What servers may leave in front of a text.
_HEADER = re.compile(r"(?:\s|<s>|<\|(?:im_start|start)\|>assistant)*")
# What every end of a thought has; most texts have none of it.
_MAY_END = re.compile(r"</|\[/|◁/|\|>|\[BEGIN", re.IGNORECASE)
_BLANK_LINES = re.compile(r"(?:[ \t]*\n)+|[ \t]+")


@dataclass(frozen=True)
class _Marks:
    """How one family of models marks a thought."""

    begin: re.Pattern[str]
    end: re.Pattern[str]
    #: Either of them, or a piece of code that mentions one.
    any: re.Pattern[str]


def _marks(
    begin: str,
    end: str,
) -> _Marks:
    flags = re.IGNORECASE
    both = rf"`[^`\n]*`|(?P<begin>{begin})|(?P<end>{end})"
    return _Marks(
        begin=re.compile(begin, flags),
        end=re.compile(end, flags),
        any=re.compile(both, flags),
    )


#: Tags first: DeepSeek-R1, QwQ, Qwen3, Seed-OSS and most others.
_FAMILIES = (
    _marks(rf"{UNQUOTED}<{_NAME}(?:\s[^<>]*)?>", rf"{UNQUOTED}</{_NAME}\s*>"),
    *(_marks(begin, end) for begin, end in SPECIAL_MARKS),
)


@dataclass(frozen=True)
class ReasonedText:
    """A text as a model wrote it, in two parts.

    `answer` is `None` if the model was still thinking when the text ended, and empty if
    nothing follows the thought. `reasoning` is `None` if there is none.
    """

    answer: str | None
    reasoning: str | None = None


def split_reasoning(text: str) -> ReasonedText:
    """Return the reasoning at the beginning of a text, and the answer behind it.

    A text without reasoning is the answer as it is.

    >>> split_reasoning("<think>Is it 3?</think>\\n\\n4")
    ReasonedText(answer='4', reasoning='Is it 3?')
    >>> split_reasoning("<think>Is it 3?").answer is None
    True
    >>> split_reasoning("Write <think> first.").answer
    'Write <think> first.'
    """
    start = _HEADER.match(text).end()  # type: ignore[union-attr]
    # The header of a message in harmony may be in front of its channel.
    if CHANNEL.match(text, start):
        return _split_channels(text)
    bare = BARE_CHANNELS.fullmatch(text)
    if bare:
        return _reasoned(bare["final"], [bare["thought"] or bare["cut"] or ""])
    thoughts: list[str] = []
    while True:
        found = _leading_thought(text, start)
        if found is None:
            break
        thought, end = found
        thoughts.append(thought)
        if end is None:
            return _reasoned(None, thoughts)
        start = end
    if not thoughts:
        mark = _end_of_prompted_thought(text)
        if mark is None:
            return ReasonedText(text)
        thoughts.append(text[: mark.start()])
        start = mark.end()
    return _reasoned(text[start:], thoughts)


def _reasoned(
    answer: str | None,
    thoughts: list[str],
) -> ReasonedText:
    reasoning = "\n\n".join(thought.strip() for thought in thoughts if thought.strip())
    if answer is not None:
        # The indentation of its first line is the answer's.
        blank = _BLANK_LINES.match(answer)
        answer = answer[blank.end() :] if blank else answer
    return ReasonedText(answer, reasoning or None)


def _split_channels(text: str) -> ReasonedText:
    """Return the last message as the answer if it is final, all others as reasoning."""
    thoughts = []
    answer = None
    for channel in CHANNEL.finditer(text):
        end = _MESSAGE_END.search(text, channel.end())
        said = text[channel.end() : end.start() if end else len(text)]
        if channel["name"] == "final":
            answer = said
        else:
            thoughts.append(said)
            answer = None
    return _reasoned(answer, thoughts)


def _leading_thought(
    text: str,
    start: int,
) -> tuple[str, int | None] | None:
    """Return the thought that begins at a position, and where what follows it begins.

    Without an end it reaches to the end of the text. `None` if no thought begins there.
    """
    while start < len(text) and text[start].isspace():
        start += 1
    for marks in _FAMILIES:
        begin = marks.begin.match(text, start)
        if begin is None:
            continue
        end = _matching_end(marks, text, begin.end())
        # A thought may mention a begin without an end, or have the end inside of code.
        if end is None:
            end = marks.end.search(text, begin.end())
        if end is None:
            return text[begin.end() :], None
        return text[begin.end() : end.start()], end.end()
    return None


def _matching_end(
    marks: _Marks,
    text: str,
    start: int,
    *,
    is_exact: bool = False,
) -> re.Match[str] | None:
    """Return the end of a thought in which others may be nested.

    If some of these have no end, the last end there is, unless it has to be exact.
    """
    if marks.end.search(text, start) is None:
        return None
    depth = 1
    last = None
    for mark in marks.any.finditer(text, start):
        if mark["begin"] is not None:
            depth += 1
        elif mark["end"] is not None:
            depth -= 1
            last = mark
            if depth == 0:
                return mark
    return None if is_exact else last


def _end_of_prompted_thought(text: str) -> re.Match[str] | None:
    """Return the end of a thought whose begin was in the prompt, as templates have it."""
    if not _MAY_END.search(text):
        return None
    for marks in _FAMILIES:
        end = _matching_end(marks, text, 0, is_exact=True)
        if end is None:
            continue
        before = text[: end.start()]
        line_before = before.rpartition("\n")[2]
        line_behind = text[end.end() :].partition("\n")[0]
        # In the middle of a line, or in a block of code, an answer speaks of it.
        is_alone = not line_before.strip() or not line_behind.strip()
        if is_alone and before.count("```") % 2 == 0:
            return end
    return None
