"""The public functions: their arguments, what they refuse, and what they ask for."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from tests.support.llama import needs_llama
from tests.support.provider_server import ProviderServer
from themis_lib import ConfigError, ModelError, steadytext
from themis_lib.steadytext import api

pytestmark = [
    pytest.mark.usefixtures("empty_cache"),
    needs_llama,
]

PROMPT = "Tell me about a river."


def is_cached(**arguments: Any) -> bool:
    text = steadytext.generate(PROMPT, 8, **arguments)
    return bool(text.metadata["cached"])


def test_signature_of_generate() -> None:
    """`def generate(prompt, max_new_tokens=None, …)`: names, order and defaults as
    printed; `unsafe_mode` is last.
    """
    expected = {
        "prompt": inspect.Parameter.empty,
        "max_new_tokens": None,
        "return_logprobs": False,
        "eos_string": "[EOS]",
        "model": None,
        "model_repo": None,
        "model_filename": None,
        "size": None,
        "seed": steadytext.DEFAULT_SEED,
        "temperature": 0.0,
        "schema": None,
        "regex": None,
        "choices": None,
        "response_format": None,
        "unsafe_mode": False,
    }
    parameters = inspect.signature(steadytext.generate).parameters.values()

    assert list(expected.items()) == [(one.name, one.default) for one in parameters]
    assert {inspect.Parameter.POSITIONAL_OR_KEYWORD} == {one.kind for one in parameters}


def test_signature_of_generate_iter() -> None:
    """`def generate_iter(prompt, max_new_tokens=None, …)`: as printed; `unsafe_mode` is
    last.
    """
    expected = {
        "prompt": inspect.Parameter.empty,
        "max_new_tokens": None,
        "eos_string": "[EOS]",
        "include_logprobs": False,
        "model": None,
        "model_repo": None,
        "model_filename": None,
        "size": None,
        "seed": steadytext.DEFAULT_SEED,
        "temperature": 0.0,
        "unsafe_mode": False,
    }
    parameters = inspect.signature(steadytext.generate_iter).parameters.values()

    assert list(expected.items()) == [(one.name, one.default) for one in parameters]
    assert {inspect.Parameter.POSITIONAL_OR_KEYWORD} == {one.kind for one in parameters}


@pytest.mark.parametrize("function", [steadytext.generate, steadytext.generate_iter])
def test_prompt_is_required(function: Any) -> None:
    """`prompt` | `str` | required: without one, or with something else, there is no
    text.
    """
    with pytest.raises(TypeError, match="prompt"):
        function()
    for value in (None, 5, b"bytes", ["list"]):
        with pytest.raises(ConfigError, match=r"prompt=.* write a text"):
            function(value)


@pytest.mark.parametrize("length", [0, -1, True, 1.5, "5"])
def test_max_new_tokens_of_none_or_fewer_is_an_error(length: Any) -> None:
    """A decision: 0 is an error, and so is what is no length at all."""
    for function in (steadytext.generate, steadytext.generate_iter):
        with pytest.raises(ConfigError, match="max_new_tokens="):
            function(PROMPT, max_new_tokens=length)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, 1.5, "42", None, True, float("nan")])
def test_seed_out_of_range_is_an_error(seed: Any) -> None:
    """A decision: negative, non-integer and out-of-range seeds are errors, that say
    what a seed is.
    """
    for function in (steadytext.generate, steadytext.generate_iter):
        with pytest.raises(ConfigError, match=r"seed=.*from 0 to 2\*\*64 - 1"):
            function(PROMPT, seed=seed)


@pytest.mark.parametrize(
    "temperature", [0.0, 0.5, 1, 2.0, np.float64(0.7), np.float32(0.5)]
)
def test_temperature_is_any_number_of_its_typical_range(temperature: float) -> None:
    """`temperature`: “typical range 0.0-2.0”, written as any number."""
    assert isinstance(steadytext.generate(PROMPT, 8, temperature=temperature), str)


@pytest.mark.parametrize(
    "temperature", [-0.1, float("nan"), float("inf"), "hot", None, True]
)
def test_temperature_out_of_range_is_an_error(temperature: Any) -> None:
    """What is no temperature is refused with its value."""
    for function in (steadytext.generate, steadytext.generate_iter):
        with pytest.raises(ConfigError, match="temperature="):
            function(PROMPT, temperature=temperature)


def test_two_constraints_are_an_error() -> None:
    """A text has one constraint; which of two were meant is not guessed."""
    with pytest.raises(ConfigError, match="'regex' and 'choices'"):
        steadytext.generate(PROMPT, regex="a", choices=["a"])


@pytest.mark.parametrize(
    "impossible",
    [
        {"schema": {"type": "integer", "minimum": 5, "maximum": 4}},
        {"schema": {"type": "object", "not": {}}},
        {"schema": "a text"},
        {"regex": r"[^\s\S]"},
        {"regex": "("},
        {"choices": []},
        {"response_format": {"type": "yaml"}},
        {"regex": "[0-9a-z]{64}", "max_new_tokens": 2},
    ],
    ids=str,
)
def test_impossible_constraint_is_an_error(impossible: dict[str, Any]) -> None:
    """A decision: what no text satisfies, or none of this length, is an error that
    names the argument.
    """
    with pytest.raises(ConfigError, match=r"schema|regex|choices|response_format"):
        steadytext.generate(PROMPT, **impossible)


def test_batch_processing_takes_a_seed_for_each_prompt() -> None:
    """One for all, or one for each; any other number is an error."""
    texts = steadytext.generate_batch([PROMPT] * 3, 24, seed=[1, 2, 1])

    assert [steadytext.generate(PROMPT, 24, seed=seed) for seed in (1, 2, 1)] == texts
    with pytest.raises(ConfigError, match="2 seeds for 3 prompts"):
        steadytext.generate_batch([PROMPT] * 3, seed=[1, 2])


def test_public_names_are_those_of_the_package() -> None:
    """`themis_lib.steadytext` passes the functions on as they are."""
    names = ("generate", "generate_batch", "generate_iter", "preload_models")

    assert [getattr(api, name) for name in names] == [
        getattr(steadytext, name) for name in names
    ]
    assert set(names) < set(steadytext.__all__)


def test_batch_has_the_signature_of_generate() -> None:
    """But for the prompts, the two functions take the same arguments in the same
    order.
    """
    single, batch = (
        list(inspect.signature(function).parameters.values())
        for function in (api.generate, api.generate_batch)
    )

    assert ("prompt", "prompts") == (single[0].name, batch[0].name)
    assert [(one.name, one.default) for one in single[1:]] == [
        (one.name, one.default) for one in batch[1:]
    ]


@pytest.mark.parametrize("prompts", ["one text", None, 5, {"a", "b"}, iter("ab")])
def test_batch_takes_a_list(prompts: Any) -> None:
    """A text would be taken for a list of letters: it is refused with what to write."""
    with pytest.raises(ConfigError, match=r"prompts is a \w+; write a list of texts"):
        steadytext.generate_batch(prompts)


def test_bad_prompt_in_a_batch_is_named() -> None:
    """One prompt that is no text is shown with its type."""
    with pytest.raises(ConfigError, match="prompt=5 is a int; write a text"):
        steadytext.generate_batch(["text", 5])  # type: ignore[list-item]


@pytest.mark.parametrize("function", [steadytext.generate, steadytext.generate_iter])
def test_one_text_takes_one_seed(function: Any) -> None:
    """A list of seeds is for a batch."""
    with pytest.raises(ConfigError, match=r"seed=\[1\]"):
        function(PROMPT, seed=[1])


def test_text_is_no_sequence_of_seeds() -> None:
    """A batch refuses a text as seed, though it is as long as the prompts."""
    with pytest.raises(ConfigError, match="seed='12'"):
        steadytext.generate_batch(["a", "b"], seed="12")  # type: ignore[arg-type]


@pytest.mark.parametrize("function", [steadytext.generate, steadytext.generate_iter])
@pytest.mark.parametrize("stop", [None, 5, b"end", ["end"]])
def test_eos_string_is_a_text(function: Any, stop: Any) -> None:
    """Anything else is refused with its value and its type."""
    with pytest.raises(ConfigError, match=r"eos_string=.* write a text"):
        function(PROMPT, eos_string=stop)


def test_long_values_are_cut_in_messages() -> None:
    """A message shows the first sixty characters of what it refuses."""
    with pytest.raises(ConfigError) as caught:
        steadytext.generate(["x" * 1000])  # type: ignore[arg-type]

    assert f"prompt=['{'x' * 58} is a list; write a text" == str(caught.value)


@pytest.mark.parametrize("length", [3, np.int32(3), np.int64(3)])
def test_length_is_any_whole_number(length: Any) -> None:
    """NumPy's integers are whole numbers too."""
    text = steadytext.generate(PROMPT, length)

    assert 3 == text.metadata["output_tokens"]


def test_half_a_surrogate_pair_is_a_question_mark() -> None:
    """It has no encoding: the prompt is that with a `?` in its place."""
    steadytext.generate("half \ud83e pair", 8)

    assert steadytext.generate("half ? pair", 8).metadata["cached"]


def test_arguments_are_checked_before_the_model() -> None:
    """Choosing a model may load or fetch one: a bad seed is refused before that."""
    for function in (steadytext.generate, steadytext.generate_iter):
        with pytest.raises(ConfigError, match="seed=-1"):
            function(PROMPT, size="huge", seed=-1)
    with pytest.raises(ConfigError, match="regex"):
        steadytext.generate(PROMPT, size="huge", regex="(")


def test_other_seeds_sample_at_temperature_0_as_at_0_8() -> None:
    """The two have one text, and one entry in the cache; the metadata keeps what was
    asked for.
    """
    text = steadytext.generate(PROMPT, 8, seed=7)
    again = steadytext.generate(PROMPT, 8, seed=7, temperature=0.8)

    assert text == again
    assert (False, True) == (text.metadata["cached"], again.metadata["cached"])
    assert (0.0, 0.8) == (text.metadata["temperature"], again.metadata["temperature"])


def test_default_seed_samples_above_temperature_0() -> None:
    """Seed 42 is greedy at 0 alone."""
    assert not is_cached()
    assert not is_cached(temperature=0.8)
    assert not is_cached(temperature=0.8, seed=7)
    assert is_cached(temperature=0, seed=np.int64(42))


def test_five_likely_tokens_are_given() -> None:
    """Beside each token, chosen or streamed, are the five that were likeliest."""
    _, logprobs = steadytext.generate(PROMPT, 4, return_logprobs=True)
    streamed = steadytext.generate_iter(PROMPT, 4, include_logprobs=True)

    assert [5] * 4 == [len(likely) for likely in logprobs["top_logprobs"]]
    assert [5] * 4 == [len(found["top_logprobs"]) for _, found in streamed]


def test_batch_pairs_texts_with_their_logprobs() -> None:
    """Each text of a batch has the log-probabilities that it has alone."""
    prompts = ["One", "Two"]

    found = steadytext.generate_batch(prompts, 4, return_logprobs=True)

    assert found == [
        steadytext.generate(prompt, 4, return_logprobs=True) for prompt in prompts
    ]


def test_stream_without_logprobs_has_no_empty_pieces() -> None:
    """A token held back as a possible end is of use only to those who count tokens."""
    whole = steadytext.generate(PROMPT, 8)
    settings = {"max_new_tokens": 8, "eos_string": f"{whole[2:]} and no end"}
    items = list(steadytext.generate_iter(PROMPT, include_logprobs=True, **settings))
    pieces = list(steadytext.generate_iter(PROMPT, **settings))

    assert "" in [piece for piece, _ in items]
    assert [piece for piece, _ in items if piece] == pieces


def test_preloading_an_unknown_model_is_an_error() -> None:
    """A model that is asked for by name is never another one."""
    with pytest.raises(ModelError, match=r"model='tinny'.*did you mean 'tiny'"):
        steadytext.preload_models("tinny")


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": [1, 2]},
        {"seed": -1},
        {"temperature": -1},
        {"max_new_tokens": 0},
        {"eos_string": None},
        {"regex": "a", "choices": ["a"]},
        {"prompts": ["a", 5]},
    ],
    ids=str,
)
def test_remote_model_is_not_asked_what_is_refused(
    server: ProviderServer, arguments: dict[str, Any]
) -> None:
    """Arguments are checked before a request is paid for."""
    settings = {"prompts": ["a"], "model": "openai:gpt", "unsafe_mode": True}

    with pytest.raises(ConfigError):
        steadytext.generate_batch(**{**settings, **arguments})

    assert [] == server.requests
