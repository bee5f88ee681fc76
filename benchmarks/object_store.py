"""Real S3 server on loopback that counts its requests."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

BUCKET = "themis"


class CountingServer:
    """moto's S3 server behind a counter; `credentials` are the environment variables
    that a client needs.
    """

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app

        self.credentials: dict[str, str] = {}
        self._application = DomainDispatcherApplication(create_backend_app)
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        kind = operation(environ["REQUEST_METHOD"], environ.get("QUERY_STRING", ""))
        # Requests come in on many threads, and `+=` on a counter is not atomic.
        with self._lock:
            self._counts[kind] += 1
        return self._application(environ, start_response)

    def take(self) -> Counter[str]:
        """Return the requests since the last call, by operation."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts


@contextmanager
def counting_s3() -> Iterator[CountingServer]:
    """Run a server with a bucket `themis` until the block ends."""
    import s3fs
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: Any) -> None: ...

    server = CountingServer()
    listener = make_server("127.0.0.1", 0, server, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    endpoint = f"http://127.0.0.1:{listener.server_port}"
    server.credentials = {
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_ENDPOINT_URL": endpoint,
    }
    client = s3fs.S3FileSystem(key="bench", secret="bench", endpoint_url=endpoint)
    try:
        # moto's servers of one process share their buckets: it may exist.
        with suppress(FileExistsError):
            client.mkdir(BUCKET)
        # The requests that make the bucket are not the evaluation's.
        server.take()
        yield server
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def operation(method: str, query: str) -> str:
    """Return the kind of an S3 request: its method, or LIST for a listing."""
    # S3 lists a bucket with `GET ?list-type=2`.
    if method == "GET" and "list-type" in query:
        return "LIST"
    return method
