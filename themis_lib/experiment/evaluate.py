"""The shorthand: an evaluation in one call, with plain functions where components would
do.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from types import FunctionType, MethodType
from typing import Any

from pydantic import ValidationError

from themis_lib.core.config import (
    CandidatePolicy,
    DatasetFile,
    EvaluationConfig,
    GenerationConfig,
    HubDataset,
    RuntimeConfig,
    StorageConfig,
)
from themis_lib.core.contexts import GenerateContext, ParseContext, ScoreContext
from themis_lib.core.models import (
    Case,
    Dataset,
    GenerationResult,
    ParsedOutput,
    Score,
    ScoreError,
)
from themis_lib.core.prompts import PromptSpec, render_prompt
from themis_lib.errors import ComponentError, DatasetError
from themis_lib.experiment.experiment import Experiment
from themis_lib.identity.digests import canonical_json
from themis_lib.runs.results import RunResult

Data = (
    Dataset
    | DatasetFile
    | HubDataset
    | str
    | PathLike[str]
    | Iterable[Case | Mapping[str, Any]]
)


def evaluate(
    *,
    model: Any,
    data: Data,
    metric: Any = "builtin/exact_match",
    parser: Any = "builtin/json_identity",
    samples: int = 1,
    reducer: Any = "builtin/first",
    prompt_spec: PromptSpec | None = None,
    store: str = "memory",
    runtime: RuntimeConfig | None = None,
) -> RunResult:
    """Evaluate a model on data and return the run.

    `model`, `metric` and `parser` are components, their names, lists of them, or plain
    functions: a model takes the rendered prompt and returns an output, a parser takes
    an output and returns a value, a metric takes a value and the expected output and
    returns a number or a bool. `data` is a dataset, the path of a file, or cases.

    >>> run = evaluate(model=str.upper, data=[{"input": "a", "expected_output": "A"}])
    >>> run.summary[0].mean
    1.0
    """
    return Experiment(
        generation=GenerationConfig(
            generator=_wrapped(model, FunctionGenerator, FunctionGenerator),
            prompt_spec=prompt_spec or PromptSpec(),
            candidate_policy=CandidatePolicy(num_samples=samples),
            reducer=reducer,
        ),
        evaluation=EvaluationConfig(
            metrics=[
                _wrapped(item, FunctionMetric, AsyncFunctionMetric)
                for item in _listed(metric)
            ],
            parsers=[
                _wrapped(item, FunctionParser, AsyncFunctionParser)
                for item in _listed(parser)
            ],
        ),
        storage=StorageConfig(store=store),
        runtime=runtime or RuntimeConfig(),
        datasets=[_dataset(data)],
    ).run()


@dataclass(frozen=True)
class _FunctionComponent:
    """A component that is one function; its code is its identity."""

    function: Callable[..., Any]
    version: str = field(default="1", init=False)

    @property
    def definition(self) -> Any:
        """What the code digest is taken of: the function, or the class of the object
        that is called.
        """
        return _unwrapped(self.function)[0]

    @property
    def component_id(self) -> str:
        """The function's name."""
        return str(getattr(self.definition, "__name__", type(self.function).__name__))

    def fingerprint(self) -> str:
        """The function's qualified name, and the values it was bound to; its code is
        digested beside it.
        """
        definition, bound = _unwrapped(self.function)
        name = f"{getattr(definition, '__module__', 'builtins')}:{getattr(definition, '__qualname__', '')}"
        try:
            return canonical_json([name, bound])
        except ValueError as error:
            raise ComponentError(
                f"{name} holds what has no name; write a component with a fingerprint() ({error})"
            ) from None


def _unwrapped(function: Any) -> tuple[Any, list[Any]]:
    """The function or class behind a callable, and the values it is bound to: partial
    arguments, an object's state.
    """
    bound: list[Any] = []
    while isinstance(function, partial):
        bound.append([list(function.args), function.keywords])
        function = function.func
    if isinstance(function, MethodType):
        owner = function.__self__
        is_class = isinstance(owner, type)
        return owner if is_class else type(owner), [
            *bound,
            function.__name__,
            {} if is_class else vars(owner),
        ]
    if isinstance(function, (FunctionType, type)):
        return function, bound
    return type(function), [
        *bound,
        str(getattr(function, "__qualname__", "")),
        getattr(function, "__dict__", {}),
    ]


class FunctionGenerator(_FunctionComponent):
    """A function from the rendered prompt to an output, sync or async."""

    reads = ("input",)

    def generate(
        self, case: Case, ctx: GenerateContext
    ) -> GenerationResult | Awaitable[GenerationResult]:
        """The function's output for the rendered prompt."""
        output = self.function(render_prompt(ctx.prompt_spec, case.input))
        return _awaited(output) if inspect.isawaitable(output) else _result(output)


class FunctionParser(_FunctionComponent):
    """A function from an output to a value; null means that there is no answer."""

    reads = ("output",)

    def parse(self, result: GenerationResult, ctx: ParseContext) -> ParsedOutput:
        """The function's value for the output."""
        return _parsed(self.function(result.final_output))


class FunctionMetric(_FunctionComponent):
    """A function from a value and the expected output to a number or a bool."""

    reads = ("value", "expected_output")

    def score(
        self, parsed: ParsedOutput, case: Case, ctx: ScoreContext
    ) -> Score | ScoreError:
        """The function's score for the value."""
        return _scored(self.function(parsed.value, case.expected_output))


class AsyncFunctionParser(FunctionParser):
    """An async function from an output to a value."""

    async def parse(self, result: GenerationResult, ctx: ParseContext) -> ParsedOutput:  # type: ignore[override]
        """The function's value for the output."""
        return _parsed(await self.function(result.final_output))


class AsyncFunctionMetric(FunctionMetric):
    """An async function from a value and the expected output to a number or a bool."""

    async def score(  # type: ignore[override]
        self, parsed: ParsedOutput, case: Case, ctx: ScoreContext
    ) -> Score | ScoreError:
        """The function's score for the value."""
        return _scored(await self.function(parsed.value, case.expected_output))


def _parsed(value: Any) -> ParsedOutput:
    return value if isinstance(value, ParsedOutput) else ParsedOutput(value=value)


def _scored(score: Any) -> Score | ScoreError:
    return Score(value=float(score)) if isinstance(score, (bool, int, float)) else score


async def _awaited(output: Awaitable[Any]) -> GenerationResult:
    return _result(await output)


def _result(output: Any) -> GenerationResult:
    return (
        output
        if isinstance(output, GenerationResult)
        else GenerationResult(final_output=output)
    )


def _wrapped(item: Any, plain: type, awaited: type) -> Any:
    """A function as a component; what is a component already, or names one, as it is."""
    if not callable(item) or hasattr(item, "component_id"):
        return item
    return awaited(item) if inspect.iscoroutinefunction(item) else plain(item)


def _listed(item: Any) -> Sequence[Any]:
    return item if isinstance(item, (list, tuple)) else [item]


def _dataset(data: Data) -> Dataset | DatasetFile | HubDataset:
    if isinstance(data, (Dataset, DatasetFile, HubDataset)):
        return data
    if isinstance(data, (str, PathLike)):
        return DatasetFile(dataset_id="data", path=str(data))
    cases = []
    for index, item in enumerate(data):
        if not isinstance(item, (Case, Mapping)):
            raise DatasetError(
                f"data: item {index} is {type(item).__name__}; give cases or mappings with an `input`"
            )
        cases.append(item if isinstance(item, Case) else _case(item, index))
    return Dataset(dataset_id="data", cases=cases)


def _case(item: Mapping[str, Any], index: int) -> Case:
    try:
        return Case(**{"case_id": f"data-{index:04d}", **item})
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise DatasetError(f"data: item {index}: {place}: {problem['msg']}") from None
