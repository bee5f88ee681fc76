"""Spans as tests compare them, from memory or from what a collector was sent."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.trace import ReadableSpan

_KINDS = {1: "INTERNAL", 3: "CLIENT"}
_STATUSES = {0: "UNSET", 1: "OK", 2: "ERROR"}


@dataclass(frozen=True)
class Span:
    """A finished span, whoever sent it."""

    id: str
    parent: str | None
    trace: str
    name: str
    kind: str
    status: str
    said: str | None
    attributes: dict[str, Any]
    start_ns: int
    end_ns: int


def from_memory(spans: Iterable[ReadableSpan]) -> list[Span]:
    """The spans of an exporter in memory, in the order they started."""
    found = []
    for span in spans:
        attributes = {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in (span.attributes or {}).items()
        }
        found.append(
            Span(
                id=f"{span.context.span_id:016x}",
                parent=f"{span.parent.span_id:016x}" if span.parent else None,
                trace=f"{span.context.trace_id:032x}",
                name=span.name,
                kind=span.kind.name,
                status=span.status.status_code.name,
                said=span.status.description,
                attributes=attributes,
                start_ns=span.start_time or 0,
                end_ns=span.end_time or 0,
            )
        )
    return sorted(found, key=lambda span: span.start_ns)


def tree(spans: Iterable[Span]) -> list[Any]:
    """The names of spans, each with those below it in a list behind it.

    In the order they started; spans without a parent among them are at the top.
    """
    spans = list(spans)
    known = {span.id for span in spans}

    def below(parent: str | None) -> list[Any]:
        names: list[Any] = []
        for span in spans:
            is_below = span.parent == parent
            if parent is None:
                is_below = span.parent not in known
            if is_below:
                children = below(span.id)
                names += [span.name, children] if children else [span.name]
        return names

    return below(None)


def named(spans: Iterable[Span], start: str) -> list[Span]:
    """The spans whose name begins so."""
    return [span for span in spans if span.name.startswith(start)]


class Collector:
    """A collector that speaks OTLP over HTTP on loopback. Use as a context manager.

    `status` is what it answers; a collector that `hangs` never does.
    """

    def __init__(self, *, status: int = 200, hangs: bool = False) -> None:
        self.headers: list[dict[str, str]] = []
        self._status = status
        self._hangs = hangs
        self._traces: list[ExportTraceServiceRequest] = []
        self._metrics: list[ExportMetricsServiceRequest] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Collector:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def environment(self) -> dict[str, str]:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self._port}"}

    @property
    def spans(self) -> list[Span]:
        """Every span so far, in the order they started."""
        found = []
        for request in self._traces:
            for of_resource in request.resource_spans:
                for of_scope in of_resource.scope_spans:
                    found += map(_decoded, of_scope.spans)
        return sorted(found, key=lambda span: span.start_ns)

    @property
    def services(self) -> set[str]:
        return {
            attributes_of(of_resource.resource)["service.name"]
            for request in self._traces
            for of_resource in request.resource_spans
        }

    @property
    def metrics(self) -> dict[str, list[Any]]:
        """The data points of each metric that was sent last."""
        found: dict[str, list[Any]] = {}
        for request in self._metrics:
            for of_resource in request.resource_metrics:
                for of_scope in of_resource.scope_metrics:
                    for metric in of_scope.metrics:
                        found[metric.name] = list(metric.histogram.data_points)
        return found

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_post("/v1/traces", self._take)
        app.router.add_post("/v1/metrics", self._take)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0, handler_cancellation=True
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.headers.append({name.lower(): at for name, at in request.headers.items()})
        if self._hangs:
            await asyncio.sleep(60)
        if self._status == 200 and request.path.endswith("traces"):
            self._traces.append(ExportTraceServiceRequest.FromString(body))
        elif self._status == 200:
            self._metrics.append(ExportMetricsServiceRequest.FromString(body))
        return web.Response(
            status=self._status,
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )


def attributes_of(message: Any) -> dict[str, Any]:
    """The attributes of a message of the protocol."""
    return {item.key: _value(item.value) for item in message.attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    return getattr(value, kind)


def _decoded(span: Any) -> Span:
    return Span(
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex() or None,
        trace=span.trace_id.hex(),
        name=span.name,
        kind=_KINDS[span.kind],
        status=_STATUSES[span.status.code],
        said=span.status.message or None,
        attributes=attributes_of(span),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
    )
