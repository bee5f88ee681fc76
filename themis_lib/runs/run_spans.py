"""Spans of a run, of its stages, and of their shards; without effect while off."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from themis_lib.core.config import Telemetry
from themis_lib.identity.part import Part
from themis_lib.runs.pipeline import RunStage
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard
from themis_lib.telemetry.tracing import Tracing, send_waiting, traced

if TYPE_CHECKING:
    from opentelemetry.trace import Span


@dataclass
class _StageSpan:
    """The span of a stage, open until the run ends, and the sums of its shards."""

    span: Span
    ended_ns: int = 0
    counts: Counter[str] = field(default_factory=Counter)


class RunSpans:
    """The spans of one run: `themis.run`, below it its stages, below them their shards.

    What runs between `begin` and `end` is traced.
    """

    def __init__(
        self,
        mode: Telemetry,
        *,
        run_id: str,
        experiment: str | None,
    ) -> None:
        self._mode = mode
        self._attributes = {"themis.run.id": run_id}
        if experiment:
            self._attributes["themis.experiment"] = experiment
        self._tracing: Tracing | None = None
        self._stages: dict[str, _StageSpan] = {}
        self._open = ExitStack()

    def begin(self) -> None:
        """Start the span of the run."""
        self._tracing = self._open.enter_context(traced(self._mode))
        if self._tracing is None:
            return
        # Not the current span: the next run that goes in step is not below this one.
        self._span = self._tracing.tracer.start_span(
            "themis.run",
            attributes=self._attributes,
        )

    def end(
        self,
        status: str,
        error: BaseException | None,
    ) -> None:
        """End every span of the run, and send what is waiting."""
        if self._tracing is None:
            return
        from opentelemetry.trace import StatusCode

        for stage in self._stages.values():
            stage.span.set_attributes(stage.counts)
            stage.span.end(stage.ended_ns or None)
        self._span.set_attribute("themis.run.status", status)
        if error is not None:
            self._span.set_attribute("error.type", type(error).__name__)
        if error is not None or status == "failed":
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
        self._open.close()
        self._tracing = None
        send_waiting(self._mode)

    def around(self, run_stage: RunStage) -> RunStage:
        """Wrap a way to run a stage over a shard in a span for each shard."""
        if self._tracing is None:
            return run_stage

        async def run_in_span(
            stage: Stage,
            shard: Shard,
        ) -> Part:
            with self._shard_span(stage, shard) as counted:
                part = await run_stage(stage, shard)
                counted.update(_counts_of(part))
            return part

        return run_in_span

    @contextmanager
    def _shard_span(
        self,
        stage: Stage,
        shard: Shard,
    ) -> Iterator[dict[str, int]]:
        """Start a shard's span; give its attributes to what the block leaves in a dict."""
        from opentelemetry import trace

        assert self._tracing is not None
        of_stage = self._stage_span(stage)
        span = self._tracing.tracer.start_span(
            f"themis.shard {stage.label}",
            context=trace.set_span_in_context(of_stage.span),
            attributes={
                "themis.stage": stage.name,
                "themis.shard": shard.label,
                "themis.dataset": shard.dataset_id,
            },
        )
        counted: dict[str, int] = {}
        try:
            with trace.use_span(
                span,
                record_exception=False,
                set_status_on_exception=False,
            ):
                yield counted
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise
        finally:
            of_stage.ended_ns = time.time_ns()
            of_stage.counts.update(counted)
            span.set_attributes(counted)
            span.end(of_stage.ended_ns)

    def _stage_span(self, stage: Stage) -> _StageSpan:
        """Return the span of a stage, started with its first shard."""
        assert self._tracing is not None
        if stage.label not in self._stages:
            from opentelemetry import trace

            span = self._tracing.tracer.start_span(
                f"themis.stage {stage.label}",
                context=trace.set_span_in_context(self._span),
                attributes={"themis.stage": stage.name},
            )
            self._stages[stage.label] = _StageSpan(span)
        return self._stages[stage.label]


def _counts_of(part: Part) -> dict[str, Any]:
    return {
        "themis.rows.total": part.rows,
        "themis.rows.cached": part.cached,
        "themis.rows.computed": part.computed,
        "themis.rows.failed": part.failed,
    }
