"""A provider's reply as it came, small and without secrets, for people to look at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from themis_lib.adapters.reply_fields import as_plain_json
from themis_lib.core.secrets import may_be_credential
from themis_lib.identity.digests import canonical_json

#: The longest text and list that are kept, and the longest reply as JSON.
_TEXT_CHARS = 2000
_ITEMS = 64
_REPLY_CHARS = 16_384
_MASK = "***"
#: Whose account it is: no credential, but nobody else's business.
_ACCOUNT = re.compile(r"organi[sz]ation|^org(_id)?$|cookie", re.IGNORECASE)


def raw_response(reply: Any) -> Any:
    """Return a reply as JSON, `None` if it is none.

    Long texts are replaced by their length, since a part of one could end inside of a
    secret, which nobody would recognize; so is what is still too long as a whole.
    """
    try:
        whole = as_plain_json(reply)
        if not isinstance(whole, Mapping):
            return None
        shortened = _shortened(whole)
        chars = len(canonical_json(shortened))
    # An object of an injected client need not be JSON: that must not cost the answer.
    except (AttributeError, TypeError, ValueError, RecursionError):
        return None
    return shortened if chars <= _REPLY_CHARS else f"({chars} characters of JSON)"


def _shortened(value: Any) -> Any:
    # Texts and numbers first: most values are, and others take far longer to tell apart.
    if isinstance(value, str):
        is_long = len(value) > _TEXT_CHARS
        return f"({len(value)} characters)" if is_long else value
    if value is None or isinstance(value, (int, float)):
        return value
    if isinstance(value, (list, tuple)):
        items = [_shortened(item) for item in value[:_ITEMS]]
        if len(value) > _ITEMS:
            items.append(f"({len(value) - _ITEMS} more)")
        return items
    if isinstance(value, Mapping):
        shortened = {}
        for name, item in value.items():
            shortened[name] = _MASK if _is_private(str(name)) else _shortened(item)
        return shortened
    return value


# Cached: every reply of a provider has the same names.
@lru_cache(maxsize=4096)
def _is_private(name: str) -> bool:
    # A token of text beside its log-probability has this name too.
    if name == "token":
        return False
    return may_be_credential(name) or _ACCOUNT.search(name) is not None
