"""GitHub's API for comments of pull requests, as a real HTTP server on loopback."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "ghs_secret0123456789"
BOT = {"login": "github-actions[bot]", "type": "Bot"}


@dataclass
class GitHub:
    """Use as a context manager. `user` is whose token it is; `None` for an app's.

    `refusal` answers every request with this status, and with what was sent.
    """

    user: str | None = None
    refusal: int | None = None
    comments: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __enter__(self) -> GitHub:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def add(self, body: str, user: dict[str, str]) -> None:
        """A comment that is there already."""
        self.comments.append({"id": len(self.comments) + 1, "body": body, "user": user})

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """The status and the content of an answer."""
        self.requests.append(f"{method} {path}")
        parts = urlsplit(path)
        match method, parts.path.split("/")[1:]:
            case "GET", ["user"]:
                if self.user is None:
                    return 403, {"message": "Resource not accessible by integration"}
                return 200, {"login": self.user}
            case "GET", ["repos", "o", "r", "issues", "7", "comments"]:
                query = parse_qs(parts.query)
                size, page = int(query["per_page"][0]), int(query["page"][0])
                return 200, self.comments[(page - 1) * size : page * size]
            case "POST", ["repos", "o", "r", "issues", "7", "comments"]:
                if len(body["body"]) > 65_536:
                    return 422, {"message": "body is too long"}
                user = (
                    BOT if self.user is None else {"login": self.user, "type": "User"}
                )
                self.add(body["body"], user)
                return 201, self.comments[-1]
            case "PATCH", ["repos", "o", "r", "issues", "comments", number]:
                self.comments[int(number) - 1]["body"] = body["body"]
                return 200, self.comments[int(number) - 1]
        return 404, {"message": "Not Found"}

    def _handler(github) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def reply(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                sent = json.loads(self.rfile.read(size) or "null")
                told = self.headers.get("Authorization", "")
                if github.refusal is not None:
                    github.requests.append(f"{self.command} {self.path}")
                    status, content = github.refusal, {"message": f"no {told}"}
                elif told != f"Bearer {TOKEN}":
                    status, content = 401, {"message": "Bad credentials"}
                else:
                    status, content = github.answer(self.command, self.path, sent)
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = reply  # noqa: N815

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler
