"""The generator `llama_choice`: of several answers the one that a local model finds
likeliest; none is generated.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from themis_lib.adapters.local_model import LocalModel, dropped_metadata
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import (
    Case,
    GenerationResult,
    Message,
    TokenUsage,
    TraceStep,
)
from themis_lib.errors import ConfigError, FatalError, ModelError, RowError

#: The metadata of a case that lists its choices.
CHOICES = "choices"


@dataclass(frozen=True)
class LlamaChoice(LocalModel):
    """Multiple choice by log-likelihood: the prompt is computed once, and its choices
    are rated behind it.

    The model is chosen, and prompts are written, as by `llama`. The choices are
    `choices`, or each case's own in its metadata `choices`; `delimiter` stands between
    prompt and choice and is rated with it. A choice is cut into tokens by itself, not
    together with the end of its prompt. It scores the sum of its tokens'
    log-probabilities; `normalize` divides that by the number of those `tokens`, or by
    the choice's own `bytes` of UTF-8, so that long choices have a chance. The first of
    the best is the answer; all scores are in the row's artifacts. Every sample of a
    case has the same answer: one is enough.
    """

    component_id: ClassVar[str] = "llama_choice"

    choices: list[str] | None = None
    delimiter: str = ""
    normalize: Literal["none", "tokens", "bytes"] = "none"

    def check_settings(self) -> None:
        """Raises `ComponentError` or `ConfigError` for a setting that cannot be used."""
        super().check_settings()
        if self.choices is not None and (problem := _choices_problem(self.choices)):
            raise ConfigError(f"choices: {problem}")

    @property
    def reads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The input, and the metadata where the choices are there."""
        return ("input", "metadata") if self.choices is None else ("input",)

    def settings(self) -> dict[str, Any]:
        """Model, engine and template, and how choices are rated."""
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
        """The likeliest choice, rated beside whatever else the engine is asked for at
        the time.
        """
        choices = self._choices_of(case)
        engine = await self._get_engine()
        messages, prompt = self._make_prompt(engine, case, ctx)
        texts = [f"{self.delimiter}{choice}" for choice in choices]
        tokens = [engine.weights.tokenize_behind(text) for text in texts]
        if max(map(len, tokens)) > engine.room(prompt.tokens):
            raise RowError(
                f"a choice of {max(map(len, tokens))} tokens does not fit the window behind its prompt"
            )
        try:
            future = engine.rate(prompt.tokens, tokens)
        except ModelError as error:
            raise FatalError(str(error)) from error
        rated = await asyncio.wrap_future(future)
        totals = [
            math.fsum(logprobs) for logprobs in rated
        ]  # the same on every version of Python
        lengths = map(self._choice_length, choices, tokens)
        scores = [total / length for total, length in zip(totals, lengths, strict=True)]
        best = choices[max(range(len(scores)), key=scores.__getitem__)]
        kept = zip(
            choices,
            totals,
            scores,
            map(len, tokens),
            strict=True,
        )
        return GenerationResult(
            final_output=best,
            finish_reason="stop",
            conversation=[
                Message(**message)
                for message in [*messages, {"role": "assistant", "content": best}]
            ],
            trace=[
                TraceStep(
                    name="llama",
                    event="rating",
                    metadata={
                        "model": self._model_file.name,
                        **dropped_metadata(prompt),
                    },
                )
            ],
            usage=TokenUsage(
                input_tokens=len(prompt.tokens),
                output_tokens=sum(map(len, tokens)),
            ),
            artifacts={
                CHOICES: [dict(zip(_RATING, values, strict=True)) for values in kept]
            },
        )

    def _choices_of(self, case: Case) -> Sequence[str]:
        if self.choices is not None:
            return self.choices
        found = case.metadata.get(CHOICES)
        if found is None:
            raise RowError(
                f"the case has no metadata.{CHOICES}; give it a list of texts, or set `choices` for all"
            )
        if problem := _choices_problem(found):
            raise RowError(f"metadata.{CHOICES}: {problem}")
        choices: list[str] = found  # type: ignore[assignment] # as `_choices_problem` found
        return choices

    def _choice_length(
        self,
        choice: str,
        tokens: Sequence[int],
    ) -> int:
        """What the score of a choice is divided by."""
        return {
            "none": 1,
            "tokens": len(tokens),
            "bytes": len(choice.encode("utf-8", "replace")),
        }[self.normalize]


#: What is kept of each choice.
_RATING = ("text", "logprob", "score", "tokens")


def _choices_problem(choices: Any) -> str | None:
    """What is wrong with a list of choices, if anything."""
    if not isinstance(choices, list | tuple) or not all(
        isinstance(choice, str) and choice for choice in choices
    ):
        return "write a list of texts, none of them empty"
    if len(choices) < 2:
        return f"{len(choices)} of them leave nothing to choose; write at least two"
    twice = next(
        (choice for place, choice in enumerate(choices) if choice in choices[:place]),
        None,
    )
    return None if twice is None else f"{twice!r} stands there twice; remove one"
