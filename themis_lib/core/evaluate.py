"""The shorthand: an evaluation in one call, with plain functions where components would do."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

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
from themis_lib.core.experiment import Experiment
from themis_lib.core.models import Case, Dataset, GenerationResult, ParsedOutput, Score, ScoreError
from themis_lib.core.prompts import PromptSpec, render_prompt
from themis_lib.core.results import RunResult
from themis_lib.errors import DatasetError

Data = Dataset | DatasetFile | HubDataset | str | Iterable[Case | Mapping[str, Any]]


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

    `model`, `metric` and `parser` are components, their names, lists of them, or plain functions: a model takes the
    rendered prompt and returns an output, a parser takes an output and returns a value, a metric takes a value and
    the expected output and returns a number or a bool. `data` is a dataset, the path of a file, or cases.

    >>> run = evaluate(model=str.upper, data=[{"input": "a", "expected_output": "A"}])
    >>> run.summary[0].mean
    1.0
    """
    return Experiment(
        generation=GenerationConfig(
            generator=FunctionGenerator(model) if _is_function(model) else model,
            prompt_spec=prompt_spec or PromptSpec(),
            candidate_policy=CandidatePolicy(num_samples=samples),
            reducer=reducer,
        ),
        evaluation=EvaluationConfig(
            metrics=[FunctionMetric(item) if _is_function(item) else item for item in _listed(metric)],
            parsers=[FunctionParser(item) if _is_function(item) else item for item in _listed(parser)],
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
    def definition(self) -> FunctionType | type:
        """What the code digest is taken of."""
        return self.function if isinstance(self.function, FunctionType) else type(self.function)

    @property
    def component_id(self) -> str:
        """The function's name."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    def fingerprint(self) -> str:
        """The function's qualified name; its code is digested beside it."""
        module = getattr(self.function, "__module__", "builtins")
        return f"{module}:{getattr(self.function, '__qualname__', self.component_id)}"


class FunctionGenerator(_FunctionComponent):
    """A function from the rendered prompt to an output, sync or async."""

    reads = ("input",)

    def generate(self, case: Case, ctx: GenerateContext) -> GenerationResult | Awaitable[GenerationResult]:
        """The function's output for the rendered prompt."""
        output = self.function(render_prompt(ctx.prompt_spec, case.input))
        return _awaited(output) if inspect.isawaitable(output) else _result(output)


class FunctionParser(_FunctionComponent):
    """A function from an output to a value; null means that there is no answer."""

    reads = ("output",)

    def parse(self, result: GenerationResult, ctx: ParseContext) -> ParsedOutput:
        """The function's value for the output."""
        parsed = self.function(result.final_output)
        return parsed if isinstance(parsed, ParsedOutput) else ParsedOutput(value=parsed)


class FunctionMetric(_FunctionComponent):
    """A function from a value and the expected output to a number or a bool."""

    reads = ("value", "expected_output")

    def score(self, parsed: ParsedOutput, case: Case, ctx: ScoreContext) -> Score | ScoreError:
        """The function's score for the value."""
        score = self.function(parsed.value, case.expected_output)
        return Score(value=float(score)) if isinstance(score, (bool, int, float)) else score


async def _awaited(output: Awaitable[Any]) -> GenerationResult:
    return _result(await output)


def _result(output: Any) -> GenerationResult:
    return output if isinstance(output, GenerationResult) else GenerationResult(final_output=output)


def _is_function(component: Any) -> bool:
    return callable(component) and not hasattr(component, "component_id")


def _listed(item: Any) -> Sequence[Any]:
    return item if isinstance(item, (list, tuple)) else [item]


def _dataset(data: Data) -> Dataset | DatasetFile | HubDataset:
    if isinstance(data, (Dataset, DatasetFile, HubDataset)):
        return data
    if isinstance(data, str):
        return DatasetFile(dataset_id="data", path=data)
    cases = []
    for index, item in enumerate(data):
        if not isinstance(item, (Case, Mapping)):
            raise DatasetError(f"data: item {index} is {type(item).__name__}; give cases or mappings with an `input`")
        cases.append(item if isinstance(item, Case) else Case(**{"case_id": f"data-{index:04d}", **item}))
    return Dataset(dataset_id="data", cases=cases)
