"""A server with OpenAI's API, and the form in which it takes requests."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from themis_lib.adapters import clients
from themis_lib.adapters.sdk_server import SdkServer
from themis_lib.adapters.server_forms import ServerForms, forms_of
from themis_lib.errors import ComponentError, describe

#: A list of models is short, and made without a model.
_LISTING_TIMEOUT_S = 20.0


class OpenAIServer(SdkServer):
    """A model that is asked through the SDK `openai`."""

    sdk: ClassVar[clients.Sdk] = clients.OPENAI
    client_example: ClassVar[str] = "openai.AsyncOpenAI()"

    def served_models(self) -> list[str]:
        """Return the names of the models that the server lists.

        Raise `ComponentError` if no server answers, or it lists none.
        """
        address = self._api_endpoint.address
        place = self._api_endpoint.public_url
        package = self.sdk.load()
        with package.OpenAI(
            api_key=address.api_key or "none",
            base_url=address.base_url,
            default_headers=dict(address.headers),
            timeout=_LISTING_TIMEOUT_S,
            max_retries=1,
        ) as client:
            try:
                return [str(model.id) for model in client.models.list().data]
            except package.APIConnectionError:
                raise ComponentError(
                    f"no server answers at {place}; start it, or correct the address"
                ) from None
            except (
                package.OpenAIError,
                AttributeError,
                TypeError,
                ValueError,
            ) as error:
                said = self._api_endpoint.mask(describe(error))
                raise ComponentError(
                    f"{place} does not list its models ({said}); name one: model=NAME. "
                    "The address of most servers ends in /v1"
                ) from None

    @cached_property
    def _server_forms(self) -> ServerForms:
        # Nobody knows how long an injected client is the same.
        if self.client is not None:
            return ServerForms()
        return forms_of((self._api_endpoint.identity_url, self.model, self._api))
