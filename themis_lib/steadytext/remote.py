"""Texts of remote models (`openai:gpt-4o-mini`): asked for through the provider
adapters, best effort.

Nothing here can make a provider answer the same twice; a text it gave once is kept, and
given again.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

from themis_lib.components.build import build
from themis_lib.components.imports import import_named
from themis_lib.components.records import BuiltGenerator
from themis_lib.components.registry import ADAPTERS
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.core.prompts import PromptSpec
from themis_lib.errors import (
    ComponentError,
    ConfigError,
    ModelError,
    ThemisError,
    nearest,
)
from themis_lib.identity.digests import digest
from themis_lib.steadytext.cache import text_cache

PROVIDERS = ("openai", "vllm")


@dataclass(frozen=True)
class ProviderModel:
    """A provider's adapter and what the model is called there."""

    provider: str
    name: str


@dataclass(frozen=True)
class RemoteText:
    """A text and how it came about."""

    text: str
    finish_reason: str | None
    prompt_tokens: int | None
    output_tokens: int | None
    cached: bool = False


def remote_model(
    model: Any,
    *,
    unsafe_mode: bool,
) -> ProviderModel | None:
    """The remote model that `provider:name` means; null for a local one.

    Raises `ConfigError` for what names no model, and for a remote one without
    `unsafe_mode`: its texts may change.
    """
    if model is not None and not isinstance(model, (str, PathLike)):
        raise ConfigError(
            f"model={model!r:.60} is a {type(model).__name__}; write a name or a path"
        )
    provider, colon, name = (
        model.partition(":") if isinstance(model, str) else ("", "", "")
    )
    if (
        not colon
        or not provider.isidentifier()
        or not name
        or name.startswith(("/", "\\"))
    ):
        return None
    if not unsafe_mode:
        raise ConfigError(
            f"model={model!r} is a remote model, whose texts may change; pass "
            f"unsafe_mode=True to accept that"
        )
    if provider not in PROVIDERS:
        raise ModelError(
            f"model={model!r}: there is no adapter for {provider!r}; {nearest(provider, PROVIDERS)}"
        )
    return ProviderModel(provider, name)


def remote_texts(
    remote: ProviderModel,
    prompts: Sequence[str],
    seeds: Sequence[int],
    *,
    regex: str | None = None,
    choices: Sequence[str] | None = None,
    **settings: Any,
) -> list[RemoteText]:
    """Return the text for each prompt and seed, asked for together.

    `regex` and `choices` are asked for as the one field of a JSON object. Raise
    `ModelError` if a text does not keep to them, and `ThemisError` if the provider
    fails.
    """
    if regex is not None or choices is not None:
        settings["schema"] = _one_field(regex, choices)
    generator = _build_generator(remote, settings)
    identity = {"provider": remote.provider, **generator.identity["settings"]}
    keys = []
    asked: dict[str, tuple[str, int]] = {}
    for prompt, seed in zip(prompts, seeds, strict=True):
        key = digest("remote text", [identity, prompt, seed])
        keys.append(key)
        asked[key] = (prompt, seed)
    found: dict[str, RemoteText] = {}
    for key in asked:
        cached = _from_entry(text_cache().get(key))
        if cached is not None:
            found[key] = cached
    missing = [key for key in asked if key not in found]
    results: list[Any] = []
    if missing:
        calls = [asked[key] for key in missing]
        results = _run_coroutine(_generate_all(generator, calls))
    failures: list[BaseException] = []
    for key, result in zip(missing, results, strict=True):
        try:
            written = _kept_to(_as_text(remote, result), regex, choices)
        except ThemisError as error:
            failures.append(error)
            continue
        found[key] = written
        # Also beside one that failed: it is paid for.
        text_cache().put(key, _text_entry(written))
    if failures:
        raise failures[0]
    return [found[key] for key in keys]


def _build_generator(
    remote: ProviderModel,
    settings: Mapping[str, Any],
) -> BuiltGenerator:
    given = {name: value for name, value in settings.items() if value is not None}
    where = f"model='{remote.provider}:{remote.name}'"
    try:
        adapter = import_named("generator", ADAPTERS[remote.provider])
        model = adapter(remote.name, api_mode="chat_completions", **given)
        return build("generator", model, where=where)
    except ComponentError as error:
        message = str(error).removeprefix(f"{where}: ")
        raise ModelError(f"{where}: {message}") from None


def _one_field(
    regex: str | None,
    choices: Sequence[str] | None,
) -> dict[str, Any]:
    held = (
        {"enum": list(choices)}
        if choices is not None
        else {"pattern": f"^(?:{regex})$"}
    )
    text = {"type": "string", **held}
    return {
        "type": "object",
        "properties": {"text": text},
        "required": ["text"],
        "additionalProperties": False,
    }


def _kept_to(
    text: RemoteText,
    regex: str | None,
    choices: Sequence[str] | None,
) -> RemoteText:
    """The text without the object around it. Raises `ModelError` where it is not what
    was asked for.
    """
    if regex is None and choices is None:
        return text
    inner = json.loads(text.text)["text"]
    if (choices is not None and inner not in choices) or (
        regex is not None and not re.fullmatch(regex, inner)
    ):
        raise ModelError(
            f"the remote model wrote {inner!r:.80}, which is not what was asked for; try again"
        )
    return replace(text, text=inner)


async def _generate_all(
    generator: BuiltGenerator,
    asked: Sequence[tuple[str, int]],
) -> list[GenerationResult | BaseException]:
    """Ask for all texts at once; the result of a failed request is its exception."""
    assert generator.generate is not None
    calls: list[Any] = []
    for prompt, seed in asked:
        case = Case(case_id="", input=prompt)
        context = GenerateContext(
            run_id="",
            case_id="",
            dataset_id="",
            seed=seed,
            sample_index=None,
            prompt_spec=PromptSpec(),
        )
        calls.append(generator.generate(case, context))
    return list(await asyncio.gather(*calls, return_exceptions=True))


def _run_coroutine(coroutine: Any) -> Any:
    """What a coroutine returns, run on a loop of its own: the caller may have one
    running.
    """
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append((asyncio.run(coroutine), None))
        except BaseException as error:  # noqa: BLE001 - handed over to the caller
            outcome.append((None, error))

    thread = threading.Thread(
        target=run,
        daemon=True,
    )
    thread.start()
    thread.join()
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def _as_text(
    remote: ProviderModel,
    result: GenerationResult | BaseException,
) -> RemoteText:
    if isinstance(result, BaseException):
        raise result
    if result.error is not None:
        raise ModelError(f"{remote.provider}:{remote.name}: {result.error}")
    usage = result.usage
    output = result.final_output
    return RemoteText(
        text=output
        if isinstance(output, str)
        else json.dumps(output, ensure_ascii=False),
        finish_reason=result.finish_reason,
        prompt_tokens=usage.input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
    )


def _text_entry(text: RemoteText) -> dict[str, Any]:
    return {
        "text": text.text,
        "finish_reason": text.finish_reason,
        "prompt_tokens": text.prompt_tokens,
        "output_tokens": text.output_tokens,
    }


def _from_entry(entry: Any) -> RemoteText | None:
    try:
        return RemoteText(
            **entry,
            cached=True,
        )
    except TypeError:
        return None
