"""Answers to questions: from the cache, the engine or the fallback."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.llama import needs_llama
from tests.support.new_process import in_new_process
from themis_lib import ConfigError, ModelError, steadytext
from themis_lib.engine.constraints.constraint import constraint
from themis_lib.engine.models import TINY
from themis_lib.engine.sampling import Sampling
from themis_lib.steadytext.answers import answers, choose_model, stream
from themis_lib.steadytext.cache import text_cache
from themis_lib.steadytext.question import LocalModel, Question

pytestmark = [
    pytest.mark.usefixtures("empty_cache"),
    needs_llama,
]

PROMPT = "Tell me about a river."


@pytest.fixture
def tiny() -> LocalModel:
    chosen = choose_model(model="tiny")
    assert chosen is not None
    return chosen


def ask(model: LocalModel | None, prompt: str = PROMPT, **changes: Any) -> Question:
    question = Question(
        prompt=prompt,
        model=model,
        seed=42,
        sampling=Sampling(),
        max_new_tokens=8,
        stop="[EOS]",
        constraint=None,
    )
    return replace(question, **changes)


def text_of(question: Question, *, top_logprobs: int | None = None) -> str:
    (answer,) = answers([question], top_logprobs=top_logprobs)
    return answer.generation.text


# Models


def test_model_is_chosen_as_find_model_chooses() -> None:
    """A name, and the path of the same file, are one model with one engine."""
    named, found = choose_model(model="tiny"), choose_model(model=str(TINY))

    assert named is not None
    assert found is not None
    assert ("tiny", TINY.name) == (named.file.name, found.file.name)
    assert named.file.digest == found.file.digest
    assert named.identity == found.identity


@pytest.mark.parametrize("chosen", [{"model": "tinny"}, {"size": "huge"}])
def test_named_model_that_cannot_be_used_is_an_error(chosen: dict[str, str]) -> None:
    """A model that was asked for is never replaced in silence."""
    with pytest.raises(ModelError, match=next(iter(chosen))):
        choose_model(**chosen)


def test_named_by_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """`THEMIS_MODEL` asks for a model by name too."""
    monkeypatch.setenv("THEMIS_MODEL", "tinny")

    with pytest.raises(ModelError, match="tinny"):
        choose_model(model=None)


# Answers


def test_answers_come_in_order(tiny: LocalModel) -> None:
    """Whatever was cached before, each question has its own answer in its place."""
    questions = [ask(tiny, prompt) for prompt in ("One", "Two", "Three")]
    alone = [text_of(questions[1])]

    found = answers(questions, top_logprobs=None)

    assert ["engine", "cache", "engine"] == [answer.source for answer in found]
    assert alone == [found[1].generation.text]
    assert [text_of(question) for question in questions] == [
        answer.generation.text for answer in found
    ]


def test_no_questions_have_no_answers() -> None:
    """Nothing is loaded for an empty list."""
    assert [] == answers([], top_logprobs=None)


def test_equal_questions_share_an_answer(tiny: LocalModel) -> None:
    """Equal questions have one answer, which counts as the engine's for each."""
    first, other, again = answers(
        [ask(tiny), ask(tiny, "Another"), ask(tiny)], top_logprobs=None
    )

    assert first is again
    assert first is not other
    assert "engine" == again.source


def test_answer_comes_from_the_cache_the_second_time(tiny: LocalModel) -> None:
    """Everything but its source is the same, the log-probabilities bit for bit."""
    (first,) = answers([ask(tiny)], top_logprobs=3)
    (second,) = answers([ask(tiny)], top_logprobs=3)

    assert replace(first, source="cache") == second


def test_more_logprobs_are_generated_and_then_kept(tiny: LocalModel) -> None:
    """An answer with fewer log-probabilities than asked for is replaced by one that
    serves both.
    """
    sources = []
    for top_logprobs in (None, 2, 5, 2, None):
        (answer,) = answers([ask(tiny)], top_logprobs=top_logprobs)
        sources.append(answer.source)

    assert ["engine", "engine", "engine", "cache", "cache"] == sources


def test_one_failure_costs_no_other_answer(tiny: LocalModel) -> None:
    """What was finished when another question failed is kept."""
    impossible = constraint(regex="[0-9a-z]{64}")
    good = ask(tiny)
    bad = ask(tiny, constraint=impossible, max_new_tokens=2)

    with pytest.raises(ConfigError, match="max_new_tokens is 2"):
        answers([good, bad], top_logprobs=None)

    (again,) = answers([good], top_logprobs=None)
    assert "cache" == again.source


def test_prompt_tokens_are_counted(tiny: LocalModel) -> None:
    """A prompt that is too long is cut to the window, and the answer says by how
    much.
    """
    short, long = answers([ask(tiny), ask(tiny, "Explain " * 5000)], top_logprobs=None)

    assert 0 == short.dropped_prompt_tokens
    assert long.dropped_prompt_tokens > 0
    assert short.prompt_tokens < long.prompt_tokens


# Streams


@pytest.mark.parametrize("top_logprobs", [None, 3])
def test_stream_has_the_tokens_of_the_answer(
    tiny: LocalModel, top_logprobs: int | None
) -> None:
    """Live or from the cache, a stream yields the tokens of the answer, and keeps
    it.
    """
    question = ask(tiny)

    live = list(stream(question, top_logprobs=top_logprobs))
    (answer,) = answers([question], top_logprobs=top_logprobs)
    cached = list(stream(question, top_logprobs=top_logprobs))

    assert "cache" == answer.source
    assert list(answer.generation.tokens) == live == cached


def test_stream_that_is_closed_early_is_not_cached(tiny: LocalModel) -> None:
    """The beginning of an answer is not taken for the whole one."""
    question = ask(tiny, max_new_tokens=200)
    tokens = stream(question, top_logprobs=None)
    next(tokens)
    tokens.close()  # type: ignore[attr-defined]

    assert None is text_cache().get(question.key)


def test_stream_passes_a_failure_on(tiny: LocalModel) -> None:
    """A question that the engine refuses ends its stream with the error."""
    bad = ask(tiny, constraint=constraint(regex="[0-9a-z]{64}"), max_new_tokens=2)

    with pytest.raises(ConfigError, match="max_new_tokens is 2"):
        list(stream(bad, top_logprobs=None))


def test_stream_that_is_left_early_is_not_kept() -> None:
    """The beginning of a text is not taken for the whole one later."""
    stream = steadytext.generate_iter(PROMPT)
    next(stream)
    stream.close()
    text = steadytext.generate(PROMPT)

    assert not text.metadata["cached"]
    assert text == "".join(steadytext.generate_iter(PROMPT))


def test_cached_text_without_logprobs_gets_them() -> None:
    """Log-probabilities asked for later are real too, and the text stays."""
    text = steadytext.generate(PROMPT)
    again, logprobs = steadytext.generate(PROMPT, return_logprobs=True)

    assert text == again == "".join(logprobs["tokens"])
    assert all(value < 0 for value in logprobs["token_logprobs"])
    assert steadytext.generate(PROMPT).metadata["cached"]


def test_text_of_generate_is_cached_for_generate_iter() -> None:
    """The two functions share their cache, whichever asked first."""
    pieces = list(steadytext.generate_iter(PROMPT))

    assert steadytext.generate(PROMPT).metadata["cached"]
    assert pieces == list(steadytext.generate_iter(PROMPT))


# The fallback


def test_fallback_answers_without_a_model() -> None:
    """A question without a model is answered at once, and nothing is kept."""
    (answer,) = answers([ask(None)], top_logprobs=5)

    assert ("fallback", 0, 0, "length") == (
        answer.source,
        answer.prompt_tokens,
        answer.dropped_prompt_tokens,
        answer.generation.finish_reason,
    )
    assert 8 == len(answer.generation.tokens)
    assert {(-1, None)} == {
        (token.token, token.logprob) for token in answer.generation.tokens
    }
    assert list(answer.generation.tokens) == list(stream(ask(None), top_logprobs=None))


def test_shorter_fallback_is_a_prefix_of_a_longer_one() -> None:
    """As with a model."""
    texts = [text_of(ask(None, max_new_tokens=length)) for length in (1, 2, 5, 40)]

    for shorter, longer in itertools.pairwise(texts):
        assert longer.startswith(shorter)
        assert len(shorter) < len(longer)


def test_whole_fallback_ends_by_itself() -> None:
    """A text with room to spare is not cut, also where its length is exactly the
    limit.
    """
    (whole,) = answers([ask(None, max_new_tokens=512)], top_logprobs=None)
    length = len(whole.generation.tokens)

    (exact, cut) = answers(
        [ask(None, max_new_tokens=length), ask(None, max_new_tokens=length - 1)],
        top_logprobs=None,
    )

    assert "stop" == whole.generation.finish_reason
    assert whole == exact
    assert "length" == cut.generation.finish_reason


def test_stop_string_ends_the_fallback() -> None:
    """It may span pieces, and is no part of the text."""
    whole = text_of(ask(None, max_new_tokens=512))
    stop = whole[8:20]

    (answer,) = answers([ask(None, max_new_tokens=512, stop=stop)], top_logprobs=None)

    assert whole[: whole.index(stop)] == answer.generation.text
    assert "stop" == answer.generation.finish_reason


def test_text_held_back_for_a_stop_string_is_not_lost() -> None:
    """Where the text ends as a stop string begins, the held-back end is given."""
    whole = text_of(ask(None, max_new_tokens=512))

    assert whole == text_of(ask(None, max_new_tokens=512, stop=whole[-6:] + "!"))


def test_choice_of_the_fallback_is_whole() -> None:
    """A stop string, or a limit of one token, does not cut a choice."""
    choices = constraint(choices=["yes and no", "no and yes"])

    text = text_of(ask(None, constraint=choices, stop="and", max_new_tokens=1))

    assert text in ("yes and no", "no and yes")


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [({"regex": "a"}, "regex"), ({"schema": {"type": "integer"}}, "json_schema")],
)
def test_other_constraints_need_a_model(arguments: dict[str, Any], kind: str) -> None:
    """No text of the fallback is said to satisfy them."""
    question = ask(None, constraint=constraint(**arguments))

    with pytest.raises(ModelError, match=f"no text can satisfy a {kind}"):
        answers([question], top_logprobs=None)
    with pytest.raises(ModelError, match=f"no text can satisfy a {kind}"):
        list(stream(question, top_logprobs=None))


# A process without llama.cpp


WITHOUT_MODELS = """
import os

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "llama_cpp":
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
from themis_lib import steadytext

def error_of(**arguments):
    try:
        return steadytext.generate("test prompt", **arguments)
    except steadytext_error as error:
        return str(error)

from themis_lib import InputError as steadytext_error
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    seeds = (42, 42, 0, 100, 123)
    prompts = ("test prompt", "another", "", "🤖 人工智能", "\\ud800")
    choices = ["yes", "no"]
    texts = [steadytext.generate("test prompt", seed=seed) for seed in seeds]
    steadytext.preload_models()
    found = {
        "texts": texts,
        "metadata": texts[-1].metadata,
        "types": [isinstance(text, str) for text in texts],
        "prompts": [steadytext.generate(prompt) for prompt in prompts],
        "stream": list(steadytext.generate_iter("test prompt")),
        "stream_logprobs": list(
            steadytext.generate_iter("test prompt", 3, include_logprobs=True)
        ),
        "logprobs": steadytext.generate("test prompt", return_logprobs=True),
        "batch": steadytext.generate_batch(["test prompt"] * 2, seed=[42, 123]),
        "short": [steadytext.generate("test prompt", length) for length in (1, 5, 9)],
        "short_metadata": steadytext.generate("test prompt", 5).metadata,
        "stopped": steadytext.generate("test prompt", eos_string=texts[0][8:12]),
        "named": [
            error_of(**chosen) for chosen in ({"size": "tiny"}, {"model": "tiny"})
        ],
        "choices": [
            steadytext.generate("test prompt", seed=seed, choices=choices)
            for seed in range(20)
        ],
        "schema": error_of(schema={"type": "integer"}),
        "seed": error_of(seed=-1),
        "length": error_of(max_new_tokens=0),
        "remote": error_of(model="openai:gpt-4o-mini"),
    }
    os.environ["THEMIS_MODEL"] = "tiny"
    found["named"].append(error_of())
found["warnings"] = [[one.category.__name__, str(one.message)] for one in caught]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def without_models(facts: Path) -> dict[str, Any]:
    """What a process gives that cannot import llama.cpp's binding."""
    found: dict[str, Any] = in_new_process(
        WITHOUT_MODELS, THEMIS_CACHE_DIR=str(facts.parent), THEMIS_MODEL=None
    )
    return found


def test_fallback_is_deterministic(without_models: dict[str, Any]) -> None:
    """“Even without models, these return deterministic results based on seed”: “same
    seed, same fallback”.
    """
    again = in_new_process(
        "sys.modules['llama_cpp'] = None\nwarnings.simplefilter('ignore')\nfrom "
        "themis_lib import steadytext\n"
        "print(json.dumps([steadytext.generate('test prompt', seed=seed) for seed in "
        "(42, 42, 0, 100, 123)]))",
        PYTHONHASHSEED="3",
        THEMIS_MODEL=None,
    )

    assert without_models["texts"][0] == without_models["texts"][1]
    assert without_models["texts"] == again


def test_fallback_always_has_content(without_models: dict[str, Any]) -> None:
    """“Always has content”, whatever the prompt, and always a `str`."""
    assert all(
        text.strip() for text in without_models["texts"] + without_models["prompts"]
    )
    assert all(without_models["types"])


def test_fallback_respects_custom_seeds_for_variation(
    without_models: dict[str, Any],
) -> None:
    """“Different seed, different fallback”: all are different due to different
    seeds.
    """
    assert 4 == len(set(without_models["texts"]))


def test_fallback_differs_by_prompt(without_models: dict[str, Any]) -> None:
    """A decision: another prompt is another text."""
    assert 5 == len(set(without_models["prompts"]))


def test_fallback_is_visible_in_the_metadata(without_models: dict[str, Any]) -> None:
    """A decision: a text of no model says so, and a text of a model says that too."""
    metadata = without_models["metadata"]

    assert (True, None, 123) == (
        metadata["fallback"],
        metadata["model"],
        metadata["seed"],
    )
    assert steadytext.generate(PROMPT, 2).metadata["fallback"] is False


def test_fallback_warns_once(without_models: dict[str, Any]) -> None:
    """A decision: one warning in all these calls, with the reason and the command to
    run.
    """
    ((category, message),) = without_models["warnings"]

    assert "RuntimeWarning" == category
    assert re.search(
        r"no model could be loaded.*llama-cpp-python.*pip install", message
    )


def test_fallback_streams_the_same(without_models: dict[str, Any]) -> None:
    """`"".join(generate_iter(x)) == generate(x)` holds without models, and so does a
    batch.
    """
    assert len(without_models["stream"]) > 5
    assert without_models["texts"][0] == "".join(without_models["stream"])
    assert [without_models["texts"][0], without_models["texts"][4]] == without_models[
        "batch"
    ]


def test_fallback_has_no_logprobs(without_models: dict[str, Any]) -> None:
    """`Tuple[str, Optional[Dict]]`: without a model there are no log-probabilities, and
    none are made up.
    """
    assert [without_models["texts"][0], None] == without_models["logprobs"]
    assert [[piece, None] for piece in without_models["stream"][:3]] == without_models[
        "stream_logprobs"
    ]


def test_fallback_keeps_to_max_new_tokens(without_models: dict[str, Any]) -> None:
    """`max_new_tokens` is the most pieces, fewer are a prefix of more, and a text that
    was cut says so.
    """
    assert [
        "".join(without_models["stream"][:length]) for length in (1, 5, 9)
    ] == without_models["short"]
    assert (5, "length") == tuple(
        without_models["short_metadata"][name]
        for name in ("output_tokens", "finish_reason")
    )


def test_fallback_ends_at_the_eos_string(without_models: dict[str, Any]) -> None:
    """`eos_string` ends a text without a model as well."""
    text = without_models["texts"][0]

    assert text[: text.index(text[8:12])] == without_models["stopped"]


def test_named_model_without_llama_cpp_is_an_error(
    without_models: dict[str, Any],
) -> None:
    """By an argument or by `THEMIS_MODEL`: a name is never answered by the fallback."""
    assert 3 == len(without_models["named"])
    for error in without_models["named"]:
        assert "llama" in error
        assert "pip install" in error


def test_fallback_satisfies_choices_and_refuses_other_constraints(
    without_models: dict[str, Any],
) -> None:
    """What a constraint asks for holds: a choice is one of them, and what takes a model
    to meet is an error.
    """
    assert {"yes", "no"} == set(without_models["choices"])
    assert "no text can satisfy a json_schema" in without_models["schema"]


def test_fallback_refuses_what_a_model_refuses(without_models: dict[str, Any]) -> None:
    """Wrong arguments are errors without a model as well."""
    assert "seed=-1" in without_models["seed"]
    assert "max_new_tokens=0" in without_models["length"]
    assert "unsafe_mode=True" in without_models["remote"]
