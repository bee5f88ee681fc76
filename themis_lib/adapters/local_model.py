"""What the generators that run a local model share: which file it is, its engine, and
prompts as its tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case
from themis_lib.core.prompts import render_conversation
from themis_lib.engine.prompt import PromptTokens, Template, prompt_tokens
from themis_lib.errors import FatalError, InputError, ModelError, RowError
from themis_lib.stages.calls import in_thread

if TYPE_CHECKING:
    from themis_lib.engine.engine import Engine
    from themis_lib.engine.models import ModelFile

#: The turns of a conversation, each with its `role` and `content`.
Messages = list[dict[str, Any]]


@dataclass(frozen=True)
class LocalModel(Builtin):
    """A model file and its engine. Identity is the content of the file, not its place.

    `model` is a registry name (`tiny` is bundled) or the path of a GGUF file; `size`,
    or `model_repo` with `model_filename`, choose one as well. `template` is `auto` (the
    model's chat template where it has one), `chat` or `raw`; `window` bounds prompt and
    text together.
    """

    reads: ClassVar[tuple[str, ...]] = ("input",)
    deterministic: ClassVar[bool] = True
    #: No provider is paid.
    is_free: ClassVar[bool] = True

    model: str | None = None
    model_repo: str | None = None
    model_filename: str | None = None
    size: str | None = None
    template: Template = field(
        default="auto",
        kw_only=True,
    )
    window: int | None = field(
        default=None,
        kw_only=True,
    )

    def check(self) -> None:
        """Find and read the model. Raises `ModelError` where it or the build cannot be
        used: nothing stands in.
        """
        _ = self.settings()

    def settings(self) -> dict[str, Any]:
        """The digest of the model file, what decides the engine's bits, and how prompts
        are written.
        """
        from themis_lib.engine.engines import engine_identity

        file = self._model_file
        return {
            "model": file.digest,
            "engine": engine_identity(file, window=self.window),
            "template": self.template,
        }

    async def _get_engine(self) -> Engine:
        from themis_lib.engine.engines import loaded_engine

        return loaded_engine(self._model_file, window=self.window) or await in_thread(
            self._load_engine
        )

    def _load_engine(self) -> Engine:
        from themis_lib.engine.engines import engine_for

        try:
            return engine_for(self._model_file, window=self.window)
        except InputError as error:
            raise FatalError(str(error)) from error

    @cached_property
    def _model_file(self) -> ModelFile:
        from themis_lib.engine.build import load_llama_cpp
        from themis_lib.engine.models import find_model

        load_llama_cpp()
        return find_model(
            model=self.model,
            model_repo=self.model_repo,
            model_filename=self.model_filename,
            size=self.size,
        )

    def _make_prompt(
        self,
        engine: Engine,
        case: Case,
        ctx: GenerateContext,
    ) -> tuple[Messages, PromptTokens]:
        """A case under its prompt spec, as turns and as tokens. Raises `RowError` for
        what is no text.
        """
        messages = render_conversation(ctx.prompt_spec, case.input)
        if not all(isinstance(message.get("content"), str) for message in messages):
            raise RowError(
                "a local model reads messages of text; `content` of one of these is no text"
            )
        try:
            return messages, prompt_tokens(
                engine.weights,
                messages,
                template=self.template,
                window=engine.window,
            )
        except ModelError as error:
            raise RowError(str(error)) from error


def dropped_metadata(prompt: PromptTokens) -> dict[str, int]:
    """For the trace: how many tokens of a prompt were left out, where some were."""
    return {"dropped_prompt_tokens": prompt.dropped} if prompt.dropped else {}
