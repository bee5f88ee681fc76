"""The generator `llama`: a local GGUF model on the deterministic engine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from typing import Any, ClassVar

from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.local_model import Answer, LocalModel
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.reasoning import split_reasoning
from themis_lib.engine.constraints.constraint import Constraint, constraint
from themis_lib.engine.sampling import Sampling, check_seed
from themis_lib.errors import ConfigError, FatalError, InputError


@dataclass(frozen=True)
class Llama(LocalModel):
    """A local model: the same settings give the same texts, alone or in a batch.

    `model` is a registry name (`tiny` is bundled) or the path of a GGUF file. `size`,
    or `model_repo` with `model_filename`, choose a model too. Temperature 0 takes the
    most likely token for every seed. `template` is `auto` (the model's chat template if
    it has one), `chat` or `raw`. `window` bounds prompt and text together, in tokens.
    `logprobs` keeps each token's log-probability in the row's artifacts, with so many
    likely alternatives. A constraint ends its text itself: `stop` does not cut it. An
    input that is a list of messages is sent as a conversation. Identity is the content
    of the file, not its place.
    """

    component_id: ClassVar[str] = "llama"
    version: ClassVar[str] = "2"

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_tokens: int = 512
    stop: list[str] = field(default_factory=list)
    schema: Any = None
    regex: str | None = None
    choices: list[str] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: int | None = None

    def check_settings(self) -> None:
        """Raise `InputError` if a setting is out of range or cannot be satisfied."""
        super().check_settings()
        # Both validate what they are made of: an error must come before any model.
        _ = self._sampling_settings
        _ = self._text_constraint
        if "" in self.stop:
            raise ConfigError(
                "stop holds an empty text, which ends everything; remove it"
            )
        if self.max_tokens < 1:
            raise ConfigError(
                f"max_tokens={self.max_tokens}: write a whole number from 1 on"
            )
        if self.logprobs is None:
            return
        if not 0 <= self.logprobs <= 100:
            raise ConfigError(
                f"logprobs={self.logprobs}: write a whole number from 0 to 100"
            )

    def settings(self) -> JsonObject:
        """Return model, engine and template, and what is asked of them."""
        asked = self._text_constraint
        return {
            **super().settings(),
            "sampling": asdict(self._sampling_settings),
            "max_tokens": self.max_tokens,
            "stop": list(self.stop),
            "constraint": None if asked is None else asked.identity,
            "logprobs": self.logprobs,
        }

    def with_schema(self, schema: Any) -> Llama:
        """Return a copy whose texts are JSON that satisfies a schema.

        Raises `InputError` as the settings do.
        """
        return replace(self, schema=schema)

    async def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return the text for one case; cancelling it frees its place in the batch."""
        from themis_lib.engine.generation import Request

        engine = await self._load_engine()
        messages, prompt = self._tokenize_prompt(engine, case, ctx)
        try:
            request = Request(
                prompt=prompt.tokens,
                max_tokens=self.max_tokens,
                seed=check_seed(ctx.seed),
                sampling=self._sampling_settings,
                stops=tuple(self.stop),
                constraint=self._text_constraint,
                top_logprobs=self.logprobs,
            )
            future = engine.submit(request)
        except InputError as error:
            # No case can meet these settings, so that one failure stops the run.
            raise FatalError(str(error)) from error
        # A wrapped future passes a cancellation on to the engine.
        generation = await asyncio.wrap_future(future)

        artifacts = None
        if self.logprobs is not None:
            logprobs = []
            for token in generation.tokens:
                likely = [[one.token, one.text, one.logprob] for one in token.likely]
                kept = {
                    "token": token.token,
                    "text": token.text,
                    "logprob": token.logprob,
                    "likely": likely,
                }
                logprobs.append(kept)
            artifacts = {"logprobs": logprobs}
        answer = Answer(
            text=generation.text,
            tokens=len(generation.tokens),
            reasoning_tokens=_count_reasoning(
                generation.text,
                [token.text for token in generation.tokens],
            ),
            event="generation",
            finish_reason=generation.finish_reason,
            artifacts=artifacts,
        )
        return self._result_of(messages, prompt, answer)

    @cached_property
    def _sampling_settings(self) -> Sampling:
        return Sampling(
            self.temperature,
            self.top_k,
            self.top_p,
            self.min_p,
            self.repetition_penalty,
        )

    # Cached, so that a schema is compiled once and not for each row.
    @cached_property
    def _text_constraint(self) -> Constraint | None:
        return constraint(
            schema=self.schema,
            regex=self.regex,
            choices=self.choices,
            response_format=self.response_format,
        )


def _count_reasoning(
    text: str,
    tokens: Sequence[str],
) -> int | None:
    """Return how many of a text's tokens are its reasoning, tags included.

    `None` for a text without reasoning.

    >>> _count_reasoning("<think>a</think>b", ["<think>", "a", "</think>", "b"])
    3
    """
    answer = split_reasoning(text).answer
    if answer == text:
        return None
    length = len(text) - len(answer or "")
    ends = accumulate(map(len, tokens))
    return sum(end <= length for end in ends)
