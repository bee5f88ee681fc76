"""The shorthand: an evaluation in one call, with plain functions as components."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import Any

from pydantic import ValidationError

from themis_lib.components.functions import (
    GeneratorLike,
    MetricLike,
    ParserLike,
    as_generator,
    as_metric,
    as_parser,
)
from themis_lib.core.config import (
    CandidatePolicy,
    DatasetFile,
    EvaluationConfig,
    GenerationConfig,
    HubDataset,
    LabelMap,
    RuntimeConfig,
    StorageConfig,
)
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.lm_eval_dataset import LmEvalDataset
from themis_lib.core.models import Case, Dataset
from themis_lib.core.prompts import PromptSpec, template_of
from themis_lib.core.protocols import ReducerSpec
from themis_lib.core.store_names import check_store_name
from themis_lib.core.templates import WHOLE_INPUT, PromptTemplate
from themis_lib.data.mapped_cases import mapped_cases
from themis_lib.errors import DatasetError
from themis_lib.experiment.experiment import Experiment
from themis_lib.experiment.notebook import run_to_end
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.results import RunResult

Data = (
    Dataset
    | DatasetFile
    | HubDataset
    | LmEvalDataset
    | str
    | PathLike[str]
    | Iterable[Case | Mapping[str, Any]]
)


def evaluate(
    *,
    model: GeneratorLike,
    data: Data,
    columns: Mapping[str, str | list[str] | LabelMap] | None = None,
    metric: MetricLike | list[MetricLike] | None = None,
    parser: ParserLike | list[ParserLike] = "builtin/json_identity",
    samples: int = 1,
    reducer: ReducerSpec = "builtin/first",
    prompt_spec: PromptSpec | None = None,
    store: str = "memory",
    runtime: RuntimeConfig | None = None,
    name: str = "experiment",
) -> RunResult:
    """Evaluate a model on data and return the run.

    `model`, `metric` and `parser` are components, their names, lists of them, or plain
    functions: a model takes the rendered prompt and returns an output, a parser takes
    an output and returns a value, a metric takes a value and the expected output and
    returns a number or a bool. `data` is a dataset, the path of a file, cases, or
    mappings; `columns` maps `input`, `expected_output`, `case_id` and `metadata` to the
    columns of a file or the keys of mappings. `name` is the experiment's: its runs are
    compared with each other. Without a metric, outputs are matched exactly, unless no
    case has anything to match.

    >>> run = evaluate(model=str.upper, data=[{"input": "a", "expected_output": "A"}])
    >>> run.summary[0].mean
    1.0
    >>> rows = [{"question": "b", "answer": "B"}]
    >>> columns = {"input": "question", "expected_output": "answer"}
    >>> evaluate(model=str.upper, data=rows, columns=columns).summary[0].mean
    1.0
    """
    work = partial(
        evaluate_async,
        model=model,
        data=data,
        columns=columns,
        metric=metric,
        parser=parser,
        samples=samples,
        reducer=reducer,
        prompt_spec=prompt_spec,
        store=store,
        runtime=runtime,
        name=name,
    )
    return run_to_end(work, instead="await evaluate_async(…)")


async def evaluate_async(
    *,
    model: GeneratorLike,
    data: Data,
    columns: Mapping[str, str | list[str] | LabelMap] | None = None,
    metric: MetricLike | list[MetricLike] | None = None,
    parser: ParserLike | list[ParserLike] = "builtin/json_identity",
    samples: int = 1,
    reducer: ReducerSpec = "builtin/first",
    prompt_spec: PromptSpec | None = None,
    store: str = "memory",
    runtime: RuntimeConfig | None = None,
    name: str = "experiment",
) -> RunResult:
    """Evaluate a model on data as `evaluate` does, for callers with an event loop."""
    check_store_name(store)
    dataset = _as_dataset(data, columns, template_of(prompt_spec or PromptSpec()))
    if metric is None:
        metric = _default_metrics(dataset)
    # One component, or a list of them; a name is a text, which is no list.
    metrics = metric if isinstance(metric, (list, tuple)) else [metric]
    parsers = parser if isinstance(parser, (list, tuple)) else [parser]
    experiment = Experiment(
        name=name,
        generation=GenerationConfig(
            generator=as_generator(model),
            prompt_spec=prompt_spec or PromptSpec(),
            candidate_policy=CandidatePolicy(num_samples=samples),
            reducer=reducer,
        ),
        evaluation=EvaluationConfig(
            metrics=[as_metric(item) for item in metrics],
            parsers=[as_parser(item) for item in parsers],
        ),
        storage=StorageConfig(store=store),
        runtime=runtime or RuntimeConfig(),
        datasets=[dataset],
    )
    return await experiment.run_async()


def _default_metrics(dataset: AnyDataset) -> list[MetricLike]:
    # A task of lm-eval brings its own.
    if isinstance(dataset, LmEvalDataset):
        return []
    # What a file holds is not known yet: one without expected outputs is refused.
    if not isinstance(dataset, Dataset):
        return ["builtin/exact_match"]
    has_any = any(case.expected_output is not None for case in dataset.cases)
    return ["builtin/exact_match"] if has_any else []


def _as_dataset(
    data: Data,
    columns: Mapping[str, str | list[str] | LabelMap] | None,
    template: PromptTemplate | None,
) -> AnyDataset:
    """Return what was given as data as a dataset.

    The input of mappings without one is what the template reads of them.

    Raise `DatasetError` for a bad case, and for columns of something without any.
    """
    mapped = dict(columns or {})
    if isinstance(data, (str, PathLike)):
        return DatasetFile(dataset_id="data", path=str(data), columns=mapped)
    if isinstance(data, (Dataset, DatasetFile, HubDataset, LmEvalDataset)):
        if mapped:
            raise DatasetError(
                "columns: map them in the dataset itself, "
                f"{type(data).__name__}(columns={{…}}), if it has any"
            )
        return data
    # Any other iterable, a generator too, is read once.
    items = list(data)
    if template is not None and _are_rows(items, template.names):
        mapped.setdefault("input", list(template.names))
    if mapped:
        return _dataset_of(mapped_cases(items, mapped))
    cases = [_case_of(index, item) for index, item in enumerate(items)]
    return _dataset_of(cases)


def _are_rows(
    items: Sequence[Any],
    names: Sequence[str],
) -> bool:
    """Return whether a template's names are keys of the items, and not of their inputs.

    `input` may be one of several keys, as of a file's columns.
    """
    # Alone it is the whole input, which each item has.
    is_whole = set(names) <= {WHOLE_INPUT}
    for item in items:
        if not isinstance(item, Mapping):
            return False
        if "input" in item and (is_whole or not set(names) <= item.keys()):
            return False
    return True


def _case_of(
    index: int,
    item: Any,
) -> Case:
    """Return an item of the data as a case. Raise `DatasetError` if it is none."""
    if isinstance(item, Case):
        return item
    if not isinstance(item, Mapping):
        raise DatasetError(
            f"data: item {index} is {type(item).__name__}; "
            "give cases or mappings with an `input`"
        )
    try:
        # A mapping without an id gets its position; one with an id keeps that.
        return Case.model_validate({"case_id": f"data-{index:04d}", **item})
    except ValidationError as error:
        # The first problem is enough: one line that names the item and the field.
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        message = f"data: item {index}: {place}: {problem['msg']}"
        raise DatasetError(message) from None


def _dataset_of(cases: list[Case]) -> Dataset:
    # Pydantic would tell of an id that appears twice in three lines.
    spec = {"dataset_id": "data", "cases": cases}
    return experiment_from_spec(Dataset, spec, where="data")
