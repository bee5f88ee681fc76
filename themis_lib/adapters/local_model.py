"""What generators that run a local model share: its file, its engine, its prompts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from themis_lib.adapters.conversations import (
    FORMS_VERSION,
    has_listed_parts,
    text_turns,
)
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import (
    Case,
    GenerationResult,
    Message,
    TokenUsage,
    TraceStep,
)
from themis_lib.core.prompts import PromptSpec, render_conversation
from themis_lib.engine.prompt import PromptTokens, Template, prompt_tokens
from themis_lib.errors import FatalError, InputError, ModelError, RowError
from themis_lib.stages.calls import in_thread

if TYPE_CHECKING:
    from themis_lib.engine.engine import Engine
    from themis_lib.engine.models import ModelFile

#: The turns of a conversation, each with its `role` and `content`.
Messages = list[JsonObject]


@dataclass(frozen=True)
class Answer:
    """What a local model answers to one prompt, and the event of the trace it is."""

    text: str
    tokens: int
    event: str
    finish_reason: str
    artifacts: JsonObject | None = None
    reasoning_tokens: int | None = None


@dataclass(frozen=True)
class LocalModel(Builtin):
    """A model file and its engine. Identity is the content of the file, not its place.

    `model` is a registry name (`tiny` is bundled) or the path of a GGUF file. `size`,
    or `model_repo` with `model_filename`, choose a model too. `template` is `auto` (the
    model's chat template if it has one), `chat` or `raw`. `window` bounds prompt and
    text together, in tokens.
    """

    reads: ClassVar[tuple[str, ...]] = ("input",)
    deterministic: ClassVar[bool] = True
    #: No provider is paid.
    is_free: ClassVar[bool] = True

    model: str | None = None
    model_repo: str | None = None
    model_filename: str | None = None
    size: str | None = None
    # Keyword-only: subclasses add positional settings after the four above.
    template: Template = field(
        default="auto",
        kw_only=True,
    )
    window: int | None = field(
        default=None,
        kw_only=True,
    )

    def check(self) -> None:
        """Find and read the model. Raises `ModelError` if it cannot be used.

        No other model replaces it.
        """
        _ = self.settings()

    def settings(self) -> JsonObject:
        """Return the model file's digest, the engine's identity and the template."""
        # Imported late here and below: llama.cpp is an extra, and slow to load.
        from themis_lib.engine.engines import engine_identity

        file = self._model_file
        return {
            "model": file.digest,
            "engine": engine_identity(file, window=self.window),
            "template": self.template,
        }

    def input_version(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> str | None:
        """Return the version of the prompt for an input; `None` if it never changed."""
        # Parts were refused, or rendered as JSON.
        return FORMS_VERSION if has_listed_parts(case_input) else None

    def check_input(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> None:
        """Raise `RowError` for an input that is not all text."""
        self._text_turns(case_input, prompt_spec)

    def _text_turns(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> Messages:
        turns = render_conversation(prompt_spec, case_input)
        return text_turns(turns, reader=self.component_id)

    async def _load_engine(self) -> Engine:
        """Return the engine of the model file, loaded once per process."""
        from themis_lib.engine.engines import engine_for, loaded_engine

        # Once it is loaded no row pays for a thread.
        engine = loaded_engine(self._model_file, window=self.window)
        if engine is not None:
            return engine

        def load() -> Engine:
            try:
                return engine_for(self._model_file, window=self.window)
            except InputError as error:
                # The settings fit no row, so that one failure stops the run.
                raise FatalError(str(error)) from error

        # In a thread: loading takes seconds, in which the loop serves other rows.
        new_engine: Engine = await in_thread(load)
        return new_engine

    @cached_property
    def _model_file(self) -> ModelFile:
        from themis_lib.engine.build import load_llama_cpp
        from themis_lib.engine.models import find_model

        # The build first: without it no model can be used.
        load_llama_cpp()
        return find_model(
            model=self.model,
            model_repo=self.model_repo,
            model_filename=self.model_filename,
            size=self.size,
        )

    def _tokenize_prompt(
        self,
        engine: Engine,
        case: Case,
        ctx: GenerateContext,
    ) -> tuple[Messages, PromptTokens]:
        """Return a case under its prompt spec, as turns and as tokens."""
        messages = self._text_turns(case.input, ctx.prompt_spec)
        try:
            prompt = prompt_tokens(
                engine.weights,
                messages,
                template=self.template,
                window=engine.window,
            )
        except ModelError as error:
            # A template refuses some conversations: a fact of this row alone.
            raise RowError(str(error)) from error
        return messages, prompt

    def _result_of(
        self,
        messages: Messages,
        prompt: PromptTokens,
        answer: Answer,
    ) -> GenerationResult:
        """Return the result of a prompt that the model has answered."""
        # The file's name alone: its path differs between machines.
        metadata: JsonObject = {"model": self._model_file.name}
        if prompt.dropped:
            metadata["dropped_prompt_tokens"] = prompt.dropped
        step = TraceStep(
            name="llama",
            event=answer.event,
            metadata=metadata,
        )
        conversation = [Message(**message) for message in messages]
        conversation.append(
            Message(
                role="assistant",
                content=answer.text,
            )
        )
        usage = TokenUsage(
            input_tokens=len(prompt.tokens),
            output_tokens=answer.tokens,
            reasoning_tokens=answer.reasoning_tokens,
        )
        return GenerationResult(
            final_output=answer.text,
            finish_reason=answer.finish_reason,
            conversation=conversation,
            trace=[step],
            usage=usage,
            artifacts=answer.artifacts,
        )
