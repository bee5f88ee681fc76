"""Where rows go by batch."""

from __future__ import annotations

import pytest

from tests.support.batch_runs import batch_experiment
from tests.support.batch_server import BatchServer
from themis_lib import BatchConfig, InMemoryRunStore, Price
from themis_lib.adapters.openai_api import OpenAI
from themis_lib.adapters.openai_batches import OpenAIBatches
from themis_lib.core.batches import BatchLimits
from themis_lib.explain.plan import plan_run
from themis_lib.stages.batch_submissions import Submissions
from themis_lib.stages.batching import Batching
from themis_lib.storage.batch_ledger import BatchLedger


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> BatchServer:
    """One that is never started: nothing is to be sent."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    server = BatchServer()
    server.port = 1
    return server


@pytest.mark.parametrize(
    ("when", "share", "goes_by_batch"),
    [
        ("cheaper", 0.5, True),
        ("cheaper", 1.0, False),
        ("cheaper", None, False),
        ("always", None, True),
    ],
)
def test_when_rows_go_by_batch(
    server: BatchServer, when: str, share: float | None, goes_by_batch: bool
) -> None:
    """`cheaper` asks for a price that says so."""
    experiment = batch_experiment(server, when=when)
    price = Price(input=2.0, output=8.0, batch=share)
    cost = experiment.cost.model_copy(update={"prices": {"gpt-4.1": price}})

    stage = experiment.model_copy(update={"cost": cost}).compile().generate

    assert goes_by_batch is stage.goes_by_batch


def test_a_setting_of_batches_is_in_no_key(server: BatchServer) -> None:
    """Fingerprints are those of live calls."""
    live = batch_experiment(server, runtime={"batch": None}).compile()
    by_batch = batch_experiment(server, when="always", deadline_h=2.0).compile()

    assert live.fingerprint == by_batch.fingerprint


def test_a_plan_has_both_prices(server: BatchServer) -> None:
    """By batch and live; a live run has one."""
    by_batch = batch_experiment(server)
    live = batch_experiment(server, runtime={"batch": None})

    batched = plan_run(by_batch.compile(), by_batch.open_store())[0]
    plain = plan_run(live.compile(), live.open_store())[0]

    assert plain.cost is not None
    assert (plain.cost / 2, plain.cost) == (batched.cost, batched.live_cost)
    assert plain.live_cost is None


def test_chunks_keep_to_the_limits_of_a_provider() -> None:
    """As few batches as its rows and bytes allow; a line that is too long is alone."""
    limits = BatchLimits(rows=3, bytes=20)
    api = OpenAIBatches("responses", OpenAI(model="m"), limits)
    ledger = BatchLedger(InMemoryRunStore(), "generate", "f")
    submissions = Submissions(Batching(api, BatchConfig()), ledger)
    sizes = [5, 5, 5, 5, 12, 7, 30, 1]
    lines = {bytes([at]) * 16: b"x" * size for at, size in enumerate(sizes)}

    chunks = list(submissions.chunks(lines))

    expected = [[5, 5, 5], [5, 12], [7], [30], [1]]
    assert expected == [[len(line) for line in chunk.lines] for chunk in chunks]
    assert list(lines) == [key for chunk in chunks for key in chunk.keys]
