"""Why a row has no score: the model gave no answer, or something failed on the way.

Both are told from what the tables of a run keep, so that rows of any age are read alike:
the reason, which begins with the stage it comes from, and how the output ended.
"""

from __future__ import annotations

import re
from enum import StrEnum

from themis_lib.stages.endings import ending_of


class Missing(StrEnum):
    """What a case without a score lacks.

    No answer: the model said nothing that could be scored (nothing a parser finds, a
    refusal, a cut or filtered text, no output). Failed: a request or a component did.
    """

    NO_ANSWER = "no answer"
    FAILED = "failed"


#: How `errors.describe` writes an exception: its class, then what it says.
_EXCEPTION = re.compile(
    r"[A-Z]\w*:|[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Iteration|Warning)$"
)
#: What the parse stage says of a parser that does not do what a parser does, or that
#: takes too long for it.
_BROKEN_PARSER = re.compile(
    r"the parser(?: returned |'s value )|pattern .* s of processor time on "
)
#: Reasons of generators for an output that is no answer.
_NO_OUTPUT = re.compile(
    r"refus|declin|content.?filter|moderation|safety|blocked|max_tokens|cut off|"
    r"returned no output|without a final output|recorded for case .* is null|"
    r"no completion of|no text|thought|no answer|empty (?:answer|output|reply|text)",
    re.IGNORECASE,
)
#: Reasons of built-in metrics for a value that is no answer to their question.
_NO_VALUE = re.compile(
    r"no answer$|the value (?:is no|is empty|names none|holds no)\b",
)


def missing_kind(
    reason: str | None,
    finish_reason: str | None = None,
) -> Missing:
    """Return what is missing by the `error` of a score or a result.

    `finish_reason` is how the output ended, where it is known. What cannot be told
    counts as failed.

    >>> missing_kind("parse: no number in the output").value
    'no answer'
    >>> missing_kind("parse: ValueError: too deep").value
    'failed'
    >>> missing_kind("generate: the model refused: I cannot").value
    'no answer'
    >>> missing_kind("generate: TransientError: 503").value
    'failed'
    """
    stage, _, cause = (reason or "").partition(": ")
    if stage == "parse":
        is_broken = _EXCEPTION.match(cause) or _BROKEN_PARSER.match(cause)
        return Missing.FAILED if is_broken else Missing.NO_ANSWER
    if stage == "generate":
        is_output = bool(ending_of(finish_reason) or _NO_OUTPUT.search(cause))
        is_unanswered = is_output and not _EXCEPTION.match(cause)
    else:
        is_unanswered = bool(_NO_VALUE.match(reason or ""))
    return Missing.NO_ANSWER if is_unanswered else Missing.FAILED
