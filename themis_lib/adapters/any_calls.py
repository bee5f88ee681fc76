"""Requests through any-llm: a provider per event loop, throttled and timed."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic_core import to_json

from themis_lib.adapters.any_faults import fault_of
from themis_lib.adapters.any_providers import SEED_NAMES, Provider
from themis_lib.adapters.clients import Reply
from themis_lib.adapters.endpoint import Address
from themis_lib.adapters.json_objects import JsonObject
from themis_lib.adapters.limits import Throttle
from themis_lib.adapters.loop_clients import client_of_loop
from themis_lib.errors import FatalError, TransientError, describe

#: How long one try of a request may take by default.
REQUEST_TIMEOUT_S = 600.0


async def client_for(
    provider: Provider,
    address: Address,
) -> Any:
    """Return the running loop's `any_llm.AnyLLM` for a provider at an address."""
    return await client_of_loop(
        ("any", provider.name, address),
        lambda: _make_client(provider, address),
        _close,
    )


def kind_of(provider: Provider) -> Any:
    """Return any-llm's class for a provider, which converts without a client."""
    from any_llm import AnyLLM

    return AnyLLM.get_provider_class(provider.name)


def converted(
    client: Any,
    request: Mapping[str, Any],
) -> str:
    """Return the arguments that any-llm makes of a request for the SDK, as text.

    It sends nothing.
    """
    # Some providers are told their name this way, the others pass it on.
    arguments = _converted(client, request, provider_name=client.PROVIDER_NAME)
    # Not their `repr`, which Google's classes shorten.
    made = to_json(
        arguments,
        serialize_unknown=True,
        bytes_mode="base64",
    )
    return made.decode()


def sdk_arguments(
    client: Any,
    request: Mapping[str, Any],
) -> JsonObject:
    """Return the arguments of the SDK's function for a chat, as any-llm makes them."""
    return {"model": request["model"], **_converted(client, request)}


async def post(
    client: Any,
    request: JsonObject,
    *,
    provider: Provider,
    throttle: Throttle,
    timeout_s: float,
    tries: int,
    place: str,
) -> Reply:
    """Send a request and return the reply as the JSON of a chat completion.

    A try takes at most `timeout_s`, and the SDK makes at most so many `tries`. `place`
    says which address it is. Raises what `faults.translated` and `server_forms` can read.
    """
    arguments = _arguments_of(client, request)
    if client.TIMEOUT_SUPPORT != "unsupported":
        arguments["timeout"] = timeout_s
    # The SDK's own bounds a gap in the reply, and each of its tries by itself.
    whole_s = timeout_s * tries
    async with throttle:
        started = time.monotonic()
        try:
            async with asyncio.timeout(whole_s):
                reply = await client.acompletion(**arguments)
        except TimeoutError:
            raise TransientError(f"no whole reply after {whole_s:g} s") from None
        except Exception as error:  # noqa: BLE001 - each SDK raises what it likes
            raise fault_of(
                error,
                provider=provider.name,
                place=place,
                gate=throttle,
            ) from None
        throttle.observe(200, {})
        latency_s = time.monotonic() - started
    return body_of(reply, request["model"]), {}, latency_s


def body_of(
    reply: Any,
    model: str,
) -> JsonObject:
    """Return any-llm's reply of a model as the JSON of a chat completion."""
    body: JsonObject = reply.model_dump(mode="json", exclude_none=True)
    # Bedrock's replies do not say which model it was.
    body["model"] = body.get("model") or model
    if not body.get("created"):
        # What a provider does not tell is made up, the same for every reply.
        body = {key: item for key, item in body.items() if key not in ("id", "created")}
    return body


async def ask(
    call: Callable[[], Awaitable[Any]],
    *,
    provider: Provider,
    throttle: Throttle,
    timeout_s: float,
    place: str,
) -> Any:
    """Return the reply to a call of a provider's SDK, which no throttle holds back.

    Raise as `post` does.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await call()
    except TimeoutError:
        raise TransientError(f"no whole reply after {timeout_s:g} s") from None
    except Exception as error:  # noqa: BLE001 - each SDK raises what it likes
        raise fault_of(
            error,
            provider=provider.name,
            place=place,
            gate=throttle,
        ) from None


def with_own_seed(
    request: JsonObject,
    provider: Provider,
) -> JsonObject:
    """Return a request with its seed under the name that the provider's SDK has for it."""
    name = SEED_NAMES.get(provider.name)
    if name is None or "seed" not in request:
        return request
    renamed = {key: value for key, value in request.items() if key != "seed"}
    return {**renamed, name: request["seed"]}


def with_whole_schema(tool: JsonObject) -> JsonObject:
    """Return a function whose parameters any-llm sends to every provider as they are."""
    # Of a schema without `$defs`, Gemini is sent types and descriptions alone.
    function = tool["function"]
    parameters = {"$defs": {}, **function["parameters"]}
    return {**tool, "function": {**function, "parameters": parameters}}


def _make_client(
    provider: Provider,
    address: Address,
) -> Any:
    # Importing any-llm takes seconds: only a run that sends requests pays for it.
    from any_llm import AnyLLM

    options: JsonObject = {}
    kind = AnyLLM.get_provider_class(provider.name)
    if kind.MAX_RETRIES_SUPPORT != "unsupported":
        options["max_retries"] = address.max_retries
    try:
        return AnyLLM.create(
            provider.name,
            api_key=address.api_key or None,
            api_base=address.base_url or None,
            unified_exceptions=True,
            **options,
        )
    # A missing package or credential, in the words of whichever SDK it is.
    except Exception as error:  # noqa: BLE001
        raise FatalError(
            f"any-llm cannot make a client of {provider.name}: {describe(error)}"
        ).marked(is_free=True) from None


def _converted(
    client: Any,
    request: Mapping[str, Any],
    **own: Any,
) -> JsonObject:
    from any_llm.types.completion import CompletionParams

    fields = {}
    for name, value in _arguments_of(client, request).items():
        if name in CompletionParams.model_fields:
            fields[name] = value
        elif name != "model":
            own[name] = value
    params = CompletionParams(model_id=request["model"], **fields)
    made: JsonObject = client._convert_completion_params(params, **own)
    return made


def _arguments_of(
    client: Any,
    request: Mapping[str, Any],
) -> JsonObject:
    """Return the arguments of `acompletion`."""
    arguments = dict(request)
    extra = arguments.pop("extra_body", None)
    if not extra:
        return arguments
    if _speaks_openai(client):
        return {**arguments, "extra_body": extra}
    # Other SDKs take the fields of their API as arguments.
    return {**arguments, **extra}


def _speaks_openai(client: Any) -> bool:
    from any_llm.providers.openai.base import BaseOpenAIProvider

    return isinstance(client, BaseOpenAIProvider)


async def _close(client: Any) -> None:
    """Close the connections of a provider's SDK, each of which has its own way."""
    sdk = getattr(client, "client", None)
    # Google's has its async half under a name of its own.
    parts: list[Any] = [getattr(sdk, "aio", None), sdk]
    for part in parts:
        if hasattr(part, "__aexit__"):
            await part.__aexit__(None, None, None)
        elif hasattr(part, "close"):
            closed = part.close()
            if inspect.isawaitable(closed):
                await closed
