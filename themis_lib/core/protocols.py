"""What a component must be. Plain Python objects satisfy these: no base class, no registration.

Every component has `component_id`, `version` and `fingerprint()` (its settings, as text) and one method, sync or
async. It may declare `reads`, the columns it is handed and its keys cover; a component that declares nothing reads
the whole case (`WHOLE_CASE`). A generator that returns the same output for the same input and seed says so with
`deterministic = True`; then equal rows are computed once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol, runtime_checkable

from themis_lib.core.contexts import GenerateContext, ParseContext, ReduceContext, ScoreContext
from themis_lib.core.models import (
    Candidate,
    Case,
    GenerationResult,
    ParsedOutput,
    ReducedCandidate,
    Score,
    ScoreError,
)

#: What a component that declares nothing reads.
WHOLE_CASE: tuple[str, ...] = ("input", "expected_output", "metadata")
#: The columns of a case that `reads` may name; a generator's may also name `sample_index`.
CASE_COLUMNS: tuple[str, ...] = ("case_id", "dataset_id", *WHOLE_CASE)
#: The columns of a generated output that a parser's or a metric's `reads` may name.
OUTPUT_COLUMNS: tuple[str, ...] = ("output", "finish_reason", "trace", "conversation", "artifacts")
#: The columns of an answer that a metric's `reads` may name.
ANSWER_COLUMNS: tuple[str, ...] = ("value", "format")


class Component(Protocol):
    """What every component says of itself; together with its code it is the component's identity."""

    component_id: str
    version: str

    def fingerprint(self) -> str:
        """Every setting that can change a result, as text."""


@runtime_checkable
class Generator(Component, Protocol):
    """Produces one candidate for a case. It may also offer `generate_batch(cases, contexts)`.

    One that bounds its own requests offers `with_runtime(runtime)`, a copy of itself that keeps to the run's
    `max_concurrency` and `timeout_s` where it has no setting of its own. It is then called without either, at most
    `calls_at_once` times at a time: a call may wait its turn, and that time is not the provider's.
    """

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult | Awaitable[GenerationResult]:
        """The candidate for this case and `ctx.seed`."""


@runtime_checkable
class BatchGenerator(Component, Protocol):
    """Produces many candidates at a time, in the order asked; an exception in the list is that row's failure."""

    def generate_batch(
        self, cases: Sequence[Case], contexts: Sequence[GenerateContext]
    ) -> Sequence[GenerationResult | Exception] | Awaitable[Sequence[GenerationResult | Exception]]:
        """One result for each case, in order."""


@runtime_checkable
class Parser(Component, Protocol):
    """Reads an answer out of a candidate's output."""

    def parse(self, result: GenerationResult, ctx: ParseContext) -> ParsedOutput | Awaitable[ParsedOutput]:
        """The answer, or a `ParsedOutput` whose `error` says why there is none."""


@runtime_checkable
class Metric(Component, Protocol):
    """Judges one parsed candidate against its case."""

    def score(
        self, parsed: ParsedOutput, case: Case, ctx: ScoreContext
    ) -> Score | ScoreError | Awaitable[Score | ScoreError]:
        """The score, or a `ScoreError` whose `reason` says why there is none."""


@runtime_checkable
class Reducer(Component, Protocol):
    """Turns the samples of one case into one candidate, for one metric."""

    def reduce(
        self, candidates: Sequence[Candidate], ctx: ReduceContext
    ) -> ReducedCandidate | Awaitable[ReducedCandidate]:
        """The chosen sample or the aggregate; `candidates` are ordered by sample."""


@runtime_checkable
class Judge(Component, Protocol):
    """A model that a metric asks for a verdict: any generator can be one."""

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult | Awaitable[Any]:
        """The verdict, as generated text or JSON."""
