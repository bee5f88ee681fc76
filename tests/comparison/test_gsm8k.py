"""Real input: two sets of recorded solutions of GSM8K compared, against their
publishers' verdicts.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scipy.stats import binom

from tests.test_gsm8k import DATA, spec
from themis_lib import Comparison, Experiment, compare
from themis_lib.experiment.spec import experiment_from_spec

pytestmark = pytest.mark.skipif(
    not DATA.exists(), reason="GSM8K is not on this machine"
)
SOLUTIONS = [
    DATA / f"solutions_{name}.jsonl" for name in ("6b_finetuning", "175b_verification")
]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """6B finetuning, and 175B verification compared with it, for a difference of two
    points.
    """
    store = tmp_path_factory.mktemp("gsm8k") / "store"
    runs = [
        experiment_from_spec(Experiment, spec(path, store), where="spec").run()
        for path in SOLUTIONS
    ]
    return compare(*runs, delta=0.02)


def published(path: Path) -> dict[str, bool]:
    return {
        line["case_id"]: line["is_correct"] for line in map(json.loads, path.open())
    }


def test_flips_are_those_of_the_published_verdicts(comparison: Comparison) -> None:
    """Every case that flipped, either way, is one that the publishers judged
    differently: 499 rose and 43 fell.
    """
    before, after = map(published, SOLUTIONS)
    expected = {
        name: (float(before[name]), float(after[name]))
        for name in before
        if before[name] != after[name]
    }

    assert expected == {
        flip.case_id: (flip.baseline_score, flip.candidate_score)
        for flip in comparison.flips
    }
    (item,) = comparison.differences
    assert (499, 43, 777) == (item.improved, item.worsened, item.tied)
    assert [] == comparison.unmatched


def test_difference_interval_and_exact_p(comparison: Comparison) -> None:
    """742 against 286 of 1,319 right: 34.6 points, with an interval of 31.6 to 37.4 and
    McNemar's exact p.
    """
    (item,) = comparison.differences

    assert (1319, 286 / 1319, 742 / 1319) == (
        item.n,
        item.baseline_mean,
        item.candidate_mean,
    )
    assert pytest.approx(456 / 1319) == item.difference
    assert (0.316, 0.3744) == (round(item.low, 4), round(item.high, 4))
    assert pytest.approx(2 * binom.cdf(43, 542, 0.5)) == item.p_value
    assert "1.66e-99" == f"{item.p_value:.2e}"
    assert "better" == item.conclusion


def test_power_says_what_these_problems_show(comparison: Comparison) -> None:
    """1,319 problems with so many flips show differences of 4.2 points; two points
    would take 5,725.
    """
    (item,) = comparison.differences

    assert (0.0417, 5725) == (round(item.detectable, 4), item.cases_needed)
