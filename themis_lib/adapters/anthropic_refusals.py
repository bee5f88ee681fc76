"""Which setting Anthropic's API refuses, as its error message says."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from themis_lib.adapters.faults import words_of
from themis_lib.adapters.refusals import Refusal

_STATUSES = frozenset({400, 422})
#: What concerns one row: its prompt, which no request is without.
_CONTENT = frozenset({"model", "messages", "system", "extra_body"})
#: What depends on the length of a row's prompt, whatever field it names.
_TOO_LONG = re.compile(r"too long|context (limit|window)|input length", re.IGNORECASE)
#: "thinking.enabled.budget_tokens: Input should be …", after "HTTP 400: ".
_PATH = re.compile(r"^HTTP \d+: [`'\"]?(\w+)[\w.`'\"]*:")
#: "`temperature` may only be set to 1 when thinking is enabled".
_QUOTED = re.compile(r"[`'\"]([a-z][\w-]*)[\w.]*[`'\"]")
_NAMED = re.compile(r"\b(effort|thinking|betas?)\b")
#: Other names of fields.
_FIELDS = {
    "anthropic-beta": "extra_headers",
    "beta": "extra_headers",
    "betas": "extra_headers",
    "effort": "output_config",
    "output_format": "output_config",
}


def anthropic_refusal(
    error: Exception,
    sent: Collection[str],
) -> Refusal | None:
    """Return the field that an exception of a client refuses, `None` if it is another.

    `sent` are the names of the fields that the request has.
    """
    if getattr(error, "status_code", None) not in _STATUSES:
        return None
    said = words_of(error)
    if _TOO_LONG.search(said):
        return None
    path = _PATH.search(said)
    # A path says which field it is: what else is named may be advice.
    names = [path[1]] if path else list(_names_in(said))
    for name in names:
        field = _FIELDS.get(name, name)
        if field in set(sent) - _CONTENT:
            # With another value the field may be right: it is never left out.
            return Refusal(field, is_unknown=False)
    return None


def _names_in(said: str) -> Iterator[str]:
    """Yield the names of fields in a message, those in quotes first."""
    yield from _QUOTED.findall(said)
    yield from _NAMED.findall(said)
