"""Texts of remote models (`openai:gpt-4o-mini`), requested through the provider
adapters.

A provider may answer the same request differently. Its first text is cached and
returned from then on.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import Any

from themis_lib.bounded.patterns import match_texts
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
    RowError,
    ThemisError,
    nearest,
)
from themis_lib.identity.digests import digest
from themis_lib.steadytext.cache import text_cache

PROVIDERS = ("anthropic", "openai", "vllm")


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
    """Return the remote model that `provider:name` names, or `None` for a local one.

    Raise `ConfigError` for what names no model, and for a remote one without
    `unsafe_mode`: its texts may change.
    """
    if model is not None and not isinstance(model, (str, PathLike)):
        raise ConfigError(
            f"model={model!r:.60} is a {type(model).__name__}; write a name or a path"
        )
    if not isinstance(model, str):
        return None
    provider, _, name = model.partition(":")
    # With a slash behind the colon it is an address, or a path on a Windows drive.
    is_path = name.startswith(("/", "\\"))
    if not name or is_path or not provider.isidentifier():
        return None
    if not unsafe_mode:
        raise ConfigError(
            f"model={model!r} is a remote model, whose texts may change; pass "
            "unsafe_mode=True to accept that"
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
        settings["schema"] = _wrap_schema(regex, choices)
    generator = _build_generator(remote, settings)
    identity = {"provider": remote.provider, **generator.identity["settings"]}
    keys = []
    asked: dict[str, tuple[str, int]] = {}
    for prompt, seed in zip(prompts, seeds, strict=True):
        key = digest("remote text", [identity, prompt, seed])
        keys.append(key)
        asked[key] = (prompt, seed)
    found = _find_cached(asked)
    missing = [key for key in asked if key not in found]
    results: list[Any] = []
    if missing:
        calls = [asked[key] for key in missing]
        results = _run_coroutine(_generate_all(generator, calls))
    failures: list[BaseException] = []
    for key, result in zip(missing, results, strict=True):
        try:
            whole = _read_result(remote, result)
            written = _unwrap_text(whole, regex, choices)
        except ThemisError as error:
            failures.append(error)
            continue
        found[key] = written
        entry = asdict(written)
        del entry["cached"]
        # Also beside one that failed: it is paid for.
        text_cache().put(key, entry)
    if failures:
        raise failures[0]
    return [found[key] for key in keys]


def _find_cached(keys: Iterable[str]) -> dict[str, RemoteText]:
    found: dict[str, RemoteText] = {}
    for key in keys:
        entry = text_cache().get(key)
        if entry is None:
            continue
        # A text whose entry has another form is asked for again.
        with suppress(TypeError):
            found[key] = RemoteText(**entry, cached=True)
    return found


def _build_generator(
    remote: ProviderModel,
    settings: Mapping[str, Any],
) -> BuiltGenerator:
    given = {name: value for name, value in settings.items() if value is not None}
    where = f"model='{remote.provider}:{remote.name}'"
    try:
        adapter = import_named("generator", ADAPTERS[remote.provider])
        if remote.provider != "anthropic":
            given["api_mode"] = "chat_completions"
        model = adapter(remote.name, **given)
        return build("generator", model, where=where)
    except ComponentError as error:
        message = str(error).removeprefix(f"{where}: ")
        raise ModelError(f"{where}: {message}") from None


def _wrap_schema(
    regex: str | None,
    choices: Sequence[str] | None,
) -> dict[str, Any]:
    """Return the schema of an object whose one field is the text."""
    # Providers constrain JSON objects only, not bare texts.
    text: dict[str, Any] = {"type": "string"}
    if choices is not None:
        text["enum"] = list(choices)
    else:
        text["pattern"] = f"^(?:{regex})$"
    return {
        "type": "object",
        "properties": {"text": text},
        "required": ["text"],
        "additionalProperties": False,
    }


def _unwrap_text(
    text: RemoteText,
    regex: str | None,
    choices: Sequence[str] | None,
) -> RemoteText:
    """Return the text without the object around it, if it was asked for in one.

    Raise `ModelError` if it is none of the choices or does not match.
    """
    if regex is None and choices is None:
        return text
    inner = json.loads(text.text)["text"]
    # Checked here too: not every server enforces `enum` and `pattern`.
    is_other = choices is not None and inner not in choices
    if not is_other and regex is not None:
        try:
            is_other = match_texts(re.compile(regex), inner, which=None) is None
        except RowError as error:
            raise ModelError(str(error)) from None
    if is_other:
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
    """Return the result of a coroutine that runs in another thread.

    The caller may be inside an event loop, which cannot run a second one.
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


def _read_result(
    remote: ProviderModel,
    result: GenerationResult | BaseException,
) -> RemoteText:
    if isinstance(result, BaseException):
        raise result
    if result.error is not None:
        raise ModelError(f"{remote.provider}:{remote.name}: {result.error}")
    usage = result.usage
    text = result.final_output
    # An object that a schema asked for comes parsed.
    if not isinstance(text, str):
        text = json.dumps(text, ensure_ascii=False)
    return RemoteText(
        text=text,
        finish_reason=result.finish_reason,
        prompt_tokens=usage.input_tokens if usage else None,
        output_tokens=usage.output_tokens if usage else None,
    )
