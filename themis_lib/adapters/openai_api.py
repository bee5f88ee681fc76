"""The generator `openai`: OpenAI's Responses and Chat Completions APIs.

Every server that speaks either of them can be used.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import Field

from themis_lib.adapters.conversations import (
    InputBuilder,
    Turn,
    input_version,
    stored_turns,
    turns_to_send,
)
from themis_lib.adapters.endpoint import OPENAI_URL
from themis_lib.adapters.extra_body import longest_answer
from themis_lib.adapters.faults import translated
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.masking import masked_fault, masked_result
from themis_lib.adapters.replies import chat_result, response_result
from themis_lib.adapters.requests import (
    Api,
    ApiMode,
    Asked,
    chat_request,
    estimated_tokens,
    responses_request,
)
from themis_lib.adapters.served_model import ServedModel
from themis_lib.adapters.server_forms import changes
from themis_lib.adapters.structured import Structure, structure
from themis_lib.components.imports import import_named
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult, TokenUsage
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.reasoning import CUT_OFF, split_reasoning
from themis_lib.core.secrets import resolve_public, resolve_references
from themis_lib.errors import ComponentError, TransientError, describe
from themis_lib.identity.code import code_digest
from themis_lib.identity.digests import canonical_json

#: The longest reason that a row keeps for an output that does not fit.
_REASON_CHARS = 500

Positive = Annotated[int, Field(ge=1)]
#: Integers are allowed by a type of their own, since the check of settings is strict.
_PositiveNumber = Annotated[float, Field(gt=0)] | Positive
_Temperature = (
    Annotated[
        float,
        Field(
            ge=0,
            allow_inf_nan=False,
        ),
    ]
    | Annotated[int, Field(ge=0)]
)


@dataclass(frozen=True)
class OpenAI(ServedModel):
    """A model behind OpenAI's API.

    `api_mode` chooses between `responses` and `chat_completions`. Instructions come
    from `instructions` or from the prompt spec, and are sent once. An input that is a
    text is sent as it is, a list of messages as a conversation, any other JSON as its
    text. `input_builder(case, ctx)`, a function or `module:function`, makes text or
    messages of the input instead, and may read more of the case with `reads`. `schema`
    (JSON Schema, pydantic model or Python type) asks for JSON that fits and checks it:
    the output is then its value. Only Chat Completions have `stop` and seeds.

    Not part of the identity: `client` (an SDK client of your own), `api_key` (default:
    `OPENAI_API_KEY`), `headers`, `timeout_s` per request, `max_retries` of the SDK,
    `max_concurrency` requests in flight, `requests_per_minute` and `tokens_per_minute`,
    and `global_limit`, a Prefect concurrency limit that each shard takes.
    """

    component_id: ClassVar[str] = "openai"
    version: ClassVar[str] = "1"
    #: Settings that may contain `${NAME}` references, resolved when a request is made.
    resolves: ClassVar[tuple[str, ...]] = (
        "base_url",
        "api_key",
        "headers",
        "tools",
        "tool_choice",
        "extra_body",
    )
    key_variable: ClassVar[str] = "OPENAI_API_KEY"
    url_variable: ClassVar[str] = "OPENAI_BASE_URL"
    default_url: ClassVar[str] = OPENAI_URL
    key_is_needed: ClassVar[bool] = True

    model: Annotated[str, Field(min_length=1)]
    api_mode: ApiMode = "responses"
    base_url: str | None = None
    instructions: str | None = None
    input_builder: Any = None
    reads: tuple[str, ...] | list[str] = ("input",)
    temperature: _Temperature | None = None
    top_p: float | None = None
    max_tokens: Positive | None = None
    stop: list[str] | str = field(default_factory=list)
    schema: Any = None
    response_format: dict[str, Any] | str | None = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    tool_choice: Any = None
    reasoning_effort: str | None = None
    logprobs: (
        Annotated[
            int,
            Field(
                ge=0,
                le=20,
            ),
        ]
        | None
    ) = None
    extra_body: dict[str, Any] = field(default_factory=dict)
    client: Any = field(
        default=None,
        repr=False,
    )
    api_key: str | None = field(
        default=None,
        repr=False,
    )
    headers: dict[str, str] = field(
        default_factory=dict,
        repr=False,
    )
    timeout_s: _PositiveNumber | None = None
    max_retries: Annotated[int, Field(ge=0)] = 3
    max_concurrency: Positive | None = None
    requests_per_minute: _PositiveNumber | None = None
    tokens_per_minute: _PositiveNumber | None = None
    global_limit: str | None = None

    def check_settings(self) -> None:
        """Raise `ComponentError` if a setting cannot be used or contradicts another."""
        super().check_settings()
        if self.api_mode == "responses" and self.stop:
            raise ComponentError(
                "stop: the Responses API has none; use api_mode='chat_completions'"
            )
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
            "api_mode": self.api_mode,
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
            "logprobs": self.logprobs,
            "extra_body": resolve_public(self.extra_body, where="extra_body"),
        }

    def with_schema(self, schema: Any) -> OpenAI:
        """Return a copy that asks for JSON that fits a schema.

        Raises `ComponentError` as the settings do.
        """
        return replace(self, schema=schema)

    @property
    def provider(self) -> str | None:
        """Whose list prices apply, if any do."""
        return "openai" if self.at_list_price else None

    @property
    def at_list_price(self) -> bool:
        """Whether OpenAI itself is asked, so that its list prices apply by default."""
        if self.client is not None:
            return False
        return self._api_endpoint.public_url == OPENAI_URL

    def most_tokens(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> TokenUsage:
        """Return an upper bound of the tokens of one request.

        Without `max_tokens` nothing bounds the answer; a run with a budget asks for it.
        """
        sent = [
            self._make_turns(case, ctx),
            self._output_structure.response_format,
            self.tools,
        ]
        # No token is shorter than a byte.
        return TokenUsage(
            input_tokens=len(canonical_json(sent).encode()),
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
        turns = self._make_turns(case, ctx)
        stored = stored_turns(turns)
        try:
            result = await self._request_answer(turns, ctx.seed)
        except Exception as error:  # noqa: BLE001 - an injected client may raise anything
            # Without its cause, whose message may contain a secret too.
            raise masked_fault(translated(error), mask) from None
        stored += result.conversation or []
        changes: JsonObject = {"conversation": stored}
        answer = self._read_output(result.model_copy(update=changes))
        return masked_result(answer, self._api_endpoint.output_mask)

    def _read_output(self, result: GenerationResult) -> GenerationResult:
        """Return a result whose output has the form that was asked for, or says why not."""
        text = result.final_output
        structure = self._output_structure
        if not isinstance(text, str) or result.error or not structure.is_json:
            return result
        # Servers without a parser for it leave the model's thought in front of the JSON.
        written = split_reasoning(text)
        changes: JsonObject = {}
        if written.reasoning:
            kept = {**(result.artifacts or {}), "reasoning": written.reasoning}
            changes["artifacts"] = kept
        try:
            changes["final_output"] = structure.read(written.answer or "")
        except ValueError as error:
            said = " ".join(str(error).split())[:_REASON_CHARS]
            changes["error"] = f"the output is not the JSON that was asked for: {said}"
            if written.answer is None:
                changes["error"] = CUT_OFF
        return result.model_copy(update=changes)

    @property
    def _api(self) -> Api:
        return self.api_mode

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

    async def _request_answer(
        self,
        turns: list[Turn],
        seed: int,
    ) -> GenerationResult:
        """Return the provider's answer to one conversation, with its latency."""
        asked = replace(self._asked_of_all, seed=seed)
        if self.api_mode == "chat_completions":
            request = chat_request(turns, asked)
        else:
            request = responses_request(turns, asked)
        gate = self._find_throttle()
        if self.tokens_per_minute:
            gate.expect_tokens(estimated_tokens(request, self._longest_answer))
        reply, form = await self._send(request, gate)
        body, headers, latency_s = reply
        read = chat_result if self.api_mode == "chat_completions" else response_result
        try:
            result = read(body, headers)
        except (AttributeError, TypeError, ValueError) as error:
            raise TransientError(
                f"the provider's reply cannot be read: {describe(error)}"
            ) from None
        usage = result.usage
        if usage and usage.input_tokens is not None:
            gate.count_tokens(usage.input_tokens + (usage.output_tokens or 0))
        update: JsonObject = {"latency_s": latency_s}
        changed = changes(request, form)
        if changed:
            update["artifacts"] = {**(result.artifacts or {}), "sent_as": changed}
        return result.model_copy(update=update)

    @cached_property
    def _longest_answer(self) -> int | None:
        """The most tokens of an answer, by whichever name it is asked for."""
        return longest_answer(self.max_tokens, self.extra_body)

    # Cached: references to the environment are resolved once, not in every row.
    @cached_property
    def _asked_of_all(self) -> Asked:
        # OpenAI's newer models refuse the old name, other servers the new one.
        max_tokens_name = "max_tokens"
        if self._api_endpoint.public_url == OPENAI_URL:
            max_tokens_name = "max_completion_tokens"
        return Asked(
            model=self.model,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            stop=self._stop_texts,
            response_format=self._output_structure.response_format,
            tools=resolve_references(self.tools, where="tools"),
            tool_choice=resolve_references(self.tool_choice, where="tool_choice"),
            reasoning_effort=self.reasoning_effort,
            logprobs=self.logprobs,
            extra_body=resolve_references(self.extra_body, where="extra_body"),
            max_tokens_name=max_tokens_name,
        )

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
