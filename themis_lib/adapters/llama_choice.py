"""The generator `llama_choice`: the answer that a local model finds likeliest.

It rates the given answers and generates no text.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.local_model import Answer, LocalModel
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.errors import ConfigError, FatalError, ModelError, RowError

#: The key of a case's metadata that lists its choices, and of the row's artifacts.
CHOICES = "choices"


@dataclass(frozen=True)
class LlamaChoice(LocalModel):
    """Multiple choice by log-likelihood: one prompt, and each choice rated after it.

    Model and prompts are those of `llama`. The choices are `choices`, or else each
    case's own in its metadata `choices`. `delimiter` comes between prompt and choice
    and is rated with the choice. A choice is split into tokens by itself, not together
    with the end of its prompt. Its score is the sum of its tokens' log-probabilities.
    `normalize` divides that by the number of those `tokens`, or by the choice's own
    `bytes` of UTF-8, so that long choices have a chance. The first of the best is the
    answer; all scores are in the row's artifacts. Every sample of a case has the same
    answer: one is enough.
    """

    component_id: ClassVar[str] = "llama_choice"

    choices: list[str] | None = None
    delimiter: str = ""
    normalize: Literal["none", "tokens", "bytes"] = "none"

    def check_settings(self) -> None:
        """Raise `ComponentError` or `ConfigError` if a setting cannot be used."""
        super().check_settings()
        if self.choices is None:
            return
        problem = _problem_with(self.choices)
        if problem:
            raise ConfigError(f"choices: {problem}")

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The input, and the metadata if that lists the choices."""
        # Reading less where possible: other metadata then costs no new rating.
        if self.choices is None:
            return ("input", "metadata")
        return ("input",)

    def settings(self) -> JsonObject:
        """Return model, engine and template, and how choices are rated."""
        return {
            **super().settings(),
            "choices": self.choices,
            "delimiter": self.delimiter,
            "normalize": self.normalize,
        }

    async def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return the likeliest choice, rated in one batch with other rows."""
        choices = self._find_choices(case)
        engine = await self._load_engine()
        messages, prompt = self._tokenize_prompt(engine, case, ctx)
        tokens = []
        for choice in choices:
            text = f"{self.delimiter}{choice}"
            tokens.append(engine.weights.tokenize_behind(text))
        longest = max(map(len, tokens))
        if longest > engine.room(prompt.tokens):
            raise RowError(
                f"a choice of {longest} tokens does not fit the window behind its "
                "prompt"
            )
        try:
            future = engine.rate(prompt.tokens, tokens)
        except ModelError as error:
            raise FatalError(str(error)) from error
        rated = await asyncio.wrap_future(future)

        ratings = []
        for choice, ids, logprobs in zip(
            choices,
            tokens,
            rated,
            strict=True,
        ):
            ratings.append(self._rate_choice(choice, ids, logprobs))
        scores = [rating["score"] for rating in ratings]
        # The first of equal scores, so that ties do not depend on the machine.
        best = choices[scores.index(max(scores))]
        answer = Answer(
            text=best,
            tokens=sum(map(len, tokens)),
            event="rating",
            finish_reason="stop",
            artifacts={CHOICES: ratings},
        )
        return self._result_of(messages, prompt, answer)

    def _find_choices(self, case: Case) -> Sequence[str]:
        """Return the settings' choices, or else the case's own."""
        if self.choices is not None:
            return self.choices
        found: Any = case.metadata.get(CHOICES)
        if found is None:
            raise RowError(
                f"the case has no metadata.{CHOICES}; give it a list of texts, or set "
                "`choices` for all"
            )
        problem = _problem_with(found)
        if problem:
            raise RowError(f"metadata.{CHOICES}: {problem}")
        choices: list[str] = found
        return choices

    def _rate_choice(
        self,
        choice: str,
        tokens: Sequence[int],
        logprobs: Sequence[float],
    ) -> JsonObject:
        """Return what the row's artifacts keep of one choice."""
        # `sum` rounds differently from Python 3.12 on; `fsum` never does.
        total = math.fsum(logprobs)
        length = 1
        if self.normalize == "tokens":
            length = len(tokens)
        elif self.normalize == "bytes":
            # A lone surrogate has no UTF-8: it counts as one byte.
            length = len(choice.encode("utf-8", "replace"))
        return {
            "text": choice,
            "logprob": total,
            "score": total / length,
            "tokens": len(tokens),
        }


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
