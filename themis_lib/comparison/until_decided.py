"""Runs that stop when they are decided: their cases look by look, in a random order.

One run against a finished one or its gates, or several in step (the cells of a matrix,
each against the baseline): after each look every open question is asked, and only what
has an open question goes on. Rows that were not needed stay missing; a later run, with
or without stopping, computes them and no others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from themis_lib.comparison.scored_cases import ScoredCases, scored_cases
from themis_lib.comparison.sequential_decisions import OpenQuestion
from themis_lib.comparison.sequential_questions import Question, StopRule
from themis_lib.data.cut import data_digests
from themis_lib.errors import BudgetError, ConfigError, ThemisError
from themis_lib.runs.drive import cut_data, evaluate_shards
from themis_lib.runs.pipeline import RunStage
from themis_lib.runs.random_order import (
    Content,
    OrderedCases,
    in_random_order,
    look_ends,
    shard_size,
)
from themis_lib.runs.run import Run
from themis_lib.runs.sequential import SequentialRecord
from themis_lib.stats.clusters import Floats

# More than any data has: what an unlimited budget can pay for.
_UNLIMITED = 2**31


@dataclass
class Side:
    """A run that is driven look by look.

    `total` counts the cases of each dataset, `data` has the digest of all, `cases` those
    that can decide. `error` is what stopped it, where other sides go on without it.
    """

    name: str
    run: Run
    run_stage: RunStage
    window: int
    cases: dict[str, OrderedCases] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    shards: int = 0
    error: ThemisError | None = None

    async def advance(
        self,
        dataset_id: str,
        end: int,
    ) -> None:
        """Evaluate the cases of a dataset up to a position in the order."""
        cases = self.cases[dataset_id]
        run = self.run
        shards = await asyncio.to_thread(
            lambda: list(
                cases.shards(
                    self.reached.get(dataset_id, 0),
                    end,
                    run.store,
                    size=shard_size(
                        run.pipeline.samples,
                        run.pipeline.experiment.runtime.shard_size,
                    ),
                    index=self.shards,
                )
            )
        )
        for shard in shards:
            run.expect(shard)
        self.shards += len(shards)
        await evaluate_shards(run, shards, self.run_stage, window=self.window)
        self.reached[dataset_id] = min(end, len(cases.contents))


@dataclass
class Asked:
    """A question about a side, open or not, and the scores that it compares with.

    `before` has those of a finished baseline, in the order of the cases.
    """

    side: str
    open: OpenQuestion
    before: Floats | None = None

    @property
    def question(self) -> Question:
        """What is asked."""
        return self.open.question


class Decider:
    """Drives sides until every question about them is decided, or cannot be."""

    def __init__(
        self,
        sides: Sequence[Side],
        questions: Mapping[str, Sequence[Question]],
        rule: StopRule,
    ) -> None:
        self.sides = {side.name: side for side in sides}
        self.rule = rule
        self._questions = questions
        self.asked: list[Asked] = []

    async def run(self) -> None:
        """Evaluate look after look until no question is open.

        With several sides, one that an error stops is closed with its questions; alone,
        its error is raised. Out of money, questions end with what the looks so far show.
        """
        await asyncio.to_thread(self._prepare)
        longest = max((item.open.cases for item in self.asked), default=0)
        for end in look_ends(longest):
            for side in self.sides.values():
                await self._advance(side, end)
            for item in self._open():
                await asyncio.to_thread(self._look, item)
            if not self._open():
                return

    def record(
        self,
        side: str,
        run_ids: Mapping[str, str],
    ) -> SequentialRecord:
        """Return how the questions about a side were decided.

        A side that others are compared with has no questions, and their rule.
        `run_ids` has the run of each side.
        """
        questions = []
        for item in self.asked:
            if item.side == side:
                questions.append(item.open.record(_baseline_id(item, run_ids)))
        mine = self.sides[side]
        counts = {name: len(cases.contents) for name, cases in mine.cases.items()}
        return SequentialRecord(
            alpha=self.rule.alpha,
            delta=self.rule.delta,
            order_seed=self.rule.order_seed,
            cases=counts,
            used={name: _count_used(mine, name) for name in counts},
            total=mine.total,
            data=mine.data,
            questions=questions,
        )

    def _prepare(self) -> None:
        """Read and order the cases of every side, and open the questions."""
        for side in self.sides.values():
            shards = cut_data(side.run)
            side.data = data_digests(shards)
            side.cases = in_random_order(shards, side.run.store, self.rule.order_seed)
            for dataset_id, cases in side.cases.items():
                side.total[dataset_id] = len(cases.contents)
        scored: dict[str, ScoredCases] = {}
        for name, questions in self._questions.items():
            side = self.sides[name]
            for question in questions:
                if question.baseline is not None:
                    run_id = question.baseline.run_id
                    if run_id not in scored:
                        scored[run_id] = scored_cases(question.baseline)
                self._check_in_step(side, question)
            _keep_matched(side, questions, scored)
            statistics = side.run.pipeline.experiment.evaluation.statistics
            for question in questions:
                contents = side.cases[question.dataset_id].contents
                opened = OpenQuestion(question, statistics, len(contents))
                before = None
                if question.baseline is not None:
                    baseline = scored[question.baseline.run_id]
                    before = _scores_of(baseline, question.metric_id, contents)
                self.asked.append(Asked(name, opened, before))

    def _check_in_step(
        self,
        side: Side,
        question: Question,
    ) -> None:
        """Refuse two sides in step whose cases differ."""
        if question.baseline_cell is None:
            return
        other = self.sides[question.baseline_cell].cases.get(question.dataset_id)
        mine = side.cases[question.dataset_id]
        if other is None or other.contents != mine.contents:
            raise ConfigError(
                f"--until-decided: cells {question.baseline_cell!r} and {side.name!r} "
                f"have other cases in {question.dataset_id!r}, and the two are decided "
                "in step on the same cases; run them in full"
            )

    def _open(self) -> list[Asked]:
        return [item for item in self.asked if item.open.is_open]

    async def _advance(
        self,
        side: Side,
        end: int,
    ) -> None:
        """Take a side to the end of a look, on the datasets that still matter."""
        names: dict[str, None] = {}
        for item in self._open():
            if side.name in (item.side, item.question.baseline_cell):
                names[item.question.dataset_id] = None
        try:
            for dataset_id in names:
                await side.advance(dataset_id, end)
        except BudgetError as error:
            if not any(item.open.looks for item in self._open()):
                raise
            self._close(side, "budget")
            side.error = error
        except ThemisError as error:
            if len(self.sides) == 1:
                raise
            self._close(side, "data")
            side.error = error

    def _close(
        self,
        side: Side,
        why: str,
    ) -> None:
        for item in self._open():
            if side.name in (item.side, item.question.baseline_cell):
                item.open.ended = "budget" if why == "budget" else "data"

    def _look(self, item: Asked) -> None:
        side = self.sides[item.side]
        question = item.question
        place = (question.dataset_id, question.metric_id)
        after = side.run.scores(*place)
        before = None
        if item.before is not None:
            before = item.before[: len(after)]
        elif question.baseline_cell is not None:
            before = self.sides[question.baseline_cell].run.scores(*place)
        item.open.look(before, after, affordable=self._affordable(side))

    def _affordable(self, side: Side) -> int:
        """Return how many more cases the budget pays for, at the mean cost so far.

        Sides in step share one budget, and all of them go on.
        """
        budget = side.run.pipeline.budget
        used = sum(sum(each.reached.values()) for each in self.sides.values())
        if budget is None or budget.max_cost is None or not budget.spent or not used:
            return _UNLIMITED
        per_case = budget.spent / used * len(self.sides)
        return int((budget.max_cost - budget.spent) / per_case) + 1


def _count_used(
    side: Side,
    dataset_id: str,
) -> int:
    """Return how many cases a side has, also of a look that the budget cut short."""
    metric_id = side.run.pipeline.scores[0].metric_id
    return len(side.run.scores(dataset_id, metric_id))


def _keep_matched(
    side: Side,
    questions: Sequence[Question],
    scored: Mapping[str, ScoredCases],
) -> None:
    """Leave out the cases of a side that a finished baseline lacks: they decide nothing."""
    for dataset_id, cases in side.cases.items():
        for question in questions:
            if question.baseline is None or question.dataset_id != dataset_id:
                continue
            run_id = question.baseline.run_id
            known: set[Content] = set(scored[run_id].contents)
            cases = cases.only(known)
            if not cases.contents:
                raise ConfigError(
                    f"run {run_id!r} has no case of dataset {dataset_id!r} in common "
                    "with this one; cases are the same if dataset, input and expected "
                    "output are"
                )
        side.cases[dataset_id] = cases


def _scores_of(
    baseline: ScoredCases,
    metric_id: str,
    contents: Sequence[Content],
) -> Floats:
    """Return the scores of a baseline under a metric, in the order of these cases."""
    scores = baseline.scores[metric_id]
    row_of = {content: row for row, content in enumerate(baseline.contents)}
    return np.array([scores[row_of[content]] for content in contents])


def _baseline_id(
    item: Asked,
    run_ids: Mapping[str, str],
) -> str | None:
    question = item.question
    if question.baseline is not None:
        return question.baseline.run_id
    if question.baseline_cell is not None:
        return run_ids[question.baseline_cell]
    return None
