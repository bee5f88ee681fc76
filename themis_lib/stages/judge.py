"""The judge stage: what a model says of each answer, for a metric that asks it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.components.build import (
    build,
    component_identity,
    component_name,
    reads_of,
)
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import ScoreContext
from themis_lib.core.prices import Price, price_of
from themis_lib.core.prompts import PromptSpec
from themis_lib.core.protocols import JudgeCall
from themis_lib.errors import (
    BudgetError,
    ConfigError,
    FatalError,
    InputError,
    RowError,
    describe,
)
from themis_lib.identity.digests import canonical_json
from themis_lib.stages.budget import Budget
from themis_lib.stages.generate import GenerateStage, check_instructions
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


class JudgeStage(GenerateStage):
    """Rows are cases × samples: one judge's answers to one question of a metric,
    generated like any candidate.

    The judge's input is the metric's request. A key covers the judge, the prompt spec,
    the request and the seed, which is the same for every sample: a verdict is a
    function of what is judged, so equal requests are one row, whichever case, sample or
    metric they come from. The code that builds requests is in no key, only what it
    builds.
    """

    name = "judge"

    def __init__(
        self,
        judge_id: str,
        metric_id: str,
        metric: Any,
        call: JudgeCall,
        judge: Any,
        *,
        prompt_spec: PromptSpec,
        seed: int,
        samples: int,
        runtime: RuntimeConfig,
        price: Price | None,
        budget: Budget,
    ) -> None:
        super().__init__(
            judge,
            prompt_spec=prompt_spec,
            seeds=(seed,),
            runtime=runtime,
            price=price,
            budget=budget,
        )
        self.judge_id = judge_id
        self.metric_id = metric_id
        self._metric_identity = component_identity("metric", metric)
        self._call = call
        self._samples = samples
        self.metric_reads = reads_of("metric", metric)

    @property
    def label(self) -> str:
        return f"judge[{self.judge_id}]"

    @property
    def reads(self) -> tuple[str, ...]:
        return (*self.generator_reads, "seed")

    def columns(self, shard: Shard) -> dict[str, Any]:
        ids = [
            name for name in self.generator_reads if name in ("case_id", "dataset_id")
        ]
        return {
            "metric": self._metric_identity,  # whose code builds the requests
            "call": self._call.name,
            "seeds": list(self.seeds),
            **answer_digests(shard, (*self.metric_reads, *ids), self._samples),
        }

    def rows(self, shard: Shard, store: RunStore) -> pa.Table:
        judged = pa.table(answer_rows(shard, store, self.metric_reads, self._samples))
        requests, errors = self._requests(judged)
        count = judged.num_rows
        return pa.table(
            {
                **{
                    name: judged[name]
                    for name in ("dataset_id", "case_id", "sample_index")
                },
                "input": pa.array(requests, pa.string()),
                "expected_output": pa.nulls(count, pa.string()),
                "metadata": pa.array(["{}"] * count, pa.string()),
                "seed": pa.array(np.full(count, self.seeds[0], dtype=np.int64)),
                "error": pa.array(errors, pa.string()),
            }
        )

    async def compute(self, rows: pa.Table, run_id: str, emit: Emit) -> None:
        try:
            await super().compute(rows, run_id, emit)
        except BudgetError:
            raise  # the budget is the run's, not the judge's
        except FatalError as error:
            raise FatalError(f"{self.label}: {error}").marked(
                is_free=error.is_free
            ) from error

    def _requests(self, judged: pa.Table) -> tuple[list[str | None], list[str | None]]:
        """What the judge is asked in each row, as JSON text, and why it is not asked."""
        requests: list[str | None] = []
        errors: list[str | None] = judged["error"].to_pylist()
        cases, parsed = visible_cases(judged, self.metric_reads), parsed_outputs(judged)
        contexts = map(ScoreContext, visible_results(judged, self.metric_reads))
        for position, given in enumerate(zip(parsed, cases, contexts, strict=True)):
            request = None
            if errors[position] is None:
                try:
                    request = canonical_json(self._call.request(*given))
                except RowError as error:
                    errors[position] = (
                        str(error).encode("utf-8", "backslashreplace").decode()
                    )
                except Exception as error:  # noqa: BLE001 - a component may raise anything
                    errors[position] = f"the judge's request: {describe(error)}"
            requests.append(request)
        return requests, errors


def judge_stages(
    metrics: Mapping[str, Any],
    judge_models: Sequence[Any],
    *,
    seeds: Callable[[int], int],
    samples: int,
    runtime: RuntimeConfig,
    prices: Mapping[str, Price],
    budget: Budget,
) -> dict[str, list[JudgeStage]]:
    """The judge stages of each metric that asks judges: its own, or else
    `judge_models`; member by member.

    Members of a panel that are the same model draw independently: the first with
    `seeds(0)`, the next with `seeds(1)`.

    Raises `InputError` for a metric that nobody answers, for `judge_models` that nobody
    asks, and for judges that cannot be built, told apart or held to a schema.
    """
    asking = {
        metric_id: metric
        for metric_id, metric in metrics.items()
        if hasattr(metric, "judge_calls")
    }
    own = {
        metric_id: getattr(metric, "judge", None)
        for metric_id, metric in asking.items()
    }
    if judge_models and None not in own.values():
        raise ConfigError(
            "evaluation.judge_models: no metric of this experiment asks them; leave them out"
        )
    shared = _panel(judge_models, where="evaluation.judge_models")
    stages: dict[str, list[JudgeStage]] = {}
    for metric_id, metric in asking.items():
        where, spec = f"metric {metric_id!r}", own[metric_id]
        specs = spec if isinstance(spec, (list, tuple)) else [spec]
        panel = shared if spec is None else _panel(specs, where=f"{where}: judge")
        if not panel:
            raise ConfigError(
                f"{where} asks a judge and has none; give it a `judge`, or set evaluation.judge_models"
            )
        calls = list(metric.judge_calls())
        stages[metric_id] = []
        draws = _draws(panel)
        for (member, judge), call in product(panel.items(), calls):
            names = [
                metric_id,
                *([member] if len(panel) > 1 else []),
                *([call.name] if len(calls) > 1 else []),
            ]
            generator, prompt_spec = _held_to_schema(
                judge, call, where=f"{where}: judge {member!r}"
            )
            stages[metric_id].append(
                JudgeStage(
                    ":".join(names),
                    metric_id,
                    metric,
                    call,
                    generator,
                    prompt_spec=prompt_spec,
                    seed=seeds(draws[member]),
                    samples=samples,
                    runtime=runtime,
                    price=price_of(generator, prices),
                    budget=budget,
                )
            )
    _check_names(
        [stage.judge_id for of_metric in stages.values() for stage in of_metric],
        where="evaluation.metrics",
    )
    return stages


def _panel(specs: Sequence[Any], *, where: str) -> dict[str, Any]:
    """The judges of a panel by name."""
    judges = [
        build("generator", spec, where=f"{where}[{index}]")
        for index, spec in enumerate(specs)
    ]
    names = [
        component_name(spec, judge) for spec, judge in zip(specs, judges, strict=True)
    ]
    _check_names(names, where=where)
    return dict(zip(names, judges, strict=True))


def _draws(panel: Mapping[str, Any]) -> dict[str, int]:
    """For each member, how many before it are the same judge under another name."""
    identities = [
        canonical_json(component_identity("generator", judge))
        for judge in panel.values()
    ]
    return {
        member: identities[:at].count(identities[at]) for at, member in enumerate(panel)
    }


def _check_names(names: Sequence[str], *, where: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(
                f"{where}: {count} judges are named {name!r}; give each an `id` of its own"
            )


def _held_to_schema(
    judge: Any, call: JudgeCall, *, where: str
) -> tuple[Any, PromptSpec]:
    """The judge and its prompt spec so that verdicts have the form asked for: enforced,
    or else told.
    """
    check_instructions(judge, call.prompt_spec, where=where)
    if call.schema is None:
        return judge, call.prompt_spec
    if getattr(judge, "schema", None) is not None:
        raise ConfigError(
            f"{where} has a schema of its own, and the metric asks for another; remove it"
        )
    if callable(getattr(judge, "with_schema", None)):
        try:
            return judge.with_schema(call.schema), call.prompt_spec
        except InputError as error:
            raise type(error)(f"{where}: {error}") from None
    told = f"Write the JSON object alone, without any other text. Its JSON Schema: {json.dumps(call.schema)}"
    suffix = "\n\n".join(filter(None, [call.prompt_spec.suffix, told]))
    return judge, call.prompt_spec.model_copy(update={"suffix": suffix})
