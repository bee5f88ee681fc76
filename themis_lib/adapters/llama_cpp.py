"""The generator `llama`: a local GGUF model on the deterministic engine."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from themis_lib.adapters.local_model import LocalModel, Messages, dropped_metadata
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import (
    Case,
    GenerationResult,
    Message,
    TokenUsage,
    TraceStep,
)
from themis_lib.engine.constraints.constraint import Constraint, constraint
from themis_lib.engine.prompt import PromptTokens
from themis_lib.engine.sampling import Sampling, check_seed
from themis_lib.errors import ConfigError, FatalError, InputError

if TYPE_CHECKING:
    from themis_lib.engine.generation import Generation, Request, Token


@dataclass(frozen=True)
class Llama(LocalModel):
    """A local model: the same texts for the same settings, whatever is decoded beside
    them.

    `model` is a registry name (`tiny` is bundled) or the path of a GGUF file; `size`,
    or `model_repo` with `model_filename`, choose one as well. Temperature 0 takes the
    most likely token for every seed. `template` is `auto` (the model's chat template
    where it has one), `chat` or `raw`; `window` bounds prompt and text together.
    `logprobs` keeps each token's log-probability in the row's artifacts, with so many
    likely tokens beside it. A constraint ends its text itself: `stop` does not cut it.
    An input that is a list of messages is sent as one. Identity is the content of the
    file, not its place.
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
        """Raises `InputError` for a setting that is out of range or that nothing can
        satisfy.
        """
        super().check_settings()
        _ = self._sampling_for
        _ = self._output_constraint
        if "" in self.stop:
            raise ConfigError(
                "stop holds an empty text, which ends everything; remove it"
            )
        if self.max_tokens < 1:
            raise ConfigError(
                f"max_tokens={self.max_tokens}: write a whole number from 1 on"
            )
        if self.logprobs is not None and not 0 <= self.logprobs <= 100:
            raise ConfigError(
                f"logprobs={self.logprobs}: write a whole number from 0 to 100"
            )

    def settings(self) -> dict[str, Any]:
        """Model, engine and template, and what is asked of them."""
        asked = self._output_constraint
        return {
            **super().settings(),
            "sampling": asdict(self._sampling_for),
            "max_tokens": self.max_tokens,
            "stop": list(self.stop),
            "constraint": asked and asked.identity,
            "logprobs": self.logprobs,
        }

    def with_schema(self, schema: Any) -> Llama:
        """The same generator, whose texts are JSON that satisfies a schema. Raises
        `InputError` as the settings do.
        """
        return replace(self, schema=schema)

    async def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """The text, decoded beside whatever else is asked for at the time; giving it up
        frees its place.
        """
        engine = await self._get_engine()
        messages, prompt = self._make_prompt(engine, case, ctx)
        try:
            future = engine.submit(self._make_request(prompt, ctx.seed))
        except InputError as error:  # the settings cannot be met, whatever the case
            raise FatalError(str(error)) from error
        return self._make_result(messages, prompt, await asyncio.wrap_future(future))

    @cached_property
    def _sampling_for(self) -> Sampling:
        return Sampling(
            self.temperature,
            self.top_k,
            self.top_p,
            self.min_p,
            self.repetition_penalty,
        )

    @cached_property
    def _output_constraint(self) -> Constraint | None:
        return constraint(
            schema=self.schema,
            regex=self.regex,
            choices=self.choices,
            response_format=self.response_format,
        )

    def _make_request(
        self,
        prompt: PromptTokens,
        seed: int,
    ) -> Request:
        from themis_lib.engine.generation import Request

        return Request(
            prompt=prompt.tokens,
            max_tokens=self.max_tokens,
            seed=check_seed(seed),
            sampling=self._sampling_for,
            stops=tuple(self.stop),
            constraint=self._output_constraint,
            top_logprobs=self.logprobs,
        )

    def _make_result(
        self,
        messages: Messages,
        prompt: PromptTokens,
        generation: Generation,
    ) -> GenerationResult:
        said = [*messages, {"role": "assistant", "content": generation.text}]
        metadata = {"model": self._model_file.name, **dropped_metadata(prompt)}
        return GenerationResult(
            final_output=generation.text,
            finish_reason=generation.finish_reason,
            conversation=[Message(**message) for message in said],
            trace=[
                TraceStep(
                    name="llama",
                    event="generation",
                    metadata=metadata,
                )
            ],
            usage=TokenUsage(
                input_tokens=len(prompt.tokens),
                output_tokens=len(generation.tokens),
            ),
            artifacts=None
            if self.logprobs is None
            else {"logprobs": [_logprob_json(one) for one in generation.tokens]},
        )


def _logprob_json(token: Token) -> dict[str, Any]:
    likely = [[one.token, one.text, one.logprob] for one in token.likely]
    return {
        "token": token.token,
        "text": token.text,
        "logprob": token.logprob,
        "likely": likely,
    }
