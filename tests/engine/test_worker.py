"""A worker takes work from its inbox until it is stopped, and fails what is left
then.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator

import pytest

from themis_lib.engine.generation import Request
from themis_lib.engine.invariance import Invariance
from themis_lib.engine.models import TINY
from themis_lib.engine.rating import Rating
from themis_lib.engine.sequence import LiveSequence
from themis_lib.engine.weights import Weights
from themis_lib.engine.worker import Work, Worker
from themis_lib.errors import ModelError

#: What was measured of the bundled model.
FREE = Invariance(
    decode="equal",
    width=8,
    narrowest=1,
    cut_at=1,
    shortest=2,
    threads_matter=False,
    repacked=True,
    numerics="",
)
WINDOW = 256
WAIT_S = 60

Inbox = queue.SimpleQueue[Work | None]
StartWorker = Callable[[Inbox], Worker]


@pytest.fixture(scope="module")
def weights() -> Weights:
    return Weights(TINY)


@pytest.fixture
def start_worker(weights: Weights) -> Iterator[StartWorker]:
    """Start workers that are stopped at the end, idle ones too."""
    started: list[tuple[Worker, Inbox]] = []

    def start(inbox: Inbox) -> Worker:
        worker = Worker(weights, FREE, inbox, window=WINDOW, slots=2, threads=1)
        started.append((worker, inbox))
        return worker

    yield start
    for worker, _ in started:
        worker.stop()
    for _, inbox in started:
        inbox.put(None)
    for worker, _ in started:
        worker.close()


def text(weights: Weights, first: int, *, length: int = 8) -> LiveSequence:
    request = Request((first, 6, 7), length, ignore_eos=True, top_logprobs=0)
    return LiveSequence(request, weights, room=WINDOW, on_token=None)


def test_more_texts_than_slots_are_all_finished(
    weights: Weights,
    start_worker: StartWorker,
) -> None:
    """Each as it is alone, ratings between them too."""
    inbox: Inbox = queue.SimpleQueue()
    start_worker(inbox)
    alone = []
    for first in range(10, 16):
        sequence = text(weights, first)
        inbox.put(sequence)
        alone.append(sequence.future.result(timeout=WAIT_S))
    together = [text(weights, first) for first in range(10, 16)]
    rating = Rating([5, 6, 7], [[8, 9], [8], []])
    for work in (*together[:3], rating, *together[3:]):
        inbox.put(work)

    assert alone == [one.future.result(timeout=WAIT_S) for one in together]
    rated = rating.future.result(timeout=WAIT_S)
    assert [2, 1, 0] == [len(one.logprobs) for one in rated]
    assert rated[0].logprobs[0] == rated[1].logprobs[0]


def test_workers_may_share_an_inbox(
    weights: Weights,
    start_worker: StartWorker,
) -> None:
    inbox: Inbox = queue.SimpleQueue()
    start_worker(inbox)
    start_worker(inbox)
    sequences = [text(weights, 10) for _ in range(12)]
    for sequence in sequences:
        inbox.put(sequence)
    found = [sequence.future.result(timeout=WAIT_S) for sequence in sequences]

    assert [found[0]] * 12 == found


def test_a_stopped_worker_fails_what_is_in_progress(
    weights: Weights,
    start_worker: StartWorker,
) -> None:
    inbox: Inbox = queue.SimpleQueue()
    worker = start_worker(inbox)
    running: list[int] = []

    def stop_soon(_: object) -> None:
        running.append(1)
        if len(running) == 3:
            worker.stop()

    request = Request((5, 6, 7), 200, ignore_eos=True)
    sequence = LiveSequence(request, weights, room=WINDOW, on_token=stop_soon)
    inbox.put(sequence)

    with pytest.raises(ModelError, match="the engine was closed"):
        sequence.future.result(timeout=WAIT_S)
    assert 3 == len(running)


def test_work_that_was_given_up_is_left_out(
    weights: Weights,
    start_worker: StartWorker,
) -> None:
    told: list[object] = []
    inbox: Inbox = queue.SimpleQueue()
    request = Request((5, 6, 7), 8)
    given_up = LiveSequence(request, weights, room=WINDOW, on_token=told.append)
    given_up.future.cancel()
    inbox.put(given_up)
    after = text(weights, 10)
    inbox.put(after)
    start_worker(inbox)

    assert 8 == len(after.future.result(timeout=WAIT_S).tokens)
    assert [] == told


def test_a_prompt_that_llama_cpp_refuses_fails_alone(
    weights: Weights,
    start_worker: StartWorker,
) -> None:
    """The engine checks its tokens beforehand; the worker goes on where it does not."""
    inbox: Inbox = queue.SimpleQueue()
    start_worker(inbox)
    request = Request((5, 10**6), 8)
    refused = LiveSequence(request, weights, room=WINDOW, on_token=None)
    inbox.put(refused)
    with pytest.raises(ModelError, match="could not decode 2 tokens"):
        refused.future.result(timeout=WAIT_S)
    after = text(weights, 10)
    inbox.put(after)

    assert 8 == len(after.future.result(timeout=WAIT_S).tokens)
