"""The process of the local Prefect server: `python -m flows.guarded_server PORT`.

Prefect's own app on loopback, which answers its own pages and programs alone, and under
its own name alone: a page that has another name resolve to 127.0.0.1 (DNS rebinding) is
refused. The password is a setting of Prefect's: see `server_launch.py`.
"""

from __future__ import annotations

import hmac
import sys
from pathlib import Path

import uvicorn
from prefect.server.api.server import create_app
from prefect.settings import get_current_settings
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.report_address import REPORTS, report_signature
from flows.server_launch import LOOPBACK, OWN_NAMES, own_origins


class OwnPagesOnly:
    """Middleware that keeps the server to its pages, and its pages to the server.

    A request that a page of another origin makes is refused. Browsers keep the
    server's pages from asking others, as Prefect's do to have their use counted, and
    from being shown in a frame, where a click on *Run* could be stolen.
    """

    def __init__(
        self,
        app: ASGIApp,
        port: int,
    ) -> None:
        self._app = app
        self._origins = own_origins(port)
        sockets = [origin.replace("http:", "ws:") for origin in self._origins]
        sources = " ".join(["'self'", *self._origins, *sockets])
        self._policy = f"connect-src {sources}; frame-ancestors 'none'"

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Answer a request, with the policy among the headers of the answer."""

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Beside a policy that the page has already.
                MutableHeaders(scope=message).append(
                    "Content-Security-Policy", self._policy
                )
            await send(message)

        if scope["type"] in ("http", "websocket"):
            origin = Headers(scope=scope).get("Origin")
            # Programs send none.
            if origin is not None and origin not in self._origins:
                refusal = PlainTextResponse("Foreign origin", status_code=403)
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send_with_policy)


def reports_route(password: str) -> Route:
    """Return the route that shows the reports whose addresses are signed.

    Their scripts reach neither the API nor what a browser keeps for it.
    """

    async def show(request: Request) -> Response:
        path = request.query_params.get("page", "")
        given = request.query_params.get("signature", "")
        expected = report_signature(path, password)
        # In constant time: how long it takes must not tell how much of it is right.
        if not hmac.compare_digest(given.encode(), expected.encode()):
            return PlainTextResponse("The address is not of this server.", 403)
        try:
            content = await run_in_threadpool(Path(path).read_bytes)
        except OSError as error:
            return PlainTextResponse(f"{path} cannot be read: {error.strerror}", 404)
        headers = {
            "Content-Security-Policy": "sandbox allow-scripts",
            "Referrer-Policy": "no-referrer",
        }
        return Response(content, media_type="text/html", headers=headers)

    return Route(REPORTS, show)


def main(port: int) -> None:
    """Serve Prefect's API and pages on loopback until a signal."""
    app = create_app(final=True)
    server = get_current_settings().server
    password = server.api.auth_string
    if password is not None:
        # Before Prefect's pages, which take every path.
        app.router.routes.insert(0, reports_route(password.get_secret_value()))
    # Around the app, not added to it: its own services call it by another name.
    own_pages = OwnPagesOnly(app, port)
    # Outermost: nothing else sees a request for another host.
    guarded = TrustedHostMiddleware(own_pages, allowed_hosts=list(OWN_NAMES))
    uvicorn.run(
        guarded,
        host=LOOPBACK,
        port=port,
        timeout_keep_alive=server.api.keepalive_timeout,
        ws_ping_interval=server.api.websocket_ping_interval,
        ws_ping_timeout=server.api.websocket_ping_timeout,
        log_level=server.logging_level.lower(),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
