"""The bundled model behind a plain server that decodes waiting requests together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.served_together import serving
from themis_lib import certify

pytest.importorskip("llama_cpp")
pytestmark = pytest.mark.slow


def test_plain_server_is_found_out_and_the_engine_is_not(tmp_path: Path) -> None:
    """One model: its texts depend on the batch behind the server, and not on the engine.

    Behind the server, what is asked alone again is the same: it is the batch that tells.
    """
    with serving() as url:
        server = certify(url, store=str(tmp_path), settings=["max_tokens=32"], limit=24)
    engine = certify("tiny", store=str(tmp_path), settings=["max_tokens=32"], limit=24)

    by_name = {check.arrangement: check for check in server.checks}
    assert server.texts_differ > 0
    assert by_name["16 at once"].logprobs_differ > 0
    assert 0 == by_name["again later"].logprobs_differ
    assert server.noise is not None
    assert server.noise.variance > 0
    # Texts part where two tokens are nearly equally likely.
    assert all(item.gap < 0.2 for item in server.differences if item.gap is not None)
    assert engine.holds
    assert engine.rated > 0
