"""Metrics of a data set in the summary: one score of all cases, and what edits cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import sacrebleu

from tests.support.scored_corpora import REFERENCES, TRANSLATIONS, labelled
from themis_lib import (
    Case,
    ComponentError,
    ConfigError,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    InMemoryRunStore,
    RowError,
    RunResult,
    Score,
    SummaryRow,
)
from themis_lib.core.config import CandidatePolicy, StatisticsConfig

sklearn = pytest.importorskip("sklearn.metrics")

NAMED, WANTED = labelled(np.random.default_rng(3), 80)


class Said:
    """Answers what the input holds for the sample; `!` fails."""

    component_id, version, reads = "tests/said", "1", ("input", "sample_index")
    deterministic = True

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Any, ctx: Any) -> GenerationResult:
        said = case.input[ctx.sample_index]
        if said == "!":
            raise RowError("it broke")
        if said is None:
            return GenerationResult(error="the model refused")
        return GenerationResult(final_output=said)


class Correlation:
    """Pearson's correlation of answer and expected output: no sum of rows' numbers."""

    component_id, version = "tests/correlation", "1"
    reads = ("value", "expected_output")

    def fingerprint(self) -> str:
        return ""

    def score(self, parsed: Any, case: Any, ctx: Any) -> Score:
        pair = {"x": float(parsed.value), "y": float(case.expected_output)}
        return Score(value=-abs(pair["x"] - pair["y"]), details=pair)

    def corpus_score(self, rows: Sequence[Mapping[str, Any]]) -> float:
        xs, ys = [row["x"] for row in rows], [row["y"] for row in rows]
        if len(set(xs)) < 2 or len(set(ys)) < 2:
            raise ZeroDivisionError
        return float(np.corrcoef(xs, ys)[0, 1])


def cases(
    said: Sequence[Any],
    wanted: Sequence[Any],
    **metadata: Sequence[Any],
) -> list[Case]:
    """Cases whose samples say these, with metadata by name."""
    found = []
    for at, (answer, expected) in enumerate(zip(said, wanted, strict=True)):
        case = Case(
            case_id=f"q{at}",
            input=answer if isinstance(answer, list) else [answer],
            expected_output=expected,
            metadata={name: values[at] for name, values in metadata.items()},
        )
        found.append(case)
    return found


def experiment(
    rows: Sequence[Case],
    metric: Any,
    *,
    samples: int = 1,
    reducer: str = "builtin/mean",
    slices: Sequence[str] = (),
    name: str = "corpus",
    **statistics: Any,
) -> Experiment:
    """An experiment with one metric."""
    settings = {"resamples": 300, **statistics}
    return Experiment(
        name=name,
        generation=GenerationConfig(
            generator=Said(),
            candidate_policy=CandidatePolicy(num_samples=samples),
            reducer=reducer,
        ),
        evaluation=EvaluationConfig(
            metrics=[metric],
            slices=list(slices),
            statistics=StatisticsConfig(**settings),
        ),
        datasets=[Dataset(dataset_id="labels", cases=list(rows))],
    )


def row_of(run: RunResult, name: str = "all") -> SummaryRow:
    """The summary's row of a slice."""
    return next(row for row in run.summary if row.slice == name)


def f1(named: Sequence[Any], wanted: Sequence[Any]) -> float:
    """Macro F1 over the expected classes."""
    return float(
        sklearn.f1_score(wanted, named, average="macro", labels=sorted(set(wanted)))
    )


def test_summary_has_the_score_of_all_cases() -> None:
    """BLEU as sacrebleu reports it, with an interval around it, and no mean of rows."""
    run = experiment(cases(TRANSLATIONS, REFERENCES), "builtin/corpus_bleu").run(
        InMemoryRunStore()
    )

    row = row_of(run)
    published = sacrebleu.corpus_bleu(TRANSLATIONS, [REFERENCES]).score
    own = [case.final_scores["corpus_bleu"] for case in run.cases]
    assert published == pytest.approx(row.mean)
    assert np.mean(own) != pytest.approx(row.mean, abs=0.5)
    assert row.low is not None
    assert row.high is not None
    assert row.low < published < row.high
    assert ("bootstrap", "corpus", 6, 0.0, 100.0) == (
        row.interval_method,
        row.aggregate,
        row.n,
        row.lowest,
        row.highest,
    )
    assert "corpus_bleu (corpus)" in repr(run)


def test_slices_have_scores_of_their_own() -> None:
    """That of a slice is of its cases, whatever the others are."""
    half = ["ab"[at % 2] for at in range(80)]
    run = experiment(
        cases(NAMED, WANTED, half=half), "builtin/corpus_f1", slices=["half"]
    ).run(InMemoryRunStore())

    found = [row_of(run, name).mean for name in ("all", "half=a", "half=b")]
    parts = [slice(None), slice(0, None, 2), slice(1, None, 2)]
    assert [f1(NAMED[part], WANTED[part]) for part in parts] == pytest.approx(found)


def test_clusters_are_drawn_as_a_whole() -> None:
    """Ten copies of each case are one draw: the interval is as wide as without them."""
    groups = list(range(80))
    alone = experiment(cases(NAMED, WANTED), "builtin/corpus_f1").run(
        InMemoryRunStore()
    )
    copied = experiment(
        cases(NAMED * 3, WANTED * 3, group=groups * 3),
        "builtin/corpus_f1",
        cluster_by="group",
    ).run(InMemoryRunStore())

    one, three = row_of(alone), row_of(copied)
    assert ("cluster bootstrap", 80, 240) == (
        three.interval_method,
        three.clusters,
        three.n,
    )
    assert one.standard_error == pytest.approx(three.standard_error, rel=0.15)


def test_several_samples_have_the_mean_of_their_scores() -> None:
    """Each sample is a data set; the reducer `first` keeps the first one."""
    other = labelled(np.random.default_rng(4), 80)[0]
    rows = cases([list(pair) for pair in zip(NAMED, other, strict=True)], WANTED)

    both = experiment(rows, "builtin/corpus_f1", samples=2)
    first = experiment(rows, "builtin/corpus_f1", samples=2, reducer="builtin/first")

    expected = (f1(NAMED, WANTED) + f1(other, WANTED)) / 2
    assert expected == pytest.approx(row_of(both.run(InMemoryRunStore())).mean)
    assert f1(NAMED, WANTED) == pytest.approx(
        row_of(first.run(InMemoryRunStore())).mean
    )


@pytest.mark.parametrize(
    ("policy", "n", "expected"),
    [
        ("zero", 80, lambda: f1(["no"] * 5 + NAMED[5:], WANTED)),
        ("exclude", 75, lambda: f1(NAMED[5:], WANTED[5:])),
        ("fail", 75, lambda: None),
    ],
)
def test_cases_without_an_answer_count_as_the_policy_says(
    policy: Any, n: int, expected: Any
) -> None:
    """As an answer that names nothing, not at all, or so that there is no number."""
    rows = cases([None] * 5 + NAMED[5:], WANTED)

    row = row_of(
        experiment(rows, "builtin/corpus_f1", no_answer=policy).run(InMemoryRunStore())
    )

    assert (n, 5, 0) == (row.n, row.no_answer, row.errors)
    assert expected() == (None if row.mean is None else pytest.approx(row.mean))


def test_failed_cases_are_left_out_and_leave_the_interval_open() -> None:
    """They are counted, and what they could have done is not guessed."""
    rows = cases(["!"] * 4 + NAMED[4:], WANTED)

    row = row_of(experiment(rows, "builtin/corpus_f1").run(InMemoryRunStore()))

    assert (76, 4) == (row.n, row.errors)
    assert f1(NAMED[4:], WANTED[4:]) == pytest.approx(row.mean)
    assert (None, None) == (row.possible_low, row.possible_high) == row.possible_means


def test_metric_of_your_own_needs_no_sums() -> None:
    """A correlation gets the statistics of all rows."""
    xs = [str(at) for at in range(12)]
    ys = [str((at * 7) % 12 + at) for at in range(12)]

    row = row_of(experiment(cases(xs, ys), Correlation()).run(InMemoryRunStore()))

    expected = np.corrcoef(np.array(xs, float), np.array(ys, float))[0, 1]
    assert expected == pytest.approx(row.mean)
    assert row.low is not None
    assert row.low < expected


def test_score_that_is_not_defined_is_null() -> None:
    """As where all answers are equal; the run itself is complete."""
    run = experiment(cases(["1"] * 3, ["1", "2", "3"]), Correlation()).run(
        InMemoryRunStore()
    )

    assert (3, None) == (row_of(run).n, row_of(run).mean)


def test_order_of_cases_makes_no_difference() -> None:
    """The same digits, and nothing is computed again."""
    store = InMemoryRunStore()
    first = experiment(cases(NAMED, WANTED), "builtin/corpus_f1").run(store)

    again = experiment(cases(NAMED, WANTED)[::-1], "builtin/corpus_f1").run(store)

    assert row_of(first) == row_of(again)
    assert 0 == again.manifest.summary_computed


def test_one_expected_output_costs_one_score_and_one_summary() -> None:
    """Nothing is generated or parsed, and a warm run has the table of a cold one."""
    store = InMemoryRunStore()
    experiment(cases(NAMED, WANTED), "builtin/corpus_f1").run(store)
    edited = ["D", *WANTED[1:]]

    warm = experiment(cases(NAMED, edited), "builtin/corpus_f1").run(store)

    cold = experiment(cases(NAMED, edited), "builtin/corpus_f1").run(InMemoryRunStore())
    computed = {record.name: record.computed for record in warm.manifest.stages}
    assert {"generate": 0, "parse": 0, "score": 1} == {
        name: computed[name] for name in ("generate", "parse", "score")
    }
    assert 1 == warm.manifest.summary_computed
    assert warm.table("summary") == cold.table("summary")


class Broken(Correlation):
    """Cannot score a data set."""

    def corpus_score(self, rows: Any) -> float:
        raise KeyError("z")


class Silent(Correlation):
    """Keeps nothing of its rows."""

    def score(self, parsed: Any, case: Any, ctx: Any) -> Score:
        return Score(value=1.0)


class Worded(Correlation):
    """Says that texts add up."""

    additive = True

    def score(self, parsed: Any, case: Any, ctx: Any) -> Score:
        return Score(value=1.0, details={"x": "one"})


class Awaited(Correlation):
    """Would have to be awaited."""

    async def corpus_score(self, rows: Any) -> float:  # type: ignore[override]
        return 0.0


@pytest.mark.parametrize(
    ("metric", "settings", "message"),
    [
        (Broken(), {}, "corpus_score raised KeyError"),
        (Worded(), {}, "the details 'x' of a row are 'one'; give a number"),
        (Awaited(), {}, "corpus_score is called without await"),
        ("builtin/corpus_f1", {"errors": "zero"}, "evaluation.statistics.errors"),
        ("builtin/corpus_f1", {"reducer": "builtin/all_pass"}, "no estimate"),
    ],
    ids=["raises", "no numbers", "async", "errors as zero", "pass^k"],
)
def test_what_cannot_work_is_refused_with_its_name(
    metric: Any, settings: Any, message: str
) -> None:
    """One error that names the metric or the setting."""
    with pytest.raises((ComponentError, ConfigError), match=message):
        experiment(cases(["1", "2"], ["1", "3"]), metric, **settings).run(
            InMemoryRunStore()
        )


def test_row_without_statistics_is_an_error() -> None:
    """The score of the data set would be without it."""
    run = experiment(cases(["1", "2"], ["1", "3"]), Silent()).run(InMemoryRunStore())

    assert 2 == row_of(run).errors
    (failed, _) = run.table("scores")["error"].to_pylist()
    assert "returned no details" in failed
