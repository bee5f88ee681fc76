"""Whether the model behind a name still writes what it wrote: new draws, and two tests.

What a model draws is no fact that could be compared. So the same requests are made again,
twice for each stored row, and what comes back is tested against the stored rows, prompt by
prompt (Gao, Liang and Guestrin 2025, "Model equality testing"). The new draws are thrown
away: the first row written for a key is still the one that every run finds.

The requests have the seeds of the stored rows. All prompts have the same seeds, and many
servers draw the same random numbers for the same seed, whatever the prompt: with other
seeds, an unchanged model would differ from itself in all prompts alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.models import TokenUsage
from themis_lib.identity.digests import digest, load_json
from themis_lib.runs.assembled_table import as_in_run
from themis_lib.runs.manifest import StageRecord
from themis_lib.stages.generate import GenerateStage
from themis_lib.stages.judge import JudgeStage
from themis_lib.stages.reading import read
from themis_lib.stages.stage import Stage
from themis_lib.stats.two_sample import KernelGroup, TwoSampleTest, mmd_test
from themis_lib.verification.models import ChangedCase
from themis_lib.verification.recompute import empty_copy, run_in
from themis_lib.verification.stored_run import CaseBatch, Positions, StoredRun
from themis_lib.verification.text_kernels import (
    first_token,
    first_token_kernel,
    hamming_kernel,
)

#: New draws for each stored row: two texts alone look the same from either side.
DRAWS = 2
#: The samples of a case that are drawn again, at most.
MOST_SAMPLES = 5
_MOST_CASES = 10
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class PlannedDraws:
    """The new draws of one stage: how many calls, and what they should cost.

    `places` are the cases. `cost` (US dollars) is that of as many stored rows of these
    cases; `None` where nobody says.
    """

    stage: GenerateStage
    places: Positions
    calls: int
    cost: float | None


@dataclass(frozen=True)
class _Output:
    """What a model wrote: its text, and the probabilities of its first token if kept.

    `row` is the stored row whose request it answers, among those of its prompt.
    """

    text: str
    first_token: dict[str, float] | None
    row: int


@dataclass
class _Prompt:
    """What was stored and what was drawn for one prompt, by the case it is first of."""

    case: int
    stored: list[_Output] = field(default_factory=list)
    drawn: list[_Output] = field(default_factory=list)

    @property
    def is_testable(self) -> bool:
        """Whether both samples are there, and one of them has two outputs."""
        counts = len(self.stored), len(self.drawn)
        return min(counts) >= 1 and max(counts) >= 2

    @property
    def equal(self) -> int:
        """How many of the drawn texts are equal to a stored one."""
        texts = {output.text for output in self.stored}
        return sum(output.text in texts for output in self.drawn)

    @property
    def outputs(self) -> list[_Output]:
        """The stored outputs, then the drawn ones."""
        return [*self.stored, *self.drawn]

    @property
    def rows(self) -> list[int]:
        """The stored row whose request each output answers: with one seed."""
        return [output.row for output in self.outputs]


@dataclass
class Drawn:
    """New draws of a stage beside the stored rows: their tests, and what differs most.

    The p-values are not adjusted yet.
    """

    calls: int
    failed: int
    texts: int
    equal: int
    tests: dict[str, TwoSampleTest]
    most_changed: list[ChangedCase]


def plan_draws(
    stored: StoredRun,
    stage: GenerateStage,
    *,
    sample: int | None,
    seed: int,
) -> PlannedDraws:
    """Return the new draws for at most `sample` calls, or for all cases.

    Cases are drawn by `seed`; a case is taken whole, with all its samples.
    """
    samples = stored.pipeline.samples
    if not isinstance(stage, JudgeStage):
        samples = min(samples, MOST_SAMPLES)
    per_case = DRAWS * samples
    facts = stored.verifiable(stage)
    cases = np.unique(facts // stored.rows_per_case(stage))
    if sample is not None:
        count = min(len(cases), max(sample // per_case, 1))
        random = np.random.default_rng(
            [seed, int(digest("verified cases", stage.label), 16)]
        )
        cases = np.sort(random.choice(cases, size=count, replace=False))
    calls = len(cases) * per_case
    rows = _rows_of_cases(cases, stored.rows_per_case(stage))
    return PlannedDraws(stage, cases, calls, cost_of(stored, stage, rows, calls))


def _rows_of_cases(
    cases: Positions,
    per_case: int,
) -> Positions:
    return (cases[:, None] * per_case + np.arange(per_case)).ravel()


def cost_of(
    stored: StoredRun,
    stage: Stage,
    rows: Positions,
    calls: int,
) -> float | None:
    """Return the dollars for calls that take as many tokens as stored rows did.

    `rows` are positions in the run. `None` where the price or the tokens are not known.
    """
    if not stage.is_paid:
        return 0.0
    if stage.price is None or not len(rows):
        return None
    places = np.unique(rows // stored.rows_per_case(stage))
    table = CaseBatch(stored, places).rows(stage).table
    totals = {}
    for name in TokenUsage.model_fields:
        mean = pc.mean(table[name]).as_py()
        totals[name] = None if mean is None else round(mean * calls)
    if totals["input_tokens"] is None and totals["output_tokens"] is None:
        return None
    return stage.price.total(TokenUsage(**totals), {})


async def draw_again(
    stored: StoredRun,
    planned: PlannedDraws,
    seed: int,
) -> Drawn:
    """Make the planned calls, and test what comes back against the stored rows.

    Raise `ConfigError` if no call can be made.
    """
    stage = planned.stage
    batch = CaseBatch(stored, planned.places)
    rows = batch.rows(stage)
    samples = stored.pipeline.samples
    prompts: dict[Any, _Prompt] = {}
    # Equal requests to a judge are one prompt, and have one verdict.
    requests = rows.table["key"].to_pylist()
    is_judge = isinstance(stage, JudgeStage)
    names = requests if is_judge else [at // samples for at in range(len(requests))]
    per_prompt = 1 if is_judge else samples
    for at, output in _outputs(rows.table, rows.is_stored, per_prompt):
        prompts.setdefault(names[at], _Prompt(at // samples)).stored.append(output)
    drawing = stage.with_seeds(stage.seeds[:MOST_SAMPLES])
    drawn = len(drawing.seeds)
    calls = failed = 0
    # Each draw is a round of its own: in one, equal requests to a judge would be one.
    for _ in range(DRAWS):
        with empty_copy(batch, stage) as (store, shard):
            part, has_failed = await run_in(store, drawing, shard, stored.run.run_id)
            table = read(store, part)
        calls += pc.count_distinct(table["key"]).as_py()
        failed += int(has_failed.sum())
        if not is_judge:
            names = [at // drawn for at in range(table.num_rows)]
        for at, output in _outputs(table, ~has_failed, drawn):
            if names[at] in prompts:
                prompts[names[at]].drawn.append(output)
    tests, most_changed = _tested(batch, list(prompts.values()), seed)
    return Drawn(
        calls=calls,
        failed=failed,
        texts=sum(len(prompt.drawn) for prompt in prompts.values()),
        equal=sum(prompt.equal for prompt in prompts.values()),
        tests=tests,
        most_changed=most_changed,
    )


def _outputs(
    table: pa.Table,
    is_kept: npt.NDArray[np.bool_],
    per_prompt: int,
) -> Iterator[tuple[int, _Output]]:
    """Yield what a model wrote, with the position of its row.

    Each prompt has `per_prompt` rows. Of rows with one key, the first. An output that is
    missing for a reason that would come again is that reason.
    """
    shown = as_in_run("outputs", table)
    columns = [
        shown[name].to_pylist() for name in ("key", "output", "error", "artifacts")
    ]
    seen = set()
    for at, (key, output, error, artifacts) in enumerate(zip(*columns, strict=True)):
        if key is None or not is_kept[at] or key in seen:
            continue
        seen.add(key)
        text = f"({error})" if output is None else load_json(output)
        if not isinstance(text, str):
            text = output
        yield at, _Output(text, first_token(artifacts), row=at % per_prompt)


def _tested(
    batch: CaseBatch,
    prompts: Sequence[_Prompt],
    seed: int,
) -> tuple[dict[str, TwoSampleTest], list[ChangedCase]]:
    """Return the tests by what they compare, and the cases that differ most."""
    testable = [prompt for prompt in prompts if prompt.is_testable]
    tests = {}
    by_text = None
    if testable:
        by_text = mmd_test(list(map(_text_group, testable)), seed=seed)
        tests["texts"] = by_text
    by_token = list(filter(None, map(_token_group, testable)))
    if by_token:
        tests["first token"] = mmd_test(by_token, seed=seed)
    return tests, _most_changed(batch, testable, by_text)


def _text_group(prompt: _Prompt) -> KernelGroup:
    texts = [output.text for output in prompt.outputs]
    return KernelGroup(hamming_kernel(texts), len(prompt.stored), prompt.rows)


def _token_group(prompt: _Prompt) -> KernelGroup | None:
    """Return the first tokens of a prompt's outputs; `None` if one lacks its own."""
    tokens = []
    for output in prompt.outputs:
        if output.first_token is None:
            return None
        tokens.append(output.first_token)
    return KernelGroup(first_token_kernel(tokens), len(prompt.stored), prompt.rows)


def _most_changed(
    batch: CaseBatch,
    prompts: Sequence[_Prompt],
    test: TwoSampleTest | None,
) -> list[ChangedCase]:
    if test is None:
        return []
    ids = batch.cases.select(["dataset_id", "case_id"])
    changed = []
    for at in np.argsort(-np.array(test.of_groups), kind="stable")[:_MOST_CASES]:
        prompt = prompts[at]
        if test.of_groups[at] <= 0:
            break
        changed.append(
            ChangedCase(
                dataset_id=ids["dataset_id"][prompt.case].as_py(),
                case_id=ids["case_id"][prompt.case].as_py(),
                discrepancy=test.of_groups[at],
                stored=_shown(prompt.stored),
                drawn=_shown(prompt.drawn),
            )
        )
    return changed


def _shown(outputs: Sequence[_Output]) -> list[str]:
    return [output.text[:_SHOWN_CHARACTERS] for output in outputs]


def is_greedy(record: StageRecord) -> bool:
    """Return whether a stage's model was asked at temperature 0."""
    generator = record.identity.get("generator") or {}
    return (generator.get("settings") or {}).get("temperature") == 0
