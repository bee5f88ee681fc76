"""A span for each call of a model, from when its request is sent to its result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from themis_lib.core.models import Case, GenerationResult, TokenUsage
from themis_lib.core.prices import added
from themis_lib.telemetry.attributes import (
    Attributes,
    Callee,
    request_attributes,
    result_attributes,
    usage_attributes,
)
from themis_lib.telemetry.messages import content_attributes
from themis_lib.telemetry.tracing import TRACING, Tracing

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from themis_lib.core.contexts import GenerateContext

_Call = Callable[[Any], Awaitable[Any]]


class ModelCall:
    """The span of one call, and what is known of it so far."""

    def __init__(
        self,
        tracing: Tracing,
        callee: Callee,
        attributes: Attributes,
    ) -> None:
        self.status: int | None = None
        self._tracing = tracing
        self._callee = callee
        self._attributes = {**callee.attributes, **attributes}
        self._task = asyncio.current_task()
        self._began_ns = time.time_ns()
        self._span: Span | None = None
        self._token: Any = None

    def begin(self) -> None:
        """Start the span, unless it has started: the request is being sent."""
        self.status = None
        if self._span is None:
            self._began_ns = time.time_ns()
            self._start_span()

    def describe(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes of the request."""
        self._attributes.update(attributes)
        if self._span is not None:
            self._span.set_attributes(attributes)

    def succeed(
        self,
        attributes: Attributes,
        usage: TokenUsage | None,
    ) -> None:
        """End the span of a call that returned."""
        self._end(attributes)
        self._record(attributes, usage)

    def fail(self, error: BaseException) -> None:
        """End the span of a call that raised."""
        from opentelemetry.trace import Status, StatusCode

        attributes = {"error.type": self._error_type(error)}
        # A provider's message may repeat the prompt.
        said = str(error) if self._tracing.has_content else None
        self._end(attributes, Status(StatusCode.ERROR, said))
        self._record(attributes, None)

    def _start_span(self) -> Span:
        from opentelemetry import context, trace

        kind = trace.SpanKind.CLIENT
        if self._callee.is_local:
            kind = trace.SpanKind.INTERNAL
        self._span = self._tracing.tracer.start_span(
            self._callee.span_name,
            kind=kind,
            attributes=self._attributes,
            start_time=self._began_ns,
        )
        # A task of an SDK has a context of its own, which nobody could detach from.
        if asyncio.current_task() is self._task:
            self._token = context.attach(trace.set_span_in_context(self._span))
        return self._span

    def _end(
        self,
        attributes: Attributes,
        status: Any = None,
    ) -> None:
        from opentelemetry import context

        span = self._span or self._start_span()
        span.set_attributes(attributes)
        if status is not None:
            span.set_status(status)
        if self._token is not None:
            context.detach(self._token)
        span.end()

    def _record(
        self,
        attributes: Attributes,
        usage: TokenUsage | None,
    ) -> None:
        labels = dict(self._callee.metric_attributes)
        for name in ("gen_ai.response.model", "error.type"):
            if name in attributes:
                labels[name] = attributes[name]
        seconds = (time.time_ns() - self._began_ns) / 1e9
        self._tracing.duration.record(seconds, labels)
        if usage is None:
            return
        counts = {"input": usage.input_tokens, "output": usage.output_tokens}
        for kind, count in counts.items():
            if count is not None:
                labels["gen_ai.token.type"] = kind
                self._tracing.tokens.record(count, dict(labels))

    def _error_type(self, error: BaseException) -> str:
        if self.status is not None and self.status >= 400:
            return str(self.status)
        if isinstance(error, asyncio.CancelledError):
            return "cancelled"
        return "timeout" if isinstance(error, TimeoutError) else type(error).__name__


#: The call whose request is being made by the running code.
_CALL: ContextVar[ModelCall | None] = ContextVar("model_call", default=None)


def traced_calls(
    call: _Call,
    callee: Callee | None,
    cases: Sequence[Case],
    contexts: Sequence[GenerateContext],
    *,
    begins_late: bool,
) -> _Call:
    """Wrap the call of a row, to its result and seconds, in a span, if runs are traced.

    Without a callee there are no spans. With `begins_late` the call waits its turn, and
    the span starts when `sent` says so.
    """
    tracing = TRACING.get()
    if tracing is None or callee is None:
        return call

    async def call_in_span(position: int) -> Any:
        context = contexts[position]
        span = ModelCall(
            tracing,
            callee,
            {"themis.dataset": context.dataset_id, "themis.case": context.case_id},
        )
        if not begins_late:
            span.begin()
        outer = _CALL.set(span)
        try:
            result, latency_s = await call(position)
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            _CALL.reset(outer)
        attributes: Attributes = {}
        usage = None
        # A user's generator may return anything; what is no result is an error later.
        if isinstance(result, GenerationResult):
            attributes = result_attributes(result)
            usage = result.usage
            if tracing.has_content:
                attributes |= content_attributes(cases[position].input, result)
        span.succeed(attributes, usage)
        return result, latency_s

    return call_in_span


def traced_batches(
    call: Callable[[range], Awaitable[Sequence[Any]]],
    callee: Callee | None,
) -> Callable[[range], Awaitable[Sequence[Any]]]:
    """Wrap the call of a batch of rows in a span, if runs are traced."""
    tracing = TRACING.get()
    if tracing is None or callee is None:
        return call

    async def call_in_span(positions: range) -> Sequence[Any]:
        span = ModelCall(tracing, callee, {"themis.rows.total": len(positions)})
        span.begin()
        outer = _CALL.set(span)
        try:
            results = await call(positions)
        except BaseException as error:
            span.fail(error)
            raise
        finally:
            _CALL.reset(outer)
        usage = None
        failed = 0
        for result in results:
            failed += isinstance(result, Exception)
            if isinstance(result, GenerationResult) and result.usage is not None:
                usage = added(usage or TokenUsage(), result.usage)
        attributes = {"themis.rows.failed": failed, **usage_attributes(usage)}
        span.succeed(attributes, usage)
        return results

    return call_in_span


def sent() -> None:
    """Say that the running call's request is sent, for the first time or again."""
    span = _CALL.get()
    if span is not None:
        span.begin()


def requested(request: Mapping[str, Any]) -> None:
    """Say what the running call's request contains; only its numbers are recorded."""
    span = _CALL.get()
    if span is not None:
        fields = {**request, **(request.get("extra_body") or {})}
        span.describe(request_attributes(fields))


def answered(status: int) -> None:
    """Say with which HTTP status the running call's request was answered."""
    span = _CALL.get()
    if span is not None:
        span.status = status
