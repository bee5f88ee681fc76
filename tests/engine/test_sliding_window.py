"""Beyond the window of a model, texts have the same bits in each way of asking, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engine_subprocess import answer_of, engine_of, exact, workload
from tests.support.generated import write_model
from themis_lib.engine.invariance import measure
from themis_lib.engine.models import TINY
from themis_lib.engine.sliding_window import Agreement, agrees_beyond_window
from themis_lib.engine.weights import Weights

WINDOW = 64
WAIT_S = 300


@pytest.fixture(scope="module", params=["F16", "Q8_0", "Q6_K", "Q4_K_M"])
def sliding(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A model with random weights: decoded two at least, or any number at once."""
    path = tmp_path_factory.mktemp("models") / f"{request.param}.gguf"
    return write_model(
        path,
        layers=4,
        extra_tokens=200,
        quantization=request.param,
        sliding_window=WINDOW,
    )


def test_what_holds_for_short_prompts_holds_beyond_the_window(sliding: Path) -> None:
    """Nothing is lost to a window: all is decoded together, and shares beginnings."""
    weights = Weights(sliding)

    assert WINDOW == weights.sliding_window
    assert [] == measure(sliding, threads=1)[1].losses()


def test_a_wrong_claim_is_noticed_beyond_the_window(tmp_path: Path) -> None:
    """F16 has another kernel for two sequences, and attention one for a single token."""
    weights = Weights(
        write_model(tmp_path / "F16.gguf", extra_tokens=200, sliding_window=WINDOW)
    )

    eight, two, one = (
        agrees_beyond_window(
            weights, widths=widths, cut_at=1, shortest=shortest, threads=1
        )
        for widths, shortest in (((2, 8), 2), ((1, 2), 2), ((1, 2), 1))
    )

    assert Agreement(decoding=True, cutting=True) == eight
    assert Agreement(decoding=False, cutting=True) == two
    assert Agreement(decoding=False, cutting=False) == one


def test_a_model_without_a_window_has_nothing_beyond_it() -> None:
    """Nothing is computed for it."""
    weights = Weights(TINY)

    found = agrees_beyond_window(
        weights, widths=(1, 2), cut_at=1, shortest=2, threads=1
    )

    assert 0 == weights.sliding_window
    assert Agreement(decoding=True, cutting=True) == found


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_batched_is_as_alone_beyond_the_window(sliding: Path) -> None:
    """Prompts of 1 to 650 tokens, half of which share beginnings, in either order."""
    engine = engine_of(sliding)
    asked: dict[str, int] = {"n_vocab": engine.weights.n_vocab, "count": 24, "seed": 9}
    expected = answer_of("alone", model=str(sliding), **asked)
    requests = workload(**asked)

    assert 8 <= sum(len(one.prompt) > 2 * WINDOW for one in requests)
    for order in (1, -1):
        futures = [engine.submit(request) for request in requests[::order]]
        answers = [exact(future.result(timeout=WAIT_S)) for future in futures]
        assert expected == answers[::order]
