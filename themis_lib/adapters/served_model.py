"""What generators that ask a server share: address, credentials, limits, throttle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

from themis_lib.adapters.endpoint import Endpoint, refuse_literals
from themis_lib.adapters.extra_body import check_extra_body
from themis_lib.adapters.first_request import FirstRequest
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.limits import Limits, Throttle, throttle
from themis_lib.adapters.requests import estimated_tokens
from themis_lib.components.builtin import Builtin
from themis_lib.core.config import RuntimeConfig
from themis_lib.errors import ComponentError

#: Rows that may wait for their turn or for a retry, per request in flight.
_WAITING = 8


class ServedModel(Builtin):
    """A model behind an address, with credentials, limits, a timeout and retries.

    A subclass is a dataclass that has the settings below as fields. It says how its SDK
    is found (`_check_sdk`) and what of the settings requests contain.
    """

    #: The defaults of key and address.
    key_variable: ClassVar[str]
    url_variable: ClassVar[str]
    default_url: ClassVar[str]
    #: Whether the server at the default address asks for a key.
    key_is_needed: ClassVar[bool]
    #: The variables of a token in place of a key, and of further headers, which the SDK
    #: sends by itself; empty for an SDK that has none.
    token_variable: ClassVar[str] = ""
    headers_variable: ClassVar[str] = ""
    #: An object that `client` takes, as code.
    client_example: ClassVar[str]

    model: str
    base_url: str | None
    extra_body: dict[str, Any]
    client: Any
    api_key: str | None
    auth_token: str | None = None
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
                f"client: give a client object, such as {self.client_example}"
            )
        refuse_literals(self.base_url or "")
        check_extra_body(self.extra_body)

    def check(self) -> None:
        """Find the credential and the SDK before anything is generated.

        Raises `ComponentError` or `ConfigError` if either is missing.
        """
        # An injected client has brought both.
        if self.client is None:
            self._check_sdk()
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
        # What the first request of one copy has found out holds for all of them.
        copy.__dict__["_first_request"] = self._first_request
        return copy

    @property
    def calls_at_once(self) -> int:
        """The number of rows in flight, those that wait for their turn included."""
        # More than requests in flight: a slot must never wait for a row to start.
        return _WAITING * self._request_limits.max_concurrency

    @property
    def _sent_settings(self) -> tuple[Any, ...]:
        """The settings that requests contain unchanged."""
        raise NotImplementedError

    def _check_sdk(self) -> None:
        """Raise `ComponentError` if the SDK is not installed, without importing it."""
        raise NotImplementedError

    def _default_concurrency(self, runtime: RuntimeConfig) -> int:
        # A method, since a server of one's own has another default: see `vllm`.
        return runtime.max_concurrency

    def _gate_for(
        self,
        request: JsonObject,
        longest_answer: int | None,
    ) -> Throttle:
        """Return the throttle that a request passes, told what it may use."""
        gate = self._find_throttle()
        if self.tokens_per_minute:
            gate.expect_tokens(estimated_tokens(request, longest_answer))
        return gate

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
    def _api_endpoint(self) -> Endpoint:
        return Endpoint(
            base_url=self.base_url,
            api_key=self.api_key,
            auth_token=self.auth_token,
            headers=self.headers,
            client=self.client,
            sent=self._sent_settings,
            timeout_s=self.timeout_s,
            max_retries=self.max_retries,
            key_variable=self.key_variable,
            url_variable=self.url_variable,
            default_url=self.default_url,
            key_is_needed=self.key_is_needed,
            token_variable=self.token_variable,
            headers_variable=self.headers_variable,
        )
