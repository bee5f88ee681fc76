"""Answers to questions: from the cache, else from the engine.

Where no model can be loaded, the fallback answers. What several questions ask alike is
generated once.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass

from themis_lib.engine.build import load_llama_cpp
from themis_lib.engine.engines import engine_for, engine_identity
from themis_lib.engine.generation import Generation, Request, Token
from themis_lib.engine.models import find_model
from themis_lib.engine.prompt import prompt_tokens
from themis_lib.engine.text import TextStream
from themis_lib.errors import ModelError
from themis_lib.steadytext.cache import text_cache
from themis_lib.steadytext.fallback import fallback_pieces, warn_fallback
from themis_lib.steadytext.question import Answer, LocalModel, Question

#: Seconds per wait on the engine. An interrupt that comes just as a wait begins is
#: noticed only at its end.
_SLICE_S = 0.5


def choose_model(**chosen: str | None) -> LocalModel | None:
    """Return the model that the arguments of `find_model` choose.

    A model that is named, by an argument or by `THEMIS_MODEL`, is used or is an error:
    `ModelError` where llama.cpp, the file or the memory are missing. Without a name,
    `None` stands for a default model that cannot be used, with one warning per process
    and reason.
    """
    is_named = any(value is not None for value in chosen.values()) or bool(
        os.environ.get("THEMIS_MODEL")
    )
    try:
        load_llama_cpp()
        file = find_model(**chosen)
        return LocalModel(file, engine_identity(file))
    except ModelError as error:
        # A fixed text in place of the model that was asked for would go unnoticed.
        if is_named:
            raise
        warn_fallback(str(error))
        return None


def answers(
    questions: Sequence[Question],
    *,
    top_logprobs: int | None,
) -> list[Answer]:
    """Return the answers, in order.

    An interrupt cancels what is not finished; what is finished is cached all the same.
    """
    started: dict[Question, _Generating] = {}
    found: dict[Question, Answer] = {}
    try:
        for question in questions:
            if question in found or question in started:
                continue
            known = _find_known(question, top_logprobs)
            if known is not None:
                found[question] = known
            else:
                started[question] = _start_generating(question, top_logprobs)
        for question, generating in started.items():
            generation = _wait_for_result(generating.future)
            found[question] = _keep_answer(
                question,
                generating,
                generation,
                top_logprobs,
            )
    finally:
        # A generation that cannot be cancelled has finished, or failed: keep what one
        # question's failure, or an interrupt, left behind.
        for question, generating in started.items():
            future = generating.future
            if future.cancel() or question in found:
                continue
            if future.exception() is None:
                _keep_answer(
                    question,
                    generating,
                    future.result(),
                    top_logprobs,
                )
    return [found[question] for question in questions]


def stream(
    question: Question,
    *,
    top_logprobs: int | None,
) -> Iterator[Token]:
    """Yield the tokens of an answer as they come.

    A stream that is closed early is cancelled, and its answer is not cached.
    """
    known = _find_known(question, top_logprobs)
    if known is not None:
        yield from known.generation.tokens
        return
    tokens: queue.SimpleQueue[Token | None] = queue.SimpleQueue()
    generating = _start_generating(question, top_logprobs, tokens)
    try:
        while True:
            try:
                token = tokens.get(timeout=_SLICE_S)
            except queue.Empty:
                continue
            if token is None:
                break
            yield token
        generation = _wait_for_result(generating.future)
        _keep_answer(
            question,
            generating,
            generation,
            top_logprobs,
        )
    finally:
        generating.future.cancel()


@dataclass(
    frozen=True,
    slots=True,
)
class _Generating:
    """A generation that the engine has in flight, and how long its prompt is."""

    future: Future[Generation]
    prompt_tokens: int
    dropped_prompt_tokens: int


def _find_known(
    question: Question,
    top_logprobs: int | None,
) -> Answer | None:
    """Return the answer that needs no engine: the cache's, or the fallback's."""
    if question.model is None:
        generation = _generate_fallback(question)
        return Answer(
            generation,
            prompt_tokens=0,
            dropped_prompt_tokens=0,
            source="fallback",
        )
    entry = text_cache().get(question.key)
    if entry is None:
        return None
    return Answer.from_entry(entry, top_logprobs)


def _generate_fallback(question: Question) -> Generation:
    """Return the fallback's text.

    Raises `ModelError` for a constraint that only a model can satisfy.
    """
    choices = None
    if question.constraint is not None:
        if question.constraint.kind != "choices":
            kind = question.constraint.kind
            raise ModelError(
                "no model could be loaded, and without one no text can satisfy "
                f"a {kind}"
            )
        choices = question.constraint.source["value"]
    max_tokens = question.max_new_tokens
    # One piece more than is given, to tell a text that ends here from one cut short.
    pieces = fallback_pieces(
        question.prompt,
        seed=question.seed,
        max_new_tokens=max_tokens + 1,
        choices=choices,
    )
    # A choice is given whole, even if the stop string is part of it.
    stream = TextStream(() if choices else (question.stop,))
    tokens = []
    for piece in pieces[:max_tokens]:
        # -1 is no token's number: a piece is a word, and no vocabulary has it.
        tokens.append(Token(-1, stream.feed(piece.encode())))
        if stream.stopped:
            return Generation(tuple(tokens), "stop")
    if len(pieces) > max_tokens:
        return Generation(tuple(tokens), "length")
    # The text held back as a possible beginning of the stop string.
    rest = stream.end()
    if rest:
        tokens[-1] = Token(-1, tokens[-1].text + rest)
    return Generation(tuple(tokens), "stop")


def _start_generating(
    question: Question,
    top_logprobs: int | None,
    tokens: queue.SimpleQueue[Token | None] | None = None,
) -> _Generating:
    """Submit a question to the engine; `tokens` gets each token, then `None`."""
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
        # Also after a failure or a cancellation: without it the reader waits for ever.
        future.add_done_callback(lambda _: tokens.put(None))
    return _Generating(future, len(prompt.tokens), prompt.dropped)


def _wait_for_result(future: Future[Generation]) -> Generation:
    while not wait([future], timeout=_SLICE_S).done:
        pass
    return future.result()


def _keep_answer(
    question: Question,
    generating: _Generating,
    generation: Generation,
    top_logprobs: int | None,
) -> Answer:
    answer = Answer(
        generation,
        prompt_tokens=generating.prompt_tokens,
        dropped_prompt_tokens=generating.dropped_prompt_tokens,
        source="engine",
    )
    text_cache().put(question.key, answer.to_entry(top_logprobs))
    return answer
