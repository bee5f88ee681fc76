"""Which field of a request a server does not take, as its error message says.

Every kind of server has words of its own for it: those of OpenAI, Azure, Mistral,
vLLM, llama.cpp, Groq, Google, xAI, Bedrock and LiteLLM are read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

#: What refuses a request for its fields: 500 and 501 come of servers that crash at one.
_STATUSES = frozenset({400, 415, 422, 500, 501})
#: What no server could do without; a refusal of one concerns its value in this row.
_CONTENT = frozenset({"model", "messages", "input", "instructions", "extra_body"})
#: Fields that servers may name although the request has none.
_KNOWN = frozenset({"max_tokens", "max_completion_tokens", "seed", "logprobs", "stop"})
#: Whether their value fits depends on the length of the prompt.
_TOKEN_LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})

_NOUN = (
    r"(?:arguments?|param(?:eter)?s?|fields?|keys?|names?|propert(?:y|ies)|inputs?"
    r"|options?|values?)"
)
_ABLE = (
    r"(?:supported|permitted|allowed|accepted|recogni[sz]ed|implemented|available"
    rf"|a\s+valid\s+{_NOUN})"
)
#: To the end of the sentence or of its text in JSON, or to what would be right.
_END = r"[.!;]\s|\"\s*[,}\]]|expected|did you mean|one of|instead"
_REST = rf"(?P<rest>(?:(?!{_END}).){{0,160}})"
#: "Unsupported parameter: 'seed'", "unexpected keyword argument 'seed'".
_KIND_AND_NAME = (
    r"\b(?:unrecogni[sz]ed|unknown|unsupported|unexpected|extra|extraneous)\s+"
    rf"(?:\w+\s+){{0,2}}?{_NOUN}\b{_REST}"
)
#: "parameter not supported on this model: seed".
_NOT_ABLE_AND_NAME = rf"\b{_NOUN}\s+(?:is\s+|are\s+)?not\s+{_ABLE}{_REST}"
#: "The model does not support the parameter seed".
_NO_SUPPORT = (
    r"\b(?:does\s+not|doesn't|do\s+not|don't|cannot)\s+"
    rf"(?:support|accept|allow|take|recogni[sz]e)\s+{_REST}"
)
#: "property 'seed' is unsupported", "seed: Extra inputs are not permitted". Bounded, or
#: an error page of code would be searched from each of its names to its end.
_NAME_AND_KIND = (
    r"(?P<name>\b[A-Za-z_][\w.]{0,99}+)['\"`\])]*+:?\s+"
    rf"(?:(?:{_NOUN}|type|is|are|was|were)\s+){{0,3}}(?:currently\s+)?"
    rf"(?:not\s+(?:yet\s+|currently\s+)?{_ABLE}|unsupported|unrecogni[sz]ed|unavailable"
    r"|unknown|extra\s+(?:inputs|fields)\s+(?:are\s+)?not\s+permitted"
    r"|does\s+not\s+support)"
)
_PATTERNS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (_KIND_AND_NAME, _NOT_ABLE_AND_NAME, _NO_SUPPORT, _NAME_AND_KIND)
]
#: A field in the errors of pydantic, as JSON or as Python's text of it.
_LOCATION = re.compile(
    r"loc['\"]?\s*[:=]\s*[\[(]\s*['\"]body['\"],\s*['\"](?P<name>\w+)['\"]"
)
_QUOTED = re.compile(r"['\"`\[]([A-Za-z_][\w.]*)")
_LISTED = re.compile(r"(?:^|[:,(=])\s*([A-Za-z_][\w.]*)")
_ARTICLES = re.compile(rf"^\s*(?:the\s+)?(?:{_NOUN}\s*:?\s+)?", re.IGNORECASE)
_UNKNOWN_WORDS = re.compile(
    r"extra|unsupported|unknown|unrecogni[sz]ed|unexpected|not\s+(?:supported|permitted)"
    r"|does\s+not\s+support",
    re.IGNORECASE,
)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


@dataclass(frozen=True)
class Refusal:
    """A field that a server refuses, by its name in the request.

    `is_unknown` says that it takes no such field at all, whatever the value.
    """

    field: str
    is_unknown: bool


def refusal_of(
    error: Exception,
    sent: Collection[str],
) -> Refusal | None:
    """Return the field that an exception of a client refuses, `None` if it is another.

    `sent` are the names of the fields that the request has.
    """
    if isinstance(error, TypeError):
        # A client of the user's own, whose function has no such argument.
        return _refusal_in(str(error), sent)
    response = getattr(error, "response", None)
    status = getattr(error, "status_code", None)
    if status not in _STATUSES or response is None:
        return None
    said = getattr(response, "text", None)
    text = plain_text(said if isinstance(said, str) else str(error))
    # "text.format" and "tools[0].type" are of the fields `text` and `tools`.
    param = re.split(r"[.\[]", str(getattr(error, "param", None) or ""))[0]
    if param in set(sent) - _CONTENT:
        is_unknown = _UNKNOWN_WORDS.search(text) is not None
        if is_unknown or param not in _TOKEN_LIMITS:
            return Refusal(param, is_unknown)
    return _refusal_in(text, sent)


def refuses_every_try(
    status: int,
    body: str,
    sent: Collection[str],
) -> bool:
    """Return whether a server's failure comes of the request, and would come again.

    Some servers say 500 of a request that does not fit.
    """
    if status not in _STATUSES:
        return False
    text = plain_text(body)
    return is_misfit(text) or _refusal_in(text, sent) is not None


def is_misfit(said: str) -> bool:
    """Return whether a server says that its validation refused a field."""
    return _LOCATION.search(said) is not None


def plain_text(body: str) -> str:
    """Return a JSON text without its escapes, as prose to search in."""
    return body.replace("\\n", " ").replace("\\", "")


def _refusal_in(
    text: str,
    sent: Collection[str],
) -> Refusal | None:
    names = (set(sent) | _KNOWN) - _CONTENT
    located = _LOCATION.search(text)
    if located and located["name"] in names:
        return Refusal(located["name"], "extra" in text.lower())
    found = []
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            field = _first_known(_names_in(match), names)
            if field:
                found.append((match.start(), field))
    # The first that is told: what comes after may be advice.
    return Refusal(min(found)[1], is_unknown=True) if found else None


def _names_in(match: re.Match[str]) -> Iterator[str]:
    """Yield the names in a match, those in quotes alone where there are any."""
    groups = match.groupdict()
    if groups.get("name"):
        yield groups["name"]
        return
    rest = groups["rest"]
    quoted = _QUOTED.findall(rest)
    yield from quoted or _LISTED.findall(_ARTICLES.sub("", rest))


def _first_known(
    written: Iterator[str],
    names: Collection[str],
) -> str | None:
    for name in written:
        # `topLogprobs` is of servers whose own API is not this one.
        field: Any = _HUMP.sub("_", name.partition(".")[0]).lower()
        if field == "json_schema":
            field = "response_format"
        if field in names:
            return str(field)
    return None
