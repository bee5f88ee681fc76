"""The judge stage: a model's verdict on each answer, for a metric that asks for it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.components.build import build
from themis_lib.components.records import BuiltGenerator, BuiltMetric
from themis_lib.core.config import Libraries, RuntimeConfig
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.prices import Price
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.protocols import JudgeCall
from themis_lib.errors import (
    BudgetError,
    ConfigError,
    FatalError,
    InputError,
    RowError,
    describe,
    escape_surrogates,
)
from themis_lib.identity.digests import canonical_json
from themis_lib.stages.budget import Budget
from themis_lib.stages.generate import PARTS_VERSION, GenerateStage, check_prompt
from themis_lib.stages.outputs import visible_results
from themis_lib.stages.reading import (
    answer_digests,
    answer_rows,
    parsed_outputs,
    visible_cases,
)
from themis_lib.stages.stage import Emit
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

_ID_COLUMNS = ("case_id", "dataset_id")
#: How a judge is told a schema that it cannot be held to, at the end of its prompt.
TOLD_SCHEMA = "Write the JSON object alone, without any other text. Its JSON Schema: "


@dataclass(frozen=True)
class BuiltJudge:
    """A judge ready to answer one question of a metric.

    `judge_id` tells it apart in tables: the metric, then the panel's member and the
    question where there are several. `prompt_spec` is the question's, with the schema
    of the verdict told in it if the generator cannot enforce one.
    """

    judge_id: str
    generator: BuiltGenerator
    call: JudgeCall
    prompt_spec: PromptSpec
    seed: int


@dataclass(frozen=True)
class JudgeSettings:
    """What the judge stages of an experiment have in common.

    `seeds` returns the seed of the n-th draw of one judge.
    """

    seeds: Callable[[int], int]
    samples: int
    runtime: RuntimeConfig
    prices: Mapping[str, Price]
    budget: Budget
    libraries: Libraries = "scoring"


class JudgeStage(GenerateStage):
    """Rows are cases × samples: one judge's answers to one question of a metric.

    The judge's input is the metric's request. A key covers the judge, the prompt spec,
    the request and the seed, which is the same for every sample: a verdict is a
    function of what is judged. So equal requests are one row, whatever case, sample or
    metric they come from. The code that builds requests is in no key, only the requests
    it builds.
    """

    name = "judge"

    def __init__(
        self,
        judge: BuiltJudge,
        metric_id: str,
        metric: BuiltMetric,
        settings: JudgeSettings,
    ) -> None:
        generator = judge.generator
        super().__init__(
            generator,
            prompt_spec=judge.prompt_spec,
            seeds=(judge.seed,),
            runtime=settings.runtime,
            price_of=generator.price_of(settings.prices),
            budget=settings.budget,
        )
        self.judge_id = judge.judge_id
        self.metric_id = metric_id
        self.metric_reads = metric.reads
        self._reads_whole = metric.whole_output
        self._metric_identity = metric.identity
        self._call = judge.call
        self._samples = settings.samples

    @property
    def label(self) -> str:
        return f"judge[{self.judge_id}]"

    @property
    def reads(self) -> tuple[str, ...]:
        # No occurrence number: equal requests get one verdict.
        return (*self.generator_reads, "seed")

    def columns(
        self,
        shard: Shard,
        store: RunStore,
    ) -> dict[str, Any]:
        ids = [name for name in self.generator_reads if name in _ID_COLUMNS]
        # Requests about images, audio and files were JSON texts.
        version = {"input_version": PARTS_VERSION} if shard.has_parts else {}
        return {
            **version,
            # The metric's code builds the requests, which this names without them.
            "metric": self._metric_identity,
            "call": self._call.name,
            "seeds": list(self.seeds),
            **answer_digests(
                shard,
                store,
                (*self.metric_reads, *ids),
                self._samples,
                whole=self._reads_whole,
            ),
        }

    def rows(
        self,
        shard: Shard,
        store: RunStore,
    ) -> pa.Table:
        self.read_contents(store)
        # Columns of generate's rows: a judge is a generator whose input is the request.
        judged = pa.table(
            answer_rows(
                shard,
                store,
                self.metric_reads,
                self._samples,
                whole=self._reads_whole,
            )
        )
        requests, errors = self._build_requests(judged)
        count = judged.num_rows
        seeds = np.full(count, self.seeds[0], dtype=np.int64)
        return pa.table(
            {
                "dataset_id": judged["dataset_id"],
                "case_id": judged["case_id"],
                "sample_index": judged["sample_index"],
                "input": pa.array(requests, pa.string()),
                "expected_output": pa.nulls(count, pa.string()),
                "metadata": pa.array(["{}"] * count, pa.string()),
                "seed": pa.array(seeds),
                "error": pa.array(errors, pa.string()),
            }
        )

    async def compute(
        self,
        rows: pa.Table,
        run_id: str,
        emit: Emit,
    ) -> None:
        try:
            await super().compute(rows, run_id, emit)
        except BudgetError:
            raise  # the budget is the run's, not the judge's
        except FatalError as error:
            fatal = FatalError(f"{self.label}: {error}")
            raise fatal.marked(is_free=error.is_free) from error

    def _build_requests(
        self, judged: pa.Table
    ) -> tuple[list[str | None], list[str | None]]:
        """Return, per row, the judge's request as JSON, or the reason there is none."""
        requests: list[str | None] = []
        errors: list[str | None] = []
        rows = zip(
            judged["error"].to_pylist(),
            parsed_outputs(judged),
            visible_cases(judged, self.metric_reads),
            visible_results(judged, self.metric_reads),
            strict=True,
        )
        for upstream_error, parsed, case, result in rows:
            request: str | None = None
            error: str | None = upstream_error
            if error is None:
                try:
                    asked = self._call.request(parsed, case, ScoreContext(result))
                    request = canonical_json(asked)
                except RowError as problem:
                    error = escape_surrogates(str(problem))
                # A metric's code builds the request: what it raises is that row's error.
                except Exception as problem:  # noqa: BLE001 - a component may raise anything
                    error = f"the judge's request: {describe(problem)}"
            requests.append(request)
            errors.append(error)
        return requests, errors


def judge_stages(
    metrics: Mapping[str, BuiltMetric],
    judge_models: Sequence[Any],
    settings: JudgeSettings,
) -> dict[str, list[JudgeStage]]:
    """Return the judge stages of each metric that asks judges, by metric.

    A metric's own judges win over `judge_models`. Members of a panel that are the same
    model draw independently, each with the next seed.

    Raise `InputError` if nobody answers a metric, if no metric asks `judge_models`, or
    if judges cannot be built, told apart or held to a schema.
    """
    asking = _metrics_with_judges(metrics, judge_models)
    shared_panel = _build_panel(
        judge_models, settings.libraries, where="evaluation.judge_models"
    )
    stages: dict[str, list[JudgeStage]] = {}
    for metric_id, metric in asking.items():
        where = f"metric {metric_id!r}"
        panel = shared_panel
        if metric.judges is not None:
            panel = _build_panel(
                metric.judges, settings.libraries, where=f"{where}: judge"
            )
        if not panel:
            raise ConfigError(
                f"{where} asks a judge and has none; give it a `judge`, "
                "or set evaluation.judge_models"
            )
        judges = _build_judges(
            metric_id,
            metric,
            panel,
            settings.seeds,
            where=where,
        )
        stages[metric_id] = [
            JudgeStage(
                judge,
                metric_id,
                metric,
                settings,
            )
            for judge in judges
        ]
    judge_ids = []
    for of_metric in stages.values():
        judge_ids += [stage.judge_id for stage in of_metric]
    # A metric named `a:b` and a member `b` of the metric `a` would share a label.
    _check_names(judge_ids, where="evaluation.metrics")
    return stages


def _metrics_with_judges(
    metrics: Mapping[str, BuiltMetric],
    judge_models: Sequence[Any],
) -> dict[str, BuiltMetric]:
    """Return the metrics that ask judges.

    Raise `ConfigError` if none of them would ask `judge_models`, which somebody meant
    to be asked.
    """
    asking: dict[str, BuiltMetric] = {}
    asks_models = False
    for metric_id, metric in metrics.items():
        if metric.judge_calls is not None:
            asking[metric_id] = metric
            asks_models = asks_models or metric.judges is None
    if judge_models and not asks_models:
        raise ConfigError(
            "evaluation.judge_models: no metric of this experiment asks them; "
            "leave them out"
        )
    return asking


def _build_judges(
    metric_id: str,
    metric: BuiltMetric,
    panel: Mapping[str, BuiltGenerator],
    seeds: Callable[[int], int],
    *,
    where: str,
) -> list[BuiltJudge]:
    """Return a judge for each member of a panel and each question of a metric."""
    assert metric.judge_calls is not None
    calls = list(metric.judge_calls())
    # A member's draw: how many members before it are the same judge.
    seen: Counter[str] = Counter()
    draws = {}
    for member, generator in panel.items():
        identity = canonical_json(generator.identity)
        draws[member] = seen[identity]
        seen[identity] += 1
    judges = []
    for (member, generator), call in product(panel.items(), calls):
        # The shortest name that tells judges apart: most metrics ask one, once.
        names = [metric_id]
        if len(panel) > 1:
            names.append(member)
        if len(calls) > 1:
            names.append(call.name)
        place = f"{where}: judge {member!r}"
        held, prompt_spec = _hold_to_schema(generator, call, where=place)
        judge = BuiltJudge(
            judge_id=":".join(names),
            generator=held,
            call=call,
            prompt_spec=prompt_spec,
            seed=seeds(draws[member]),
        )
        judges.append(judge)
    return judges


def _build_panel(
    specs: Sequence[Any],
    libraries: Libraries,
    *,
    where: str,
) -> dict[str, BuiltGenerator]:
    """Build the judges of a panel, by name."""
    judges = []
    for index, spec in enumerate(specs):
        judge = build("generator", spec, where=f"{where}[{index}]")
        if judge.asks:
            raise ConfigError(
                f"{where}[{index}]: {judge.component_id} asks other generators; a judge "
                "answers itself"
            )
        judges.append(judge.covering(libraries))
    _check_names([judge.name for judge in judges], where=where)
    return {judge.name: judge for judge in judges}


def _check_names(
    names: Sequence[str],
    *,
    where: str,
) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(
                f"{where}: {count} judges are named {name!r}; "
                "give each an `id` of its own"
            )


def _hold_to_schema(
    judge: BuiltGenerator,
    call: JudgeCall,
    *,
    where: str,
) -> tuple[BuiltGenerator, PromptSpec]:
    """Return a judge and its prompt spec such that verdicts keep to the call's schema.

    The judge enforces the schema if it can; any other is told it in the prompt.
    """
    check_prompt(judge, call.prompt_spec, where=where)
    if call.prompt_spec.template is not None:
        raise ConfigError(
            f"{where}: a judge's prompt spec has no template; build its text in `request`"
        )
    if call.schema is None:
        return judge, call.prompt_spec
    if judge.schema is not None:
        raise ConfigError(
            f"{where} has a schema of its own, and the metric asks for another; "
            "remove it"
        )
    if judge.enforces_schemas:
        try:
            return judge.with_schema(call.schema), call.prompt_spec
        except InputError as error:
            raise type(error)(f"{where}: {error}") from None
    told = TOLD_SCHEMA + json.dumps(call.schema)
    # Behind the suffix: what the metric asks stays as it wrote it.
    parts = [call.prompt_spec.suffix, told]
    suffix = "\n\n".join(filter(None, parts))
    return judge, call.prompt_spec.model_copy(update={"suffix": suffix})
