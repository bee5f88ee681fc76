"""A real S3 server on loopback that counts what it is asked."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

BUCKET = "themis"


class CountingServer:
    """moto's S3 server behind a counter; `credentials` are the environment variables by
    which it is reached.
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
        with self._lock:
            self._counts[
                operation(environ["REQUEST_METHOD"], environ.get("QUERY_STRING", ""))
            ] += 1
        return self._application(environ, start_response)

    def take(self) -> Counter[str]:
        """The requests since the last call, by operation."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        return counts


@contextmanager
def counting_s3() -> Iterator[CountingServer]:
    """A server with a bucket `themis`, until the block ends."""
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
    try:
        with suppress(
            FileExistsError
        ):  # moto's servers of one process share their buckets
            s3fs.S3FileSystem(key="bench", secret="bench", endpoint_url=endpoint).mkdir(
                BUCKET
            )
        server.take()
        yield server
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def operation(method: str, query: str) -> str:
    """The kind of an S3 request."""
    return "LIST" if method == "GET" and "list-type" in query else method
