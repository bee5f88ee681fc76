"""What generators that ask a server over OpenAI's API share: how requests reach it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

from themis_lib.adapters import clients
from themis_lib.adapters.endpoint import Endpoint, refuse_literals
from themis_lib.adapters.extra_body import check_extra_body
from themis_lib.adapters.first_request import FirstRequest
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.limits import Limits, Throttle, throttle
from themis_lib.adapters.reply_faults import fault_of_unreadable
from themis_lib.adapters.requests import Api
from themis_lib.adapters.server_forms import ServerForms, forms_of
from themis_lib.components.builtin import Builtin
from themis_lib.core.config import RuntimeConfig
from themis_lib.errors import ComponentError
from themis_lib.telemetry import model_calls

#: Rows that may wait for their turn or for a retry, per request in flight.
_WAITING = 8


class ServedModel(Builtin):
    """A model behind an address, with credentials, limits, a timeout and retries.

    A subclass is a dataclass that has the settings below as fields.
    """

    #: The defaults of key and address.
    key_variable: ClassVar[str]
    url_variable: ClassVar[str]
    default_url: ClassVar[str]
    key_is_needed: ClassVar[bool]

    model: str
    base_url: str | None
    extra_body: dict[str, Any]
    client: Any
    api_key: str | None
    headers: dict[str, str]
    timeout_s: float | None
    max_retries: int
    max_concurrency: int | None
    requests_per_minute: float | None
    tokens_per_minute: float | None

    def check_settings(self) -> None:
        """Raise `ComponentError` or `ConfigError` if a setting cannot be used."""
        super().check_settings()
        # A YAML file can only write these.
        if isinstance(self.client, (str, int, float, dict, list)):
            raise ComponentError(
                "client: give a client object, such as openai.AsyncOpenAI()"
            )
        refuse_literals(self.base_url or "")
        check_extra_body(self.extra_body)

    def check(self) -> None:
        """Find the credential and the SDK before anything is generated.

        Raises `ComponentError` or `ConfigError` if either is missing.
        """
        # An injected client has brought both.
        if self.client is None:
            clients.check_sdk()
            _ = self._api_endpoint.address

    def with_runtime(self, runtime: RuntimeConfig) -> Self:
        """Return a copy with a run's concurrency and timeout where it has none itself."""
        concurrency = self.max_concurrency or self._default_concurrency(runtime)
        changes: Mapping[str, Any] = {
            "max_concurrency": concurrency,
            "timeout_s": self.timeout_s or runtime.timeout_s,
        }
        definition: Any = self
        copy: Self = replace(definition, **changes)
        return copy

    @property
    def calls_at_once(self) -> int:
        """The number of rows in flight, those that wait for their turn included."""
        # More than requests in flight: a slot must never wait for a row to start.
        return _WAITING * self._request_limits.max_concurrency

    @property
    def _api(self) -> Api:
        """The part of the API that requests go to."""
        raise NotImplementedError

    @property
    def _sent_settings(self) -> tuple[Any, ...]:
        """The settings that requests contain unchanged."""
        raise NotImplementedError

    def _default_concurrency(self, runtime: RuntimeConfig) -> int:
        # A method, since a server of one's own has another default: see `vllm`.
        return runtime.max_concurrency

    async def _send(
        self,
        request: JsonObject,
        gate: Throttle,
    ) -> tuple[clients.Reply, JsonObject]:
        """Return the reply to a request, and the form in which the server took it."""
        try:
            # A refusal of all requests is to come of one.
            async with self._first_request:
                return await self._server_forms.send(
                    request, lambda form: self._post(form, gate)
                )
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise fault_of_unreadable(error) from None

    async def _post(
        self,
        request: JsonObject,
        gate: Throttle,
    ) -> clients.Reply:
        model_calls.requested(request)
        if self.client is None:
            address = self._api_endpoint.address
            client = await clients.client_for(address, gate)
            return await clients.post(
                client,
                self._api,
                request,
            )
        return await clients.create_throttled(
            self.client,
            self._api,
            request,
            throttle=gate,
            timeout_s=self.timeout_s,
        )

    def _find_throttle(self) -> Throttle:
        # Providers limit each model and each key by itself.
        account: Any = id(self.client)
        if self.client is None:
            account = self._api_endpoint.address
        provider = (self._api_endpoint.public_url, self.model, account)
        return throttle(provider, self._request_limits)

    @cached_property
    def _request_limits(self) -> Limits:
        most = self.max_concurrency or self._default_concurrency(RuntimeConfig())
        return Limits(
            most,
            self.requests_per_minute,
            self.tokens_per_minute,
        )

    @cached_property
    def _first_request(self) -> FirstRequest:
        return FirstRequest()

    @cached_property
    def _server_forms(self) -> ServerForms:
        # Nobody knows how long an injected client is the same.
        if self.client is not None:
            return ServerForms()
        return forms_of((self._api_endpoint.identity_url, self.model, self._api))

    @cached_property
    def _api_endpoint(self) -> Endpoint:
        return Endpoint(
            base_url=self.base_url,
            api_key=self.api_key,
            headers=self.headers,
            client=self.client,
            sent=self._sent_settings,
            timeout_s=self.timeout_s,
            max_retries=self.max_retries,
            key_variable=self.key_variable,
            url_variable=self.url_variable,
            default_url=self.default_url,
            key_is_needed=self.key_is_needed,
        )
