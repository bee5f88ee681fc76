"""A text has the same bits in any order, company or process, streamed or not."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.engine_subprocess import (
    answer_of,
    claiming,
    continuations,
    engine_of,
    exact,
    exact_token,
    long_request,
    short_request,
    workload,
)
from tests.support.generated import write_model
from themis_lib.engine.engine import Engine
from themis_lib.engine.generation import Generation, Request, Token
from themis_lib.engine.models import TINY
from themis_lib.engine.rating import Rated
from themis_lib.engine.sampling import Sampling
from themis_lib.errors import ModelError

EXTRA_TOKENS = 2000
QUANTIZATIONS = ("Q8_0", "F16", "Q4_K_M", "Q6_K")
#: Says that anything goes, which is true of few models.
CARELESS = {
    "decode": "equal",
    "width": 8,
    "narrowest": 1,
    "cut_at": 1,
    "shortest": 2,
    "threads_matter": False,
    "repacked": True,
    "numerics": "",
}
WAIT_S = 240


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The bundled model, or random weights of some quantisation and depth."""
    folder = tmp_path_factory.mktemp("models")
    layers = {"Q8_0": 4, "F16": 2, "Q4_K_M": 2, "Q6_K": 3, "IQ4_NL": 2}

    def found(name: str) -> Path:
        path = folder / f"{name}.gguf"
        if name == "tiny":
            return TINY
        if path.exists():
            return path
        return write_model(
            path, layers=layers[name], extra_tokens=EXTRA_TOKENS, quantization=name
        )

    return found


def at_once(engine: Engine, requests: list[Request]) -> list[Any]:
    return _results([engine.submit(request) for request in requests])


def shuffled(engine: Engine, requests: list[Request]) -> list[Any]:
    order = np.random.default_rng(9).permutation(len(requests)).tolist()
    futures = {place: engine.submit(requests[place]) for place in order}
    return _results([futures[place] for place in range(len(requests))])


def one_at_a_time(engine: Engine, requests: list[Request]) -> list[Any]:
    return [_results([engine.submit(request)])[0] for request in requests]


def from_eight_threads(engine: Engine, requests: list[Request]) -> list[Any]:
    found: dict[int, Any] = {}

    def ask(first: int) -> None:
        for place in range(first, len(requests), 8):
            found[place] = _results([engine.submit(requests[place])])[0]

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[place] for place in range(len(requests))]


def streamed(engine: Engine, requests: list[Request]) -> list[Any]:
    seen: list[list[Token]] = [[] for _ in requests]
    futures = [
        engine.submit(request, told.append)
        for request, told in zip(requests, seen, strict=True)
    ]
    return [
        [reason, [exact_token(token) for token in told]]
        for (reason, _), told in zip(_results(futures), seen, strict=True)
    ]


def after_unrelated_work(engine: Engine, requests: list[Request]) -> list[Any]:
    others = workload(engine.weights.n_vocab, count=len(requests) // 2, seed=77)
    given_up = [engine.submit(long_request()) for _ in range(5)]
    ratings = [
        engine.rate(other.prompt, [[1, 2, 3], [4] * 40]) for other in others[::4]
    ]
    futures: list[Future[Generation]] = []
    for request, other in zip(requests, [*others, *others], strict=False):
        engine.submit(other)
        futures.append(engine.submit(request))
    for future in given_up:
        future.cancel()
    for rating in ratings:
        rating.result(timeout=WAIT_S)
    return _results(futures)


WAYS = (
    at_once,
    shuffled,
    one_at_a_time,
    from_eight_threads,
    streamed,
    after_unrelated_work,
)


def _results(futures: list[Future[Generation]]) -> list[Any]:
    return [exact(future.result(timeout=WAIT_S)) for future in futures]


def differing(expected: list[Any], actual: list[Any]) -> list[int]:
    """Return the places where answers differ in a token, a text, a reason or a bit."""
    assert len(expected) == len(actual)
    return [
        place
        for place, (one, other) in enumerate(zip(expected, actual, strict=True))
        if one != other
    ]


def compare(path: Path, *, count: int, seed: int) -> None:
    engine = engine_of(path)
    requests = workload(engine.weights.n_vocab, count=count, seed=seed)
    expected = answer_of(
        "alone", model=str(path), n_vocab=engine.weights.n_vocab, count=count, seed=seed
    )
    for way in WAYS:
        assert [] == differing(expected, way(engine, requests)), way.__name__


@pytest.mark.parametrize(
    "name", ["tiny", pytest.param("Q4_K_M", marks=pytest.mark.slow)]
)
def test_a_text_has_the_same_bits_however_it_is_asked_for(model, name) -> None:
    """In a fresh process, at once, shuffled, from threads, streamed, after others."""
    compare(model(name), count=20, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["tiny", *QUANTIZATIONS])
def test_two_hundred_texts_have_the_same_bits_however_they_are_asked_for(
    model, name
) -> None:
    """As above, for every way that a model may have to be computed."""
    compare(model(name), count=200, seed=2)


def test_the_comparison_meets_every_rule() -> None:
    """Long prompts, shared beginnings; greedy, drawn, free and constrained texts."""
    requests = workload(2259, count=20, seed=1)
    lengths = [len(request.prompt) for request in requests]
    assert min(lengths) < 33
    assert sum(length > 512 for length in lengths) >= 3
    beginnings = [request.prompt[:32] for request in requests]
    assert len(set(beginnings)) <= len(beginnings) - 3
    assert {0, 1} == {request.sampling.temperature for request in requests}
    assert {"regex", "choices", "json_schema", None} == {
        r.constraint and r.constraint.kind for r in requests
    }
    assert any(request.sampling.repetition_penalty != 1 for request in requests)
    assert any(request.stops for request in requests)
    assert all(request.top_logprobs is not None for request in requests)


def test_the_comparison_finds_texts_decoded_beside_others_that_must_not_be(
    model,
) -> None:
    """Negative control: F16, with the claim that any number may be decoded together."""
    path = model("F16")
    engine = claiming(path, CARELESS)
    n_vocab = engine.weights.n_vocab
    requests = workload(n_vocab, count=16, seed=1)
    expected = answer_of(
        "alone", model=str(path), n_vocab=n_vocab, count=16, seed=1, claimed=CARELESS
    )
    try:
        assert [] == differing(expected, one_at_a_time(engine, requests))
        assert [] != differing(expected, at_once(engine, requests))
    finally:
        engine.close()


@pytest.mark.parametrize("name", ["F16", "IQ4_NL"])
def test_a_text_alone_has_the_bits_of_a_full_width(model, name) -> None:
    """Alone, with as few dummies as were found to suffice, and beside seven others."""
    invariance = engine_of(model(name)).invariance
    requests = workload(259 + EXTRA_TOKENS, count=16, seed=4)
    engine = claiming(model(name), asdict(invariance))
    full = claiming(model(name), {**asdict(invariance), "narrowest": invariance.width})
    try:
        assert ("fixed", 2, 8) == (
            invariance.decode,
            invariance.narrowest,
            invariance.width,
        )
        expected = one_at_a_time(full, requests)
        assert expected == one_at_a_time(engine, requests)
        assert expected == at_once(engine, requests)
    finally:
        engine.close()
        full.close()


@pytest.mark.parametrize(("cut", "is_true"), [((32, 32), True), ((1, 2), False)])
def test_the_comparison_finds_prompts_cut_where_they_must_not_be(
    model, cut, is_true
) -> None:
    """Negative control: Q4_K_M, the beginning of each prompt taken from the one
    before.
    """
    random = np.random.default_rng(3)
    beginning = random.integers(0, 2000, 70).tolist()
    prompts = [
        (
            *beginning,
            *random.integers(0, 2000, 2 + number % 5 + 40 * (number % 2)).tolist(),
        )
        for number in range(12)
    ]
    requests = [Request(prompt, 3, top_logprobs=3) for prompt in prompts]
    fixed = {**CARELESS, "decode": "fixed", "narrowest": 8}
    whole = claiming(model("Q4_K_M"), {**fixed, "cut_at": 0, "shortest": 0})
    shared = claiming(model("Q4_K_M"), {**fixed, "cut_at": cut[0], "shortest": cut[1]})
    try:
        assert is_true == (
            differing(one_at_a_time(whole, requests), one_at_a_time(shared, requests))
            == []
        )
    finally:
        whole.close()
        shared.close()


def _hex(rated: list[Rated]) -> list[list[str]]:
    return [[logprob.hex() for logprob in one.logprobs] for one in rated]


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("tiny", 2),
        ("Q4_K_M", 2),
        *(
            pytest.param(name, 40, marks=pytest.mark.slow)
            for name in ("tiny", *QUANTIZATIONS)
        ),
    ],
)
def test_a_continuation_is_rated_with_the_same_bits_however_it_is_asked_for(
    model, name, count
) -> None:
    """In a fresh process, after others of its prompt, reordered, and beside texts."""
    engine = engine_of(model(name))
    n_vocab = engine.weights.n_vocab
    asked = continuations(n_vocab, count=count, seed=5)
    expected = answer_of(
        "rated_alone", model=str(model(name)), n_vocab=n_vocab, count=count, seed=5
    )

    together = [engine.rate(prompt, found) for prompt, found in asked]
    assert expected == [_hex(future.result(timeout=WAIT_S)) for future in together]

    texts = [engine.submit(request) for request in workload(n_vocab, count=20, seed=6)]
    turned = [engine.rate(prompt, found[::-1]) for prompt, found in asked]
    assert expected == [_hex(future.result(timeout=WAIT_S))[::-1] for future in turned]
    assert 20 == len(_results(texts))


@pytest.mark.parametrize("name", ["tiny", "Q4_K_M"])
def test_the_rating_of_a_first_token_is_its_log_probability_when_generated(
    model, name
) -> None:
    """Bit for bit, for the chosen token and for those beside it."""
    engine = engine_of(model(name))
    for request in workload(engine.weights.n_vocab, count=8, seed=3):
        asked = Request(
            request.prompt, 1, seed=4, sampling=Sampling(temperature=1), top_logprobs=5
        )
        token = engine.submit(asked).result().tokens[0]
        known = {
            token.token: token.logprob,
            **{one.token: one.logprob for one in token.likely},
        }
        rated = engine.rate(request.prompt, [[one] for one in known]).result()
        assert [(logprob,) for logprob in known.values()] == [
            one.logprobs for one in rated
        ]
        likeliest = max(known, key=lambda one: known[one] or 0)
        assert [one == likeliest for one in known] == [one.is_greedy for one in rated]


@pytest.mark.parametrize("name", ["tiny", "Q4_K_M"])
def test_the_rating_of_a_text_is_what_its_tokens_had_when_generated(
    model, name
) -> None:
    """Bit for bit, as the tokens are decoded in the same way."""
    engine = engine_of(model(name))
    for request in workload(engine.weights.n_vocab, count=6, seed=8):
        generation = engine.submit(Request(request.prompt, 40, top_logprobs=1)).result()
        tokens = [token.token for token in generation.tokens]
        cut = [tokens[:length] for length in range(len(tokens) + 1)]
        *beginnings, rated = engine.rate(request.prompt, cut).result()
        logprobs = tuple(token.logprob for token in generation.tokens)
        assert Rated(logprobs, is_greedy=True) == rated
        assert [logprobs[:length] for length in range(len(tokens))] == [
            beginning.logprobs for beginning in beginnings
        ]
        (other,) = engine.rate(
            request.prompt, [[*tokens[:-1], tokens[-1] - 1]]
        ).result()
        assert not other.is_greedy
        assert [token.likely[0].logprob for token in generation.tokens] == [
            t.logprob for t in generation.tokens
        ]


@pytest.mark.parametrize("name", ["tiny", "Q4_K_M"])
def test_more_continuations_than_slots_are_rated_as_each_alone(model, name) -> None:
    """Bit for bit, in their order, beside texts and another rating."""
    engine = engine_of(model(name))
    prompt, *continuations = (
        list(found) for found in _random_tokens(engine.weights.n_vocab, 40, *range(30))
    )
    expected = [engine.rate(prompt, [one]).result()[0] for one in continuations]

    texts = [
        engine.submit(request)
        for request in workload(engine.weights.n_vocab, count=6, seed=9)
    ]
    other = engine.rate(prompt[:20], continuations[::-1])
    rated = engine.rate(prompt, continuations).result(timeout=WAIT_S)

    assert expected == rated
    assert [len(one) for one in continuations[::-1]] == [
        len(one.logprobs) for one in other.result(timeout=WAIT_S)
    ]
    assert 6 == len(_results(texts))


def _random_tokens(n_vocab: int, *lengths: int) -> list[list[int]]:
    random = np.random.default_rng(11)
    return [random.integers(0, n_vocab, length).tolist() for length in lengths]


def test_log_probabilities_of_all_tokens_sum_to_one(model) -> None:
    """All tokens as likely ones are a distribution, the likeliest first."""
    engine = engine_of(model("tiny"))
    n_vocab = engine.weights.n_vocab
    token = (
        engine.submit(Request((5, 6, 7), 1, top_logprobs=n_vocab)).result().tokens[0]
    )
    logprobs = [one.logprob for one in token.likely]
    assert sorted(range(n_vocab)) == sorted(one.token for one in token.likely)
    assert sorted(logprobs, reverse=True) == logprobs
    assert np.exp(logprobs).sum() == pytest.approx(1, abs=1e-9)


def test_a_shorter_text_is_a_beginning_of_a_longer_one(model) -> None:
    """Tokens, texts and log-probabilities alike."""
    engine = engine_of(model("Q4_K_M"))
    longer = engine.submit(
        Request((5, 6, 7), 40, seed=1, sampling=Sampling(temperature=1), top_logprobs=2)
    )
    for length in (1, 2, 17, 39):
        shorter = engine.submit(
            Request(
                (5, 6, 7),
                length,
                seed=1,
                sampling=Sampling(temperature=1),
                top_logprobs=2,
            )
        )
        assert longer.result().tokens[:length] == shorter.result().tokens
        assert "length" == shorter.result().finish_reason


@pytest.mark.parametrize("name", ["tiny", "F16", "Q4_K_M"])
def test_a_prompt_may_fill_the_window_but_for_a_token(model, name) -> None:
    """The text is then cut by its length; the next one has the same bits as before."""
    engine = claiming(
        model(name), asdict(engine_of(model(name)).invariance)
    )  # one thread: the slot is used again
    before = exact(engine.submit(short_request()).result())
    prompt = np.random.default_rng(0).integers(2, 250, engine.window).tolist()
    try:
        for missing in (1, 2, 3, 30):
            asked = Request(
                tuple(prompt[: engine.window - missing]), 100, ignore_eos=True
            )
            generation = engine.submit(asked).result()
            assert (missing + 1, "length") == (
                len(generation.tokens),
                generation.finish_reason,
            )
            assert before == exact(engine.submit(short_request()).result()), missing
    finally:
        engine.close()


@pytest.mark.parametrize("length", [0, 1024, 5000])
def test_a_prompt_that_is_empty_or_as_long_as_the_window_is_refused(
    model, length
) -> None:
    """At once, with the lengths it takes."""
    with pytest.raises(ModelError, match="this engine takes 1 to 1023"):
        engine_of(model("Q4_K_M")).submit(Request((5,) * length, 5))


def test_a_rating_that_does_not_fit_the_window_is_refused(model) -> None:
    """At once; what fits to the last token is rated, and nothing at all is nothing."""
    engine = engine_of(model("Q4_K_M"))
    with pytest.raises(
        ModelError,
        match="a continuation of 34 tokens; a prompt of 992 leaves room for 33",
    ):
        engine.rate([5] * 992, [[6], [6] * 34])
    with pytest.raises(ModelError, match="takes 1 to 1023"):
        engine.rate([], [[6]])
    (rated,) = engine.rate([5] * 992, [[6] * 33]).result()
    assert 33 == len(rated.logprobs)
    assert [] == engine.rate([5, 6], []).result()
    nothing = Rated((), is_greedy=True)
    assert [nothing, nothing] == engine.rate([5, 6], [[], []]).result()
