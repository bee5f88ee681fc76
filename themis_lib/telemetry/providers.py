"""Providers of this library, for processes whose application has set none.

Nothing that goes wrong with a collector fails a run or holds it up for long.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    ConsoleSpanExporter,
    SpanExporter,
    SpanExportResult,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider

_LOG = logging.getLogger("themis_lib.telemetry")
#: How long the end of a run may wait until everything is sent, and how long where the
#: collector has already failed.
_PATIENCE_S = 2.0
_PATIENCE_WITH_FAILING_S = 0.2
#: Spans that may wait to be sent: several seconds of quick requests, some 40 MB.
_QUEUE = 2**14
# Without the address, which may contain a credential.
_UNDELIVERED = (
    "spans do not reach the OpenTelemetry collector; the run goes on without them. "
    "Check OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_HEADERS, or set "
    "runtime.telemetry=off"
)
#: Loggers of the exporters, which would repeat every attempt that fails.
_NOISY = (
    "opentelemetry.exporter.otlp",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.metrics._internal.export",
)


class Delivery(SpanExporter):
    """An exporter that says once that spans do not arrive, and never raises."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.is_failing = False
        self.has_warned = False
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        # An address that is none, or whatever else an exporter may raise.
        except Exception:  # noqa: BLE001 - telemetry must never fail a run
            result = SpanExportResult.FAILURE
        self.is_failing = result is not SpanExportResult.SUCCESS
        if self.is_failing:
            self.warn()
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def warn(self) -> None:
        """Say that spans do not arrive, unless that was said before."""
        self.is_failing = True
        if not self.has_warned:
            self.has_warned = True
            _LOG.warning(_UNDELIVERED)


@lru_cache(maxsize=1)
def tracer_provider() -> TracerProvider:
    """Return the provider of this process, made from the environment at the first call."""
    # Not set as the process's global one: that is for applications to do.
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    exporter = os.environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if exporter == "none":
        return provider
    if exporter == "console":
        delivery = Delivery(ConsoleSpanExporter())
    else:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
            OTLPSpanExporter,
        )

        _silence_exporters()
        delivery = Delivery(OTLPSpanExporter())
    size = None if "OTEL_BSP_MAX_QUEUE_SIZE" in os.environ else _QUEUE
    provider.add_span_processor(BatchSpanProcessor(delivery, max_queue_size=size))
    _FLUSHES.append((provider.force_flush, delivery))
    return provider


@lru_cache(maxsize=1)
def meter_provider() -> MeterProvider | None:
    """Return the provider of this process for metrics; `None` if nobody asks for any.

    Many collectors of traces take no metrics: these are sent only where a variable says
    that they are wanted.
    """
    from opentelemetry import metrics

    named = os.environ.get("OTEL_METRICS_EXPORTER")
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
    is_wanted = named == "otlp" or (named is None and endpoint)
    # One that the host application has set wins.
    has_sdk = hasattr(metrics.get_meter_provider(), "force_flush")
    if has_sdk or not is_wanted:
        return None
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
        OTLPMetricExporter,
    )
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    _silence_exporters()
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    provider = MeterProvider([reader], resource=_resource(), shutdown_on_exit=False)
    _FLUSHES.append((provider.force_flush, None))
    return provider


def flush() -> None:
    """Send what is waiting, for two seconds at most."""
    for send, delivery in _FLUSHES:
        is_failing = delivery is not None and delivery.is_failing
        # In a thread: the SDK's own flush knows no time limit.
        sending = threading.Thread(target=send, daemon=True)
        sending.start()
        sending.join(_PATIENCE_WITH_FAILING_S if is_failing else _PATIENCE_S)
        if sending.is_alive() and delivery is not None:
            delivery.warn()


def undelivered() -> str | None:
    """Return the warning that spans do not arrive; `None` while they do."""
    is_lost = any(delivery and delivery.has_warned for _, delivery in _FLUSHES)
    return _UNDELIVERED if is_lost else None


def _resource() -> Resource:
    described = Resource.create()
    # A name in the environment wins over this one.
    if str(described.attributes[SERVICE_NAME]).startswith("unknown_service"):
        described = described.merge(Resource({SERVICE_NAME: "themis"}))
    return described


def _silence_exporters() -> None:
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


# Process-wide, as the providers are: how to send what waits in each.
_FLUSHES: list[tuple[Callable[[], Any], Delivery | None]] = []
