"""Runs that stop when they are decided: what they compute, what a later run finds, and
what is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.deciding import CALLS, guesses
from themis_lib import (
    ConfigError,
    CostConfig,
    Experiment,
    InputError,
    Matrix,
    Price,
    RunResult,
    RunStatus,
    compare,
    run_matrix_until_decided,
    run_until_decided,
)
from themis_lib.comparison.gate_baselines import last_good, ready_gates
from themis_lib.comparison.gate_outcomes import judge
from themis_lib.comparison.sequential_text import sequential_lines
from themis_lib.core.option_names import GateBasis
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.report.html import report_html
from themis_lib.report.markdown import markdown_report
from themis_lib.runs.sequential import SequentialQuestion, SequentialRecord

#: A dollar for each token, so that costs are counts of calls.
A_DOLLAR = Price(input=1e6, output=1e6)


def experiment(store: Path | str, **settings: Any) -> Experiment:
    return experiment_from_spec(Experiment, guesses(store, **settings), where="spec")


def sequential(result: RunResult) -> SequentialRecord:
    assert result.manifest.sequential is not None
    return result.manifest.sequential


def question(result: RunResult) -> SequentialQuestion:
    (item,) = sequential(result).questions
    return item


def computed(result: RunResult) -> int:
    return result.manifest.stages[0].computed


@pytest.fixture
def baseline(tmp_path: Path) -> RunResult:
    """Right for three in ten of 200 cases."""
    return experiment(tmp_path / "store", right=0.3).run()


def test_it_stops_once_the_difference_is_decided(
    baseline: RunResult, tmp_path: Path
) -> None:
    """A guesser that is right for 90 of 100 is better after a few cases: no more are
    generated, the run is complete, and its numbers are confidence sequences.
    """
    CALLS.clear()

    result = run_until_decided(experiment(tmp_path / "store", right=0.9), baseline)

    item = question(result)
    assert ("better", "decided", baseline.run_id) == (
        item.verdict,
        item.ended,
        item.baseline,
    )
    assert item.used == CALLS["generate"] == result.summary[0].n < 50
    assert result.status is RunStatus.COMPLETED
    assert result.summary[0].interval_method == "confidence sequence"
    assert result.summary[0].standard_error is None
    look = item.last
    assert look is not None
    assert 0 < look.low < look.high
    assert look.e_value >= item.boundary == pytest.approx(20)
    assert all(each.e_value < 20 for each in item.looks[:-1])


def test_a_cached_run_decides_the_same_and_a_full_run_computes_the_rest(
    baseline: RunResult, tmp_path: Path
) -> None:
    """Going on is legal: the rows that were not needed are missing, and a full run on
    this store gives the tables of one on an empty store.
    """
    better = {"right": 0.9}
    first = run_until_decided(experiment(tmp_path / "store", **better), baseline)
    again = run_until_decided(experiment(tmp_path / "store", **better), baseline)

    full = experiment(tmp_path / "store", **better).run()
    cold = experiment(tmp_path / "cold", **better).run()

    assert sequential(first) == sequential(again)
    assert (0, 200 - question(first).used) == (computed(again), computed(full))
    for name in ("cases", "outputs", "answers", "scores", "results", "summary"):
        columns = [
            item for item in cold.table(name).column_names if item != "latency_s"
        ]
        assert full.table(name).select(columns) == cold.table(name).select(columns)
    assert full.manifest.sequential is None


def test_the_cases_come_in_the_order_of_a_seed(
    baseline: RunResult, tmp_path: Path
) -> None:
    """The seed is in the record; another one takes other cases."""
    cases = {}
    for seed in (0, 1):
        result = run_until_decided(
            experiment(tmp_path / "store", right=0.9), baseline, order_seed=seed
        )
        assert seed == sequential(result).order_seed
        cases[seed] = result.table("cases")["case_id"].to_pylist()

    assert cases[0][:8] != cases[1][:8]
    assert cases[0] != sorted(cases[0], key=lambda name: int(name[1:]))


def test_a_gate_is_decided_by_the_run(tmp_path: Path) -> None:
    """It passes, fails, or is underpowered once no case that is left could decide; the
    record says why.
    """
    outcomes = {}
    for right in (0.95, 0.3, 0.72):
        result = run_until_decided(
            experiment(tmp_path / "store", right=right, cases=120),
            gates=["right >= 0.7"],
        )
        (record,) = result.manifest.gates
        outcomes[record.outcome.value] = question(result).used
        assert record.reason.startswith(("decided after", "undecided after"))

    assert ["pass", "fail", "underpowered"] == list(outcomes)
    assert max(outcomes["pass"], outcomes["fail"]) < 60 < outcomes["underpowered"]


def test_a_gate_with_a_margin_is_decided_against_its_baseline(
    baseline: RunResult, tmp_path: Path
) -> None:
    """No worse by 20 points passes for a guesser that is as good."""
    store = tmp_path / "store"
    gate = f"right no worse than {baseline.run_id} by 0.2"

    result = run_until_decided(experiment(store, right=0.31), gates=[gate])

    assert ("pass", -0.2) == (question(result).verdict, question(result).null)
    assert question(result).used < 200


def test_a_first_run_with_a_gate_on_the_last_good_one_is_a_full_run(
    tmp_path: Path,
) -> None:
    """There is nothing to decide yet, and a run that stopped is no last good one."""
    store = tmp_path / "store"
    gates = ["right no worse than last good by 0.3"]

    first = run_until_decided(experiment(store, right=0.5), gates=gates)
    second = run_until_decided(experiment(store, right=0.6), gates=gates)

    assert (200, None) == (first.summary[0].n, first.manifest.sequential)
    assert sequential(second).is_partial
    found = last_good(second.store, "guesses", "right")
    assert found is not None
    assert first.run_id == found.run_id


@pytest.mark.parametrize(
    ("by", "outcome"), [("interval", "underpowered"), ("mean", "pass")]
)
def test_a_difference_that_did_not_decide_has_no_interval(
    by: GateBasis, outcome: str, baseline: RunResult, tmp_path: Path
) -> None:
    """One for a number of cases that was fixed before does not hold where the scores
    said when to stop. A gate by the mean goes by no interval.
    """
    better = experiment(tmp_path / "store", right=0.9)
    result = run_until_decided(better, gates=["right >= 0.5"])
    gate = f"right no worse than {baseline.run_id} by 0.1"
    asked = ready_gates([gate], pipeline=better.compile(), store=result.store, by=by)

    (record,) = judge(result, asked)

    assert outcome == record.outcome.value
    assert record.estimate is not None
    assert (record.low is None) == (by == "interval")


def test_last_good_is_the_latest_run_of_all_cases(
    baseline: RunResult, tmp_path: Path
) -> None:
    """A run that stopped is none, however good. Without one, a run is refused."""
    store = tmp_path / "store"
    first = run_until_decided(experiment(store, right=0.9), "last good")
    second = run_until_decided(experiment(store, right=0.8), "last good")

    assert sequential(first).is_partial
    assert baseline.run_id == question(second).baseline
    with pytest.raises(ConfigError, match="no earlier run of 'guesses' completed"):
        run_until_decided(experiment(tmp_path / "empty", right=0.8), "last good")


def test_close_sides_are_undecided_or_the_same_within_delta(
    baseline: RunResult, tmp_path: Path
) -> None:
    """Without a delta all cases, or none that could decide, are used up."""
    close = experiment(tmp_path / "store", right=0.31)

    undecided = run_until_decided(close, baseline)
    same = run_until_decided(close, baseline, delta=0.15)

    assert ("undecided", True) == (
        question(undecided).verdict,
        question(undecided).ended in ("futile", "data"),
    )
    assert ("same", True) == (question(same).verdict, question(same).used < 200)


def test_it_stops_where_the_money_cannot_decide(
    baseline: RunResult, tmp_path: Path
) -> None:
    """A dollar a call: 30 calls cannot show what 200 would, and 30 are not passed. The
    looks so far are a result.
    """
    close = experiment(tmp_path / "store", right=0.33)
    cost = CostConfig(prices={"guesser": A_DOLLAR}, max_cost=30.0)

    result = run_until_decided(close.model_copy(update={"cost": cost}), baseline)

    assert ("undecided", "budget") == (question(result).verdict, question(result).ended)
    assert (result.manifest.cost_paid or 0) <= 30
    assert RunStatus.COMPLETED is result.status


def test_several_samples_of_a_case_count_as_their_mean(tmp_path: Path) -> None:
    """Cases are the units, however many samples each has."""
    store = tmp_path / "store"
    spec = guesses(store, right=0.3)
    spec["seeds"] = [1, 2, 3]
    spec["generation"]["reducer"] = "builtin/mean"
    better = guesses(store, right=0.8) | {"seeds": [1, 2, 3]}
    better["generation"]["reducer"] = "builtin/mean"
    before = experiment_from_spec(Experiment, spec, where="spec").run()

    result = run_until_decided(
        experiment_from_spec(Experiment, better, where="spec"), before
    )

    assert ("better", True) == (question(result).verdict, question(result).used < 60)
    assert 3 * question(result).used == computed(result)


def test_where_lower_is_better_a_fall_is_better(tmp_path: Path) -> None:
    """The metric says so."""
    metric = {"use": "tests.support.deciding:Points", "declared": 1.0, "lower": True}
    store = tmp_path / "store"
    runs = {}
    for right in (0.9, 0.2):
        spec = guesses(store, right=right)
        spec["evaluation"]["metrics"] = [{**metric, "id": "points"}]
        runs[right] = experiment_from_spec(Experiment, spec, where="spec")

    result = run_until_decided(runs[0.2], runs[0.9].run())

    assert "better" == question(result).verdict
    assert (question(result).last or question(result).looks[0]).high < 0


def test_only_cases_that_the_baseline_has_are_used(tmp_path: Path) -> None:
    """Others decide nothing, and nothing is paid for them."""
    before = experiment(tmp_path / "store", right=0.3, cases=40).run()

    result = run_until_decided(experiment(tmp_path / "store", right=0.31), before)

    assert {"numbers": 40} == sequential(result).cases
    assert {"numbers": 200} == sequential(result).total
    # Also where it used all 40: it is no baseline for later runs.
    assert sequential(result).is_partial


def test_a_later_comparison_has_the_confidence_sequence_or_a_note(
    baseline: RunResult, tmp_path: Path
) -> None:
    """With the run that it was decided against, the difference is as it was decided;
    with another, a note says that fixed intervals do not hold.
    """
    other = experiment(tmp_path / "store", right=0.5).run()
    result = run_until_decided(experiment(tmp_path / "store", right=0.9), baseline)

    own, fixed = compare(baseline, result), compare(other, result)

    (item,) = own.differences
    look = question(result).last
    assert look is not None
    assert (look.low, look.high, None, "better") == (
        item.low,
        item.high,
        item.p_value,
        item.conclusion,
    )
    assert [] == own.notes
    assert "stopped when it was decided" in fixed.notes[0]


def test_reports_say_and_draw_how_it_was_decided(
    baseline: RunResult, tmp_path: Path
) -> None:
    """Markdown has the line, the page the line and its pictures."""
    result = run_until_decided(experiment(tmp_path / "store", right=0.9), baseline)
    line, order = sequential_lines(result.manifest)
    item = question(result)

    page = report_html(result)

    assert f"decided after {item.used} of 200 cases: better than run" in line
    assert "95 % confidence sequence" in line
    assert "in the random order of seed 0" in order
    assert "## Stopped when decided" in markdown_report(result)
    assert f"decided after {item.used} of 200 cases" in page
    # A range for each look, in the picture of the confidence sequence.
    assert page.count('aria-label="Confidence sequence over') == 1
    assert page.count(" cases: ") >= 2 * len(item.looks)


@pytest.mark.parametrize(
    ("change", "asked", "message"),
    [
        ({}, {}, "needs one thing to decide"),
        (
            {},
            {"against": "guesses", "gates": ["right >= 0.5"]},
            "here are both",
        ),
        ({}, {"against": "guesss"}, "no run 'guesss'"),
        ({}, {"against": "last good", "alpha": 0.0}, "alpha 0.0"),
        ({}, {"against": "guesses", "delta": -0.1}, "delta -0.1"),
        ({}, {"gates": ["right >= 0.5"], "delta": 0.1}, "margin in its own words"),
        ({}, {"gates": ["right >= 1.5"]}, "is not within 0 to 1"),
        (
            {"slices": ["topic"]},
            {"gates": ["right >= 0.5 on topic=sums"]},
            "is a slice",
        ),
        (
            {"statistics": {"cluster_by": "topic"}},
            {"against": "guesses"},
            "cluster_by='topic'",
        ),
        (
            {"metrics": [{"use": "tests.support.deciding:Points", "id": "right"}]},
            {"against": "guesses"},
            "does not say which scores it can give",
        ),
        (
            {"metrics": [{"use": "builtin/exact_match", "id": "other"}]},
            {"against": "guesses"},
            "has no scores of 'other'",
        ),
    ],
)
def test_what_cannot_be_decided_is_refused_before_anything_is_generated(
    change: dict[str, Any],
    asked: dict[str, Any],
    message: str,
    baseline: RunResult,
    tmp_path: Path,
) -> None:
    """With the reason, and what to do."""
    spec = guesses(tmp_path / "store", right=0.9)
    for case in spec["datasets"][0]["cases"]:
        case["metadata"] = {"topic": "sums"}
    spec["evaluation"] |= change
    CALLS.clear()

    with pytest.raises(InputError) as refused:
        run_until_decided(experiment_from_spec(Experiment, spec, where="spec"), **asked)

    assert message in str(refused.value)
    assert 0 == CALLS["generate"]


def matrix(folder: Path, *rates: float, **changes: Any) -> Matrix:
    import yaml

    values = {f"r{rate}": {"generation.generator.right": rate} for rate in rates}
    spec = guesses(folder / "store") | changes | {"matrix": {"guesser": values}}
    path = folder / "matrix.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return Matrix.from_config(path)


def test_cells_of_a_matrix_go_in_step(tmp_path: Path) -> None:
    """Each stops when it is decided, at a level that all share; the baseline goes as
    far as the last, and all on the same cases.
    """
    result = run_matrix_until_decided(matrix(tmp_path, 0.2, 0.5, 0.95))

    runs = result.runs
    used = {name: run.summary[0].n for name, run in runs.items()}
    assert used["r0.95"] < used["r0.5"] == used["r0.2"] < 200
    for name in ("r0.5", "r0.95"):
        item = question(runs[name])
        assert ("better", 0.025, runs["r0.2"].run_id) == (
            item.verdict,
            item.alpha,
            item.baseline,
        )
    cases = {
        name: run.table("cases")["case_id"].to_pylist() for name, run in runs.items()
    }
    assert cases["r0.5"] == cases["r0.2"]
    assert cases["r0.95"] == cases["r0.2"][: used["r0.95"]]


def test_cells_pay_from_one_budget(tmp_path: Path) -> None:
    """It is not passed by all of them together."""
    cost = {
        "prices": {"guesser": {"input": 1e6, "output": 1e6}},
        "max_cost": 40.0,
    }

    result = run_matrix_until_decided(matrix(tmp_path, 0.3, 0.31, cost=cost))

    paid = [run.manifest.cost_paid or 0 for run in result.runs.values()]
    assert 0 < sum(paid) <= 40
    assert "budget" == question(result.runs["r0.31"]).ended


def test_a_baseline_that_fails_closes_the_cells_that_need_it(tmp_path: Path) -> None:
    """No cell is decided, and each says what became of it."""
    asked = matrix(tmp_path, 0.3, 0.9, 2.0)
    (first, *_) = asked.in_order
    broken = first.experiment.generation.generator | {
        "use": "tests.support.deciding:Broken"
    }
    generation = first.experiment.generation.model_copy(update={"generator": broken})

    def break_baseline(cell: Experiment) -> Experiment:
        if cell.name != first.experiment.name:
            return cell
        return cell.model_copy(update={"generation": generation})

    result = run_matrix_until_decided(asked.changed(break_baseline))

    errors = {item.cell.name: item.error or "" for item in result.cells}
    assert {} == result.runs
    assert "no key" in errors["r0.3"]
    for name in ("r0.9", "r2.0"):
        assert "the cell that it is compared with failed" in errors[name]


def test_a_cell_that_is_compared_with_nothing_is_refused(tmp_path: Path) -> None:
    """Nothing would say when it stops."""
    with pytest.raises(ConfigError, match="compared with no other"):
        run_matrix_until_decided(matrix(tmp_path, 0.3))
