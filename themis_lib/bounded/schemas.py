"""JSON Schemas with regular expressions, which a value must not keep busy for ever."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from themis_lib.bounded.patterns import MAX_CPU_S
from themis_lib.bounded.processes import Workers

#: The keywords whose value, or whose keys, are regular expressions.
_PATTERN_KEYWORDS = frozenset({"pattern", "patternProperties"})
_WORKERS = Workers(
    Path(__file__).with_name("schema_worker.py"),
    task="validates by JSON Schemas",
)


@dataclass(frozen=True)
class Invalid:
    """Why a value is invalid: the error that says most, and the one found first."""

    path: str
    message: str
    first: str


def has_patterns(schema: Any) -> bool:
    """Return whether a JSON Schema may hold a regular expression.

    >>> has_patterns({"items": [{"pattern": "a"}]}), has_patterns({"type": "string"})
    (True, False)
    """
    if isinstance(schema, dict):
        if not _PATTERN_KEYWORDS.isdisjoint(schema):
            return True
        return any(map(has_patterns, schema.values()))
    if isinstance(schema, list):
        return any(map(has_patterns, schema))
    return False


def find_invalid(
    schema: dict[str, Any],
    value: Any,
    *,
    cpu_s: float = MAX_CPU_S,
) -> Invalid | None:
    """Return why a value is invalid by a JSON Schema, or `None` if it is valid.

    Raise `ValueError` if it refers to what it does not hold, and if the validation
    takes more than `cpu_s` seconds of processor time.
    """
    answer = _WORKERS.ask(
        schema=schema,
        value=value,
        cpu_s=cpu_s,
    )
    if answer is None:
        raise ValueError(
            f"the schema took more than {cpu_s:g} s of processor time on the value; "
            "write its regular expressions so that each text can match in one way "
            "only, such as a+ for (a+)+"
        )
    if answer["message"] is None:
        return None
    if answer["path"] is None:
        raise ValueError(answer["message"])
    return Invalid(**answer)
