"""A server that is asked through its provider's SDK: how requests reach it."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from themis_lib.adapters import clients
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.limits import Throttle
from themis_lib.adapters.reply_faults import fault_of_unreadable
from themis_lib.adapters.reply_fields import Headers
from themis_lib.adapters.requests import Api
from themis_lib.adapters.served_model import ServedModel
from themis_lib.adapters.server_forms import ServerForms
from themis_lib.core.models import GenerationResult
from themis_lib.errors import TransientError, describe
from themis_lib.telemetry import model_calls


class SdkServer(ServedModel):
    """A model that is asked through an SDK."""

    sdk: ClassVar[clients.Sdk]

    @property
    def _api(self) -> Api:
        """The part of the API that requests go to."""
        raise NotImplementedError

    def _check_sdk(self) -> None:
        clients.check_sdk(self.sdk)

    async def _ask(
        self,
        request: JsonObject,
        read: Callable[[Any, Headers], GenerationResult],
        *,
        longest_answer: int | None,
    ) -> tuple[GenerationResult, JsonObject]:
        """Return the answer to a request with its latency, and the form that was sent.

        `read` makes a result of a reply and its headers.
        """
        gate = self._gate_for(request, longest_answer)
        reply, form = await self._send(request, gate)
        body, headers, latency_s = reply
        try:
            result = read(body, headers)
        except (AttributeError, TypeError, ValueError) as error:
            raise TransientError(
                f"the provider's reply cannot be read: {describe(error)}"
            ) from None
        gate.count_usage(result.usage)
        return result.model_copy(update={"latency_s": latency_s}), form

    async def _send(
        self,
        request: JsonObject,
        gate: Throttle,
    ) -> tuple[clients.Reply, JsonObject]:
        """Return the reply to a request, and the form in which the server took it."""

        async def post(form: JsonObject) -> clients.Reply:
            model_calls.requested(form)
            return await self._post(form, gate)

        try:
            # A refusal of all requests is to come of one.
            async with self._first_request:
                return await self._server_forms.send(request, post)
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise fault_of_unreadable(error) from None

    async def _post(
        self,
        request: JsonObject,
        gate: Throttle,
    ) -> clients.Reply:
        if self.client is None:
            address = self._api_endpoint.address
            client = await clients.client_for(
                address,
                gate,
                sdk=self.sdk,
            )
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

    @cached_property
    def _server_forms(self) -> ServerForms:
        return ServerForms()
