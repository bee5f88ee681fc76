"""What generators share that answer a case with one turn of a conversation."""

from __future__ import annotations

import inspect
from dataclasses import replace
from functools import cached_property, partial
from typing import Annotated, Any, Self

from pydantic import Field

from themis_lib.adapters.conversations import (
    InputBuilder,
    Turn,
    check_builder,
    input_version,
    stored_turns,
    turns_to_send,
)
from themis_lib.adapters.extra_body import longest_answer
from themis_lib.adapters.faults import translated
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.masking import masked_fault, masked_result
from themis_lib.adapters.openai_parts import WithoutContents, most_media_tokens
from themis_lib.adapters.requests import ApiMode
from themis_lib.adapters.served_model import ServedModel
from themis_lib.adapters.structured import Structure, structure
from themis_lib.components.imports import import_named
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult, Message, TokenUsage
from themis_lib.core.parts import Contents, has_own_form
from themis_lib.core.prompts import PromptSpec, render_conversation
from themis_lib.core.reasoning import CUT_OFF, split_reasoning
from themis_lib.core.secrets import resolve_public
from themis_lib.errors import ComponentError
from themis_lib.identity.code import code_digest
from themis_lib.identity.digests import canonical_json
from themis_lib.stages.calls import in_thread

#: The longest reason that a row keeps for an output that does not fit.
_REASON_CHARS = 500

Positive = Annotated[int, Field(ge=1)]
#: Integers are allowed by a type of their own, since the check of settings is strict.
PositiveNumber = Annotated[float, Field(gt=0)] | Positive
Temperature = (
    Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
        ),
    ]
    | Annotated[int, Field(ge=0)]
)


class ChatModel(ServedModel):
    """A model that is sent a conversation and answers with a message.

    A subclass is a dataclass that has the settings below as fields, and sends one
    conversation in `_request_answer`.
    """

    api_mode: ApiMode
    instructions: str | None
    input_builder: Any
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    stop: list[str] | str
    schema: Any
    response_format: dict[str, Any] | str | None
    tools: list[dict[str, Any]]
    tool_choice: Any
    reasoning_effort: str | None

    def check_settings(self) -> None:
        """Raise `ComponentError` if a setting cannot be used or contradicts another."""
        super().check_settings()
        # These are checked where they are made.
        _ = self._longest_answer
        _ = self._builder_function
        _ = self._output_structure

    def settings(self) -> JsonObject:
        """Return what decides the answers, without secrets.

        Of `input_builder` it has the digest of the code.
        """
        builder: Any = self._builder_function
        return {
            "model": self.model,
            "base_url": self._api_endpoint.identity_url,
            "instructions": self.instructions,
            "input_builder": None if builder is None else code_digest(builder),
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "stop": self._stop_texts,
            "response_format": self._output_structure.response_format,
            "schema_code": self._output_structure.code,
            "tools": resolve_public(self.tools, where="tools"),
            "tool_choice": resolve_public(self.tool_choice, where="tool_choice"),
            "reasoning_effort": self.reasoning_effort,
            "extra_body": resolve_public(self.extra_body, where="extra_body"),
        }

    def with_schema(self, schema: Any) -> Self:
        """Return a copy that asks for JSON that fits a schema.

        Raises `ComponentError` as the settings do.
        """
        definition: Any = self
        copy: Self = replace(definition, schema=schema)
        return copy

    def most_tokens(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> TokenUsage:
        """Return an upper bound of the tokens of one request.

        Without `max_tokens` nothing bounds the answer; a run with a budget asks for it.
        """
        turns = self._make_turns(case, ctx)
        sent = [turns, self._output_structure.response_format, self.tools]
        # No token of text is shorter than a byte.
        text_bytes = len(canonical_json(sent).encode())
        return TokenUsage(
            input_tokens=text_bytes + most_media_tokens(turns),
            output_tokens=self._longest_answer or 0,
        )

    def input_version(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> str | None:
        """Return the version of the request for an input; `None` if it never changed."""
        # What a builder returns is sent as it is, but for its parts.
        if self._builder_function is not None:
            return None
        return input_version(case_input, prompt_spec, api_mode=self.api_mode)

    def check_prompt_spec(self, prompt_spec: PromptSpec) -> None:
        """Raise `ComponentError` if `input_builder` leaves a part of it out."""
        check_builder(self._builder_function, prompt_spec)

    def check_input(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> None:
        """Raise `RowError` for an input that this API has no request for."""
        # What a builder makes of a case is not known before it is called.
        if self._builder_function is None:
            turns = render_conversation(prompt_spec, case_input)
            self._rendered(turns, WithoutContents())

    async def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Send one request and return its reply as a result.

        Raises `RowError`, `TransientError` or `FatalError`, as `adapters.faults` says.
        """
        # Before anything is sent: making the mask also masks the log.
        mask = self._api_endpoint.mask
        async with self._find_throttle().making:
            turns = self._make_turns(case, ctx)
            stored = stored_turns(turns)
            render = partial(self._rendered, turns, ctx.contents)
            # In a thread where files are read: the loop serves other rows meanwhile.
            sent = await in_thread(render) if has_own_form(turns) else render()
            try:
                result = await self._request_answer(sent, ctx.seed)
            except Exception as error:  # noqa: BLE001 - an injected client may raise anything
                # Without its cause, whose message may contain a secret too.
                raise masked_fault(translated(error), mask) from None
        return self._finish_result(result, stored)

    def _finish_result(
        self,
        result: GenerationResult,
        asked: list[Message],
    ) -> GenerationResult:
        """Return a result with its whole conversation and its output checked, masked."""
        said = result.conversation or []
        changes: JsonObject = {"conversation": [*asked, *said]}
        answer = self._read_output(result.model_copy(update=changes))
        return masked_result(answer, self._api_endpoint.output_mask)

    def _read_output(self, result: GenerationResult) -> GenerationResult:
        """Return a result whose output has the form that was asked for, or says why not."""
        text = result.final_output
        form = self._output_structure
        if not isinstance(text, str) or result.error or not form.is_json:
            return result
        # Servers without a parser for it leave the model's thought in front of the JSON.
        written = split_reasoning(text)
        changes: JsonObject = {}
        if written.reasoning:
            kept = {**(result.artifacts or {}), "reasoning": written.reasoning}
            changes["artifacts"] = kept
        try:
            changes["final_output"] = form.read(written.answer or "")
        except ValueError as error:
            said = " ".join(str(error).split())[:_REASON_CHARS]
            changes["error"] = f"the output is not the JSON that was asked for: {said}"
            if written.answer is None:
                changes["error"] = CUT_OFF
        return result.model_copy(update=changes)

    def _rendered(
        self,
        turns: list[Turn],
        contents: Contents,
    ) -> list[Turn]:
        """Return turns with their parts in the form of the API."""
        raise NotImplementedError

    async def _request_answer(
        self,
        turns: list[Turn],
        seed: int,
    ) -> GenerationResult:
        """Return the provider's answer to one conversation, with its latency."""
        raise NotImplementedError

    @property
    def _sent_settings(self) -> tuple[Any, ...]:
        return (self.tools, self.tool_choice, self.extra_body)

    def _make_turns(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> list[Turn]:
        # The setting replaces the prompt spec's instructions: both would be sent twice.
        if self.instructions is not None:
            spec = ctx.prompt_spec.model_copy(
                update={"instructions": self.instructions}
            )
            ctx = replace(ctx, prompt_spec=spec)
        return turns_to_send(
            case,
            ctx,
            self._builder_function,
        )

    @cached_property
    def _longest_answer(self) -> int | None:
        """The most tokens of an answer, by whichever name it is asked for."""
        return longest_answer(self.max_tokens, self.extra_body)

    @cached_property
    def _stop_texts(self) -> list[str]:
        if isinstance(self.stop, str):
            return [self.stop]
        return list(self.stop)

    @cached_property
    def _builder_function(self) -> InputBuilder | None:
        builder = self.input_builder
        if isinstance(builder, str):
            builder = import_named("input_builder", builder)
        if builder is None:
            return None
        # A plain function, since its code is part of the identity.
        if not inspect.isfunction(builder) or inspect.iscoroutinefunction(builder):
            raise ComponentError(
                f"input_builder={builder!r:.80}: give a function that is not async, "
                "whose code counts"
            )
        return builder

    @cached_property
    def _output_structure(self) -> Structure:
        return structure(self.schema, self.response_format)
