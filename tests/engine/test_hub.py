"""Models of the hub come from its cache, or from a hub that answers at once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.support.model_files import gguf_file, run_choosing
from themis_lib.engine.hub import HubModel
from themis_lib.engine.models import MODELS

pytestmark = pytest.mark.usefixtures("own_cache")

#: Asks twice without a choice, then for a model by name, and prints what it got, how
#: long it took and who warned.
ASKING = """
from huggingface_hub import hf_hub_download
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    started = time.monotonic()
    print(find_model().name, find_model().name)
    try: print(find_model(size="mini").name)
    except ValueError as error: print(error)
    print(time.monotonic() - started < 2, len([w for w in caught if w.category is UserWarning]))
"""


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port on loopback that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port on loopback that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("port", "reason"), [(closed_port, "refused"), (silent_port, "no answer|timed out")]
)
def test_no_hub_costs_a_second_at_most(tmp_path: Path, port: Any, reason: str) -> None:
    """At once: by default `tiny` with one warning, with a choice a clear error."""
    pytest.importorskip("huggingface_hub")
    with port() as number:
        environment = {
            "HF_ENDPOINT": f"http://127.0.0.1:{number}",
            "HF_HOME": str(tmp_path / "hf"),
        }
        said = run_choosing(ASKING, **environment).stdout.splitlines()

    assert ["tiny tiny", "True 1"] == [said[0], said[2]]
    assert "qwen2.5-0.5b-instruct-q8_0.gguf is not on this machine" in said[1]
    assert re.search(f"does not answer .*({reason})", said[1])


class Hub(BaseHTTPRequestHandler):
    """The part of the Hugging Face hub that serves one file of one repository."""

    path_served = "/{0.repo}/resolve/main/{0.filename}".format(MODELS["small"])
    content = gguf_file()
    asked: ClassVar[Counter[str]] = Counter()
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=b"")

    def do_GET(self) -> None:
        self._answer(body=self.content)

    def _answer(self, body: bytes) -> None:
        self.asked[self.command] += 1
        found = self.path.partition("?")[0] == self.path_served
        self.send_response(200 if found or self.path == "/" else 404)
        if found:
            self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "c" * 40)
            self.send_header("Content-Length", str(len(self.content)))
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
        self.end_headers()
        if found:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.slow
def test_models_are_fetched_once_from_a_hub(tmp_path: Path) -> None:
    """By default `small` is fetched once; later it comes from the disk, also
    offline.
    """
    pytest.importorskip("huggingface_hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
    }
    fetched = run_choosing(ASKING, **environment).stdout.splitlines()
    gets = Hub.asked["GET"]
    server.shutdown()
    server.server_close()
    again = run_choosing(ASKING, **environment, HF_HUB_OFFLINE="1").stdout.splitlines()

    assert ["small small", "True 0"] == [fetched[0], fetched[2]]
    assert "cannot be fetched from the hub" in fetched[1]
    assert 1 == gets
    assert ["small small", "True 0"] == [again[0], again[2]]
    assert "HF_HUB_OFFLINE is set" in again[1]


def test_without_huggingface_hub_an_error_names_the_extra(tmp_path: Path) -> None:
    """Without the extra `local` there is `tiny`, with one warning."""
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "huggingface_hub.py").write_text(
        "raise ImportError('not installed')"
    )
    path = os.pathsep.join([str(tmp_path / "absent"), os.environ.get("PYTHONPATH", "")])
    said = run_choosing(
        ASKING.replace("from huggingface_hub import hf_hub_download", ""),
        PYTHONPATH=path,
    ).stdout.splitlines()

    assert ["tiny tiny", "True 1"] == [said[0], said[2]]
    assert "pip install 'themis-flows[local]'" in said[1]


def test_a_model_of_the_hub_is_written_as_its_repository_and_file() -> None:
    assert "a/b/c.gguf" == str(HubModel("a/b", "c.gguf"))
