"""Given answers that a model rates: which ones, and what a row keeps of each.

It is the same for a local model (`llama_choice`) and for servers (`vllm_choice`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.core.models import Case
from themis_lib.core.prompts import PromptSpec
from themis_lib.errors import ConfigError, RowError

#: The key of a case's metadata that lists its choices, and of the row's artifacts.
CHOICES = "choices"
#: What a score is divided by.
Normalize = Literal["none", "tokens", "bytes"]
#: The form of an input that says itself what is rated behind which context.
_PAIRS = {"context", "continuations"}
#: The version of a request for such an input; earlier releases sent it as JSON.
PAIRS_VERSION = "pairs-1"


@dataclass(frozen=True)
class Pair:
    """A continuation and the context that it is rated behind."""

    context: str
    continuation: str


def has_pairs(case_input: Any) -> bool:
    """Return whether an input says itself which continuations are rated.

    >>> has_pairs({"context": "2 + 2 =", "continuations": [" 4", " 5"]})
    True
    """
    return isinstance(case_input, Mapping) and set(case_input) == _PAIRS


def pairs_of(
    case_input: Any,
    spec: PromptSpec,
) -> list[Pair]:
    """Return the continuations of an input, each with its context.

    `context` is a text, or a list with a text for each of the `continuations`. Raise
    `RowError` for anything else, and for prompt material, which would come between.
    """
    if spec.instructions or spec.prefix or spec.suffix or spec.blocks:
        raise RowError(
            "an input of context and continuations is rated as it is; remove what "
            "prompt_spec and instructions put around it"
        )
    continuations = case_input["continuations"]
    contexts = case_input["context"]
    if isinstance(contexts, str) and _are_texts(continuations):
        contexts = [contexts] * len(continuations)
    are_texts = _are_texts(contexts) and _are_texts(continuations)
    if not are_texts or len(contexts) != len(continuations):
        raise RowError(
            "input: `continuations` is a list of texts, and `context` a text or a list "
            "with one for each of them"
        )
    if "" in continuations:
        raise RowError("input: a continuation is empty; there is nothing to rate")
    pairs = zip(contexts, continuations, strict=True)
    return [Pair(context, continuation) for context, continuation in pairs]


def _are_texts(value: Any) -> bool:
    is_list = isinstance(value, list) and bool(value)
    return is_list and all(isinstance(text, str) for text in value)


def check_choices(choices: list[str] | None) -> None:
    """Raise `ConfigError` for choices of the settings that cannot be rated."""
    problem = None if choices is None else _problem_with(choices)
    if problem:
        raise ConfigError(f"choices: {problem}")


def choices_of(
    case: Case,
    choices: list[str] | None,
) -> Sequence[str]:
    """Return the settings' choices, or else the case's own from its metadata."""
    if choices is not None:
        return choices
    found: Any = case.metadata.get(CHOICES)
    if found is None:
        raise RowError(
            f"the case has no metadata.{CHOICES}; give it a list of texts, or set "
            "`choices` for all"
        )
    problem = _problem_with(found)
    if problem:
        raise RowError(f"metadata.{CHOICES}: {problem}")
    own: list[str] = found
    return own


def rating_of(
    text: str,
    logprobs: Sequence[float],
    normalize: Normalize,
) -> JsonObject:
    """Return what the row's artifacts keep of one choice."""
    # `sum` rounds differently from Python 3.12 on; `fsum` never does.
    total = math.fsum(logprobs)
    length = 1
    if normalize == "tokens":
        length = len(logprobs)
    elif normalize == "bytes":
        # A lone surrogate has no UTF-8: it counts as one byte.
        length = len(text.encode("utf-8", "replace"))
    return {
        "text": text,
        "logprob": total,
        "score": total / length,
        "tokens": len(logprobs),
    }


def likeliest(ratings: Sequence[JsonObject]) -> str:
    """Return the text of the best score; the first of equal ones."""
    # The first, so that ties do not depend on the machine.
    scores = [rating["score"] for rating in ratings]
    best: str = ratings[scores.index(max(scores))]["text"]
    return best


def _problem_with(choices: Any) -> str | None:
    """Return what is wrong with a list of choices, or `None`."""
    not_texts = "write a list of texts, none of them empty"
    if not isinstance(choices, list | tuple):
        return not_texts
    for choice in choices:
        if not isinstance(choice, str) or not choice:
            return not_texts
    if len(choices) < 2:
        return f"{len(choices)} of them leave nothing to choose; write at least two"
    seen = set()
    for choice in choices:
        if choice in seen:
            return f"{choice!r} stands there twice; remove one"
        seen.add(choice)
    return None
