"""Prompts answered once: from the cache, else by the engine, else, where no model can
be loaded, by the fallback.
"""

from __future__ import annotations

import contextlib
import os
import queue
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from themis_lib.engine.build import load_llama_cpp
from themis_lib.engine.constraints.constraint import Constraint
from themis_lib.engine.engines import engine_for, engine_identity
from themis_lib.engine.generation import Generation, Likely, Request, Token
from themis_lib.engine.models import ModelFile, find_model
from themis_lib.engine.prompt import prompt_tokens
from themis_lib.engine.sampling import Sampling
from themis_lib.engine.text import TextStream
from themis_lib.errors import ModelError
from themis_lib.identity.digests import digest
from themis_lib.steadytext.cache import text_cache
from themis_lib.steadytext.fallback import fallback_pieces, warn_fallback

#: Goes up when the same settings give another text: a change in how prompts are
#: rendered or tokens chosen.
TEXT_VERSION = 1
_SLICE_S = 0.5


@dataclass(
    frozen=True,
    slots=True,
)
class Model:
    """A model file, and what beside it decides the text."""

    file: ModelFile
    identity: Mapping[str, Any] = field(hash=False)


@dataclass(
    frozen=True,
    slots=True,
)
class Question:
    """A prompt and everything that can change its text. Without a model the fallback
    answers.
    """

    prompt: str
    model: Model | None
    seed: int
    sampling: Sampling
    max_new_tokens: int
    stop: str
    constraint: Constraint | None

    @property
    def key(self) -> str:
        """What the cache knows the text by."""
        assert self.model is not None
        return digest(
            "text",
            {
                "version": TEXT_VERSION,
                "model": self.model.file.digest,
                "engine": dict(self.model.identity),
                "prompt": self.prompt,
                "seed": str(self.seed),
                "sampling": asdict(self.sampling),
                "max_new_tokens": self.max_new_tokens,
                "stop": self.stop,
                "constraint": self.constraint and self.constraint.identity,
            },
        )


@dataclass(
    frozen=True,
    slots=True,
)
class Answer:
    """A finished text, and how it came about."""

    generation: Generation
    prompt_tokens: int
    dropped_prompt_tokens: int
    source: Literal["engine", "cache", "fallback"]


def choose_model(**chosen: str | None) -> Model | None:
    """The model that the arguments of `find_model` choose; none, with one warning,
    where nothing can be loaded.

    Raises `ModelError` where a model was asked for by name, llama.cpp works, and that
    model cannot be used.
    """
    named = any(value is not None for value in chosen.values()) or bool(
        os.environ.get("THEMIS_MODEL")
    )
    try:
        load_llama_cpp()
    except ModelError as error:
        warn_fallback(str(error))
        return None
    try:
        file = find_model(**chosen)
        return Model(file, engine_identity(file))
    except ModelError as error:
        if named:
            raise
        warn_fallback(str(error))
        return None


def answers(
    questions: Sequence[Question],
    *,
    top_logprobs: int | None,
) -> list[Answer]:
    """The answers, in order; what several ask alike is generated once. An interrupt
    gives up what is not finished.
    """
    begun: dict[Question, _Begun] = {}
    found: dict[Question, Answer] = {}
    try:
        for question in questions:
            if question not in found and question not in begun:
                known = _cached_answer(question, top_logprobs)
                if known is not None:
                    found[question] = known
                else:
                    begun[question] = _begin_generation(question, top_logprobs)
        for question, running in begun.items():
            found[question] = _keep_answer(
                question,
                running,
                _wait_for_result(running.future),
                top_logprobs,
            )
    finally:
        for question, running in begun.items():
            if (
                not running.future.cancel()
                and question not in found
                and running.future.exception() is None
            ):
                _keep_answer(
                    question,
                    running,
                    running.future.result(),
                    top_logprobs,
                )
    return [found[question] for question in questions]


def stream(
    question: Question,
    *,
    top_logprobs: int | None,
) -> Iterator[Token]:
    """The tokens of an answer as they come. One that is left early is given up, and not
    kept.
    """
    known = _cached_answer(question, top_logprobs)
    if known is not None:
        yield from known.generation.tokens
        return
    tokens: queue.SimpleQueue[Token | None] = queue.SimpleQueue()
    running = _begin_generation(question, top_logprobs, tokens)
    try:
        while (token := _next_token(tokens)) is not None:
            yield token
        _keep_answer(
            question,
            running,
            _wait_for_result(running.future),
            top_logprobs,
        )
    finally:
        running.future.cancel()


@dataclass(
    frozen=True,
    slots=True,
)
class _Begun:
    future: Future[Generation]
    prompt_tokens: int
    dropped_prompt_tokens: int


def _begin_generation(
    question: Question,
    top_logprobs: int | None,
    tokens: queue.SimpleQueue[Token | None] | None = None,
) -> _Begun:
    assert question.model is not None
    engine = engine_for(question.model.file)
    messages = [{"role": "user", "content": question.prompt}]
    prompt = prompt_tokens(
        engine.weights,
        messages,
        template="auto",
        window=engine.window,
    )
    request = Request(
        prompt=prompt.tokens,
        max_tokens=question.max_new_tokens,
        seed=question.seed,
        sampling=question.sampling,
        stops=(question.stop,),
        constraint=question.constraint,
        top_logprobs=top_logprobs,
    )
    if tokens is None:
        future = engine.submit(request)
    else:
        future = engine.submit(request, tokens.put)
        future.add_done_callback(lambda _: tokens.put(None))
    return _Begun(future, len(prompt.tokens), prompt.dropped)


def _wait_for_result(future: Future[Generation]) -> Generation:
    """Waits in slices: an interrupt that comes just as a longer wait begins would be
    noticed at its end.
    """
    while not wait([future], timeout=_SLICE_S).done:
        pass
    return future.result()


def _next_token(tokens: queue.SimpleQueue[Token | None]) -> Token | None:
    while True:
        with contextlib.suppress(queue.Empty):
            return tokens.get(timeout=_SLICE_S)


def _cached_answer(
    question: Question,
    top_logprobs: int | None,
) -> Answer | None:
    if question.model is None:
        return Answer(
            _fallback_generation(question),
            0,
            0,
            "fallback",
        )
    entry = text_cache().get(question.key)
    return None if entry is None else _from_entry(entry, top_logprobs)


def _keep_answer(
    question: Question,
    running: _Begun,
    generation: Generation,
    top_logprobs: int | None,
) -> Answer:
    answer = Answer(
        generation,
        running.prompt_tokens,
        running.dropped_prompt_tokens,
        "engine",
    )
    text_cache().put(question.key, _answer_entry(answer, top_logprobs))
    return answer


def _fallback_generation(question: Question) -> Generation:
    """Raises `ModelError` for a constraint that takes a model to meet."""
    choices = None
    if question.constraint is not None:
        if question.constraint.kind != "choices":
            kind = question.constraint.kind
            raise ModelError(
                f"no model could be loaded, and without one no text can satisfy a {kind}"
            )
        choices = question.constraint.source["value"]
    longest = question.max_new_tokens
    pieces = fallback_pieces(
        question.prompt,
        seed=question.seed,
        max_new_tokens=longest + 1,
        choices=choices,
    )
    stream = TextStream(() if choices else (question.stop,))
    tokens = []
    for piece in pieces[:longest]:
        tokens.append(Token(-1, stream.feed(piece.encode())))
        if stream.stopped:
            return Generation(tuple(tokens), "stop")
    if len(pieces) > longest:
        return Generation(tuple(tokens), "length")
    if rest := stream.end():
        tokens[-1] = Token(-1, tokens[-1].text + rest)
    return Generation(tuple(tokens), "stop")


def _answer_entry(
    answer: Answer,
    top_logprobs: int | None,
) -> dict[str, Any]:
    """An answer as JSON: tokens, not words, so that a stream from the cache has the
    same items.
    """
    return {
        "tokens": [
            [
                token.token,
                token.text,
                token.logprob,
                [[one.token, one.text, one.logprob] for one in token.likely],
            ]
            for token in answer.generation.tokens
        ],
        "finish_reason": answer.generation.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "dropped_prompt_tokens": answer.dropped_prompt_tokens,
        "top_logprobs": top_logprobs,
    }


def _from_entry(
    entry: Mapping[str, Any],
    top_logprobs: int | None,
) -> Answer | None:
    """An answer from its entry; None where it lacks the log-probabilities asked for or
    is of another form.
    """
    try:
        if top_logprobs is not None and (
            entry["top_logprobs"] is None or entry["top_logprobs"] < top_logprobs
        ):
            return None
        tokens = tuple(
            Token(
                token,
                str(text),
                None,
                (),
            )
            if top_logprobs is None
            else Token(
                token,
                str(text),
                logprob,
                tuple(Likely(*one) for one in likely[:top_logprobs]),
            )
            for token, text, logprob, likely in entry["tokens"]
        )
        generation = Generation(tokens, entry["finish_reason"])
        return Answer(
            generation,
            entry["prompt_tokens"],
            entry["dropped_prompt_tokens"],
            "cache",
        )
    except (KeyError, TypeError, ValueError):
        return None
