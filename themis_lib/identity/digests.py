"""Names for content and for computations.

A *digest* names content, a *fingerprint* names a computation, a *key* looks a row up.
All three are SHA-256 over canonical JSON, tagged with the kind of thing they name and
cut to 128 bits. Canonical JSON is compact UTF-8 with sorted keys; NaN, infinity, and
whatever else is no JSON value are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

import orjson

KEY_BYTES = 16
# PASSTHROUGH leaves dates and dataclasses to the strict encoder, which refuses them;
# orjson would write them as texts and objects.
_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_STRICT = json.JSONEncoder(
    sort_keys=True,
    ensure_ascii=False,
    allow_nan=False,
    separators=(",", ":"),
)
# Only integers of at least as many digits may be beyond 64 bits.
_LONG_INTEGER = re.compile(r"\d{19}")


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: compact, keys sorted.

    Raise `ValueError` for NaN, infinity, text that is not Unicode, and values that are
    not JSON.

    >>> canonical_json({"b": 1, "a": [True, None, 0.5]})
    '{"a":[true,null,0.5],"b":1}'
    """
    try:
        text = orjson.dumps(value, option=_OPTIONS).decode()
    except TypeError:
        # An integer beyond 64 bits, a subclass such as an enum, or no JSON at all.
        return _plain_json(_strict_json(value))
    # orjson writes NaN and infinity as null; the strict encoder refuses them.
    if "null" in text:
        _strict_json(value)
    return text


def _strict_json(value: Any) -> str:
    """Return a value as JSON. Raise `ValueError` for what is no JSON value."""
    try:
        text = _STRICT.encode(value)
        text.encode()  # half of a surrogate pair is not Unicode text
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a JSON value: {error}") from None
    return text


def _plain_json(text: str) -> str:
    """Return what orjson writes for a JSON text; the encoders write `1e-06` unlike."""
    try:
        return orjson.dumps(json.loads(text), option=_OPTIONS).decode()
    except TypeError:
        # An integer beyond 64 bits, or nested too deep.
        return text


def load_json(text: str) -> Any:
    """Return the value of a JSON text; integers beyond 64 bits keep every digit."""
    # orjson, much the faster, reads such an integer as a float.
    if _LONG_INTEGER.search(text):
        return json.loads(text)
    return orjson.loads(text)


def load_json_or_null(text: str | None) -> Any:
    """Return the value of a cell in a JSON column, `None` for null."""
    return None if text is None else load_json(text)


def digest(
    kind: str,
    value: Any,
) -> str:
    """Return the digest of a JSON value of one kind: 32 hexadecimal digits.

    >>> digest("case", {"input": "2+2"}) == digest("prompt", {"input": "2+2"})
    False
    """
    return bytes_digest(kind, canonical_json(value).encode())


def bytes_digest(
    kind: str,
    content: bytes,
) -> str:
    """Return the digest of content given as bytes."""
    tagged = kind.encode() + b":" + content
    # Two hexadecimal digits a byte.
    return hashlib.sha256(tagged).hexdigest()[: 2 * KEY_BYTES]


def set_digest(digests: Iterable[str]) -> str:
    """Return the digest of digests in any order, repetitions counted.

    It is their sum, so that digests of parts make the digest of the whole.

    >>> a, b, c = (digest("case", name) for name in "abc")
    >>> set_digest([a, b, c]) == set_digest([c, set_digest([b, a])])
    True
    """
    total = sum(int(item, 16) for item in digests)
    return f"{total % 2 ** (8 * KEY_BYTES):0{2 * KEY_BYTES}x}"


def row_keys(
    fingerprint: str,
    rows: Iterable[Iterable[str | None]],
) -> list[bytes]:
    """Return the key of each row under a stage, 16 bytes.

    A key covers the stage's fingerprint and every column that it reads. A row is its
    columns' canonical JSON texts, `None` for null.
    """
    # Copying a hash of the prefix is faster than hashing it anew for every row.
    prefix = hashlib.sha256(f"row:{fingerprint}:[".encode())
    keys = []
    for columns in rows:
        texts = ["null" if text is None else text for text in columns]
        row = prefix.copy()
        row.update(",".join(texts).encode())
        keys.append(row.digest()[:KEY_BYTES])
    return keys
