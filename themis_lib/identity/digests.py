"""Names for content and for computations.

A *digest* names content, a *fingerprint* names a computation, a *key* looks a row up.
All three are SHA-256 over canonical JSON, tagged with the kind of thing they name and
cut to 128 bits. Canonical JSON is compact UTF-8 with sorted keys; NaN, infinity, and
whatever else JSON cannot say are refused.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

import orjson

KEY_BYTES = 16
_OPTIONS = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | orjson.OPT_PASSTHROUGH_SUBCLASS
)
_LONG_INTEGER = re.compile(r"\d{19}")


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: compact, keys sorted.

    Raises `ValueError` for NaN, infinity, text that is not Unicode, and values that are
    not JSON.

    >>> canonical_json({"b": 1, "a": [True, None, 0.5]})
    '{"a":[true,null,0.5],"b":1}'
    """
    try:
        text = orjson.dumps(value, option=_OPTIONS).decode()
    except TypeError:
        return _plain_json(_strict_json(value))
    if "null" in text:
        _strict_json(
            value
        )  # orjson writes NaN and infinity as null; the strict encoder refuses them
    return text


def _strict_json(value: Any) -> str:
    try:
        text = json.dumps(
            value,
            sort_keys=True,
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not a JSON value: {error}") from None
    return text


def _plain_json(text: str) -> str:
    """What orjson writes for the same value: the strict encoder has another way with
    floats (`1e-06`).
    """
    try:
        return orjson.dumps(json.loads(text), option=_OPTIONS).decode()
    except TypeError:  # an integer beyond 64 bits, or nested too deep
        return text


def load_json(text: str) -> Any:
    """The value of a JSON text; integers beyond 64 bits keep every digit."""
    return json.loads(text) if _LONG_INTEGER.search(text) else orjson.loads(text)


def load_json_or_null(text: str | None) -> Any:
    """The value of a JSON column: null where there is no text."""
    return None if text is None else load_json(text)


def digest(
    kind: str,
    value: Any,
) -> str:
    """The name of a JSON value of one kind: 32 hexadecimal digits.

    >>> digest("case", {"input": "2+2"}) == digest("prompt", {"input": "2+2"})
    False
    """
    return bytes_digest(kind, canonical_json(value).encode())


def bytes_digest(
    kind: str,
    content: bytes,
) -> str:
    """The digest of content given as bytes."""
    return hashlib.sha256(kind.encode() + b":" + content).hexdigest()[: 2 * KEY_BYTES]


def row_keys(
    fingerprint: str,
    rows: Iterable[Iterable[str | None]],
) -> list[bytes]:
    """The key of each row under a stage: 16 bytes that cover the fingerprint and every
    column read.

    A row is its columns' canonical JSON texts, null where there is none.
    """
    prefix = hashlib.sha256(f"row:{fingerprint}:[".encode())
    keys = []
    for columns in rows:
        row = prefix.copy()
        row.update(
            ",".join(["null" if text is None else text for text in columns]).encode()
        )
        keys.append(row.digest()[:KEY_BYTES])
    return keys
