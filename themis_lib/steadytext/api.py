"""`generate`, `generate_iter`, `generate_batch` and `preload_models`: the same
arguments give the same text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.engines import engine_for
from themis_lib.engine.generation import Token
from themis_lib.engine.sampling import Sampling, check_seed
from themis_lib.errors import ConfigError
from themis_lib.steadytext.answers import (
    Answer,
    Question,
    answers,
    choose_model,
    stream,
)
from themis_lib.steadytext.remote import (
    ProviderModel,
    RemoteText,
    remote_model,
    remote_texts,
)

DEFAULT_SEED = 42
DEFAULT_MAX_NEW_TOKENS = 512
DEFAULT_EOS_STRING = "[EOS]"

#: How any seed but the default one varies a text at temperature 0.
VARIATION_TEMPERATURE = 0.8
#: What is drawn from above temperature 0: the likeliest tokens that together have this
#: much of the probability.
TOP_P = 0.95
#: Likely tokens given beside each chosen one where log-probabilities are asked for.
TOP_LOGPROBS = 5

Logprobs = dict[str, Any]


class Text(str):
    """A generated text; `metadata` says how it came about.

    Its keys: `model`, `seed`, `temperature`, `finish_reason` ("stop" or "length"),
    `prompt_tokens`, `dropped_prompt_tokens` (left out of the middle of a prompt that
    was too long), `output_tokens`, `cached`, and `fallback`, true where no model could
    be loaded.
    """

    __slots__ = ("metadata",)
    metadata: Mapping[str, Any]

    def __new__(
        cls,
        text: str,
        metadata: Mapping[str, Any],
    ) -> Text:
        self = super().__new__(cls, text)
        self.metadata = metadata
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (Text, (str(self), dict(self.metadata)))


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
    """The text that a model writes after a prompt: always the same for the same
    arguments.

    Seed 42 at temperature 0 takes the most likely token each time; any other seed
    draws, at temperature 0 as at 0.8. At most `max_new_tokens` (512 unless given);
    fewer give a beginning of the longer text. `eos_string` ends the text and is not
    part of it. `schema` (JSON Schema, pydantic model or Python type), `regex` (the
    whole text matches), `choices` or `response_format` constrain it; such a text ends
    by itself, within its length. Texts are kept on disk and not generated twice.

    A `Text`, which is a `str`; with `return_logprobs` a pair of it and `tokens`,
    `token_logprobs` and `top_logprobs` (natural logarithms of the model's own
    probabilities; None from the fallback). `model="provider:name"` asks a remote model,
    with `unsafe_mode=True` and without a promise: its texts may change, it gives no
    log-probabilities here, and `generate_iter` gives its text in one piece. Raises
    `InputError` for arguments that are out of range or contradict each other, and for a
    model that cannot be used.
    """
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
    """What `generate` gives for each prompt, decoded together; `seed` may be one for
    each prompt.
    """
    if isinstance(prompts, str) or not isinstance(prompts, Sequence):
        raise ConfigError(
            f"prompts is a {type(prompts).__name__}; write a list of texts, or call "
            f"generate for one"
        )
    remote = remote_model(model, unsafe_mode=unsafe_mode)
    if remote is not None:
        written = _remote_batch(
            remote,
            prompts,
            seed,
            temperature,
            _checked_length(max_new_tokens),
            _checked_text("eos_string", eos_string),
            schema=schema,
            regex=regex,
            choices=choices,
            response_format=response_format,
        )
        return _without_logprobs(written) if return_logprobs else written
    constrained = constraint(
        schema=schema,
        regex=regex,
        choices=choices,
        response_format=response_format,
    )
    longest = _checked_length(max_new_tokens)
    checked = [
        (_checked_text("prompt", prompt), *_seed_and_sampling(one, temperature))
        for prompt, one in _prompt_seed_pairs(prompts, seed)
    ]
    stop = _checked_text("eos_string", eos_string)
    chosen = choose_model(
        model=model,
        model_repo=model_repo,
        model_filename=model_filename,
        size=size,
    )
    questions = [
        Question(
            prompt,
            chosen,
            one,
            sampling,
            longest,
            stop,
            constrained,
        )
        for prompt, one, sampling in checked
    ]
    found = answers(questions, top_logprobs=TOP_LOGPROBS if return_logprobs else None)
    texts = [
        _as_text(question, answer, temperature)
        for question, answer in zip(questions, found, strict=True)
    ]
    if not return_logprobs:
        return texts
    return [
        (text, _answer_logprobs(answer))
        for text, answer in zip(texts, found, strict=True)
    ]


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
    """The text of `generate`, piece by piece as it is written; joined, the pieces are
    that text.

    With `include_logprobs` a pair for every token: its text, which may be empty, and
    `token_id`, `logprob` and `top_logprobs` (None from the fallback). Arguments are
    checked at the call, not at the first piece. A stream that is left early costs no
    more than it gave.
    """
    remote = remote_model(model, unsafe_mode=unsafe_mode)
    if remote is not None:
        longest, stop = (
            _checked_length(max_new_tokens),
            _checked_text("eos_string", eos_string),
        )
        written = _remote_batch(
            remote,
            [prompt],
            seed,
            temperature,
            longest,
            stop,
        )
        return iter(_without_logprobs(written)) if include_logprobs else iter(written)
    checked, sampling = _seed_and_sampling(seed, temperature)
    prompt, stop, longest = (
        _checked_text("prompt", prompt),
        _checked_text("eos_string", eos_string),
        _checked_length(max_new_tokens),
    )
    chosen = choose_model(
        model=model,
        model_repo=model_repo,
        model_filename=model_filename,
        size=size,
    )
    question = Question(
        prompt,
        chosen,
        checked,
        sampling,
        longest,
        stop,
        None,
    )
    if include_logprobs:
        return (
            (token.text, _token_logprobs(token))
            for token in stream(question, top_logprobs=TOP_LOGPROBS)
        )
    return (token.text for token in stream(question, top_logprobs=None) if token.text)


def preload_models(
    model: str | None = None,
    model_repo: str | None = None,
    model_filename: str | None = None,
    size: str | None = None,
) -> None:
    """Load the model that the arguments choose, as `generate` does, so that the first
    text need not wait for it.
    """
    chosen = choose_model(
        model=model,
        model_repo=model_repo,
        model_filename=model_filename,
        size=size,
    )
    if chosen is not None:
        engine_for(chosen.file)


def _seed_and_sampling(
    seed: Any,
    temperature: float,
) -> tuple[int, Sampling]:
    """A seed and how it draws. The default seed at temperature 0 draws nothing."""
    seed = check_seed(seed)
    asked = Sampling(
        temperature=temperature,
        top_p=TOP_P,
    )
    if asked.temperature == 0 and seed != DEFAULT_SEED:
        return seed, Sampling(
            temperature=VARIATION_TEMPERATURE,
            top_p=TOP_P,
        )
    return (seed, asked) if asked.temperature else (DEFAULT_SEED, Sampling())


def _prompt_seed_pairs(
    prompts: Sequence[str],
    seed: Any,
) -> list[tuple[str, Any]]:
    if isinstance(seed, Sequence) and not isinstance(seed, str):
        if len(seed) != len(prompts):
            raise ConfigError(
                f"{len(seed)} seeds for {len(prompts)} prompts; give one seed, or one "
                f"for each prompt"
            )
        return list(zip(prompts, seed, strict=True))
    return [(prompt, seed) for prompt in prompts]


def _checked_text(
    name: str,
    value: Any,
) -> str:
    if not isinstance(value, str):
        raise ConfigError(
            f"{name}={value!r:.60} is a {type(value).__name__}; write a text"
        )
    return value.encode(
        "utf-8", "replace"
    ).decode()  # half a surrogate pair is in no vocabulary


def _checked_length(max_new_tokens: Any) -> int:
    if max_new_tokens is None:
        return DEFAULT_MAX_NEW_TOKENS
    whole = isinstance(max_new_tokens, (int, np.integer)) and not isinstance(
        max_new_tokens, bool
    )
    if not whole or max_new_tokens < 1:
        raise ConfigError(
            f"max_new_tokens={max_new_tokens!r}: write a whole number from 1 on"
        )
    return int(max_new_tokens)


def _remote_batch(
    remote: ProviderModel,
    prompts: Sequence[str],
    seed: Any,
    temperature: float,
    longest: int,
    stop: str,
    **asked: Any,
) -> list[Text]:
    """The texts of a remote model."""
    constraint(**asked)
    pairs = [
        (_checked_text("prompt", prompt), check_seed(one))
        for prompt, one in _prompt_seed_pairs(prompts, seed)
    ]
    found = remote_texts(
        remote,
        [prompt for prompt, _ in pairs],
        [one for _, one in pairs],
        temperature=Sampling(temperature=temperature).temperature,
        max_tokens=longest,
        stop=stop,
        **asked,
    )
    return [
        _remote_text(
            remote,
            one,
            text,
            temperature,
        )
        for (_, one), text in zip(pairs, found, strict=True)
    ]


def _without_logprobs(texts: list[Text]) -> list[tuple[Text, Logprobs | None]]:
    return [(text, None) for text in texts]


def _remote_text(
    remote: ProviderModel,
    seed: int,
    text: RemoteText,
    temperature: float,
) -> Text:
    metadata = {
        "model": f"{remote.provider}:{remote.name}",
        "seed": seed,
        "temperature": temperature,
        "finish_reason": text.finish_reason,
        "prompt_tokens": text.prompt_tokens,
        "dropped_prompt_tokens": 0,
        "output_tokens": text.output_tokens,
        "cached": text.cached,
        "fallback": False,
    }
    return Text(text.text, metadata)


def _as_text(
    question: Question,
    answer: Answer,
    temperature: float,
) -> Text:
    metadata = {
        "model": question.model.file.name if question.model else None,
        "seed": question.seed,
        "temperature": temperature,
        "finish_reason": answer.generation.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "dropped_prompt_tokens": answer.dropped_prompt_tokens,
        "output_tokens": len(answer.generation.tokens),
        "cached": answer.source == "cache",
        "fallback": answer.source == "fallback",
    }
    return Text(answer.generation.text, metadata)


def _answer_logprobs(answer: Answer) -> Logprobs | None:
    if answer.source == "fallback":
        return None
    tokens = answer.generation.tokens
    return {
        "tokens": [token.text for token in tokens],
        "token_logprobs": [token.logprob for token in tokens],
        "top_logprobs": [_likely_tokens(token) for token in tokens],
    }


def _token_logprobs(token: Token) -> Logprobs | None:
    if token.logprob is None:
        return None
    return {
        "token_id": token.token,
        "logprob": token.logprob,
        "top_logprobs": _likely_tokens(token),
    }


def _likely_tokens(token: Token) -> list[dict[str, Any]]:
    return [
        {"token_id": one.token, "token": one.text, "logprob": one.logprob}
        for one in token.likely
    ]
