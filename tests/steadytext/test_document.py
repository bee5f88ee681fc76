"""The statements of the text generation document, and the decisions where it leaves
doubt, each as a test.

What is generated is compared with what another call generates, never with a recorded
text: the bundled model may be replaced by a better one. `test_document_examples` runs
the document's own examples; `test_api` has the signatures and the arguments that are
refused, `test_answers` the texts without a model.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import re
import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field, TypeAdapter

from tests.support.llama import needs_llama
from tests.support.new_process import in_new_process
from themis_lib import ConfigError, InputError, ModelError, steadytext
from themis_lib.engine.models import MODELS, TINY

pytestmark = [
    pytest.mark.usefixtures("empty_cache"),
    needs_llama,
]

PROMPT = "Tell me about a river."
#: Short, empty, in other scripts, of several lines, and with what is no text at all.
PROMPTS = [
    "Hi",
    "",
    " ",
    "\n",
    "Write about 🤖 and 人工智能",
    "naïve e\u0301 \u202e عربى",
    "1. Take\n2. Sort\n\n3. Return",
    "{}[]\"'\\ `$(x)` %s {0}",
    "a\x00b\x07",
    "\ud83e half a pair",
    "<|end|></s><|im_end|>[EOS]",
    "  indented\t",
]
#: A seed and a temperature: greedy, a variation, and draws at several temperatures.
DRAWS = [(42, 0.0), (123, 0.0), (42, 0.7), (7, 1.3), (0, 2.0)]
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


class Person(BaseModel):
    name: str = Field(max_length=12)
    age: int = Field(ge=0, le=120)


@dataclass
class Point:
    x: int
    y: int


@pytest.fixture
def no_cache(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is decoded anew."""
    monkeypatch.setenv("THEMIS_CACHE", "off")


def is_cached(**arguments: Any) -> bool:
    text = steadytext.generate(PROMPT, **arguments)
    return bool(text.metadata["cached"])


# Parameters


def test_prompt_is_the_text_to_generate_from() -> None:
    """`prompt`: “Input text to generate from”. Other prompts give other texts."""
    subjects = (
        "a river",
        "27 + 58",
        "the word 'lamp' backwards",
        "why the moon is bright",
    )

    assert len(subjects) == len(
        {steadytext.generate(f"Write about {subject}.", 40) for subject in subjects}
    )


@pytest.fixture(scope="module")
def another_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with random weights, to which every letter is a token of its own, but for
    `ab`.
    """
    pytest.importorskip("gguf")
    from tests.support.generated import write_model

    return str(
        write_model(
            tmp_path_factory.mktemp("model") / "another.gguf",
            layers=1,
            quantization="Q8_0",
        )
    )


def test_max_new_tokens_is_512(another_model: str) -> None:
    """`max_new_tokens` | `int` | `512`; “Generated text (512 tokens max)”. 512 letters
    fit, and not one more.
    """
    text = steadytext.generate(PROMPT, model=another_model, regex="[c-z]{512}")

    assert (512, 512) == (len(text), text.metadata["output_tokens"])
    with pytest.raises(ConfigError, match="max_new_tokens is 512"):
        steadytext.generate(PROMPT, model=another_model, regex="[c-z]{513}")


def test_max_new_tokens_is_512_of_generate_iter() -> None:
    """`max_new_tokens` | `int` | `512`: the stream is the text of 512 tokens at most,
    and kept as such.
    """
    pieces = list(steadytext.generate_iter(PROMPT))

    assert "".join(pieces) == steadytext.generate(PROMPT, max_new_tokens=512)
    assert [True, False] == [is_cached(max_new_tokens=length) for length in (512, 511)]


def test_max_new_tokens_may_be_more_than_512(another_model: str) -> None:
    """512 is the default, not a bound."""
    text = steadytext.generate(PROMPT, 600, model=another_model, regex="[c-z]{600}")

    assert (600, 600) == (len(text), text.metadata["output_tokens"])


@pytest.mark.parametrize("length", [1, 2, 7])
def test_max_new_tokens_is_the_maximum_number_of_tokens(length: int) -> None:
    """`max_new_tokens`: “Maximum number of tokens to generate”."""
    text, logprobs = steadytext.generate(
        PROMPT, max_new_tokens=length, return_logprobs=True
    )
    items = list(
        steadytext.generate_iter(PROMPT, max_new_tokens=length, include_logprobs=True)
    )

    assert (length, "length") == (
        text.metadata["output_tokens"],
        text.metadata["finish_reason"],
    )
    assert length == len(logprobs["tokens"]) == len(items)


@pytest.mark.parametrize(("seed", "temperature"), DRAWS)
def test_fewer_new_tokens_give_a_prefix(seed: int, temperature: float) -> None:
    """A decision: `max_new_tokens=n` is a prefix of a longer one, wherever it cuts a
    character or a stop string.
    """
    settings = {"seed": seed, "temperature": temperature, "eos_string": "e b"}
    lengths = (1, 2, 3, 4, 5, 8, 13, 21, 34)
    texts = [
        steadytext.generate(PROMPT, max_new_tokens=length, **settings)
        for length in lengths
    ]

    assert all(
        longer.startswith(shorter) for shorter, longer in itertools.pairwise(texts)
    )
    assert len(set(texts)) > 2


def test_return_logprobs_is_off() -> None:
    """`return_logprobs` | `bool` | `False`; “Returns: `str`”."""
    assert isinstance(steadytext.generate(PROMPT), str)


def test_return_logprobs_returns_log_probabilities_with_the_text() -> None:
    """`return_logprobs`; “Returns: `Tuple[str, Optional[Dict]]`: Generated text and log
    probabilities”.
    """
    text, logprobs = steadytext.generate(PROMPT, return_logprobs=True)

    assert text == steadytext.generate(PROMPT)
    assert text == "".join(logprobs["tokens"])
    confidence = logprobs.pop("confidence")
    assert {text.metadata["output_tokens"]} == {
        len(values) for values in logprobs.values()
    }
    assert 0 < confidence <= 1


def test_include_logprobs_is_off() -> None:
    """`include_logprobs` | `bool` | `False`; “Yields: `str`: Individual
    tokens/words”.
    """
    pieces = list(steadytext.generate_iter(PROMPT))

    assert {str} == {type(piece) for piece in pieces}
    assert all(pieces)
    assert len(pieces) > 5


def test_include_logprobs_yields_log_probabilities_with_tokens() -> None:
    """`include_logprobs`; “Yields: `Tuple[str, Optional[Dict]]`: Token and log
    probabilities”.
    """
    items = list(steadytext.generate_iter(PROMPT, include_logprobs=True))

    assert {(str, dict)} == {(type(token), type(logprobs)) for token, logprobs in items}
    assert steadytext.generate(PROMPT) == "".join(token for token, _ in items)


@pytest.mark.parametrize(("seed", "temperature"), DRAWS)
def test_logprobs_are_real_numbers(seed: int, temperature: float) -> None:
    """A decision: they are finite and at most 0, the likeliest first, and their
    probabilities add up to 1 at most.
    """
    settings = {"seed": seed, "temperature": temperature, "max_new_tokens": 40}
    _, logprobs = steadytext.generate(PROMPT, return_logprobs=True, **settings)

    for chosen, likely in zip(
        logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True
    ):
        top = [one["logprob"] for one in likely]
        assert all(math.isfinite(value) and value <= 0 for value in (chosen, *top))
        assert sorted(top, reverse=True) == top
        assert sum(map(math.exp, top)) <= 1 + 1e-9
        assert chosen <= top[0]
    assert -1e-3 > min(logprobs["token_logprobs"])


def test_the_greedy_token_is_the_top_one() -> None:
    """Seed 42 at temperature 0 is the greedy text: every token is the likeliest one."""
    for _, logprobs in steadytext.generate_iter(PROMPT, include_logprobs=True):
        likeliest = logprobs["top_logprobs"][0]
        assert (likeliest["token_id"], likeliest["logprob"]) == (
            logprobs["token_id"],
            logprobs["logprob"],
        )


def test_logprobs_are_the_models_own() -> None:
    """The same beginning has the same log-probabilities, whatever the seed, the
    temperature and the constraint.
    """
    settings = [
        {},
        {"seed": 7, "temperature": 1.5},
        {"choices": ["xylophone", "zebra"]},
    ]
    found = [
        steadytext.generate(PROMPT, return_logprobs=True, **one)[1]["top_logprobs"][0]
        for one in settings
    ]

    assert found[0] == found[1] == found[2]


def test_streamed_logprobs_are_those_of_generate(no_cache: None) -> None:
    """The same bits, streamed or not."""
    _, logprobs = steadytext.generate(PROMPT, return_logprobs=True)
    streamed = [
        found for _, found in steadytext.generate_iter(PROMPT, include_logprobs=True)
    ]

    assert logprobs["token_logprobs"] == [found["logprob"] for found in streamed]
    assert logprobs["top_logprobs"] == [found["top_logprobs"] for found in streamed]


@pytest.mark.parametrize(("start", "size"), [(4, 1), (5, 9), (17, 25), (0, 3)])
def test_eos_string_is_a_custom_end(start: int, size: int) -> None:
    """`eos_string`: “Custom end-of-sequence string”, over as many tokens as it may
    span; it is not part of the text.
    """
    whole = steadytext.generate(PROMPT)
    eos = whole[start : start + size]
    text = steadytext.generate(PROMPT, eos_string=eos)

    assert len(eos) == size
    assert (whole[: whole.index(eos)], "stop") == (text, text.metadata["finish_reason"])
    assert text == "".join(steadytext.generate_iter(PROMPT, eos_string=eos))


def test_eos_string_that_never_comes_changes_nothing() -> None:
    """Neither does the empty one: the text ends where the model ends it."""
    whole = steadytext.generate(PROMPT)

    assert [whole, whole] == [
        steadytext.generate(PROMPT, eos_string=one) for one in ("", whole + "!")
    ]


def test_model_is_a_name_from_the_registry() -> None:
    """`model`: “Model name from registry”."""
    text = steadytext.generate(PROMPT, model="tiny")

    assert {"tiny", "mini", "small", "large"} <= set(MODELS)
    assert ("tiny", text) == (
        text.metadata["model"],
        steadytext.generate(PROMPT, size="tiny"),
    )
    with pytest.raises(ModelError, match=r"model='tinny'.*did you mean 'tiny'"):
        steadytext.generate(PROMPT, model="tinny")


def test_model_may_be_the_path_of_a_file(no_cache: None) -> None:
    """A decision: a path to a GGUF is a model too."""
    text = steadytext.generate(PROMPT, model=str(TINY))

    assert (TINY.name, steadytext.generate(PROMPT)) == (text.metadata["model"], text)


@pytest.mark.parametrize("function", [steadytext.generate, steadytext.generate_iter])
def test_remote_model_needs_unsafe_mode(function: Any) -> None:
    """`model`: “or remote model (e.g., "openai:gpt-4o-mini")”; `unsafe_mode` | `False`:
    the error says to pass it.
    """
    with pytest.raises(
        InputError, match=r"'openai:gpt-4o-mini' is a remote model.*unsafe_mode=True"
    ):
        function(PROMPT, model="openai:gpt-4o-mini")


def test_unsafe_mode_changes_nothing_of_a_local_model() -> None:
    """`unsafe_mode`: “Enable remote models”. A local one is as deterministic with
    it.
    """
    text = steadytext.generate(PROMPT)

    assert text == steadytext.generate(PROMPT, unsafe_mode=True)
    assert text == "".join(steadytext.generate_iter(PROMPT, unsafe_mode=True))


def put_on_hub_disk(hub: Path, repo: str, filename: str) -> None:
    """Put the bundled model where huggingface_hub keeps a file that it has
    downloaded.
    """
    folder, revision = hub / f"models--{repo.replace('/', '--')}", "0" * 40
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text(revision)
    (folder / "snapshots" / revision).mkdir(parents=True)
    (folder / "snapshots" / revision / filename).symlink_to(TINY)


@pytest.fixture(scope="module")
def models_on_disk(
    facts: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """The models that choices find on a machine which has downloaded `small` and a
    repository's file.
    """
    home = tmp_path_factory.mktemp("hub")
    small = MODELS["small"]
    put_on_hub_disk(home, small.repo, small.filename)
    put_on_hub_disk(home, "someone/model", "file.gguf")
    program = (
        "warnings.simplefilter('error')\n"
        "from themis_lib import steadytext\n"
        "choices = {'none': {}, 'size': {'size': 'small'},\n"
        "           'repo': {'model_repo': 'someone/model', 'model_filename': 'file.gguf'}}\n"
        f"print(json.dumps({{name: steadytext.generate({PROMPT!r}, max_new_tokens=2, **one).metadata['model']\n"
        "                  for name, one in choices.items()}))"
    )
    found: dict[str, str] = in_new_process(
        program,
        THEMIS_CACHE_DIR=str(facts.parent),
        THEMIS_MODEL=None,
        HF_HUB_CACHE=str(home),
        HF_HUB_OFFLINE="1",
    )
    return found


def test_model_repo_and_model_filename_name_a_file_of_the_hub(
    models_on_disk: dict[str, str],
) -> None:
    """`model_repo`: “Custom Hugging Face repository ID”; `model_filename`: “Custom
    model filename”.
    """
    assert "someone/model/file.gguf" == models_on_disk["repo"]


def test_model_repo_without_model_filename_is_an_error() -> None:
    """Nor one without the other, nor beside another choice."""
    with pytest.raises(InputError, match="go together"):
        steadytext.generate(PROMPT, model_repo="someone/model")
    with pytest.raises(InputError, match="more than one model"):
        steadytext.generate(
            PROMPT, model="tiny", model_repo="someone/model", model_filename="file.gguf"
        )


def test_size_is_small(models_on_disk: dict[str, str]) -> None:
    """`size` | `"small"`: without a choice it is `small`, where that is on disk."""
    assert "small" == models_on_disk["none"]


def test_size_is_a_shortcut(models_on_disk: dict[str, str]) -> None:
    """`size`: “Size shortcut: "mini", "small", or "large"”, and the bundled "tiny";
    another one is an error.
    """
    text = steadytext.generate(PROMPT, size="tiny")

    assert ("small", "tiny") == (models_on_disk["size"], text.metadata["model"])
    with pytest.raises(
        InputError, match=r"size='huge'.*'large', 'mini', 'small', 'tiny'"
    ):
        steadytext.generate(PROMPT, size="huge")


def test_seed_is_42(no_cache: None) -> None:
    """`seed` | `int` | `42`."""
    assert 42 == steadytext.DEFAULT_SEED
    for temperature in (0.0, 1.0):
        text = steadytext.generate(PROMPT, 30, temperature=temperature)
        assert text == steadytext.generate(PROMPT, 30, seed=42, temperature=temperature)


@pytest.mark.parametrize("seed", [0, 1, 2**32, 2**63, 2**64 - 1, np.int64(7)])
def test_seed_is_for_deterministic_generation(no_cache: None, seed: int) -> None:
    """`seed`: “Random seed for deterministic generation”. Seed 0 is a seed like any
    other.
    """
    text = steadytext.generate(PROMPT, 40, seed=seed)

    assert text == steadytext.generate(PROMPT, 40, seed=seed)
    assert text != steadytext.generate(PROMPT, 40)
    assert int(seed) == text.metadata["seed"]


def test_temperature_0_is_deterministic(no_cache: None) -> None:
    """`temperature` | `0.0`: “0.0 = deterministic”."""
    assert steadytext.generate(PROMPT) == steadytext.generate(PROMPT, temperature=0.0)


def test_temperature_is_more_random_above_0() -> None:
    """`temperature`: “>0 = more random”. The higher, the less likely the tokens are on
    average.
    """

    def mean_logprob(temperature: float) -> float:
        found = steadytext.generate_batch(
            [PROMPT] * 10,
            20,
            return_logprobs=True,
            seed=range(10),
            temperature=temperature,
        )
        values = [
            value for _, logprobs in found for value in logprobs["token_logprobs"]
        ]
        return sum(values) / len(values)

    assert mean_logprob(0.1) > mean_logprob(0.7) > mean_logprob(1.2) > mean_logprob(2.0)


# Structured output


def test_schema_is_a_json_schema() -> None:
    """`schema` | `Dict/Type`: “JSON schema …  for structured output”."""
    jsonschema = pytest.importorskip("jsonschema")

    for seed, temperature in DRAWS:
        text = steadytext.generate(
            "Who is there?", schema=PERSON, seed=seed, temperature=temperature
        )
        assert isinstance(text, str)
        jsonschema.validate(json.loads(text), PERSON)


def test_schema_is_a_pydantic_model() -> None:
    """`schema`: “Pydantic model”."""
    for seed, temperature in DRAWS:
        text = steadytext.generate(
            "Who is there?", schema=Person, seed=seed, temperature=temperature
        )
        assert 0 <= Person.model_validate_json(text, strict=True).age <= 120


@pytest.mark.parametrize(
    "type_",
    [
        int,
        float,
        bool,
        str,
        list[int],
        dict[str, bool],
        Literal["up", "down"],
        tuple[int, bool],
        Point,
    ],
)
def test_schema_is_a_python_type(type_: Any) -> None:
    """`schema`: “or Python type for structured output”."""
    for seed, temperature in DRAWS[::2]:
        text = steadytext.generate(
            "What is it?", 60, schema=type_, seed=seed, temperature=temperature
        )
        TypeAdapter(type_).validate_json(text, strict=True)


@pytest.mark.parametrize(
    "regex",
    [r"\d{3}-\d{4}", r"(yes|no)!?", r"[A-Z][a-z]{2,8}( [a-z]+)?\.", "[äöü]{2}🙂"],
)
def test_regex_constrains_the_output(regex: str) -> None:
    """`regex`: “Regular expression pattern to constrain output”. The whole text
    matches.
    """
    for seed, temperature in DRAWS:
        text = steadytext.generate(
            "Call me", 40, regex=regex, seed=seed, temperature=temperature
        )
        assert re.fullmatch(regex, text)


@pytest.mark.parametrize(
    "choices",
    [
        ["positive", "negative", "neutral"],
        ["a", "ab", "abc"],
        ['say "hi"', "two\nlines", "\\d+", "🙂", "人工智能"],
    ],
)
def test_choices_constrain_the_output(choices: list[str]) -> None:
    """`choices`: “List of choices to constrain output”. The text is exactly one of
    them.
    """
    for seed, temperature in DRAWS:
        text = steadytext.generate(
            "Classify sentiment", choices=choices, seed=seed, temperature=temperature
        )
        assert text in choices


def test_every_choice_can_be_chosen() -> None:
    """The model chooses: over the seeds, at a high temperature, each has its turn."""
    choices = ["left", "right", "up"]
    texts = steadytext.generate_batch(
        ["Where to?"] * 60, choices=choices, seed=range(60), temperature=100
    )

    assert set(choices) == set(texts)


def test_response_format_json_object() -> None:
    """`response_format`: “Alternative way to specify structured output format”:
    `json_object` is any JSON object.
    """
    for seed, temperature in DRAWS:
        settings = {"seed": seed, "temperature": temperature, "max_new_tokens": 60}
        text = steadytext.generate(
            "Who is there?", response_format={"type": "json_object"}, **settings
        )
        assert isinstance(json.loads(text), dict)


def test_response_format_json_schema() -> None:
    """`response_format`: `json_schema` asks for what `schema` asks for."""
    response_format = {
        "type": "json_schema",
        "json_schema": {"name": "person", "schema": PERSON},
    }
    text = steadytext.generate("Who is there?", response_format=response_format)

    assert steadytext.generate("Who is there?", schema=PERSON) == text


def test_constraint_holds_however_short_the_text_must_be() -> None:
    """What a schema asks for holds in the output, in as few tokens as suffice for
    it.
    """
    for length in (3, 5, 8, 200):
        text = steadytext.generate(
            PROMPT, length, schema=list[int], temperature=1.5, seed=3
        )
        TypeAdapter(list[int]).validate_json(text)


# Deterministic behavior


@pytest.mark.parametrize(("seed", "temperature"), DRAWS)
def test_identical_results_for_identical_inputs(
    no_cache: None, seed: int, temperature: float
) -> None:
    """“Both functions return identical results for identical inputs, seeds, and
    temperature values”, decoded anew.
    """
    settings = {"max_new_tokens": 60, "seed": seed, "temperature": temperature}
    once, again = (steadytext.generate(PROMPT, **settings) for _ in range(2))

    assert once == again
    assert [False, False] == [text.metadata["cached"] for text in (once, again)]
    assert list(steadytext.generate_iter(PROMPT, **settings)) == list(
        steadytext.generate_iter(PROMPT, **settings)
    )


def test_identical_results_in_a_new_process(no_cache: None) -> None:
    """“Always identical”: texts and every bit of their log-probabilities, with another
    hash seed too.
    """
    program = (
        "from themis_lib import steadytext\n"
        f"print(json.dumps([steadytext.generate({PROMPT!r}, 60, True, seed=seed, "
        f"temperature=temperature)\n"
        f"                  for seed, temperature in {DRAWS}]))"
    )
    here = [
        list(steadytext.generate(PROMPT, 60, True, seed=seed, temperature=temperature))
        for seed, temperature in DRAWS
    ]

    assert here == in_new_process(program, PYTHONHASHSEED="1")


def test_identical_results_whatever_came_before(no_cache: None) -> None:
    """Neither an earlier call nor a neighbour disturbs a text."""
    alone = steadytext.generate(PROMPT, 60, seed=5)
    abandoned = steadytext.generate_iter("Something else", seed=5)
    next(abandoned)
    beside = steadytext.generate_batch(
        ["One", PROMPT, PROMPT + " And?"], 60, seed=[1, 5, 5]
    )

    assert alone == beside[1] == steadytext.generate(PROMPT, 60, seed=5)


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0])
def test_different_seeds_produce_different_results(temperature: float) -> None:
    """“Different seeds produce different results”, at the default temperature too."""
    seeds = [42, 0, 1, 100, 123, 200, 456, 2**64 - 1]
    texts = steadytext.generate_batch(
        [PROMPT] * len(seeds), 40, seed=seeds, temperature=temperature
    )

    assert len(seeds) == len(set(texts))


@pytest.mark.parametrize(("seed", "temperature"), [(789, 0.0), *DRAWS])
def test_streaming_produces_same_tokens_in_same_order(
    no_cache: None, seed: int, temperature: float
) -> None:
    """“Streaming produces same tokens in same order for same seed”: those of
    `generate`.
    """
    settings = {"max_new_tokens": 60, "seed": seed, "temperature": temperature}
    text, logprobs = steadytext.generate(PROMPT, return_logprobs=True, **settings)
    pieces = list(steadytext.generate_iter(PROMPT, **settings))

    assert pieces == list(steadytext.generate_iter(PROMPT, **settings))
    assert pieces == [piece for piece in logprobs["tokens"] if piece]
    assert text == "".join(pieces)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_joined_stream_is_the_text(no_cache: None, prompt: str) -> None:
    """A decision: `"".join(generate_iter(x)) == generate(x)`, byte for byte."""
    for seed, temperature in ((42, 0.0), (3, 2.0)):
        settings = {"max_new_tokens": 16, "seed": seed, "temperature": temperature}
        joined = "".join(steadytext.generate_iter(prompt, **settings))
        assert steadytext.generate(prompt, **settings).encode() == joined.encode()


def test_generate_iter_yields_tokens_as_produced(no_cache: None) -> None:
    """“Generate text iteratively, yielding tokens as produced”: leaving early costs no
    more than it gave.
    """
    stream = steadytext.generate_iter(PROMPT, 3000, seed=1, temperature=100)
    first = list(itertools.islice(stream, 3))
    stream.close()

    assert 3 == len(first)
    assert first == list(
        itertools.islice(
            steadytext.generate_iter(PROMPT, 3000, seed=1, temperature=100), 3
        )
    )


# Caching


def test_results_are_automatically_cached() -> None:
    """“Results are automatically cached”: the “second call with same seed: returns
    cached result”.
    """
    first, second = (steadytext.generate("common prompt") for _ in range(2))

    assert first == second
    assert [False, True] == [text.metadata["cached"] for text in (first, second)]


def test_cached_result_is_the_same() -> None:
    """“Same result, much faster”: everything but `cached` is the same, the
    log-probabilities bit for bit.
    """
    (first, first_logprobs), (second, second_logprobs) = (
        steadytext.generate(PROMPT, return_logprobs=True, seed=7) for _ in range(2)
    )

    assert (first, first_logprobs) == (second, second_logprobs)
    assert {**first.metadata, "cached": True} == dict(second.metadata)


def test_cache_keys_include_seed_and_temperature() -> None:
    """“Cache keys include seed and temperature, so each combination gets its own cache
    entry”.
    """
    combinations = [
        (seed, temperature)
        for seed in (100, 200, 300)
        for temperature in (0.0, 0.5, 1.0)
    ]
    cold, warm = (
        [
            is_cached(max_new_tokens=20, seed=seed, temperature=temperature)
            for seed, temperature in combinations
        ]
        for _ in range(2)
    )

    assert ([False] * 9, [True] * 9) == (cold, warm)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 7},
        {"temperature": 0.5},
        {"max_new_tokens": 3},
        {"eos_string": "a"},
        {"schema": int},
        {"regex": "[a-z]{5}"},
        {"choices": ["yes", "no"]},
        {"choices": ["no", "yes", "never"]},
        {"response_format": {"type": "json_object"}},
    ],
    ids=str,
)
def test_cache_keys_include_every_parameter_that_can_change_the_text(
    other: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision: a warm cache gives what a cold one gives, whatever else was asked
    before.
    """
    settings = {"max_new_tokens": 40, **other}
    before = steadytext.generate(PROMPT, max_new_tokens=40)
    warm = steadytext.generate(PROMPT, **settings)
    monkeypatch.setenv("THEMIS_CACHE", "off")

    assert steadytext.generate(PROMPT, **settings) == warm != before
    assert not warm.metadata["cached"]


def test_cache_keys_include_the_model(another_model: str) -> None:
    """A decision: the key holds the digest of the model file. Another file is another
    text, another name is not.
    """
    text = steadytext.generate(PROMPT, 5)

    assert text != steadytext.generate(PROMPT, 5, model=another_model)
    assert steadytext.generate(PROMPT, 5, model=str(TINY)).metadata["cached"]


def test_cached_items_are_the_same() -> None:
    """A decision: `generate_iter` gives the same items from the cache, the empty ones
    and their numbers included.
    """
    settings = {"seed": 3, "temperature": 2.0, "max_new_tokens": 60}
    live = list(steadytext.generate_iter(PROMPT, include_logprobs=True, **settings))

    assert steadytext.generate(PROMPT, **settings).metadata["cached"]
    assert live == list(
        steadytext.generate_iter(PROMPT, include_logprobs=True, **settings)
    )
    assert [token for token, _ in live if token] == list(
        steadytext.generate_iter(PROMPT, **settings)
    )


def test_cache_works_across_processes() -> None:
    """A decision: “Cache on by default, across processes, on disk”."""
    program = (
        "from themis_lib import steadytext\n"
        f"text, logprobs = steadytext.generate({PROMPT!r}, return_logprobs=True, seed=11)\n"
        "print(json.dumps([text, logprobs, text.metadata['cached']]))"
    )
    there = in_new_process(program)
    text, logprobs = steadytext.generate(PROMPT, return_logprobs=True, seed=11)

    assert [text, logprobs, False] == there
    assert text.metadata["cached"]
    assert [text, logprobs, True] == in_new_process(program)


@pytest.mark.parametrize(
    "damage", ["substr(value, 1, length(value) - 3)", "zeroblob(40)", "NULL", "'text'"]
)
def test_damaged_cache_entry_is_a_miss(empty_cache: Path, damage: str) -> None:
    """A decision: “A damaged entry is a miss”: the text is generated, and kept, once
    more.
    """
    text = steadytext.generate(PROMPT)
    with contextlib.closing(
        sqlite3.connect(empty_cache / "cache.db", isolation_level=None)
    ) as connection:
        assert 1 == connection.execute(f"UPDATE Cache SET value = {damage}").rowcount
    again = steadytext.generate(PROMPT)

    assert (text, False) == (again, again.metadata["cached"])
    assert is_cached()


def test_cache_is_a_frecency_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """“Using a frecency cache (LRU + frequency)”: what is used often stays when what
    was used once is evicted.
    """
    monkeypatch.setenv("THEMIS_CACHE_SIZE_MB", "0.08")
    settings = {"max_new_tokens": 30, "temperature": 1.5, "return_logprobs": True}

    def cached(seed: int) -> bool:
        text, _ = steadytext.generate(PROMPT, seed=seed, **settings)
        return bool(text.metadata["cached"])

    assert [False, True, True, True] == [cached(0) for _ in range(4)]
    assert not any(cached(seed) for seed in range(1, 30))
    assert (True, False) == (cached(0), cached(1))


# Performance tips


def engine_threads() -> set[int | None]:
    return {
        thread.ident
        for thread in threading.enumerate()
        if thread.name == f"llama {TINY.name}"
    }


def test_preload_models_at_startup() -> None:
    """“Preload models: Call `steadytext.preload_models()` at startup”: the model is in
    memory then, once.
    """
    assert None is steadytext.preload_models()
    loaded = engine_threads()
    steadytext.preload_models(size="tiny")
    steadytext.generate(PROMPT, 2)

    assert loaded
    assert loaded == engine_threads()


def test_models_stay_loaded_once_initialized(no_cache: None) -> None:
    """“Models stay loaded once initialized (singleton pattern)”, however many threads
    and names ask for them.
    """
    steadytext.preload_models()
    loaded = engine_threads()
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda name: steadytext.generate(PROMPT, 2, model=name),
                ["tiny", str(TINY), None, "tiny"],
            )
        )

    assert loaded == engine_threads()


def test_batch_processing_gives_what_single_calls_give(no_cache: None) -> None:
    """“Batch processing”: `generate_batch` gives, in order, what `generate` gives for
    each prompt.
    """
    prompts = [*PROMPTS, "Hi"]
    alone = [
        steadytext.generate(prompt, 16, seed=9, temperature=0.9) for prompt in prompts
    ]

    assert alone == steadytext.generate_batch(prompts, 16, seed=9, temperature=0.9)
    assert [] == steadytext.generate_batch([])


def test_cache_warmup_populates_the_cache() -> None:
    """“Cache warmup: Pre-generate common prompts to populate cache”."""
    prompts = ["One", "Two", "Three"]
    steadytext.generate_batch(prompts, 8)

    assert all(steadytext.generate(prompt, 8).metadata["cached"] for prompt in prompts)


def test_length_control_controls_generation_time(no_cache: None) -> None:
    """“Use `max_new_tokens` to control response length and generation time”: no more
    tokens are decoded.
    """
    texts = [steadytext.generate(PROMPT, length) for length in (1, 4, 16)]

    assert [1, 4, 16] == [text.metadata["output_tokens"] for text in texts]
    assert len(texts[0]) < len(texts[1]) < len(texts[2])


# Error handling and edge cases


def test_empty_prompt_still_generates_deterministic_output(no_cache: None) -> None:
    """“Empty prompt handling”: “Still generates deterministic output”."""
    text = steadytext.generate("")

    assert len(text) > 0
    assert text == steadytext.generate("")
    assert text != steadytext.generate("", seed=1)


def test_very_long_prompt_is_truncated_to_the_context_window() -> None:
    """“Very long prompt handling (truncated to model's context window)”; the metadata
    says how much was left out.
    """
    long = steadytext.generate("Explain " * 1000 + "machine learning", 16)
    longer = steadytext.generate("Explain " * 20_000 + "machine learning", 16)
    short = steadytext.generate("Explain machine learning", 16)

    assert 0 == short.metadata["dropped_prompt_tokens"]
    assert (
        0
        < long.metadata["dropped_prompt_tokens"]
        < longer.metadata["dropped_prompt_tokens"]
    )
    assert (
        long.metadata["prompt_tokens"]
        == longer.metadata["prompt_tokens"]
        > short.metadata["prompt_tokens"]
    )


def test_very_long_prompt_keeps_its_head_and_its_tail() -> None:
    """A decision: what is left out is the middle. Other middles give the same text,
    another head or tail does not.
    """

    def logprobs(head: str, length: int, tail: str) -> Any:
        return steadytext.generate(
            head + " and so" * length + tail, 16, return_logprobs=True
        )

    text = logprobs("Begin.", 4000, " End.")

    assert text == logprobs("Begin.", 5000, " End.")
    assert text[1] != logprobs("Start.", 4000, " End.")[1]
    assert text[1] != logprobs("Begin.", 4000, " Stop.")[1]


def test_very_long_prompt_leaves_room_for_the_text() -> None:
    """How much is left out does not depend on the length asked for, so that a prefix
    stays a prefix.
    """
    prompt = "Explain " * 1000
    short, long = (
        steadytext.generate(prompt, length, temperature=1.0) for length in (4, 40)
    )

    assert (
        short.metadata["dropped_prompt_tokens"]
        == long.metadata["dropped_prompt_tokens"]
    )
    assert long.startswith(short)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_special_characters_and_unicode(no_cache: None, prompt: str) -> None:
    """“Special characters and Unicode”, “Newlines and formatting”: always a `str`,
    which UTF-8 can hold.
    """
    text = steadytext.generate(prompt, 16)

    assert isinstance(text, str)
    assert text == steadytext.generate(prompt, 16)
    assert text == text.encode().decode()


def test_newlines_are_part_of_the_prompt() -> None:
    """“Newlines and formatting”: lines are not run together."""
    lines, line = (
        "Write a function that:\n1. Takes a list\n2. Sorts it",
        "Write a function that: 1. Takes a list",
    )
    found = [
        steadytext.generate(prompt, 8).metadata["prompt_tokens"]
        for prompt in (lines, lines.replace("\n", ""))
    ]

    assert found[0] > found[1]
    assert steadytext.generate(lines) != steadytext.generate(line)


def test_concurrent_generation_gives_the_same(no_cache: None) -> None:
    """“Generate text for multiple prompts in parallel”: 8 threads, streams among them,
    give what one gives.
    """
    prompts = [f"{prompt} {number}" for number, prompt in enumerate(PROMPTS)]
    alone = [steadytext.generate(prompt, 16, seed=4) for prompt in prompts]
    with ThreadPoolExecutor(8) as pool:
        texts = list(
            pool.map(lambda prompt: steadytext.generate(prompt, 16, seed=4), prompts)
        )
        streams = list(
            pool.map(
                lambda prompt: "".join(steadytext.generate_iter(prompt, 16, seed=4)),
                prompts,
            )
        )

    assert alone == texts == streams


# The caller's process, and its network


def test_generate_touches_nothing_of_the_callers() -> None:
    """A decision: neither random state nor environment nor logging, and nothing is
    printed.
    """
    program = """
import logging, os, random, signal, subprocess
import numpy
random.seed(1), numpy.random.seed(1)
logging.basicConfig(level=logging.ERROR)
logging.getLogger("application").setLevel(logging.DEBUG)

def state():
    root = logging.getLogger()
    named = {name: (one.level, one.handlers, one.propagate, one.disabled)
             for name, one in logging.Logger.manager.loggerDict.items()
             if isinstance(one, logging.Logger) and not name.startswith("llama")}
    return {
        "random": random.getstate(),
        "numpy": repr(numpy.random.get_state()),
        "numpy errors": numpy.geterr(),
        "environment": dict(os.environ),
        "environment of a child": subprocess.run(["env"], capture_output=True).stdout,
        "root logger": (root.level, root.handlers[:], root.filters[:], root.disabled, logging.root.manager.disable),
        "logger": named["application"],
        "warnings": [repr(one) for one in warnings.filters],
        "showwarning": warnings.showwarning,
        "signals": [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
        "streams": (sys.stdout, sys.stderr, sys.stdin),
        "folder": os.getcwd(),
    }

from themis_lib import steadytext
before = state()
steadytext.preload_models()
steadytext.generate("Hello", seed=5, temperature=1.0, return_logprobs=True)
steadytext.generate("Hello", schema={"type": "integer"})
list(steadytext.generate_iter("Hello", 10))
steadytext.generate_batch(["Hello", "again"], 10, choices=["a", "b"])
after = state()
print(json.dumps([name for name in before if before[name] != after[name]]))
"""
    assert [] == in_new_process(program)


@pytest.fixture(scope="module")
def silent_hub() -> Iterator[str]:
    """The address of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def without_network(
    facts: Path, silent_hub: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What a process gives that chooses no model, on a machine where no hub answers."""
    program = f"""
import time
from themis_lib import ModelError, steadytext
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    begin = time.monotonic()
    texts = [steadytext.generate({PROMPT!r}, 4)]
    first_s = time.monotonic() - begin
    texts += [steadytext.generate({PROMPT!r}, 4, seed=1), "".join(steadytext.generate_iter({PROMPT!r}, 4))]
    begin = time.monotonic()
    try:
        named = steadytext.generate({PROMPT!r}, size="mini")
    except ModelError as error:
        named = str(error)
    named_s = time.monotonic() - begin
print(json.dumps({{
    "model": texts[0].metadata["model"], "texts": texts, "first_s": first_s, "named": named, "named_s": named_s,
    "warnings": [[one.category.__name__, str(one.message)] for one in caught],
}}))
"""
    found: dict[str, Any] = in_new_process(
        program,
        THEMIS_CACHE_DIR=str(facts.parent),
        THEMIS_MODEL=None,
        HF_HUB_OFFLINE=None,
        HF_ENDPOINT=silent_hub,
        HF_HOME=str(tmp_path_factory.mktemp("home")),
        HF_HUB_CACHE=None,
        NO_PROXY="127.0.0.1",
        no_proxy="127.0.0.1",
    )
    return found


def test_default_model_falls_to_tiny_without_a_network(
    without_network: dict[str, Any],
) -> None:
    """A decision: without a choice `small` if it can be had at once, “else `tiny` with
    one warning”.
    """
    ((category, message),) = without_network["warnings"]

    assert ("tiny", "UserWarning") == (without_network["model"], category)
    assert re.search(r"no model was chosen.*'small'.*THEMIS_MODEL=tiny", message)
    assert steadytext.generate(PROMPT, 4, model="tiny") == without_network["texts"][0]


def test_machine_without_a_network_never_waits(without_network: dict[str, Any]) -> None:
    """A decision: a hub that does not answer costs about a second, once; its own client
    would wait for ten and more.
    """
    assert without_network["first_s"] < 8
    assert without_network["named_s"] < 1


def test_named_model_out_of_reach_is_an_error(without_network: dict[str, Any]) -> None:
    """A size that was asked for is never another model in silence."""
    assert re.search(
        r"Qwen2.5-0.5B.*cannot be fetched.*does not answer",
        without_network["named"],
        re.IGNORECASE,
    )


def test_themis_model_is_the_model_without_a_choice(
    monkeypatch: pytest.MonkeyPatch, another_model: str
) -> None:
    """A decision: “`THEMIS_MODEL` if set”; an argument goes before it."""
    monkeypatch.setenv("THEMIS_MODEL", another_model)

    assert "another.gguf" == steadytext.generate(PROMPT, 4).metadata["model"]
    assert "tiny" == steadytext.generate(PROMPT, 4, model="tiny").metadata["model"]
