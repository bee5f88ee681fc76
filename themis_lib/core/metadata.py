"""Values of metadata as readable text that loses nothing."""

from __future__ import annotations

from typing import Any

from themis_lib.identity.digests import canonical_json, load_json


def metadata_text(value: Any) -> str:
    """Return a value as text: JSON, or a string as it is if it is not JSON itself.

    >>> [metadata_text(value) for value in ("hard", 3, "3", None)]
    ['hard', '3', '"3"', 'null']
    """
    # The text "3" gets quotes, so that it differs from the number 3.
    if isinstance(value, str) and not _is_json(value):
        return value
    return canonical_json(value)


def metadata_value(text: str) -> Any:
    """Return the value that `metadata_text` wrote.

    >>> [metadata_value(text) for text in ("hard", "3", '"3"', "null")]
    ['hard', 3, '3', None]
    """
    return load_json(text) if _is_json(text) else text


def _is_json(text: str) -> bool:
    try:
        load_json(text)
    except ValueError:
        return False
    return True
