"""What a model answered to a prompt: its text, and its tokens where it tells them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from themis_lib.identity.digests import load_json, load_json_or_null

_WORD = re.compile(r"\s*\S+|\s+$")


@dataclass(frozen=True)
class Token:
    """A token of an answer, its log-probability, and those of the likeliest there."""

    text: str
    logprob: float | None = None
    likely: Mapping[str, float] | None = None

    @property
    def is_likeliest(self) -> bool:
        """Whether no other token is known to have been likelier."""
        if self.logprob is None or not self.likely:
            return True
        return self.logprob >= max(self.likely.values())


@dataclass(frozen=True)
class Reading:
    """An answer: its text and its tokens, `is_rated` if these have log-probabilities.

    Where a model tells no tokens, they are words. `served_by` is what a server calls
    its build. `no_text` is why there is no text, such as a refusal: two answers without
    one say nothing of each other.
    """

    text: str
    tokens: Sequence[Token]
    is_rated: bool
    no_text: str | None = None
    served_by: str | None = None
    has_seed: bool = True


def readings(
    table: pa.Table,
    has_failed: npt.NDArray[np.bool_],
) -> list[Reading | None]:
    """Return what is in the rows of a generate stage; `None` for one that failed.

    A fact about a row, such as a refusal, is what it reads as.
    """
    names = ("output", "error", "artifacts")
    columns = [table[name].to_pylist() for name in names]
    found: list[Reading | None] = []
    for at, (output, error, artifacts) in enumerate(zip(*columns, strict=True)):
        if has_failed[at]:
            found.append(None)
        else:
            found.append(_reading(output, error, artifacts))
    return found


def _reading(
    output: str | None,
    error: str | None,
    artifacts: str | None,
) -> Reading:
    text = f"({error})" if output is None else load_json(output)
    if not isinstance(text, str):
        text = str(output)
    kept: Any = (load_json_or_null(artifacts) or {}) if artifacts else {}
    tokens = _tokens(kept.get("logprobs"))
    served_by = kept.get("system_fingerprint")
    no_text = None
    if output is None or not text.strip():
        no_text = error or "the answer is empty"
    return Reading(
        text=text,
        tokens=tokens or [Token(word) for word in _WORD.findall(text)],
        is_rated=bool(tokens),
        no_text=no_text,
        served_by=served_by if isinstance(served_by, str) else None,
        has_seed="seed" not in (kept.get("sent_as") or {}),
    )


def _tokens(kept: Any) -> list[Token]:
    """Return the tokens that a row's `logprobs` name; empty if they cannot be read.

    >>> _tokens([{"token": "a", "logprob": -0.5, "top_logprobs": []}])
    [Token(text='a', logprob=-0.5, likely={})]
    """
    if not isinstance(kept, list):
        return []
    tokens = []
    for item in kept:
        if not isinstance(item, dict) or not isinstance(
            item.get("logprob"), (int, float)
        ):
            return []
        # The local engine's token is a number, beside its text.
        text = item.get("text", item.get("token"))
        tokens.append(Token(str(text), float(item["logprob"]), _likely(item)))
    return tokens


def _likely(item: Mapping[str, Any]) -> dict[str, float]:
    likely = {}
    for other in item.get("top_logprobs") or ():
        if isinstance(other.get("logprob"), (int, float)):
            likely[str(other.get("token"))] = float(other["logprob"])
    for _, text, logprob in item.get("likely") or ():
        # Several tokens may have one text: the likeliest of them counts.
        likely[str(text)] = max(float(logprob), likely.get(str(text), float(logprob)))
    return likely
