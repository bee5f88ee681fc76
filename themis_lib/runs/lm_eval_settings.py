"""What the tasks of lm-eval in an experiment add to it: their metrics and sampling."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from themis_lib.components.build import build
from themis_lib.components.builtin import Builtin
from themis_lib.components.records import BuiltGenerator
from themis_lib.core.experiment_spec import ExperimentSpec
from themis_lib.core.lm_eval_dataset import LmEvalDataset
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.secrets import refuse_literal_secrets
from themis_lib.data.lm_eval_content import scoring_content, stop_texts
from themis_lib.data.lm_eval_task import LmEvalTask, forget_changed_tasks, load_task
from themis_lib.errors import ConfigError, InputError, nearest

_METRIC = "themis_lib.builtins.lm_eval_metric:LmEvalMetric"
#: The most tokens of an answer where a task does not say: those of lm-eval's models.
_MAX_TOKENS = 256
#: Aggregations of lm-eval that are means of the documents' scores.
_MEANS = ("mean", "nanmean")

#: The setting of local models that says how a prompt is put before them.
_TEMPLATE = "template"
#: What was recorded was sampled already.
_RECORDED = "builtin/replay"
#: Generators that rate given answers, and write none.
_RATERS = ("llama_choice", "vllm_choice")

_Loaded = Sequence[tuple[LmEvalDataset, LmEvalTask]]


def with_lm_eval_settings(
    experiment: ExperimentSpec,
) -> tuple[ExperimentSpec, tuple[str, ...]]:
    """Return an experiment with the metrics and the sampling of its lm-eval tasks.

    Also notes for people: what of the tasks is left out, and what the generator cannot
    be told. Settings that the generator is given are kept. Raise `ConfigError` where
    tasks do not fit the generator or each other, `DatasetError` as `load_task` does.
    """
    datasets = [one for one in experiment.datasets if isinstance(one, LmEvalDataset)]
    if not datasets:
        return experiment, ()
    for dataset in datasets:
        _refuse_credentials(dataset)
    forget_changed_tasks(datasets)
    loaded = [(dataset, load_task(dataset)) for dataset in datasets]
    _check_prompts(experiment, loaded)
    metrics, notes = _metric_specs(loaded)
    generator, sampling_notes = _sampled_generator(
        experiment.generation.generator, loaded
    )
    evaluation = experiment.evaluation.model_copy(
        update={"metrics": [*experiment.evaluation.metrics, *metrics]}
    )
    generation = experiment.generation.model_copy(update={"generator": generator})
    changed = experiment.model_copy(
        update={"evaluation": evaluation, "generation": generation}
    )
    return changed, (*notes, *sampling_notes)


def _refuse_credentials(dataset: LmEvalDataset) -> None:
    """Raise `ConfigError` for a literal credential, such as a token of the hub."""
    where = f"dataset {dataset.dataset_id!r}: overrides"
    try:
        refuse_literal_secrets(dataset.overrides, where=where)
    except ConfigError:
        # References are not resolved here: lm-eval would have the values in files.
        raise ConfigError(
            f"{where} hold a credential as it is; remove it: the hub's is read from the "
            "environment variable HF_TOKEN"
        ) from None


def _check_prompts(
    experiment: ExperimentSpec,
    loaded: _Loaded,
) -> None:
    """Raise `ConfigError` for settings of prompts that lm-eval makes itself."""
    generation = experiment.generation
    rates = any(not one.is_generated for _, one in loaded)
    if rates and generation.prompt_spec != PromptSpec():
        # Nothing may come between a context and what is rated behind it.
        place, fix = "prompt_spec", "system_instruction: …"
    elif generation.prompt_spec.template is not None:
        place, fix = "prompt_spec.template", "overrides: {doc_to_text: …}"
    elif generation.few_shot is not None:
        place, fix = "few_shot", "num_fewshot: …"
    else:
        return
    raise ConfigError(
        f"generation.{place}: lm-eval makes the prompts of its tasks; give their datasets "
        f"`{fix}`"
    )


def _metric_specs(loaded: _Loaded) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the configurations of the tasks' metrics, and notes on those left out."""
    tasks: dict[str, dict[str, Any]] = {}
    contents: dict[str, Any] = {}
    chosen: dict[str, list[tuple[str, str, str]]] = {}
    notes = []
    for dataset, one in loaded:
        where = f"dataset {dataset.dataset_id!r}"
        content = scoring_content(one)
        if contents.setdefault(dataset.task, content) != content:
            raise ConfigError(
                f"{where}: another dataset scores the task {dataset.task!r} otherwise; "
                "give each an experiment of its own"
            )
        tasks.setdefault(dataset.task, _task_settings(dataset))
        names, without_mean = _metrics_of(one)
        chosen[where] = _chosen(dataset, names, without_mean)
        if without_mean and dataset.metrics is None:
            notes.append(
                f"{where}: lm-eval's {', '.join(without_mean)} is no mean over cases, "
                "and left out"
            )
    _check_alike(chosen)
    specs = []
    for name, metric, filter_name in next(iter(chosen.values())):
        specs.append(
            {
                "use": _METRIC,
                "id": name,
                "metric": metric,
                "filter": filter_name,
                "tasks": tasks,
            }
        )
    return specs, notes


def _task_settings(dataset: LmEvalDataset) -> dict[str, Any]:
    """Return the settings of a dataset that load its task."""
    settings = dataset.model_dump(
        mode="json",
        exclude={"metrics", "limit", "dataset_id"},
        exclude_unset=True,
    )
    return {**settings, "use": "lm_eval"}


def _metrics_of(one: LmEvalTask) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Return name, metric and filter of each mean of a task, and its other metrics."""
    filters = [str(each.name) for each in one.task._filters]
    names, without_mean = [], []
    for metric, aggregation in one.task.aggregation().items():
        if getattr(aggregation, "__name__", "") not in _MEANS:
            without_mean.append(str(metric))
            continue
        for filter_name in filters:
            # As lm-eval writes it in its results, but for a filter that does nothing.
            name = metric if filters == ["none"] else f"{metric},{filter_name}"
            names.append((str(name), str(metric), filter_name))
    return names, without_mean


def _chosen(
    dataset: LmEvalDataset,
    names: Sequence[tuple[str, str, str]],
    without_mean: Sequence[str],
) -> list[tuple[str, str, str]]:
    """Return the metrics that a dataset keeps. Raise `ConfigError` if it has none."""
    where = f"dataset {dataset.dataset_id!r}"
    if dataset.metrics is None:
        if not names:
            raise ConfigError(
                f"{where}: no score of the task {dataset.task!r} is a mean over cases "
                f"({', '.join(without_mean)}); run it with lm-eval"
            )
        return list(names)
    known = dict.fromkeys([*(name for name, _, _ in names), *(one[1] for one in names)])
    for name in dataset.metrics:
        if name in without_mean:
            raise ConfigError(
                f"{where}: metrics: lm-eval's {name!r} is no mean over cases; run it "
                "with lm-eval"
            )
        if name not in known:
            raise ConfigError(
                f"{where}: metrics: the task {dataset.task!r} has no {name!r}; "
                f"{nearest(name, known)}"
            )
    return [one for one in names if not {one[0], one[1]}.isdisjoint(dataset.metrics)]


def _check_alike(chosen: Mapping[str, Sequence[tuple[str, str, str]]]) -> None:
    """Raise `ConfigError` if datasets have other metrics: a metric scores all cases."""
    (first, metrics), *others = chosen.items()
    for where, other in others:
        if set(other) != set(metrics):
            here, there = (
                ", ".join(name for name, _, _ in listed) or "none"
                for listed in (other, metrics)
            )
            raise ConfigError(
                f"{where} has the metrics {here}, and {first} has {there}; keep those "
                "that both have with `metrics`, or give each an experiment of its own"
            )


def _sampled_generator(
    spec: Any,
    loaded: _Loaded,
) -> tuple[Any, list[str]]:
    """Return a generator's configuration with the sampling that the tasks ask for.

    Also notes on what it cannot be told. Raise `ConfigError` if it does not rate what
    the tasks have rated, or if the tasks ask for different settings.
    """
    generator = build("generator", spec, where="generation.generator")
    _check_rates(generator, loaded)
    component = generator.component
    asked = _asked_settings(loaded, _given_settings(spec, component))
    added: dict[str, Any] = {}
    unknown = []
    for name, value in asked.items():
        if _takes(component, {**added, name: value}):
            added[name] = value
        # A server that takes messages has no such setting, and applies its template.
        elif name != _TEMPLATE:
            unknown.append(f"{name}={value!r}")
    notes = []
    if unknown and component.component_id != _RECORDED:
        notes.append(
            f"generation.generator cannot be told {', '.join(unknown)}, which lm-eval's "
            "tasks ask for; answers are cut at the stop texts when they are scored"
        )
    if not added:
        return spec, notes
    if isinstance(spec, (str, Mapping)):
        written = {"use": spec} if isinstance(spec, str) else dict(spec)
        return {**written, **added}, notes
    return replace(spec, **added), notes


def _asked_settings(
    loaded: _Loaded,
    given: Container[str],
) -> dict[str, Any]:
    """Return the settings of sampling that all tasks ask for, without the given ones."""
    asked: dict[str, tuple[str, Any]] = {}
    for dataset, one in loaded:
        if not one.is_generated:
            continue
        for name, value in _settings_of(dataset, one).items():
            if name in given:
                continue
            where, other = asked.setdefault(name, (dataset.dataset_id, value))
            if other != value:
                raise ConfigError(
                    f"dataset {dataset.dataset_id!r} asks for {name}={value!r}, and "
                    f"{where!r} for {other!r}; give the generator {name!r}, or each an "
                    "experiment of its own"
                )
    return {name: value for name, (_, value) in asked.items()}


def _check_rates(
    generator: BuiltGenerator,
    loaded: _Loaded,
) -> None:
    """Raise `ConfigError` if tasks have answers rated that a generator would write, or
    answers written where it only rates.
    """
    for dataset, one in loaded:
        if one.is_generated and generator.component_id in _RATERS:
            raise ConfigError(
                f"dataset {dataset.dataset_id!r}: the task {dataset.task!r} has its answers "
                f"generated, and {generator.component_id!r} only rates given ones; use "
                f"{generator.component_id.removesuffix('_choice')}"
            )
        if not one.is_generated and not generator.rates_continuations:
            raise ConfigError(
                f"dataset {dataset.dataset_id!r}: the task {dataset.task!r} rates "
                f"given answers, which {generator.component_id!r} does not do; use "
                "llama_choice or vllm_choice"
            )


def _given_settings(
    spec: Any,
    component: Any,
) -> set[str]:
    """Return the names of the settings that somebody has given a generator."""
    if isinstance(spec, str):
        return set()
    if isinstance(spec, Mapping):
        return set(spec)
    return {item.name for item in _fields(component) if _is_set(component, item)}


def _is_set(
    component: Any,
    item: Any,
) -> bool:
    value = getattr(component, item.name)
    return bool(value != item.default and value not in ([], {}))


def _fields(component: Any) -> Iterable[Any]:
    return fields(component) if isinstance(component, Builtin) else ()  # type: ignore[arg-type]


def _takes(
    component: Any,
    settings: Mapping[str, Any],
) -> bool:
    """Return whether a generator has settings of these names, and takes the values."""
    names = {item.name for item in _fields(component)}
    if not names.issuperset(settings):
        return False
    try:
        replace(component, **settings)
    except InputError:
        return False
    return True


def _settings_of(
    dataset: LmEvalDataset,
    one: LmEvalTask,
) -> dict[str, Any]:
    """Return what a task asks of the generation of its answers, by our names."""
    asked = dict(one.task.config.generation_kwargs or {})
    settings: dict[str, Any] = {
        "max_tokens": int(asked.get("max_gen_toks", _MAX_TOKENS)),
        "stop": stop_texts(one),
    }
    if not dataset.apply_chat_template:
        # A text is continued as it is.
        settings[_TEMPLATE] = "raw"
    # As lm-eval's models read it: greedy unless a task says otherwise.
    if not asked.get("do_sample", False):
        settings["temperature"] = 0.0
        return settings
    for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty"):
        if name in asked:
            settings[name] = asked[name]
    return settings
