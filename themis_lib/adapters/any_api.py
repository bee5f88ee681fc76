"""The generator `any`: the models of many providers, through any-llm-sdk.

It is named for the package: one adapter over the official SDK of each provider.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar

from pydantic import Field

from themis_lib.adapters import any_calls
from themis_lib.adapters.any_arrival import Arrival
from themis_lib.adapters.any_providers import (
    Provider,
    check_installed,
    provider_and_name,
    provider_names,
)
from themis_lib.adapters.batched_model import BatchedModel
from themis_lib.adapters.chat_model import (
    Positive,
    PositiveNumber,
    Temperature,
)
from themis_lib.adapters.clients import Reply
from themis_lib.adapters.conversations import Turn
from themis_lib.adapters.endpoint import Endpoint
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.limits import Throttle
from themis_lib.adapters.mistral_batches import MistralBatches
from themis_lib.adapters.openai_parts import rendered_turns
from themis_lib.adapters.replies import chat_result
from themis_lib.adapters.reply_fields import Headers
from themis_lib.adapters.requests import ApiMode, Asked, chat_request
from themis_lib.adapters.server_forms import ServerForms, changes, forms_of
from themis_lib.core.batches import BatchApi
from themis_lib.core.models import GenerationResult
from themis_lib.core.parts import Contents
from themis_lib.core.secrets import resolve_references
from themis_lib.errors import ComponentError, TransientError, describe


@dataclass(frozen=True)
class AnyModel(BatchedModel):
    """A model of any provider that any-llm knows, named `PROVIDER:NAME`.

    `gemini:gemini-2.5-flash`, `mistral:…`, `bedrock:…`, `groq:…`: any-llm-sdk asks each
    through the provider's own SDK, an extra of it (`pip install 'any-llm-sdk[gemini]'`).
    Key and address come from the environment variables that any-llm reads, such as
    `GEMINI_API_KEY`. The settings are those of `openai`. `extra_body` has further
    fields, as the provider's SDK names them: `{top_k: 40}` for Gemini.

    A setting that any-llm leaves out of what it sends to a provider ends the run before
    the first request, since paying for it would change nothing. A seed that it leaves
    out is not sent, and the row says so (`sent_as` among its artifacts).

    Not part of the identity: `client` (an `any_llm.AnyLLM` of your own), `api_key`,
    `timeout_s`, `max_retries` of the SDK, where any-llm can set them, and the limits.
    """

    component_id: ClassVar[str] = "any"
    version: ClassVar[str] = "1"
    #: Settings that may contain `${NAME}` references, resolved when a request is made.
    resolves: ClassVar[tuple[str, ...]] = (
        "base_url",
        "api_key",
        "tools",
        "tool_choice",
        "extra_body",
    )
    client_example: ClassVar[str] = "any_llm.AnyLLM.create('gemini')"
    #: Requests are those of Chat Completions, whichever SDK sends them.
    api_mode: ClassVar[ApiMode] = "chat_completions"  # type: ignore[misc]
    #: Each SDK has another way to set them: they are of a client of one's own.
    headers: ClassVar[dict[str, str]] = {}  # type: ignore[misc]

    model: Annotated[str, Field(min_length=1)]
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
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    extra_body: dict[str, Any] = field(default_factory=dict)
    client: Any = field(
        default=None,
        repr=False,
    )
    api_key: str | None = field(
        default=None,
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
        # It is checked where it is read.
        named = self._provider.name
        asked = getattr(self.client, "PROVIDER_NAME", named)
        if asked != named and asked in provider_names():
            raise ComponentError(
                f"model={self.model!r}: the client asks {asked}; write "
                f"'{asked}:{self.listed_as}'"
            )

    def settings(self) -> JsonObject:
        """Return what decides the answers, without secrets."""
        return {
            **super().settings(),
            # The provider's own address, which its SDK alone knows, is none.
            "base_url": self._api_endpoint.identity_url or None,
            "logprobs": self.logprobs,
        }

    def with_tools(self, tools: Sequence[JsonObject]) -> AnyModel:
        """Return a copy that offers functions beside its own `tools`."""
        offered = map(any_calls.with_whole_schema, tools)
        return replace(self, tools=[*self.tools, *offered])

    @property
    def provider(self) -> str | None:
        """Whose list prices apply, if any do."""
        return self._provider.price_list if self.at_list_price else None

    @property
    def listed_as(self) -> str:
        """The model's name in its provider's price list."""
        return provider_and_name(self.model)[1]

    @property
    def at_list_price(self) -> bool:
        """Whether the provider itself is asked, and not another server."""
        return self.client is None and not self._api_endpoint.identity_url

    @property
    def batch_api(self) -> BatchApi | None:
        """The provider's batches; `None` where no batch is sure to be found again."""
        if self._provider.name != "mistral":
            return None
        return MistralBatches(self.listed_as, self)

    def batch_result(
        self,
        body: Any,
        transport: JsonObject,
    ) -> GenerationResult:
        """Return a reply of the provider's SDK as a result. Raise as `generate` does."""
        try:
            reply = self._converter._convert_completion_response(body)
        except Exception as error:  # noqa: BLE001 - each provider raises what it likes
            lost = TransientError(
                f"any-llm cannot read the provider's reply: {describe(error)}"
            )
            raise self.batch_fault(lost) from None
        body = any_calls.body_of(reply, self.listed_as)
        return super().batch_result(body, transport)

    async def ask_client(
        self,
        call_of: Callable[[Any], Callable[..., Any]],
        *arguments: Any,
        timeout_s: float | None = None,
        **fields: Any,
    ) -> Any:
        """Return what a method of the provider's SDK returns, asked through any-llm's
        client. Raise what a failure means, without secrets.
        """
        # Making the mask also masks the log.
        _ = self._api_endpoint.mask
        client = await self._find_client()
        try:
            return await any_calls.ask(
                lambda: call_of(client.client)(*arguments, **fields),
                provider=self._provider,
                throttle=self._gate_for({}, None),
                timeout_s=timeout_s or any_calls.REQUEST_TIMEOUT_S,
                place=self._api_endpoint.place,
            )
        except Exception as error:  # noqa: BLE001 - each SDK raises what it likes
            raise self.batch_fault(error) from None

    def _check_sdk(self) -> None:
        check_installed(self._provider)

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
        request = self._make_request(turns, seed)
        client = await self._find_client()
        sent = self._without_lost_seed(request, client)
        self._arrival_at(client).check(sent)
        result, form = await self._ask(
            sent,
            self._read_reply,
            longest_answer=self._longest_answer,
        )
        return self._with_form(result, request, form)

    def _make_request(
        self,
        turns: list[Turn],
        seed: int,
    ) -> JsonObject:
        return chat_request(turns, replace(self._asked_of_all, seed=seed))

    def _make_body(self, form: JsonObject) -> JsonObject:
        sent = self._without_lost_seed(form, self._converter)
        self._arrival_at(self._converter).check(sent)
        renamed = any_calls.with_own_seed(sent, self._provider)
        return any_calls.sdk_arguments(self._converter, renamed)

    def _read_reply(
        self,
        body: Any,
        headers: Headers,
    ) -> GenerationResult:
        result = chat_result(body, headers)
        usage = result.usage
        # any-llm says 0 where a provider told no tokens: no request has none.
        if usage is not None and not (usage.input_tokens or usage.output_tokens):
            return result.model_copy(update={"usage": None})
        return result

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

    async def _post(
        self,
        request: JsonObject,
        gate: Throttle,
    ) -> Reply:
        return await any_calls.post(
            await self._find_client(),
            any_calls.with_own_seed(request, self._provider),
            provider=self._provider,
            throttle=gate,
            timeout_s=self.timeout_s or any_calls.REQUEST_TIMEOUT_S,
            tries=1 + self.max_retries,
            place=self._api_endpoint.place,
        )

    async def _find_client(self) -> Any:
        if self.client is not None:
            return self.client
        return await any_calls.client_for(self._provider, self._api_endpoint.address)

    def _without_lost_seed(
        self,
        request: JsonObject,
        client: Any,
    ) -> JsonObject:
        if "seed" not in request or self._arrival_at(client).takes_seed(request):
            return request
        return {name: value for name, value in request.items() if name != "seed"}

    def _arrival_at(self, client: Any) -> Arrival:
        # One for all loops: their clients convert alike.
        found: Arrival | None = self.__dict__.get("_arrival")
        if found is None:
            provider = self._provider
            found = Arrival(
                provider.name,
                lambda request: any_calls.converted(
                    client, any_calls.with_own_seed(request, provider)
                ),
            )
            self.__dict__["_arrival"] = found
        return found

    @cached_property
    def _converter(self) -> Any:
        # What converts requests and replies belongs to no event loop.
        if self.client is not None:
            return self.client
        return any_calls.kind_of(self._provider)

    @cached_property
    def _provider(self) -> Provider:
        return provider_and_name(self.model)[0]

    # Cached: references to the environment are resolved once, not in every row.
    @cached_property
    def _asked_of_all(self) -> Asked:
        return Asked(
            model=provider_and_name(self.model)[1],
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
            max_tokens_name="max_tokens",
        )

    @cached_property
    def _server_forms(self) -> ServerForms:
        # Nobody knows how long an injected client is the same.
        if self.client is not None:
            return ServerForms()
        return forms_of((self._api_endpoint.identity_url, self.model, "any"))

    @cached_property
    def _api_endpoint(self) -> Endpoint:
        provider = self._provider
        variables = provider.key_variables
        set_ones = [name for name in variables if os.environ.get(name)]
        return Endpoint(
            base_url=self.base_url,
            api_key=self.api_key,
            headers={},
            client=self.client,
            sent=self._sent_settings,
            timeout_s=self.timeout_s,
            max_retries=self.max_retries,
            key_variable=[*set_ones, *variables, ""][0],
            url_variable=provider.url_variable,
            default_url="",
            key_is_needed=provider.key_is_needed,
            secret_variables=provider.secret_variables,
        )
