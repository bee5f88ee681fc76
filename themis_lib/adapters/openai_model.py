"""What the generators share that ask over OpenAI's Responses or Chat Completions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from themis_lib.adapters.batched_model import BatchedModel
from themis_lib.adapters.chat_model import (
    Positive,
    PositiveNumber,
    Temperature,
)
from themis_lib.adapters.conversations import Turn
from themis_lib.adapters.endpoint import OPENAI_URL
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.openai_batches import OpenAIBatches
from themis_lib.adapters.openai_parts import rendered_turns
from themis_lib.adapters.openai_server import OpenAIServer
from themis_lib.adapters.replies import chat_result, response_result
from themis_lib.adapters.reply_fields import Headers
from themis_lib.adapters.requests import (
    Api,
    ApiMode,
    Asked,
    chat_request,
    responses_request,
)
from themis_lib.adapters.server_forms import changes
from themis_lib.core.batches import BatchApi
from themis_lib.core.models import GenerationResult
from themis_lib.core.parts import Contents
from themis_lib.core.secrets import resolve_references
from themis_lib.errors import ComponentError


@dataclass(frozen=True)
class OpenAIModel(BatchedModel, OpenAIServer):
    """A model behind OpenAI's API, at whichever address.

    `openai` and the servers that speak its API are subclasses, each with defaults of
    its own.
    """

    version: ClassVar[str] = "1"
    #: Whether its servers have OpenAI's Batch API.
    has_batches: ClassVar[bool] = False
    #: Settings that may contain `${NAME}` references, resolved when a request is made.
    resolves: ClassVar[tuple[str, ...]] = (
        "base_url",
        "api_key",
        "headers",
        "tools",
        "tool_choice",
        "extra_body",
    )
    model: Annotated[str, Field(min_length=1)]
    api_mode: ApiMode = "responses"
    base_url: str | None = None
    instructions: str | None = None
    input_builder: Any = None
    reads: tuple[str, ...] | list[str] = ("input",)
    temperature: Temperature | None = None
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
    timeout_s: PositiveNumber | None = None
    max_retries: Annotated[int, Field(ge=0)] = 3
    max_concurrency: Positive | None = None
    requests_per_minute: PositiveNumber | None = None
    tokens_per_minute: PositiveNumber | None = None
    global_limit: str | None = None

    def check_settings(self) -> None:
        """Raise `ComponentError` if a setting cannot be used or contradicts another."""
        super().check_settings()
        if self.api_mode == "responses" and self.stop:
            raise ComponentError(
                "stop: the Responses API has none; use api_mode='chat_completions'"
            )

    def settings(self) -> JsonObject:
        """Return what decides the answers, without secrets."""
        return {
            **super().settings(),
            "api_mode": self.api_mode,
            "logprobs": self.logprobs,
        }

    def with_tools(self, tools: Sequence[JsonObject]) -> Self:
        """Return a copy that offers functions beside its own `tools`."""
        offered = list(tools)
        if self.api_mode == "responses":
            # This API has the function's fields in the tool itself, and is strict
            # by default, which not every schema can be.
            offered = [
                {"type": "function", **tool["function"], "strict": False}
                for tool in tools
            ]
        return replace(self, tools=[*self.tools, *offered])

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

    @property
    def _api(self) -> Api:
        return self.api_mode

    def _rendered(
        self,
        turns: list[Turn],
        contents: Contents,
    ) -> list[Turn]:
        return rendered_turns(turns, contents, api_mode=self.api_mode)

    async def _request_answer(
        self,
        turns: list[Turn],
        seed: int,
    ) -> GenerationResult:
        """Return the provider's answer to one conversation, with its latency."""
        request = self._make_request(turns, seed)
        result, form = await self._ask(
            request,
            self._read_reply,
            longest_answer=self._longest_answer,
        )
        return self._with_form(result, request, form)

    @property
    def batch_api(self) -> BatchApi | None:
        """The Batch API of the same account, for the same requests."""
        return OpenAIBatches(self.api_mode, self) if self.has_batches else None

    def _make_request(
        self,
        turns: list[Turn],
        seed: int,
    ) -> JsonObject:
        asked = replace(self._asked_of_all, seed=seed)
        if self.api_mode == "chat_completions":
            return chat_request(turns, asked)
        return responses_request(turns, asked)

    def _read_reply(
        self,
        body: Any,
        headers: Headers,
    ) -> GenerationResult:
        if self.api_mode == "chat_completions":
            return chat_result(body, headers)
        return response_result(body, headers)

    def _with_form(
        self,
        result: GenerationResult,
        request: JsonObject,
        form: JsonObject,
    ) -> GenerationResult:
        changed = changes(request, form)
        if not changed:
            return result
        artifacts = {**(result.artifacts or {}), "sent_as": changed}
        return result.model_copy(update={"artifacts": artifacts})

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
