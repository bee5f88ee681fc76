"""The generator `anthropic`: Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from themis_lib.adapters import clients
from themis_lib.adapters.anthropic_batches import AnthropicBatches
from themis_lib.adapters.anthropic_parts import anthropic_turns
from themis_lib.adapters.anthropic_refusals import anthropic_refusal
from themis_lib.adapters.anthropic_replies import message_result
from themis_lib.adapters.anthropic_requests import (
    AskedOfAnthropic,
    CacheTtl,
    messages_request,
    tool_choice_object,
    tool_definition,
)
from themis_lib.adapters.anthropic_thinking import check_thinking, thinking_object
from themis_lib.adapters.batched_model import BatchedModel
from themis_lib.adapters.chat_model import Positive, PositiveNumber
from themis_lib.adapters.conversations import Turn
from themis_lib.adapters.endpoint import public_url
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.reply_fields import Headers
from themis_lib.adapters.requests import Api
from themis_lib.adapters.server_forms import ServerForms
from themis_lib.adapters.structured import Structure, structure
from themis_lib.core.batches import BatchApi
from themis_lib.core.models import GenerationResult
from themis_lib.core.parts import Contents
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.secrets import resolve_references
from themis_lib.errors import ComponentError, nearest

ANTHROPIC_URL = "https://api.anthropic.com"
#: The API has no default. All models since Claude 3.5 can write so much.
DEFAULT_MAX_TOKENS = 8192
_Share = Annotated[float, Field(ge=0, le=1)] | Annotated[int, Field(ge=0, le=1)]
_TOOL_CHOICES = ("auto", "any", "none", "required")


@dataclass(frozen=True)
class Anthropic(BatchedModel):
    """A model behind Anthropic's Messages API.

    Instructions, inputs, `input_builder`, `schema` and what is not part of the identity
    are those of `openai`. `thinking` is `adaptive`, `disabled` or `{budget_tokens:
    2000}`, and `reasoning_effort` how much the model makes of an answer. `tools` are
    written as in this API or as in OpenAI's. `betas` turns on features by the names of
    their headers. The API takes no seed: samples differ by chance alone.

    `prompt_cache: 5m` (or `1h`) has the provider keep tools, system message, and the
    turns before the question for that long. It changes what tokens cost, not the
    identity: reading is cheaper, writing dearer than a token that is not kept.
    """

    component_id: ClassVar[str] = "anthropic"
    version: ClassVar[str] = "1"
    #: Settings that may contain `${NAME}` references, resolved when a request is made.
    resolves: ClassVar[tuple[str, ...]] = (
        "base_url",
        "api_key",
        "auth_token",
        "headers",
        "tools",
        "tool_choice",
        "extra_body",
    )
    sdk: ClassVar[clients.Sdk] = clients.ANTHROPIC
    client_example: ClassVar[str] = "anthropic.AsyncAnthropic()"
    key_variable: ClassVar[str] = "ANTHROPIC_API_KEY"
    url_variable: ClassVar[str] = "ANTHROPIC_BASE_URL"
    default_url: ClassVar[str] = ANTHROPIC_URL
    key_is_needed: ClassVar[bool] = True
    token_variable: ClassVar[str] = "ANTHROPIC_AUTH_TOKEN"
    headers_variable: ClassVar[str] = "ANTHROPIC_CUSTOM_HEADERS"

    model: Annotated[str, Field(min_length=1)]
    base_url: str | None = None
    instructions: str | None = None
    input_builder: Any = None
    reads: tuple[str, ...] | list[str] = ("input",)
    max_tokens: Positive = DEFAULT_MAX_TOKENS
    temperature: _Share | None = None
    top_p: _Share | None = None
    top_k: Positive | None = None
    stop: list[str] | str = field(default_factory=list)
    thinking: dict[str, Any] | str | None = None
    reasoning_effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    schema: Any = None
    tools: list[dict[str, Any]] = field(default_factory=list)
    tool_choice: Any = None
    betas: list[str] = field(default_factory=list)
    extra_body: dict[str, Any] = field(default_factory=dict)
    prompt_cache: CacheTtl | None = None
    client: Any = field(
        default=None,
        repr=False,
    )
    api_key: str | None = field(
        default=None,
        repr=False,
    )
    auth_token: str | None = field(
        default=None,
        repr=False,
    )
    headers: dict[str, str] = field(
        default_factory=dict,
        repr=False,
    )
    timeout_s: PositiveNumber | None = None
    max_retries: Annotated[int, Field(ge=0)] = 3
    max_concurrency: Positive | None = None
    requests_per_minute: PositiveNumber | None = None
    tokens_per_minute: PositiveNumber | None = None
    global_limit: str | None = None

    def check_settings(self) -> None:
        """Raise `ComponentError` if a setting cannot be used or contradicts another."""
        super().check_settings()
        choice = self.tool_choice
        if isinstance(choice, str) and choice not in _TOOL_CHOICES:
            raise ComponentError(
                f"tool_choice={choice!r}: {nearest(choice, _TOOL_CHOICES)}; or write "
                "{type: tool, name: …} for one"
            )
        # The SDK appends the whole path; of a client, the address is its own affair.
        endpoint = self._api_endpoint
        if self.client is None and public_url(endpoint.given_url).endswith("/v1"):
            raise ComponentError(
                f"{endpoint.place}: requests go to /v1/messages below it; remove the "
                "/v1 at its end"
            )
        if self.betas and "anthropic-beta" in map(str.lower, self.headers):
            raise ComponentError(
                "betas and the header anthropic-beta say the same; remove the header"
            )
        check_thinking(
            thinking_object(self.thinking),
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            tool_choice=tool_choice_object(choice),
            is_interleaved=any("interleaved" in beta for beta in self.betas),
        )

    def settings(self) -> JsonObject:
        """Return what decides the answers, without secrets."""
        # Not `prompt_cache`: what a provider keeps of a prompt changes its price alone.
        return {
            **super().settings(),
            "top_k": self.top_k,
            "thinking": thinking_object(self.thinking),
            "betas": sorted(self.betas),
        }

    def with_tools(self, tools: Sequence[JsonObject]) -> Anthropic:
        """Return a copy that offers functions beside its own `tools`."""
        return replace(self, tools=[*self.tools, *tools])

    @property
    def provider(self) -> str | None:
        """Whose list prices apply, if any do."""
        return "anthropic" if self.at_list_price else None

    @property
    def at_list_price(self) -> bool:
        """Whether Anthropic itself is asked, so that its list prices apply by default."""
        if self.client is not None:
            return False
        return self._api_endpoint.public_url == ANTHROPIC_URL

    def input_version(
        self,
        case_input: Any,
        prompt_spec: PromptSpec,
    ) -> str | None:
        """Return `None`: requests are those of the first version for every input."""
        return None

    @property
    def _api(self) -> Api:
        return "messages"

    def _rendered(
        self,
        turns: list[Turn],
        contents: Contents,
    ) -> list[Turn]:
        return anthropic_turns(turns, contents)

    async def _request_answer(
        self,
        turns: list[Turn],
        seed: int,
    ) -> GenerationResult:
        """Return the provider's answer to one conversation, with its latency."""
        result, _ = await self._ask(
            self._make_request(turns, seed),
            message_result,
            longest_answer=self._longest_answer,
        )
        return result

    @property
    def batch_api(self) -> BatchApi | None:
        """The Message Batches API of the same account, for the same requests."""
        return AnthropicBatches(self, tuple(sorted(self.betas)))

    def _make_request(
        self,
        turns: list[Turn],
        seed: int,
    ) -> JsonObject:
        # The API takes no seed.
        return messages_request(turns, self._asked_of_all)

    def _read_reply(
        self,
        body: Any,
        headers: Headers,
    ) -> GenerationResult:
        return message_result(body, headers)

    # Cached: references to the environment are resolved once, not in every row.
    @cached_property
    def _asked_of_all(self) -> AskedOfAnthropic:
        tools = resolve_references(self.tools, where="tools")
        choice = resolve_references(self.tool_choice, where="tool_choice")
        return AskedOfAnthropic(
            model=self.model,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            stop=self._stop_texts,
            thinking=thinking_object(self.thinking),
            effort=self.reasoning_effort,
            schema=self._sent_schema(),
            tools=[tool_definition(tool) for tool in tools],
            tool_choice=tool_choice_object(choice),
            betas=sorted(self.betas),
            prompt_cache=self.prompt_cache,
            extra_body=resolve_references(self.extra_body, where="extra_body"),
        )

    def _sent_schema(self) -> JsonObject | None:
        """Return the schema in the part of JSON Schema that the API takes.

        What it has no words for is in the descriptions; replies are checked for it.
        """
        written = self._output_structure.response_format
        if written is None:
            return None
        schema: JsonObject = written["json_schema"]["schema"]
        try:
            from anthropic import transform_schema
        except ImportError:
            return schema  # an injected client needs no SDK
        # It reads most schemas; for others, the server has the last word.
        try:
            return transform_schema(schema)
        except (AssertionError, AttributeError, TypeError, ValueError):
            return schema

    @cached_property
    def _output_structure(self) -> Structure:
        return structure(self.schema, None)

    @cached_property
    def _server_forms(self) -> ServerForms:
        return ServerForms(anthropic_refusal)
