"""Real input: how soon two sets of recorded solutions of GSM8K are told apart."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.test_gsm8k import DATA, spec
from themis_lib import Experiment, RunResult, run_until_decided
from themis_lib.comparison.scored_cases import scored_cases
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.runs.random_order import in_random_order, look_ends
from themis_lib.stats.betting import BoundedScores

pytestmark = pytest.mark.skipif(
    not DATA.exists(), reason="GSM8K is not on this machine"
)
FINETUNING, VERIFICATION = (
    DATA / f"solutions_{name}.jsonl" for name in ("6b_finetuning", "175b_verification")
)


def experiment(solutions: Path, store: Path) -> Experiment:
    return experiment_from_spec(Experiment, spec(solutions, store), where="spec")


def test_a_few_cases_decide(tmp_path: Path) -> None:
    """175B verification against 6B finetuning, of 1,319 cases: as many calls as cases
    that are used.
    """
    baseline = experiment(FINETUNING, tmp_path / "store").run()

    result = run_until_decided(experiment(VERIFICATION, tmp_path / "store"), baseline)

    assert result.manifest.sequential is not None
    (item,) = result.manifest.sequential.questions
    assert ("better", 1319) == (item.verdict, item.cases)
    assert item.used == result.manifest.stages[0].computed < 100


def stops(runs: list[RunResult], seeds: int) -> list[int]:
    """After how many cases each order of the cases decides."""
    before, after = map(scored_cases, runs)
    (metric_id,) = before.scores
    row_of = {content: row for row, content in enumerate(before.contents)}
    rises = after.scores[metric_id] - before.scores[metric_id]
    pipeline = experiment(FINETUNING, Path("memory")).compile()
    shards = list(pipeline.shards(runs[0].store))
    found = []
    for seed in range(seeds):
        ordered = in_random_order(shards, runs[0].store, seed)["gsm8k"]
        values = rises[[row_of[content] for content in ordered.contents]]
        for look in look_ends(len(values)):
            evidence = BoundedScores.of(values[:look], -1, 1).log_e_value(0)
            if evidence >= math.log(20):
                break
        found.append(look)
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, RunResult]:
    """A run of each side on all cases, in stores of their own."""
    folder = tmp_path_factory.mktemp("finished")
    before, after = (
        experiment(path, folder / path.stem).run()
        for path in (FINETUNING, VERIFICATION)
    )
    return before, after


@pytest.mark.slow
def test_the_median_of_200_orders_is_about_24_cases(
    finished: tuple[RunResult, RunResult],
) -> None:
    """Of 1,319, but for the noise of 200 orders; nine in ten are decided within 60."""
    found = stops(list(finished), 200)

    assert 24 == pytest.approx(np.median(found), abs=4)
    assert np.quantile(found, 0.9) <= 60


@pytest.mark.slow
def test_runs_call_as_often_as_their_orders_say(
    finished: tuple[RunResult, RunResult], tmp_path: Path
) -> None:
    """Runs themselves, each in a store that lacks its rows: in 40 orders they stop where
    the evidence on the recorded scores decides, with one call for each case.
    """
    before, _ = finished
    calls = []
    for seed in range(40):
        store = tmp_path / str(seed)
        shutil.copytree(before.store.root, store)
        result = run_until_decided(
            experiment(VERIFICATION, store), before.run_id, order_seed=seed
        )
        calls.append(result.manifest.stages[0].computed)

    assert stops(list(finished), 40) == calls
