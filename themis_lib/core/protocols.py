"""What a component must be: plain Python objects, without base class or registration.

Every component has `component_id`, `version`, `fingerprint()` (its settings as text)
and one method, sync or async. It may declare `reads`, the columns that it is given and
that its keys cover; a component that declares nothing reads the whole case
(`WHOLE_CASE`). Everything else that a component may offer is in `core.abilities`.

A metric may ask models for their verdict: it has `judge_calls`, the questions it asks
about every answer, and finds the verdicts in the `ScoreContext` of `score`. Its
attribute `judge` is the configuration of the generator that it asks, or a list of them,
a panel; without it the experiment's `judge_models` are asked. Judging is a separate
stage, so that an edit of `score` asks no judge again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pydantic import JsonValue

from themis_lib.core.contexts import (
    GenerateContext,
    ParseContext,
    ReduceContext,
    ScoreContext,
)
from themis_lib.core.models import (
    Candidate,
    Case,
    GenerationResult,
    ParsedOutput,
    ReducedCandidate,
    Score,
    ScoreError,
)
from themis_lib.core.prompts import PromptSpec

#: What a component that declares nothing reads.
WHOLE_CASE: tuple[str, ...] = ("input", "expected_output", "metadata")
#: The columns of a case that `reads` may name; a generator's may also name
#: `sample_index`.
CASE_COLUMNS: tuple[str, ...] = ("case_id", "dataset_id", *WHOLE_CASE)
#: The columns of a generated output that a parser's or a metric's `reads` may name.
#: `output` is the answer alone, `reasoning` what the model thought before it; `trace`,
#: `conversation` and `artifacts` are as the generator returned them.
OUTPUT_COLUMNS: tuple[str, ...] = (
    "output",
    "reasoning",
    "finish_reason",
    "trace",
    "conversation",
    "artifacts",
)
#: The columns of an answer that a metric's `reads` may name.
ANSWER_COLUMNS: tuple[str, ...] = ("value", "format")


def case_columns(reads: Iterable[str]) -> tuple[str, ...]:
    """Return those of the columns that belong to the case."""
    return tuple(name for name in reads if name in CASE_COLUMNS)


class Component(Protocol):
    """What every component says of itself; with its code, its identity."""

    @property
    def component_id(self) -> str:
        """The name of the component, the same in every version of it."""

    @property
    def version(self) -> str:
        """The version of its behaviour; a new one invalidates its rows."""

    def fingerprint(self) -> str:
        """Return every setting that can change a result, as text."""


@runtime_checkable
class Generator(Component, Protocol):
    """Produces one candidate for a case; see `core.abilities` for what it may offer."""

    def generate(
        self,
        case: Case,
        ctx: GenerateContext,
        /,
    ) -> GenerationResult | Awaitable[GenerationResult]:
        """Return the candidate for this case and `ctx.seed`.

        Raise `RowError` for a fact that would happen again, `TransientError` for a
        failure that might not, `FatalError` for one that every row would share.
        """


@runtime_checkable
class BatchGenerator(Component, Protocol):
    """Produces many candidates at a time.

    An exception in the list is that row's failure.
    """

    def generate_batch(
        self,
        cases: Sequence[Case],
        contexts: Sequence[GenerateContext],
        /,
    ) -> (
        Sequence[GenerationResult | Exception]
        | Awaitable[Sequence[GenerationResult | Exception]]
    ):
        """Return one result for each case, in order."""


@runtime_checkable
class Parser(Component, Protocol):
    """Reads an answer out of a candidate's output."""

    def parse(
        self,
        result: GenerationResult,
        ctx: ParseContext,
        /,
    ) -> ParsedOutput | Awaitable[ParsedOutput]:
        """Return the answer, or a `ParsedOutput` whose `error` says why it is missing."""


@runtime_checkable
class Metric(Component, Protocol):
    """Scores one parsed candidate against its case."""

    def score(
        self,
        parsed: ParsedOutput,
        case: Case,
        ctx: ScoreContext,
        /,
    ) -> Score | ScoreError | Awaitable[Score | ScoreError]:
        """Return the score, or a `ScoreError` whose `reason` says why it is missing."""


@runtime_checkable
class BatchMetric(Component, Protocol):
    """Scores many candidates at a time.

    An exception in the list is that row's failure.
    """

    def score_batch(
        self,
        parsed: Sequence[ParsedOutput],
        cases: Sequence[Case],
        contexts: Sequence[ScoreContext],
        /,
    ) -> (
        Sequence[Score | ScoreError | Exception]
        | Awaitable[Sequence[Score | ScoreError | Exception]]
    ):
        """Return one score for each candidate, in order."""


@runtime_checkable
class Reducer(Component, Protocol):
    """Turns the samples of one case into one candidate, for one metric."""

    def reduce(
        self,
        candidates: Sequence[Candidate],
        ctx: ReduceContext,
        /,
    ) -> ReducedCandidate | Awaitable[ReducedCandidate]:
        """Return the chosen sample or the aggregate of candidates, ordered by sample."""


@runtime_checkable
class CorpusMetric(Metric, Protocol):
    """A metric of a data set: one number of all its rows, and not the mean of theirs.

    The `details` of a row's score are the row's statistics: all that `corpus_score`
    needs of it, so that no row is scored twice. The value of that score is the row's
    own, to find the rows that matter. See `AddsStatistics` and `CountsUnanswered` in
    `core.abilities`.
    """

    def corpus_score(self, rows: Sequence[Mapping[str, Any]], /) -> float:
        """Return the number of some rows, by their statistics; NaN if it is not defined.

        It is called for the whole data set, for each slice, and for many resamples of
        them, in which a row may be several times. A resample that raises
        `ArithmeticError` has no number.
        """


@dataclass(frozen=True)
class JudgeCall:
    """One question that a metric asks each of its judges about each answer.

    `request` is a pure function of what `score` is given, verdicts apart, and returns
    the judge's input; it raises `RowError` if there is nothing to judge. `name` tells
    the questions of a metric apart. `schema` is the JSON Schema of a verdict: enforced
    by a judge that has `with_schema`, written into the prompt of any other.
    """

    request: Callable[[ParsedOutput, Case, ScoreContext], JsonValue]
    prompt_spec: PromptSpec = field(default_factory=PromptSpec)
    name: str = ""
    schema: dict[str, Any] | None = None


@runtime_checkable
class JudgeMetric(Metric, Protocol):
    """A metric that asks models for their verdict: any generator can be a judge."""

    def judge_calls(self) -> Sequence[JudgeCall]:
        """Return the questions that it asks about each answer."""


#: A component as a configuration gives it: its name, its name with parameters, or an
#: object that has the methods of its kind.
GeneratorSpec = str | Mapping[str, Any] | Generator | BatchGenerator
ParserSpec = str | Mapping[str, Any] | Parser
MetricSpec = str | Mapping[str, Any] | Metric | BatchMetric
ReducerSpec = str | Mapping[str, Any] | Reducer
