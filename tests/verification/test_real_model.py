"""The bundled model behind a real server, and a coarser one in its place."""

from __future__ import annotations

from pathlib import Path

import llama_cpp
import pytest

from tests.adapters.test_real_server import ONE_AT_A_TIME, start, stop
from themis_lib import Experiment, verify_run
from themis_lib.engine.tiny import TINY

pytestmark = pytest.mark.slow


def coarser(path: Path) -> Path:
    """The bundled model's weights in 2 bits."""
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = llama_cpp.LLAMA_FTYPE_MOSTLY_Q2_K
    parameters.allow_requantize = True
    assert 0 == llama_cpp.llama_model_quantize(
        str(TINY).encode(), str(path).encode(), parameters
    )
    return path


def test_another_quantization_behind_the_same_address_is_found(
    free_tcp_port: int, tmp_path: Path
) -> None:
    """By the probabilities of the first token, at temperature 0, with 20 calls; the same
    model is not found to have changed.
    """
    port = free_tcp_port
    experiment = Experiment.model_validate(
        {
            "name": "served",
            "generation": {
                "generator": {
                    "use": "openai",
                    "model": "tiny",
                    "base_url": f"http://127.0.0.1:{port}/v1",
                    "api_mode": "chat_completions",
                    "temperature": 0,
                    "max_tokens": 8,
                    "logprobs": 5,
                    **ONE_AT_A_TIME,
                },
            },
            "evaluation": {"metrics": ["builtin/exact_match"]},
            "datasets": [
                {
                    "dataset_id": "sums",
                    "cases": [
                        {
                            "case_id": str(at),
                            "input": f"What is {at} + 5?",
                            "expected_output": str(at + 5),
                        }
                        for at in range(10)
                    ],
                }
            ],
            "storage": {"store": str(tmp_path / "store")},
        }
    )
    server = start(port)
    try:
        run = experiment.run()
        same = verify_run(run)
    finally:
        stop(server)
    server = start(port, coarser(tmp_path / "coarser.gguf"))
    try:
        other = verify_run(run)
    finally:
        stop(server)

    (before,), (after,) = same.models, other.models
    assert before.is_greedy
    assert (20, 20) == (before.calls, before.equal)
    assert not before.has_changed
    assert 1.0 == before.tests[-1].p_value
    assert after.has_changed
    assert "first token" == after.tests[-1].compares
    assert after.tests[-1].p_holm < 0.01
