"""The setting `thinking`: how long a model of Anthropic's thinks before it answers.

The rules are those of Anthropic's documentation of extended thinking.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.errors import ComponentError, nearest

_TYPES = ("adaptive", "enabled", "disabled")
_FEWEST_TOKENS = 1024
_LEAST_TOP_P = 0.95
_ADVICE = (
    "write `adaptive`, `disabled`, or {budget_tokens: 2000} for a number of tokens"
)


def thinking_object(value: Any) -> JsonObject | None:
    """Return the setting as the API writes it.

    Raise `ComponentError` if it cannot be used.

    >>> thinking_object({"budget_tokens": 2000})
    {'type': 'enabled', 'budget_tokens': 2000}
    """
    if value is None:
        return None
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, Mapping):
        raise ComponentError(f"thinking={value!r:.80}: {_ADVICE}")
    kind = value.get("type", "enabled")
    if kind not in _TYPES:
        raise ComponentError(
            f"thinking={kind!r:.80}: {nearest(str(kind), _TYPES)}; {_ADVICE}"
        )
    budget: Any = value.get("budget_tokens")
    is_count = isinstance(budget, int) and not isinstance(budget, bool)
    if kind == "enabled" and not (is_count and budget >= _FEWEST_TOKENS):
        raise ComponentError(
            f"thinking.budget_tokens={budget!r}: give at least {_FEWEST_TOKENS}; or "
            "write `thinking: adaptive`"
        )
    return {"type": kind, **value}


def check_thinking(
    thinking: JsonObject | None,
    *,
    max_tokens: int,
    temperature: float | None,
    top_p: float | None,
    top_k: int | None,
    tool_choice: Any,
    is_interleaved: bool,
) -> None:
    """Raise `ComponentError` for a setting that the API refuses beside thinking.

    Where a model may think between calls of tools (`is_interleaved`), the tokens of all
    its thoughts may be more than those of one answer.
    """
    if thinking is None or thinking["type"] == "disabled":
        return
    if temperature not in (None, 1):
        raise ComponentError(
            f"temperature={temperature!r}: a model that thinks takes none but 1; remove "
            "temperature or thinking"
        )
    if top_k is not None:
        raise ComponentError(
            f"top_k={top_k!r}: a model that thinks takes none; remove top_k or thinking"
        )
    if top_p is not None and top_p < _LEAST_TOP_P:
        raise ComponentError(
            f"top_p={top_p!r}: a model that thinks takes {_LEAST_TOP_P} to 1"
        )
    if isinstance(tool_choice, Mapping) and tool_choice.get("type") in ("any", "tool"):
        raise ComponentError(
            "tool_choice: a model that thinks cannot be made to call a tool; write "
            "`auto` or remove thinking"
        )
    budget = thinking.get("budget_tokens", 0)
    if budget >= max_tokens and not is_interleaved:
        raise ComponentError(
            f"max_tokens={max_tokens}: it covers thoughts and answer; give more than "
            f"thinking.budget_tokens, which is {budget}"
        )
