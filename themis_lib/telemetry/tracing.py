"""Whether the running code is traced, and the tracer it uses.

`runtime.telemetry` switches it on; where spans go is decided by the host application's
tracer provider, else by the `OTEL_*` variables of the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from themis_lib.core.config import Telemetry
from themis_lib.errors import ConfigError, nearest

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram
    from opentelemetry.trace import Tracer

#: The name that spans and metrics carry as their instrumentation's.
SCOPE = "themis_flows"
_EXPORTERS = ("otlp", "console", "none")
_PROTOCOL = "http/protobuf"
_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
#: Values of the standard variable that ask for the content of messages.
_CAPTURES = ("true", "1", "span_only", "span_and_event")


@dataclass(frozen=True)
class Tracing:
    """The tracer of a run, its histograms, and whether spans hold message content."""

    tracer: Tracer
    duration: Histogram
    tokens: Histogram
    has_content: bool


#: The tracing of the running code; `None` while it is off.
TRACING: ContextVar[Tracing | None] = ContextVar("tracing", default=None)


def check_telemetry(mode: Telemetry) -> None:
    """Raise `ConfigError` if spans are asked for and nothing here could send them."""
    if mode == "off" or _is_disabled():
        return
    if not all(map(_is_installed, _PACKAGES)):
        raise ConfigError(
            f"runtime.telemetry={mode!r}: OpenTelemetry's SDK or exporter is not "
            "installed; run: pip install 'themis-flows[otel]'"
        )
    for signal in ("TRACES", "METRICS"):
        name = f"OTEL_{signal}_EXPORTER"
        exporter = os.environ.get(name) or "otlp"
        if exporter not in _EXPORTERS:
            raise ConfigError(
                f"{name}={exporter!r}: no such exporter here; "
                f"{nearest(exporter, _EXPORTERS)}"
            )
        for name in (
            f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ):
            protocol = os.environ.get(name) or _PROTOCOL
            if protocol != _PROTOCOL:
                raise ConfigError(
                    f"{name}={protocol!r}: spans are sent by {_PROTOCOL} alone; "
                    "unset it, and give the collector's HTTP port, by default 4318"
                )


@contextmanager
def traced(
    mode: Telemetry,
    parent: str | None = None,
) -> Iterator[Tracing | None]:
    """Trace what runs in a block, below the span that a `traceparent` names.

    Without one it is below the span that is current.
    """
    tracing = start_tracing(mode)
    if tracing is None:
        yield None
        return
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import (
        TraceContextTextMapPropagator,
    )

    outer = TRACING.set(tracing)
    carrier = {} if parent is None else {"traceparent": parent}
    below = TraceContextTextMapPropagator().extract(carrier, context.get_current())
    token = context.attach(below)
    try:
        yield tracing
    finally:
        context.detach(token)
        TRACING.reset(outer)


def start_tracing(mode: Telemetry) -> Tracing | None:
    """Return the tracing of a run; `None` if it is off, here or in the environment."""
    if mode == "off" or _is_disabled():
        return None
    from opentelemetry import metrics, trace

    from themis_lib.telemetry.providers import meter_provider, tracer_provider

    spans_to: Any = trace.get_tracer_provider()
    try:
        # One that the host application has set wins.
        if isinstance(spans_to, trace.ProxyTracerProvider):
            spans_to = tracer_provider()
        meters: Any = meter_provider() or metrics.get_meter_provider()
    except ValueError as error:
        raise ConfigError(
            f"runtime.telemetry={mode!r}: a variable OTEL_… has a wrong value: {error}"
        ) from None
    meter = meters.get_meter(SCOPE)
    return Tracing(
        tracer=spans_to.get_tracer(SCOPE),
        duration=meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=_DURATIONS_S,
        ),
        tokens=meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        ),
        has_content=mode == "content" or _asks_for_content(),
    )


def traceparent() -> str | None:
    """Return the running span for another process; `None` while nothing is traced."""
    if TRACING.get() is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import (
        TraceContextTextMapPropagator,
    )

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def send_waiting(mode: Telemetry) -> None:
    """Send the spans that are waiting, for a few seconds at most."""
    if mode == "off" or _is_disabled():
        return
    from themis_lib.telemetry.providers import flush

    flush()


@contextmanager
def sending_at_end(mode: Telemetry) -> Iterator[None]:
    """Send the spans that wait when a block ends."""
    try:
        yield
    finally:
        send_waiting(mode)


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    # A package above it is missing.
    except ModuleNotFoundError:
        return False


def _is_disabled() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _asks_for_content() -> bool:
    name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
    return os.environ.get(name, "").strip().lower() in _CAPTURES


#: The boundaries that the GenAI conventions advise: doubled, and times four.
_DURATIONS_S = [0.01 * 2**power for power in range(14)]
_TOKENS = [4.0**power for power in range(14)]
