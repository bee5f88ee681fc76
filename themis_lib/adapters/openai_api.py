"""The generator `openai`: OpenAI's Responses and Chat Completions, and every server
that speaks them.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError

from themis_lib.adapters import clients
from themis_lib.adapters.endpoint import OPENAI_URL, Endpoint, refuse_literals
from themis_lib.adapters.faults import translated
from themis_lib.adapters.limits import Limits, Throttle, throttle
from themis_lib.adapters.masking import masked_fault, masked_result
from themis_lib.adapters.replies import chat_result, response_result
from themis_lib.adapters.requests import (
    ApiMode,
    Asked,
    chat_request,
    estimated_tokens,
    responses_request,
)
from themis_lib.adapters.structured import Structure, structure
from themis_lib.components.builtin import Builtin
from themis_lib.components.imports import import_named
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult, Message, TokenUsage
from themis_lib.core.prompts import is_conversation, render_conversation
from themis_lib.core.secrets import resolve_public, resolve_references
from themis_lib.errors import ComponentError, RowError, TransientError, describe
from themis_lib.identity.code import code_digest
from themis_lib.identity.digests import canonical_json

#: How many rows may wait for their turn or for a retry, for each request in flight.
_WAITING = 8

Positive = Annotated[int, Field(ge=1)]


@dataclass(frozen=True)
class OpenAI(Builtin):
    """A model behind OpenAI's API.

    `api_mode` chooses between `responses` and `chat_completions`. Instructions come
    from `instructions` or from the prompt spec, and are sent once. An input is sent as
    text, any other JSON as its text, a list of messages as a conversation;
    `input_builder(case, ctx)`, a function or `module:function`, makes text or messages
    of it instead, and may read more of the case with `reads`. `schema` (JSON Schema,
    pydantic model or Python type) asks for JSON that fits, which is checked: the output
    is then its value. `stop` and seeds exist in Chat Completions only.

    Not part of the identity: `client` (one of your own), `api_key` (else
    `OPENAI_API_KEY`), `headers`, `timeout_s` for one request, `max_retries` of the SDK,
    `max_concurrency` requests in flight, `requests_per_minute` and `tokens_per_minute`,
    and `global_limit`, a Prefect concurrency limit that each shard takes.
    """

    component_id: ClassVar[str] = "openai"
    version: ClassVar[str] = "1"
    #: May hold `${NAME}` references, which are resolved where requests are made.
    resolves: ClassVar[tuple[str, ...]] = (
        "base_url",
        "api_key",
        "headers",
        "tools",
        "tool_choice",
        "extra_body",
    )
    #: Where key and address come from when they are not given.
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
    temperature: (
        Annotated[
            float,
            Field(
                ge=0,
                allow_inf_nan=False,
            ),
        ]
        | Annotated[int, Field(ge=0)]
        | None
    ) = None
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
    timeout_s: Annotated[float, Field(gt=0)] | Positive | None = None
    max_retries: Annotated[int, Field(ge=0)] = 3
    max_concurrency: Positive | None = None
    requests_per_minute: Annotated[float, Field(gt=0)] | Positive | None = None
    tokens_per_minute: Annotated[float, Field(gt=0)] | Positive | None = None
    global_limit: str | None = None

    def check_settings(self) -> None:
        """Raises `ComponentError` for a setting that cannot be used, or two that
        contradict each other.
        """
        super().check_settings()
        if self.api_mode == "responses" and self.stop:
            raise ComponentError(
                "stop: the Responses API has none; use api_mode='chat_completions'"
            )
        if self.client is not None and isinstance(
            self.client, (str, int, float, dict, list)
        ):
            raise ComponentError(
                "client: give a client object, such as openai.AsyncOpenAI()"
            )
        refuse_literals(self.base_url or "")
        for name in _SET_ELSEWHERE.keys() & self.extra_body.keys():
            raise ComponentError(f"extra_body.{name}: {_SET_ELSEWHERE[name]}")
        _ = self._input_builder, self._output_structure

    def check(self) -> None:
        """Find the credential and the SDK. Raises `ComponentError` or `ConfigError`
        before anything is generated.
        """
        if self.client is None:
            clients.check_sdk()
            _ = self._provider_endpoint.address

    def settings(self) -> dict[str, Any]:
        """What decides the answers; the address without anything secret, and the code
        of `input_builder`.
        """
        builder = self._input_builder
        return {
            "model": self.model,
            "api_mode": self.api_mode,
            "base_url": self._provider_endpoint.identity_url,
            "instructions": self.instructions,
            "input_builder": builder and code_digest(builder),
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "stop": self._stop_strings,
            "response_format": self._output_structure.response_format,
            "schema_code": self._output_structure.code,
            "tools": resolve_public(self.tools, where="tools"),
            "tool_choice": resolve_public(self.tool_choice, where="tool_choice"),
            "reasoning_effort": self.reasoning_effort,
            "logprobs": self.logprobs,
            "extra_body": resolve_public(self.extra_body, where="extra_body"),
        }

    def with_schema(self, schema: Any) -> OpenAI:
        """The same model, asked for JSON that fits a schema. Raises `ComponentError` as
        the settings do.
        """
        return replace(self, schema=schema)

    def with_runtime(self, runtime: RuntimeConfig) -> OpenAI:
        """A copy that keeps to a run's concurrency and timeout where it has none of its
        own.
        """
        return replace(
            self,
            max_concurrency=self.max_concurrency or self._default_concurrency(runtime),
            timeout_s=self.timeout_s or runtime.timeout_s,
        )

    @property
    def calls_at_once(self) -> int:
        """How many rows may be under way: more than requests in flight, since some wait
        for their turn.
        """
        return int(_WAITING * self._request_limits.max_concurrency)

    async def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """One request, and its reply as a result. Raises what `adapters.faults` makes
        of a failure.
        """
        _ = self._provider_endpoint.mask  # from the first log line on
        messages = self._make_messages(case, ctx)
        try:
            said = [Message(**_conversation_message(turn)) for turn in messages]
        except ValidationError as error:
            raise RowError(
                f"the conversation has a turn that is none: {error.errors()[0]['msg']}"
            ) from None
        try:
            result = await self._ask_provider(messages, ctx.seed)
        except Exception as error:  # noqa: BLE001 - whatever a client raises
            raise masked_fault(
                translated(error), self._provider_endpoint.mask
            ) from None
        answer = self._check_output(result).model_copy(
            update={"conversation": [*said, *(result.conversation or [])]}
        )
        return masked_result(answer, self._provider_endpoint.output_mask)

    async def _ask_provider(
        self,
        messages: list[dict[str, Any]],
        seed: int,
    ) -> GenerationResult:
        is_chat = self.api_mode == "chat_completions"
        request = (chat_request if is_chat else responses_request)(
            messages, self._request_settings(seed)
        )
        throttle = self._get_throttle()
        if self.tokens_per_minute:
            throttle.expect_tokens(estimated_tokens(request, self.max_tokens))
        try:
            reply, headers, latency_s = await self._send_request(request, throttle)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise TransientError(f"the provider's reply is not JSON: {error}") from None
        try:
            result = (chat_result if is_chat else response_result)(reply, headers)
        except (AttributeError, TypeError, ValueError) as error:
            raise TransientError(
                f"the provider's reply cannot be read: {describe(error)}"
            ) from None
        usage = result.usage
        if usage and usage.input_tokens is not None:
            throttle.count_tokens(usage.input_tokens + (usage.output_tokens or 0))
        return result.model_copy(update={"latency_s": latency_s})

    @property
    def at_list_price(self) -> bool:
        """Whether OpenAI itself is asked, at whose list prices a model costs what it
        does where no price is given.
        """
        return self._provider_endpoint.public_url == OPENAI_URL and self.client is None

    def most_tokens(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> TokenUsage:
        """The tokens a request takes at most: no token is shorter than a byte, no
        answer longer than `max_tokens`.

        Without `max_tokens` nothing says; a run with a budget asks for it.
        """
        sent = canonical_json(
            [
                self._make_messages(case, ctx),
                self._output_structure.response_format,
                self.tools,
            ]
        )
        return TokenUsage(
            input_tokens=len(sent.encode()),
            output_tokens=self.max_tokens or 0,
        )

    def _default_concurrency(self, runtime: RuntimeConfig) -> int:
        return runtime.max_concurrency

    def _make_messages(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> list[dict[str, Any]]:
        spec = ctx.prompt_spec
        if self.instructions is not None:
            spec = spec.model_copy(update={"instructions": self.instructions})
        if self._input_builder is None:
            return render_conversation(spec, case.input)
        built = self._input_builder(case, replace(ctx, prompt_spec=spec))
        system = (
            [{"role": "system", "content": spec.instructions}]
            if spec.instructions
            else []
        )
        turns = (
            built
            if is_conversation(built)
            else [{"role": "user", "content": _as_text(built)}]
        )
        return [*system, *turns]

    def _request_settings(self, seed: int) -> Asked:
        return Asked(
            model=self.model,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            stop=self._stop_strings,
            seed=seed,
            response_format=self._output_structure.response_format,
            reasoning_effort=self.reasoning_effort,
            logprobs=self.logprobs,
            **self._resolve_settings,
            max_tokens_name="max_completion_tokens"
            if self._provider_endpoint.public_url == OPENAI_URL
            else "max_tokens",
        )

    async def _send_request(
        self,
        request: dict[str, Any],
        throttle: Throttle,
    ) -> clients.Reply:
        if self.client is None:
            client = await clients.client_for(self._provider_endpoint.address, throttle)
            return await clients.post(client, self.api_mode, request)
        async with throttle:
            try:
                async with asyncio.timeout(self.timeout_s):
                    reply = await clients.create(self.client, self.api_mode, request)
            except Exception as error:
                if isinstance(status := getattr(error, "status_code", None), int):
                    throttle.observe(
                        status,
                        getattr(getattr(error, "response", None), "headers", None)
                        or {},
                    )
                raise
            throttle.observe(200, reply[1])
            return reply

    def _get_throttle(self) -> Throttle:
        asked = (
            id(self.client)
            if self.client is not None
            else self._provider_endpoint.address
        )
        return throttle(
            (self._provider_endpoint.public_url, self.model, asked),
            self._request_limits,
        )

    @cached_property
    def _request_limits(self) -> Limits:
        most = self.max_concurrency or self._default_concurrency(RuntimeConfig())
        return Limits(most, self.requests_per_minute, self.tokens_per_minute)

    def _check_output(self, result: GenerationResult) -> GenerationResult:
        """The result with its text read as JSON where JSON was asked for; what does not
        fit is the row's error.
        """
        if result.error or not isinstance(result.final_output, str):
            return result
        try:
            return result.model_copy(
                update={
                    "final_output": self._output_structure.read(result.final_output)
                }
            )
        except ValueError as error:
            reason = f"the output is not the JSON that was asked for: {' '.join(str(error).split())[:500]}"
            return result.model_copy(update={"error": reason})

    @cached_property
    def _resolve_settings(self) -> dict[str, Any]:
        """The settings that are sent as they are, with their references resolved."""
        given = {
            "tools": self.tools,
            "tool_choice": self.tool_choice,
            "extra_body": self.extra_body,
        }
        return {
            name: resolve_references(value, where=name) for name, value in given.items()
        }

    @cached_property
    def _stop_strings(self) -> list[str]:
        return [self.stop] if isinstance(self.stop, str) else list(self.stop)

    @cached_property
    def _input_builder(self) -> Any:
        given = self.input_builder
        builder = (
            import_named("input_builder", given) if isinstance(given, str) else given
        )
        if builder is not None and (
            not inspect.isfunction(builder) or inspect.iscoroutinefunction(builder)
        ):
            raise ComponentError(
                f"input_builder={builder!r:.80}: give a function that is not async, whose code counts"
            )
        return builder

    @cached_property
    def _output_structure(self) -> Structure:
        return structure(self.schema, self.response_format)

    @cached_property
    def _provider_endpoint(self) -> Endpoint:
        return Endpoint(
            base_url=self.base_url,
            api_key=self.api_key,
            headers=self.headers,
            client=self.client,
            sent=(self.tools, self.tool_choice, self.extra_body),
            timeout_s=self.timeout_s,
            max_retries=self.max_retries,
            key_variable=self.key_variable,
            url_variable=self.url_variable,
            default_url=self.default_url,
            key_is_needed=self.key_is_needed,
        )


#: What a request must not get past the settings: they bound what it costs, and one
#: answer is read.
_SET_ELSEWHERE = {
    "n": "one answer is read of each request; raise candidate_policy.num_samples",
    "max_tokens": "write the setting max_tokens",
    "max_completion_tokens": "write the setting max_tokens",
    "max_output_tokens": "write the setting max_tokens",
}


def _as_text(built: Any) -> str:
    if isinstance(built, str):
        return built
    try:
        return canonical_json(built)
    except ValueError as error:
        raise RowError(
            f"input_builder returned what is neither text nor JSON: {error}"
        ) from None


def _conversation_message(turn: Mapping[str, Any]) -> dict[str, Any]:
    """A message as it was sent, in the columns of a conversation."""
    known = {
        name: turn[name]
        for name in ("role", "content", "name", "tool_calls", "tool_call_id")
        if name in turn
    }
    return (
        {"role": str(turn.get("type", "item")), "content": dict(turn)}
        if "role" not in turn
        else known
    )
