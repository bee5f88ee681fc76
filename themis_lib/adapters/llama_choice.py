"""The generator `llama_choice`: the answer that a local model finds likeliest.

It rates the given answers and generates no text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from themis_lib.adapters.choices import (
    CHOICES,
    PAIRS_VERSION,
    Normalize,
    Pair,
    check_choices,
    choices_of,
    has_pairs,
    likeliest,
    pairs_of,
    rating_of,
)
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.local_model import Answer, LocalModel, Messages
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.prompts import PromptSpec, render_input
from themis_lib.engine.prompt import PromptTokens, fit
from themis_lib.errors import FatalError, ModelError, RowError

if TYPE_CHECKING:
    from themis_lib.engine.engine import Engine
    from themis_lib.engine.rating import Rated
    from themis_lib.engine.weights import Weights


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

    An input may say itself what is rated behind which text, as the tasks of lm-eval do:
    `{"context": "2 + 2 =", "continuations": [" 4", " 5"]}`, where `context` may be a
    list with one for each. They are split into tokens together, as lm-eval does, no chat
    template is applied, and the artifacts also say whether each is greedy.
    """

    component_id: ClassVar[str] = "llama_choice"
    rates_continuations: ClassVar[bool] = True

    choices: list[str] | None = None
    delimiter: str = ""
    normalize: Normalize = "none"

    def check_settings(self) -> None:
        """Raise `ComponentError` or `ConfigError` if a setting cannot be used."""
        super().check_settings()
        check_choices(self.choices)

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

    def input_version(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> str | None:
        """Return the version of the ratings of an input; `None` if it never changed."""
        if has_pairs(case_input):
            return PAIRS_VERSION
        return super().input_version(case_input, prompt_spec)

    def check_input(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> None:
        """Raise `RowError` for an input that is not all text."""
        if not has_pairs(case_input):
            super().check_input(case_input, prompt_spec)

    async def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return the likeliest choice, rated in one batch with other rows."""
        engine = await self._load_engine()
        if has_pairs(case.input):
            return await self._rate_pairs(engine, case, ctx)
        choices = choices_of(case, self.choices)
        messages, prompt = self._tokenize_prompt(engine, case, ctx)
        tokens = []
        for choice in choices:
            text = f"{self.delimiter}{choice}"
            tokens.append(engine.weights.tokenize_behind(text))
        rated = await _rate(engine, prompt.tokens, tokens)
        ratings = []
        for choice, one in zip(choices, rated, strict=True):
            ratings.append(rating_of(choice, one.logprobs, self.normalize))
        return self._chosen(messages, prompt, ratings)

    async def _rate_pairs(
        self,
        engine: Engine,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return the likeliest of the continuations that an input gives."""
        pairs = pairs_of(case.input, ctx.prompt_spec)
        prompts: list[PromptTokens] = []
        # Continuations of one prompt are rated together, and the prompt computed once.
        behind: dict[PromptTokens, list[list[int]]] = {}
        for pair in pairs:
            context, continuation = _pair_tokens(engine.weights, pair)
            prompt = fit(context, engine.window)
            prompts.append(prompt)
            behind.setdefault(prompt, []).append(continuation)
        rated = {}
        for prompt, tokens in behind.items():
            rated[prompt] = iter(await _rate(engine, prompt.tokens, tokens))
        ratings = []
        for pair, prompt in zip(pairs, prompts, strict=True):
            one = next(rated[prompt])
            rating = rating_of(pair.continuation, one.logprobs, self.normalize)
            ratings.append({**rating, "is_greedy": one.is_greedy})
        asked = pairs[0].context
        if len(behind) > 1:
            asked = render_input(case.input)
        messages: Messages = [{"role": "user", "content": asked}]
        longest = max(behind, key=lambda prompt: len(prompt.tokens))
        return self._chosen(messages, longest, ratings)

    def _chosen(
        self,
        messages: Messages,
        prompt: PromptTokens,
        ratings: Sequence[JsonObject],
    ) -> GenerationResult:
        answer = Answer(
            text=likeliest(ratings),
            tokens=sum(rating["tokens"] for rating in ratings),
            event="rating",
            finish_reason="stop",
            artifacts={CHOICES: list(ratings)},
        )
        return self._result_of(messages, prompt, answer)


async def _rate(
    engine: Engine,
    prompt: Sequence[int],
    continuations: Sequence[Sequence[int]],
) -> list[Rated]:
    """Return what the engine says of continuations of a prompt."""
    longest = max(map(len, continuations))
    if longest > engine.room(prompt):
        raise RowError(
            f"a choice of {longest} tokens does not fit the window behind its prompt"
        )
    try:
        future = engine.rate(prompt, continuations)
    except ModelError as error:
        raise FatalError(str(error)) from error
    return await asyncio.wrap_future(future)


def _pair_tokens(
    weights: Weights,
    pair: Pair,
) -> tuple[list[int], list[int]]:
    """Return the tokens of a context and of what follows it, split as lm-eval does.

    Both texts are split together, and the context's end is where its own tokens end;
    its last spaces belong to the continuation.
    """
    context = pair.context.rstrip()
    text = pair.context[len(context) :] + pair.continuation
    before = weights.tokenize(context, add_special=True, parse_special=False)
    both = weights.tokenize(context + text, add_special=True, parse_special=False)
    if not before:
        # A model cannot continue nothing at all.
        return [weights.first_token], both
    if not both[len(before) :]:
        raise RowError(
            f"the continuation {pair.continuation!r} adds no token to its context"
        )
    return before, both[len(before) :]
