"""Two runs under a metric of a data set: the paired bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest

from tests.runs.test_corpus_summary import (
    NAMED,
    WANTED,
    Correlation,
    cases,
    experiment,
    f1,
)
from tests.support.scored_corpora import REFERENCES, labelled
from themis_lib import ConfigError, InMemoryRunStore, RunResult, compare
from themis_lib.comparison.gate import parse_gate
from themis_lib.comparison.gate_baselines import ReadyGate
from themis_lib.comparison.gate_outcomes import judge
from themis_lib.comparison.models import Difference

OTHERS = labelled(np.random.default_rng(5), 80, right=0.4)[0]


def garbled(share: float, seed: int) -> list[str]:
    """Sixty texts of which a share of the words is another."""
    random = np.random.default_rng(seed)
    texts = []
    for reference in REFERENCES * 10:
        words = [
            "word" if random.random() < share else word for word in reference.split()
        ]
        texts.append(" ".join(words))
    return texts


def runs(before: Any, after: Any, wanted: Any, metric: Any, **settings: Any) -> Any:
    """Two runs in one store."""
    store = InMemoryRunStore()
    made = []
    for said in (before, after):
        rows = [
            case.model_copy(update={"input": [case.case_id]})
            for case in cases(said, wanted)
        ]
        made.append(run_saying(rows, said, metric, store, **settings))
    return made


class Recited:
    """Answers case by case what it was given."""

    component_id, version, reads = "tests/recited", "1", ("case_id",)
    deterministic = True

    def __init__(self, said: Any) -> None:
        self.said = list(said)

    def fingerprint(self) -> str:
        return repr(self.said)

    def generate(self, case: Any, ctx: Any) -> Any:
        from themis_lib import GenerationResult, RowError

        answer = self.said[int(case.case_id[1:])]
        if answer == "!":
            raise RowError("it broke")
        if answer is None:
            return GenerationResult(error="the model refused")
        return GenerationResult(final_output=answer)


def run_saying(
    rows: Any, said: Any, metric: Any, store: Any, **settings: Any
) -> RunResult:
    """A run that answers what it was given."""
    made = experiment(rows, metric, **settings)
    generation = made.generation.model_copy(update={"generator": Recited(said)})
    return made.model_copy(update={"generation": generation}).run(store)


def only(comparison: Any) -> Difference:
    (item,) = comparison.differences
    assert isinstance(item, Difference)
    return item


def test_difference_is_of_the_scores_of_the_data_set() -> None:
    """With its interval, a p-value and a conclusion, and no mean of rows."""
    item = only(compare(*runs(OTHERS, NAMED, WANTED, "builtin/corpus_f1")))

    assert [f1(OTHERS, WANTED), f1(NAMED, WANTED)] == pytest.approx(
        [item.baseline_mean, item.candidate_mean]
    )
    assert item.difference == pytest.approx(f1(NAMED, WANTED) - f1(OTHERS, WANTED))
    assert item.low is not None
    assert 0 < item.low < item.difference
    assert ("better", "bootstrap", "paired bootstrap", "corpus") == (
        item.conclusion,
        item.interval_method,
        item.test,
        item.aggregate,
    )
    assert item.improved + item.worsened + item.tied == item.n == 80


def test_paired_bootstrap_is_that_of_sacrebleu() -> None:
    """Its p-value is one tail of ours, and its interval of a run as wide as ours."""
    before, after = garbled(0.22, 0), garbled(0.26, 1)
    wanted = REFERENCES * 10

    old, new = runs(before, after, wanted, "builtin/corpus_bleu", resamples=4000)
    item = only(compare(old, new))

    _, found = PairedTest(
        [("a", before), ("b", after)],
        {"bleu": BLEU()},
        references=[wanted],
        test_type="bs",
        n_samples=4000,
    )()
    theirs = found["BLEU"][1]
    assert theirs.score == pytest.approx(item.candidate_mean)
    assert item.p_value is not None
    assert item.p_value > 0.01
    assert 2 * theirs.p_value == pytest.approx(item.p_value, abs=0.05)
    (row,) = new.summary
    assert theirs.ci == pytest.approx((row.high - row.low) / 2, rel=0.1)


def test_swapped_runs_swap_the_sign() -> None:
    """The other way round every number has the other sign."""
    old, new = runs(OTHERS, NAMED, WANTED, "builtin/corpus_f1")

    there, back = only(compare(old, new)), only(compare(new, old))

    assert there.difference == pytest.approx(-(back.difference or 0))
    assert ("better", "worse") == (there.conclusion, back.conclusion)


def test_equal_answers_are_the_same() -> None:
    """A difference of 0 with nothing that varies."""
    item = only(compare(*runs(NAMED, NAMED, WANTED, "builtin/corpus_f1")))

    assert (0.0, 1.0, "same") == (item.difference, item.p_value, item.conclusion)


def test_difference_that_is_not_defined_concludes_nothing() -> None:
    """Equal rows are not the same where the score of all of them is no number."""
    item = only(compare(*runs([1] * 5, [1] * 5, [2] * 5, Correlation())))

    assert (5, None, "cannot tell") == (item.tied, item.difference, item.conclusion)


def test_other_wrong_classes_are_not_the_same() -> None:
    """No case rises or falls, yet precision does: ties of cases are no verdict."""
    wrong = {"A": "B", "B": "C", "C": "A"}
    before = [wrong[it] if at % 2 else it for at, it in enumerate(WANTED)]
    after = [
        "C" if it != wanted else it for it, wanted in zip(before, WANTED, strict=True)
    ]
    after = [
        it if w != "C" else b for it, b, w in zip(after, before, WANTED, strict=True)
    ]

    item = only(compare(*runs(before, after, WANTED, "builtin/corpus_f1")))

    assert (0, 0, 80) == (item.improved, item.worsened, item.tied)
    assert item.difference
    assert "same" != item.conclusion


def test_failed_case_leaves_the_conclusion_open() -> None:
    """Nobody knows what it would have done to the score of all."""
    item = only(compare(*runs(["!", *OTHERS[1:]], NAMED, WANTED, "builtin/corpus_f1")))

    assert (79, 1, True) == (item.n, item.baseline_errors, item.is_undecided)
    assert ("cannot tell", None) == (item.conclusion, item.possible_low)


def test_slices_are_compared_too() -> None:
    """Each by the score of its own cases."""
    store = InMemoryRunStore()
    made = []
    for said in (OTHERS, NAMED):
        rows = [
            case.model_copy(
                update={"input": [case.case_id], "metadata": {"half": at % 2}}
            )
            for at, case in enumerate(cases(said, WANTED))
        ]
        made.append(run_saying(rows, said, "builtin/corpus_f1", store))

    found = {item.slice: item for item in compare(*made, slices=["half"]).differences}

    assert f1(NAMED[::2], WANTED[::2]) == pytest.approx(found["half=0"].candidate_mean)


def test_runs_of_other_processes_are_compared() -> None:
    """A built-in metric is made again from the record of the run."""
    old, new = runs(OTHERS, NAMED, WANTED, "builtin/corpus_f1")
    read = [RunResult(run.store, run.run_id) for run in (old, new)]

    assert only(compare(old, new)) == only(compare(*read))


def test_live_metric_that_is_gone_has_no_difference_and_a_reason() -> None:
    """Its code is not in the record; in its own process it is compared."""
    xs, ys, zs = ([str((at * k) % 11) for at in range(11)] for k in (1, 2, 3))
    old, new = runs(xs, ys, zs, Correlation())

    here = only(compare(old, new))
    there = compare(*(RunResult(run.store, run.run_id) for run in (old, new)))

    assert here.difference is not None
    assert (0, None) == (only(there).n, only(there).difference)
    assert "was the live object" in there.notes[0]


@pytest.mark.parametrize(
    ("gate", "outcome"),
    [
        ("corpus_f1 >= 0.4", "pass"),
        ("corpus_f1 >= 0.99", "fail"),
        ("corpus_f1 >= 0.8", "underpowered"),
        ("corpus_f1 no worse than before by 0.02", "pass"),
    ],
)
def test_gates_go_by_the_score_of_the_data_set(gate: str, outcome: str) -> None:
    """By its interval, or by that of the difference."""
    old, new = runs(OTHERS, NAMED, WANTED, "builtin/corpus_f1")
    parsed = parse_gate(gate)

    ready = ReadyGate(parsed, old if parsed.baseline else None)

    (record,) = judge(new, [ready])
    assert outcome == record.outcome.value
    assert "mean" not in record.reason


def test_explanation_refuses_a_metric_of_a_data_set() -> None:
    """Shares are those of a mean of cases."""
    from themis_lib.comparison.attribution import MixedExperiments

    with pytest.raises(ConfigError, match="'corpus_f1' is one score of all cases"):
        MixedExperiments.of(*runs(OTHERS, NAMED, WANTED, "builtin/corpus_f1"))
