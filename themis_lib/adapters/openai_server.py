"""A server with OpenAI's API: how requests reach it, and in which form."""

from __future__ import annotations

import json
from functools import cached_property
from typing import ClassVar

from themis_lib.adapters import clients
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.limits import Throttle
from themis_lib.adapters.reply_faults import fault_of_unreadable
from themis_lib.adapters.requests import Api
from themis_lib.adapters.served_model import ServedModel
from themis_lib.adapters.server_forms import ServerForms, forms_of


class OpenAIServer(ServedModel):
    """A model that is asked through the SDK `openai`."""

    client_example: ClassVar[str] = "openai.AsyncOpenAI()"

    @property
    def _api(self) -> Api:
        """The part of the API that requests go to."""
        raise NotImplementedError

    def _check_sdk(self) -> None:
        clients.check_sdk()

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

    @cached_property
    def _server_forms(self) -> ServerForms:
        # Nobody knows how long an injected client is the same.
        if self.client is not None:
            return ServerForms()
        return forms_of((self._api_endpoint.identity_url, self.model, self._api))
