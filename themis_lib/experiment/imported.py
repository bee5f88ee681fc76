"""Another tool's log as a run: its outputs replayed, with the scores that it gave them.

The run is like any other, with the same tables: an experiment whose data is the log,
whose generator replays it, and whose metrics are the tool's own.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from pydantic import Field

from themis_lib.builtins.recordings import read_content
from themis_lib.core.config import (
    CandidatePolicy,
    ColumnMap,
    DatasetFile,
    EvaluationConfig,
    GenerationConfig,
    StorageConfig,
)
from themis_lib.core.models import FrozenModel
from themis_lib.core.secrets import public_url
from themis_lib.errors import ConfigError, DatasetError, StoreError, nearest
from themis_lib.eval_logs.json_values import load_log_json, object_or_empty
from themis_lib.eval_logs.lm_eval import results_name
from themis_lib.eval_logs.open_log import find_log_format, open_log
from themis_lib.eval_logs.samples import EvalLog, LogFormat, LogHeader
from themis_lib.experiment.experiment import Experiment, run_stages_here
from themis_lib.experiment.notebook import run_to_end
from themis_lib.identity.digests import digest
from themis_lib.runs.manifest import ImportRecord, Manifest, RunStatus, read_manifest
from themis_lib.runs.results import RunResult
from themis_lib.runs.run import Run
from themis_lib.storage.store import RunStore

#: In front of the digest that an imported run has for an id.
ID_PREFIX = "imported-"


class ImportOptions(FrozenModel):
    """How a log becomes a run; what is left out, the log says.

    `metrics` gives scores of the log other names, those of a run to compare with.
    `columns` maps the parts of a case to the columns of the tool's data, as in
    `datasets`: cases of two runs match if dataset, input and expected output do.
    """

    name: str | None = None
    dataset_id: str | None = None
    format: LogFormat | None = None
    metrics: dict[str, str] = Field(default_factory=dict)
    columns: ColumnMap = Field(default_factory=dict)


@dataclass(frozen=True)
class ImportedRun:
    """A run that a log became, and whether the store had it before."""

    result: RunResult
    was_there: bool


@dataclass
class _Contents:
    """What one variant of a log has: samples, and scores that are numbers."""

    samples: int = 0
    has_answers: bool = False
    #: By name, whether any sample has a number for it.
    scores: dict[str, bool] = field(default_factory=dict)


def import_log(
    path: str,
    storage: StorageConfig,
    options: ImportOptions | None = None,
) -> list[ImportedRun]:
    """Import a log at any fsspec URL, and return its runs.

    There is one for each prompt with a provider, where a file of promptfoo has several.
    The same log with the same options is the same run, which is not written twice.
    Raise `InputError` for what is no log, or options that do not fit it.
    """
    options = options or ImportOptions()
    content = read_content(path, {})
    name = _public_path(path)
    log_format = options.format or find_log_format(content, name)
    results = _results_beside(path) if log_format == "lm_eval" else {}
    log = open_log(io.BytesIO(content), name, log_format, results=results)
    found = _contents_of(log)
    if not found:
        raise DatasetError(f"{name}: there are no samples")
    runs = []
    for variant, contents in found.items():
        record = _record_of(log.header, variant, contents, name, content)
        experiment = _experiment_of(
            log.header,
            contents,
            options,
            DatasetFile(
                dataset_id=options.dataset_id or log.header.task,
                path=path,
                format=log_format,
                columns=options.columns,
            ),
            storage=storage,
            variant=variant,
        )
        runs.append(_run_once(experiment, record))
    return runs


def _public_path(path: str) -> str:
    """Return where a log is, without the password and the query of a URL.

    The names of the file, the task and the run are made of it, and are stored.
    """
    if "://" not in path:
        return path
    return public_url(path).partition("?")[0]


def _results_beside(path: str) -> Mapping[str, Any]:
    """Return the results of lm-eval beside its samples; empty where there are none."""
    folder, slash, name = path.rpartition("/")
    beside = results_name(name)
    if beside is None:
        return {}
    try:
        place = f"{folder}{slash}{beside}"
        return object_or_empty(load_log_json(read_content(place, {}), place))
    except DatasetError:
        return {}


def _contents_of(log: EvalLog) -> dict[int, _Contents]:
    found: dict[int, _Contents] = {}
    for sample in log.samples():
        contents = found.setdefault(sample.variant, _Contents())
        contents.samples = max(contents.samples, sample.sample + 1)
        contents.has_answers |= sample.answer is not None
        for name, score in sample.scores.items():
            is_number = contents.scores.get(name, False) or score.value is not None
            contents.scores[name] = is_number
    return dict(sorted(found.items()))


def _record_of(
    header: LogHeader,
    variant: int,
    contents: _Contents,
    path: str,
    content: bytes,
) -> ImportRecord:
    made_by = header.variants[variant]
    notices = list(header.notices)
    for name, is_number in contents.scores.items():
        if not is_number:
            notices.append(f"left out {name!r}: no sample has a number for it")
    if not contents.scores:
        notices.append("the log has no scores")
    if header.tool == "lm_eval" and contents.samples > 1:
        notices.append("lm-eval scores a document once: each of its samples has it")
    for what, value in (
        ("the model", made_by.model),
        ("the tool's version", header.tool_version),
    ):
        if value is None:
            notices.append(f"the log does not say {what}")
    return ImportRecord(
        tool=header.tool,
        tool_version=header.tool_version,
        task=header.task,
        model=made_by.model,
        variant=made_by.label if len(header.variants) > 1 else None,
        created_at=header.created_at,
        status=header.status,
        file=PurePosixPath(path).name,
        sha256=hashlib.sha256(content).hexdigest(),
        notices=notices,
    )


def _experiment_of(
    header: LogHeader,
    contents: _Contents,
    options: ImportOptions,
    dataset: DatasetFile,
    *,
    storage: StorageConfig,
    variant: int,
) -> Experiment:
    names = [name for name, is_number in contents.scores.items() if is_number]
    for name in options.metrics:
        if name not in names:
            hint = nearest(name, names)
            raise ConfigError(f"{dataset.path}: the log has no score {name!r}; {hint}")
    metrics = []
    for name in names:
        metric: dict[str, Any] = {
            "use": "builtin/logged_score",
            "id": options.metrics.get(name, name),
            "score_name": name,
        }
        # lm-eval says it of a metric, whatever the filter.
        if name.partition(",")[0] in header.lower_is_better:
            metric["higher_is_better"] = False
        metrics.append(metric)
    generator: dict[str, Any] = {
        "use": "builtin/replay",
        "path": dataset.path,
        "format": dataset.format,
    }
    run_name = options.name or header.task
    if len(header.variants) > 1:
        generator["variant"] = variant
        run_name = f"{run_name}-{variant}"
    parsers = ["builtin/json_identity"]
    if contents.has_answers:
        parsers.insert(0, "builtin/logged_answer")
    is_averaged = contents.samples > 1 and header.tool != "lm_eval"
    return Experiment(
        name=run_name,
        generation=GenerationConfig(
            generator=generator,
            candidate_policy=CandidatePolicy(num_samples=contents.samples),
            reducer="builtin/mean" if is_averaged else "builtin/first",
        ),
        evaluation=EvaluationConfig(metrics=metrics, parsers=parsers),
        datasets=[dataset],
        storage=storage,
    )


def _run_once(
    experiment: Experiment,
    record: ImportRecord,
) -> ImportedRun:
    pipeline = experiment.compile()
    # Before a run is begun: a column that is not there leaves no failed one.
    pipeline.check_data()
    datasets = [
        item.model_dump(mode="json", exclude={"path"}) for item in experiment.datasets
    ]
    # Where the file is does not count, what it holds does.
    said = [record.model_dump(exclude={"file"}), experiment.name, datasets]
    run_id = ID_PREFIX + digest("import", [*said, pipeline.fingerprint])[:12]
    store = experiment.open_store()
    known = _finished(store, run_id)
    if known is not None:
        return ImportedRun(RunResult(store, run_id, known), was_there=True)

    async def run_all() -> RunResult:
        with Run(pipeline, store, run_id=run_id, imported=record) as run:
            await run_stages_here(run)
            return run.finish()

    result = run_to_end(partial(run_all), instead="import it from a script")
    return ImportedRun(result, was_there=False)


def _finished(
    store: RunStore,
    run_id: str,
) -> Manifest | None:
    try:
        manifest = read_manifest(store, run_id)
    except StoreError:
        return None
    # One that was interrupted is written again.
    is_whole = manifest.status is not RunStatus.RUNNING and manifest.error is None
    return manifest if is_whole else None
