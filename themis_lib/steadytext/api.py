"""The public functions: `generate`, `generate_batch`, `generate_iter`, `preload_models`.

The same arguments give the same text.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.engines import engine_for
from themis_lib.engine.sampling import Sampling, check_seed
from themis_lib.errors import ConfigError
from themis_lib.steadytext.answers import answers, choose_model, stream
from themis_lib.steadytext.question import Question
from themis_lib.steadytext.remote import ProviderModel, remote_model, remote_texts
from themis_lib.steadytext.texts import (
    Logprobs,
    Text,
    logprobs_of_answer,
    logprobs_of_token,
    text_of_answer,
    text_of_remote,
)

DEFAULT_SEED = 42
DEFAULT_MAX_NEW_TOKENS = 512
DEFAULT_EOS_STRING = "[EOS]"

#: The temperature at which any seed but the default one samples when asked for 0.
VARIATION_TEMPERATURE = 0.8
#: Sampling draws from the likeliest tokens that together have this much probability.
TOP_P = 0.95
#: Likely tokens given beside each chosen one where log-probabilities are asked for.
TOP_LOGPROBS = 5


def generate(
    prompt: str,
    max_new_tokens: int | None = None,
    return_logprobs: bool = False,
    eos_string: str = DEFAULT_EOS_STRING,
    model: str | None = None,
    model_repo: str | None = None,
    model_filename: str | None = None,
    size: str | None = None,
    seed: int = DEFAULT_SEED,
    temperature: float = 0.0,
    schema: Any = None,
    regex: str | None = None,
    choices: Sequence[str] | None = None,
    response_format: Mapping[str, Any] | None = None,
    unsafe_mode: bool = False,
) -> Text | tuple[Text, Logprobs | None]:
    """Return the text a model writes for a prompt, the same for the same arguments.

    Seed 42 at temperature 0 takes the most likely token each time. Any other seed
    samples, at temperature 0 as at 0.8. A text has at most `max_new_tokens` tokens (512
    unless given); with fewer, it is a prefix of the longer text. `eos_string` ends the
    text and is not part of it. `schema` (JSON Schema, pydantic model or Python type),
    `regex` (the whole text matches), `choices` or `response_format` constrain the text;
    a constrained text is complete within its length. Texts are cached on disk and not
    generated twice.

    The result is a `Text`, which is a `str`. With `return_logprobs` it is a pair of the
    text and a dict with `tokens`, `token_logprobs` and `top_logprobs` (natural
    logarithms of the model's probabilities before sampling) and `confidence` (their
    geometric mean, from 0 to 1), or `None` from the fallback.

    `model="provider:name"` asks a remote model. It takes `unsafe_mode=True`, and there
    is no guarantee: its texts may change, it gives no log-probabilities here, and
    `generate_iter` yields its text in one piece.

    Without a usable default model, the text is a fixed one, with a warning; a model
    that is named by an argument or by `THEMIS_MODEL` is never replaced.

    Raises `InputError` for arguments that are out of range or contradict each other,
    and `ModelError` for a model that is named and cannot be used.
    """
    # A batch takes a list of seeds too; here a list is refused.
    check_seed(seed)
    texts = generate_batch(
        [prompt],
        max_new_tokens,
        return_logprobs,
        eos_string,
        model,
        model_repo,
        model_filename,
        size,
        seed,
        temperature,
        schema,
        regex,
        choices,
        response_format,
        unsafe_mode,
    )
    return texts[0]


def generate_batch(
    prompts: Sequence[str],
    max_new_tokens: int | None = None,
    return_logprobs: bool = False,
    eos_string: str = DEFAULT_EOS_STRING,
    model: str | None = None,
    model_repo: str | None = None,
    model_filename: str | None = None,
    size: str | None = None,
    seed: int | Sequence[int] = DEFAULT_SEED,
    temperature: float = 0.0,
    schema: Any = None,
    regex: str | None = None,
    choices: Sequence[str] | None = None,
    response_format: Mapping[str, Any] | None = None,
    unsafe_mode: bool = False,
) -> list[Text] | list[tuple[Text, Logprobs | None]]:
    """Return what `generate` gives for each prompt, decoded together.

    `seed` is one seed for all prompts, or a sequence with one for each.
    """
    # A single text is a sequence too: it would be taken for a list of letters.
    if isinstance(prompts, str) or not isinstance(prompts, Sequence):
        raise ConfigError(
            f"prompts is a {type(prompts).__name__}; "
            "write a list of texts, or call generate for one"
        )
    remote = remote_model(model, unsafe_mode=unsafe_mode)
    settings = _Settings(
        temperature=temperature,
        max_tokens=check_length("max_new_tokens", max_new_tokens),
        stop=_check_text("eos_string", eos_string),
        constraints={
            "schema": schema,
            "regex": regex,
            "choices": choices,
            "response_format": response_format,
        },
    )
    if remote is not None:
        written = _generate_remotely(
            remote,
            prompts,
            seed,
            settings,
        )
        return _pair_with_no_logprobs(written) if return_logprobs else written
    choice = {
        "model": model,
        "model_repo": model_repo,
        "model_filename": model_filename,
        "size": size,
    }
    questions = _build_questions(
        prompts,
        seed,
        settings,
        choice,
    )
    found = answers(
        questions,
        top_logprobs=TOP_LOGPROBS if return_logprobs else None,
    )
    texts = []
    for question, answer in zip(questions, found, strict=True):
        texts.append(text_of_answer(question, answer, temperature))
    if not return_logprobs:
        return texts
    return list(zip(texts, map(logprobs_of_answer, found), strict=True))


def generate_iter(
    prompt: str,
    max_new_tokens: int | None = None,
    eos_string: str = DEFAULT_EOS_STRING,
    include_logprobs: bool = False,
    model: str | None = None,
    model_repo: str | None = None,
    model_filename: str | None = None,
    size: str | None = None,
    seed: int = DEFAULT_SEED,
    temperature: float = 0.0,
    unsafe_mode: bool = False,
) -> Iterator[str] | Iterator[tuple[str, Logprobs | None]]:
    """Return the text of `generate` as an iterator over its pieces, as they are written.

    Joined, the pieces are that text. With `include_logprobs`, each item is a pair for
    one token: its text, which may be empty, and a dict with `token_id`, `logprob`,
    `top_logprobs` and `confidence` (the token's probability, from 0 to 1), or `None`
    from the fallback. Arguments are checked at the call, not at
    the first piece. A stream that is closed early generates no further tokens.
    """
    remote = remote_model(model, unsafe_mode=unsafe_mode)
    settings = _Settings(
        temperature=temperature,
        max_tokens=check_length("max_new_tokens", max_new_tokens),
        stop=_check_text("eos_string", eos_string),
        constraints={},
    )
    if remote is not None:
        written = _generate_remotely(
            remote,
            [prompt],
            seed,
            settings,
        )
        if include_logprobs:
            return iter(_pair_with_no_logprobs(written))
        return iter(written)
    # `_build_questions` takes a list of seeds too; here a list is refused.
    check_seed(seed)
    choice = {
        "model": model,
        "model_repo": model_repo,
        "model_filename": model_filename,
        "size": size,
    }
    (question,) = _build_questions(
        [prompt],
        seed,
        settings,
        choice,
    )
    if include_logprobs:
        tokens = stream(question, top_logprobs=TOP_LOGPROBS)
        return ((token.text, logprobs_of_token(token)) for token in tokens)
    # Tokens without text (half a character, a held-back end) are only of use to those
    # who count tokens.
    tokens = stream(question, top_logprobs=None)
    return (token.text for token in tokens if token.text)


def preload_models(
    model: str | None = None,
    model_repo: str | None = None,
    model_filename: str | None = None,
    size: str | None = None,
    *,
    verbose: bool = False,
) -> None:
    """Load the model that the arguments choose, so that the first text need not wait.

    The arguments are those of `generate`. With `verbose`, standard error says which
    model is loaded, and when it is. Without a usable default model this is a no-op with
    a warning. Raises `ModelError` for a model that is named and cannot be used.
    """
    chosen = choose_model(
        model=model,
        model_repo=model_repo,
        model_filename=model_filename,
        size=size,
    )
    if chosen is None:
        return
    if verbose:
        print(f"loading {chosen.file.name} …", file=sys.stderr)
    engine_for(chosen.file)
    if verbose:
        print(f"{chosen.file.name} is loaded", file=sys.stderr)


@dataclass(
    frozen=True,
    slots=True,
)
class _Settings:
    """What is asked for besides prompts, seeds and the model; lengths in tokens."""

    temperature: float
    max_tokens: int
    stop: str
    constraints: Mapping[str, Any]


def check_length(
    name: str,
    value: Any,
) -> int:
    """Return the most tokens of a text: an argument, or its default for `None`.

    Raises `ConfigError`, with the name of the argument, for what is no number of
    tokens.
    """
    if value is None:
        return DEFAULT_MAX_NEW_TOKENS
    # `True` is an `int` to Python, but no number of tokens.
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_whole or value < 1:
        raise ConfigError(f"{name}={value!r}: write a whole number from 1 on")
    return int(value)


def _check_text(
    name: str,
    value: Any,
) -> str:
    if not isinstance(value, str):
        raise ConfigError(
            f"{name}={value!r:.60} is a {type(value).__name__}; write a text"
        )
    # Half a surrogate pair is in no vocabulary and cannot be encoded: it becomes "?".
    return value.encode("utf-8", "replace").decode()


def _build_questions(
    prompts: Sequence[str],
    seed: Any,
    settings: _Settings,
    choice: Mapping[str, str | None],
) -> list[Question]:
    """Check all arguments, then choose the model, and return a question per prompt."""
    constrained = constraint(**settings.constraints)
    drawn = []
    for prompt, one_seed in _pair_with_seeds(prompts, seed):
        text = _check_text("prompt", prompt)
        drawn.append((text, *_choose_sampling(one_seed, settings.temperature)))
    # Choosing comes last: it may load llama.cpp, and warn.
    chosen = choose_model(**choice)
    questions = []
    for text, checked_seed, sampling in drawn:
        questions.append(
            Question(
                prompt=text,
                model=chosen,
                seed=checked_seed,
                sampling=sampling,
                max_new_tokens=settings.max_tokens,
                stop=settings.stop,
                constraint=constrained,
            )
        )
    return questions


def _pair_with_seeds(
    prompts: Sequence[str],
    seed: Any,
) -> list[tuple[str, Any]]:
    # A text is a sequence too; as a seed it is refused later, by name.
    if not isinstance(seed, Sequence) or isinstance(seed, str):
        return [(prompt, seed) for prompt in prompts]
    if len(seed) != len(prompts):
        raise ConfigError(
            f"{len(seed)} seeds for {len(prompts)} prompts; "
            "give one seed, or one for each prompt"
        )
    return list(zip(prompts, seed, strict=True))


def _choose_sampling(
    seed: Any,
    temperature: float,
) -> tuple[int, Sampling]:
    """Return the seed and the sampling that stand for these arguments in the cache."""
    seed = check_seed(seed)
    requested = Sampling(
        temperature=temperature,
        top_p=TOP_P,
    )
    if requested.temperature != 0:
        return seed, requested
    if seed != DEFAULT_SEED:
        return seed, Sampling(
            temperature=VARIATION_TEMPERATURE,
            top_p=TOP_P,
        )
    # Greedy: `top_p` has no effect, so it must not make another cache key.
    return DEFAULT_SEED, Sampling()


def _generate_remotely(
    remote: ProviderModel,
    prompts: Sequence[str],
    seed: Any,
    settings: _Settings,
) -> list[Text]:
    # Refuse constraints that contradict each other before a request is paid for.
    constraint(**settings.constraints)
    texts = []
    seeds = []
    for prompt, one_seed in _pair_with_seeds(prompts, seed):
        texts.append(_check_text("prompt", prompt))
        seeds.append(check_seed(one_seed))
    found = remote_texts(
        remote,
        texts,
        seeds,
        # Through `Sampling`, which checks the temperature's range.
        temperature=Sampling(temperature=settings.temperature).temperature,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
        **settings.constraints,
    )
    written = []
    for checked_seed, text in zip(seeds, found, strict=True):
        written.append(
            text_of_remote(
                remote,
                text,
                seed=checked_seed,
                temperature=settings.temperature,
            )
        )
    return written


def _pair_with_no_logprobs(texts: list[Text]) -> list[tuple[Text, Logprobs | None]]:
    return [(text, None) for text in texts]
