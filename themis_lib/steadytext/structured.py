"""Text in a given form, one function for each kind of it.

They are `generate` under SteadyText's own names and arguments (version 2, its guide
"Structured Generation"). Unlike there, JSON is not wrapped in tags.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from pydantic import BaseModel

from themis_lib.errors import ConfigError
from themis_lib.steadytext.api import (
    DEFAULT_MAX_NEW_TOKENS,
    DEFAULT_SEED,
    check_length,
    generate,
)
from themis_lib.steadytext.texts import Text

_Model = TypeVar("_Model", bound=BaseModel)


def generate_json(
    prompt: str,
    schema: Any,
    max_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    model: str | None = None,
    unsafe_mode: bool = False,
    seed: int = DEFAULT_SEED,
    return_pydantic: bool = False,
    **options: Any,
) -> Text | BaseModel:
    """Return JSON of a schema, as compact text of at most `max_tokens` tokens.

    `schema` is a JSON Schema, a pydantic model or a Python type. With
    `return_pydantic`, which takes a model, the result is an instance of it. `options`
    are other arguments of `generate`. Raises `ConfigError` as `generate` does.
    """
    if return_pydantic:
        instance: BaseModel = generate_pydantic(
            prompt,
            schema,
            max_tokens,
            model,
            unsafe_mode,
            seed,
            **options,
        )
        return instance
    text = generate(
        prompt,
        # Checked here under the name that the caller wrote.
        check_length("max_tokens", max_tokens),
        model=model,
        unsafe_mode=unsafe_mode,
        seed=seed,
        schema=schema,
        **options,
    )
    return cast("Text", text)


def generate_pydantic(
    prompt: str,
    model_class: type[_Model],
    max_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    model: str | None = None,
    unsafe_mode: bool = False,
    seed: int = DEFAULT_SEED,
    **options: Any,
) -> _Model:
    """Return an instance of a pydantic model.

    Raises `ConfigError` for another class and as `generate` does, and pydantic's
    `ValidationError` where a validator written in Python refuses the values.
    """
    is_model = isinstance(model_class, type) and issubclass(model_class, BaseModel)
    if not is_model:
        raise ConfigError(
            f"model_class={model_class!r:.60} is no pydantic model; "
            "give a subclass of BaseModel, or call generate_json"
        )
    if options.get("return_logprobs"):
        raise ConfigError(
            "return_logprobs=True: an instance has no log-probabilities; "
            "call generate with schema"
        )
    text = generate_json(
        prompt,
        model_class,
        max_tokens,
        model,
        unsafe_mode,
        seed,
        **options,
    )
    return model_class.model_validate_json(cast("Text", text))


def generate_regex(
    prompt: str,
    pattern: str,
    max_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    model: str | None = None,
    unsafe_mode: bool = False,
    seed: int = DEFAULT_SEED,
    **options: Any,
) -> Text:
    """Return a text that a pattern of Python's matches as a whole.

    The other arguments and the errors are those of `generate_json`.
    """
    text = generate(
        prompt,
        # Checked here under the name that the caller wrote.
        check_length("max_tokens", max_tokens),
        model=model,
        unsafe_mode=unsafe_mode,
        seed=seed,
        regex=pattern,
        **options,
    )
    return cast("Text", text)


def generate_choice(
    prompt: str,
    choices: Sequence[str],
    max_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    model: str | None = None,
    unsafe_mode: bool = False,
    seed: int = DEFAULT_SEED,
    **options: Any,
) -> Text:
    """Return one of the choices.

    The other arguments and the errors are those of `generate_json`.
    """
    text = generate(
        prompt,
        # Checked here under the name that the caller wrote.
        check_length("max_tokens", max_tokens),
        model=model,
        unsafe_mode=unsafe_mode,
        seed=seed,
        choices=choices,
        **options,
    )
    return cast("Text", text)


def generate_format(
    prompt: str,
    format_type: type,
    max_tokens: int = DEFAULT_MAX_NEW_TOKENS,
    model: str | None = None,
    unsafe_mode: bool = False,
    seed: int = DEFAULT_SEED,
    **options: Any,
) -> Text:
    """Return a value of a Python type (`int`, `float`, `bool`, `str`, …) as JSON text.

    The other arguments and the errors are those of `generate_json`.
    """
    # pydantic would take an instance for its type.
    if isinstance(format_type, (str, Mapping)):
        raise ConfigError(
            f"format_type={format_type!r:.60} is no type; write int, float, bool or str"
        )
    text = generate_json(
        prompt,
        format_type,
        max_tokens,
        model,
        unsafe_mode,
        seed,
        **options,
    )
    return cast("Text", text)
