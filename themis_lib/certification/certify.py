"""Does a model give the same answers however it is asked? Sampled, compared, recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from themis_lib.certification.arrangements import (
    ALONE,
    LATER,
    Arrangement,
    arrangements,
)
from themis_lib.certification.findings import Answers, Findings, PromptName
from themis_lib.certification.models import Certification
from themis_lib.certification.notes import notes_of
from themis_lib.certification.readings import readings
from themis_lib.certification.records import (
    certification_folder,
    certification_of,
    certified_identity,
    keep_certification,
    keep_sampled_times,
    sampled_times,
)
from themis_lib.certification.sampling import (
    ArrangedStage,
    arranged_shard,
    in_given_order,
    reasons_of,
)
from themis_lib.certification.scoring import (
    Scoring,
    score_effects,
    with_one_sample,
)
from themis_lib.certification.target import experiment_for, public_name
from themis_lib.components.build import build
from themis_lib.components.records import BuiltGenerator
from themis_lib.data.cut import content_digest
from themis_lib.errors import BudgetError, ConfigError, FatalError
from themis_lib.experiment.event_loop import run_in_new_loop
from themis_lib.experiment.experiment import Experiment
from themis_lib.explain.estimates import estimate_usage
from themis_lib.explain.plan import look_up
from themis_lib.runs.manifest import now
from themis_lib.runs.pipeline import Pipeline
from themis_lib.stages.progress import Progress
from themis_lib.stages.reading import read
from themis_lib.stats.clusters import Floats
from themis_lib.storage.store import RunStore, open_store
from themis_lib.verification.recompute import run_with_failures

#: The likeliest tokens that are asked for: what an endpoint gives at most may be five.
_LOGPROBS = 5
#: What is in each message of a server that gives no log-probabilities.
_LOGPROBS_FIELD = "logprobs"
_RUN_ID = "certify"


@dataclass(frozen=True)
class PlannedArrangement:
    """How many prompts of an arrangement are still to be asked, and for how much.

    `cost` in US dollars is an estimate, `None` where nobody says.
    """

    arrangement: str
    rows: int
    calls: int
    cost: float | None


def certify(
    target: str | Experiment,
    *,
    store: str | None = None,
    settings: Sequence[str] = (),
    data: str | None = None,
    limit: int | None = None,
    again: bool = False,
) -> Certification:
    """Ask a model the same prompts in several ways, and return what differs.

    `target` is an experiment or its file, a base URL, or a model as `model:` names one
    in an experiment. `settings` are those of the generator, such as `temperature=0`, or
    overrides of the experiment's file. `data` is a file of prompts, `limit` takes the
    first of them, and `again` asks them once more, although they were. This calls the
    model; `ModelCertification.plan` says how often. Rows that are in the store are not
    asked for again, and the certification is kept there for runs to refer to.

    Raise `InputError` for a model that cannot be asked, and `BudgetError` at the
    experiment's `cost.max_cost`.
    """
    if not isinstance(target, str) and (settings or data is not None):
        raise ConfigError(
            "settings and data: an experiment has its own; change it there"
        )
    if isinstance(target, str):
        experiment = experiment_for(target, settings=settings, data=data, limit=limit)
        name = public_name(target)
    else:
        experiment = target if limit is None else target.limited(limit)
        name = experiment.name
    certification = ModelCertification.of(
        experiment.with_store(store), target=name, again=again
    )
    return run_in_new_loop(certification.certify)


class ModelCertification:
    """A certification of the generator of an experiment, to be priced and then made.

    `progress` counts the rows of the arrangement that is being sampled, `current`, and
    `sampled` the arrangements before it.
    """

    def __init__(
        self,
        experiment: Experiment,
        pipeline: Pipeline,
        *,
        target: str,
        again: bool,
    ) -> None:
        self.target = target
        self.progress = Progress()
        self.current = ""
        self.sampled = 0
        self._experiment = experiment
        self._identity = certified_identity(pipeline.generate.generator.identity)
        self.store = experiment.open_store()
        url, options = experiment.storage.resolved()
        folder = certification_folder(self._identity)
        # A store of its own: nothing that is sampled here is found by a run.
        self._rows = (
            RunStore(f"{self.store.url}/{folder}")
            if self.store.in_memory
            else open_store(f"{url.rstrip('/')}/{folder}", options)
        )
        self._pipeline = pipeline.resolved(self._rows)
        earlier = certification_of(self.store, self._identity)
        self._again = again
        # What it refused once it is not asked again: nothing that is kept was asked so.
        self._asks_logprobs = not (earlier and earlier.refuses_logprobs)
        self._scores: list[dict[str, Floats]] = []

    @classmethod
    def of(
        cls,
        experiment: Experiment,
        *,
        target: str,
        again: bool = False,
    ) -> ModelCertification:
        """Return the certification of an experiment's generator on its prompts.

        Raise `InputError` for what is wrong with either.
        """
        experiment = with_one_sample(experiment)
        pipeline = experiment.compile(until_stage="score")
        generator = pipeline.generate.generator
        if generator.asks:
            raise ConfigError(
                f"{target}: {generator.component_id} makes an answer of several calls; "
                "certify the model that it asks"
            )
        pipeline.check_data()
        return cls(experiment, pipeline, target=target, again=again)

    @property
    def is_paid(self) -> bool:
        """Whether the calls may cost money."""
        return self._pipeline.generate.is_paid

    @cached_property
    def cases(self) -> pa.Table:
        """The prompts, in order."""
        tables = [
            read(self._rows, shard.cases) for shard in self._pipeline.shards(self._rows)
        ]
        cases = pa.concat_tables(tables)
        if cases.num_rows < 2:
            raise ConfigError(
                f"{self.target}: {cases.num_rows} prompt; two at once need two"
            )
        return cases

    @cached_property
    def rounds(self) -> int:
        """How often the prompts are asked again, later."""
        earlier = sum(name.startswith(LATER) for name in self._times)
        return max(earlier + self._again, 1)

    @cached_property
    def _times(self) -> dict[str, str]:
        """When the prompts were last asked, by arrangement."""
        return sampled_times(self.store, self._identity, self._digest)

    @cached_property
    def arrangements(self) -> list[Arrangement]:
        """The ways of asking, in the order in which they are sampled."""
        return arrangements(self.cases.num_rows, rounds=self.rounds)

    def plan(self) -> list[PlannedArrangement]:
        """Return how many prompts of each arrangement are still to be asked."""
        return [self._planned(arrangement) for arrangement in self.arrangements]

    def _planned(self, arrangement: Arrangement) -> PlannedArrangement:
        stage = self._stage(arrangement)
        shard = arranged_shard(self._rows, self.cases, arrangement)
        _, missing, length = look_up(stage, shard, self._rows)
        calls = len(missing)
        cost: float | None = 0.0
        if stage.is_paid and calls:
            usage = estimate_usage(stage, calls, calls * length, None)
            cost = None
            if usage is not None and stage.price is not None:
                cost = stage.price.total(usage, {})
        return PlannedArrangement(arrangement.name, self.cases.num_rows, calls, cost)

    async def certify(self) -> Certification:
        """Ask what was not asked yet, compare, keep the certification and return it.

        Raise `ConfigError` if the model cannot be asked at all, and `BudgetError` at the
        experiment's `cost.max_cost`.
        """
        sampled = []
        for arrangement in self.arrangements:
            sampled.append(await self._ask(arrangement))
            self.sampled += 1
        found = self._found(sampled, self._scores)
        keep_certification(self.store, found)
        return found

    async def _ask(self, arrangement: Arrangement) -> Answers:
        """Return an arrangement's answers, without log-probabilities if none are given."""
        try:
            answers = await self._sample(arrangement)
        except BudgetError:
            raise
        except FatalError as error:
            if not self._drops_logprobs(arrangement, str(error)):
                raise ConfigError(f"{self.target} cannot be asked: {error}") from error
        else:
            if not self._drops_logprobs(arrangement, answers.refusal):
                return answers
        return await self._ask(arrangement)

    def _drops_logprobs(
        self,
        arrangement: Arrangement,
        refusal: str,
    ) -> bool:
        """Ask for no log-probabilities from now on, where a server refuses to give any."""
        # The first way of asking has told; what a user asks for is not dropped.
        is_first = arrangement.name == ALONE and self._adds_logprobs
        if not is_first or _LOGPROBS_FIELD not in refusal:
            return False
        self._asks_logprobs = False
        self._scores.clear()
        del self._generator
        return True

    @property
    def _adds_logprobs(self) -> bool:
        """Whether log-probabilities are asked for that the generator does not ask for."""
        own = self._pipeline.generate.generator.identity.get("settings") or {}
        return self._asks_logprobs and own.get(_LOGPROBS_FIELD) is None

    async def _sample(self, arrangement: Arrangement) -> Answers:
        stage = self._stage(arrangement)
        shard = arranged_shard(self._rows, self.cases, arrangement)
        self.current, self.progress = arrangement.name, Progress()
        part, has_failed = await run_with_failures(
            self._rows, stage, shard, _RUN_ID, self.progress
        )
        table = read(self._rows, part)
        failed = table.filter(pa.array(has_failed))
        if not arrangement.has_prefix:
            # Behind the prefix, the prompts are others.
            scoring = Scoring(self._pipeline, self._rows)
            scored = replace(shard, outputs=part)
            self._scores.append(await scoring.scores(scored, arrangement, _RUN_ID))
        flags = pa.table({"failed": pa.array(has_failed)})
        given = in_given_order(flags, arrangement)["failed"].to_numpy()
        return Answers(
            arrangement=arrangement,
            readings=readings(in_given_order(table, arrangement), np.asarray(given)),
            errors=reasons_of(failed),
            sampled_at=self._sampled_at(arrangement, part.computed),
        )

    def _sampled_at(
        self,
        arrangement: Arrangement,
        computed: int,
    ) -> str:
        """Return when the rows were sampled: when they last were, or now."""
        if computed or arrangement.name not in self._times:
            self._times[arrangement.name] = now()
            keep_sampled_times(self.store, self._identity, self._digest, self._times)
        return self._times[arrangement.name]

    def _found(
        self,
        answers: Sequence[Answers],
        scores: Sequence[Mapping[str, Floats]],
    ) -> Certification:
        names = [
            PromptName(row["dataset_id"], row["case_id"])
            for row in self.cases.select(["dataset_id", "case_id"]).to_pylist()
        ]
        findings = Findings(names, answers)
        compared, differing = findings.by_prompt
        low, high = findings.interval
        read_all = [reading for item in answers for reading in item.readings if reading]
        is_rated = any(reading.is_rated for reading in read_all)
        return Certification(
            target=self.target,
            model=self._pipeline.generate.generator.model,
            generator=self._identity,
            certified_at=max(item.sampled_at for item in answers),
            prompts=self.cases.num_rows,
            prompts_digest=self._digest,
            rounds=self.rounds,
            seed=self._pipeline.seeds[0],
            unit="token" if is_rated else "word",
            checks=findings.checks,
            prompts_compared=compared,
            prompts_differ=differing,
            differ_low=low,
            differ_high=high,
            noise=findings.noise,
            scores=score_effects(scores),
            differences=findings.differences,
            refuses_logprobs=not self._asks_logprobs,
            notes=notes_of(
                read_all,
                temperature=(self._identity.get("settings") or {}).get("temperature"),
                refuses_logprobs=not self._asks_logprobs,
            ),
        )

    @cached_property
    def _digest(self) -> str:
        return content_digest(self.cases)

    def _stage(self, arrangement: Arrangement) -> ArrangedStage:
        return ArrangedStage(
            self._pipeline.generate,
            self._generator,
            arrangement,
            self._experiment.runtime,
            self._pipeline.budget,
        )

    # Cached: the first request of all goes ahead of the others, and later ones do not.
    @cached_property
    def _generator(self) -> BuiltGenerator:
        """The generator, as fast as an arrangement says, with log-probabilities."""
        spec = self._experiment.generation.generator
        where = f"{self.target}: generator"
        built = build("generator", spec, where=where)
        # A live object is taken as it is.
        if isinstance(spec, (str, Mapping)):
            use = {"use": spec} if isinstance(spec, str) else dict(spec)
            changes = self._changes(built.component)
            built = build("generator", {**use, **changes}, where=where)
        return built.covering(self._experiment.identity.libraries)

    def _changes(self, component: Any) -> dict[str, Any]:
        """Return the settings of a generator that are others here."""
        if not is_dataclass(component):
            return {}
        changes: dict[str, Any] = {}
        names = {field.name for field in fields(component)}
        if "max_concurrency" in names:
            changes["max_concurrency"] = None
        is_open = getattr(component, "logprobs", 0) is None
        if self._asks_logprobs and "logprobs" in names and is_open:
            changes["logprobs"] = _LOGPROBS
        return changes
