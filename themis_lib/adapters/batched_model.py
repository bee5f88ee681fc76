"""A chat model whose provider also takes many requests as one batch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from themis_lib.adapters import clients
from themis_lib.adapters.chat_model import ChatModel
from themis_lib.adapters.conversations import Turn, stored_turns
from themis_lib.adapters.faults import translated
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.masking import masked_fault
from themis_lib.adapters.reply_fields import Headers
from themis_lib.adapters.sdk_server import SdkServer
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.errors import ThemisError, TransientError, describe
from themis_lib.stages.calls import in_thread

#: The field of a batch's metadata that has its label.
BATCH_LABEL = "themis_batch"
#: How far a provider's clock may be behind, in seconds.
CLOCK_S = 3600.0


class BatchedModel(ChatModel, SdkServer):
    """A model whose batches have the requests, and make the results, of live calls.

    `batch_api` of a subclass is made with it.
    """

    def batch_request(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> JsonObject:
        """Return the body that `generate` would send. Raise as `generate` does."""
        turns = self._make_turns(case, ctx)
        # What a row cannot hold is not sent.
        stored_turns(turns)
        turns = self._rendered(turns, ctx.contents)
        request = self._make_request(turns, ctx.seed)
        return self._make_body(self._server_forms.form_of(request))

    def batch_result(
        self,
        body: Any,
        transport: JsonObject,
    ) -> GenerationResult:
        """Return a reply as a result, with what is known of how it came. Raise as
        `generate` does.
        """
        try:
            result = self._read_reply(body, {})
        except ThemisError as error:
            raise self.batch_fault(error) from None
        except (AttributeError, TypeError, ValueError) as error:
            raise TransientError(
                f"the provider's reply cannot be read: {describe(error)}"
            ) from None
        facts = {**(result.transport or {}), **transport}
        return result.model_copy(update={"transport": facts})

    def finish_batch_result(
        self,
        result: GenerationResult,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return a result as `generate` returns it for this case."""
        # The form does not depend on what is said.
        request = self._make_request([{"role": "user", "content": ""}], ctx.seed)
        form = self._server_forms.form_of(request)
        result = self._with_form(result, request, form)
        return self._finish_result(result, stored_turns(self._make_turns(case, ctx)))

    async def ask_client(
        self,
        call_of: Callable[[Any], Callable[..., Any]],
        *arguments: Any,
        timeout_s: float | None = None,
        **fields: Any,
    ) -> Any:
        """Return what a method of the SDK's client returns, sync or async.

        With `timeout_s` it is one request, which the SDK does not repeat. Raise what a
        failure means, without secrets.
        """
        # Making the mask also masks the log.
        _ = self._api_endpoint.mask
        client = self.client
        if client is None:
            client = await clients.client_for(
                self._api_endpoint.address,
                self._gate_for({}, None),
                sdk=self.sdk,
            )
        if timeout_s is not None and hasattr(client, "with_options"):
            client = client.with_options(max_retries=0, timeout=timeout_s)
        call = call_of(client)
        try:
            if inspect.iscoroutinefunction(call):
                return await call(*arguments, **fields)
            # The SDK wraps async methods, so that they may look like sync ones.
            reply = await in_thread(lambda: call(*arguments, **fields))
            return await reply if inspect.isawaitable(reply) else reply
        except Exception as error:  # noqa: BLE001 - an injected client may raise anything
            raise self.batch_fault(error) from None

    def batch_fault(self, error: Exception) -> Exception:
        """Return what an exception means, without secrets."""
        return masked_fault(translated(error), self._api_endpoint.mask)

    def _make_request(
        self,
        turns: list[Turn],
        seed: int,
    ) -> JsonObject:
        """Return the arguments of a request for one conversation."""
        raise NotImplementedError

    def _make_body(self, form: JsonObject) -> JsonObject:
        """Return the body of a request in the form that the server takes."""
        body = dict(form)
        # Headers are those of the request that creates the batch.
        body.pop("extra_headers", None)
        # Last, so that the user's own fields win, as in a live request.
        body.update(body.pop("extra_body", {}))
        return body

    def _read_reply(
        self,
        body: Any,
        headers: Headers,
    ) -> GenerationResult:
        """Return the result of a reply."""
        raise NotImplementedError

    def _with_form(
        self,
        result: GenerationResult,
        request: JsonObject,
        form: JsonObject,
    ) -> GenerationResult:
        """Return a result that says in which form its request was sent."""
        return result
