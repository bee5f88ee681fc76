"""The summary of a run: errors, clusters, samples and intervals, and what a change of
its settings costs.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.drivers import DRIVERS
from themis_lib import (
    Case,
    ConfigError,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    InMemoryRunStore,
    RunResult,
    RunStatus,
    RunStore,
    Score,
    ScoreError,
    SummaryRow,
)
from themis_lib.core.config import StatisticsConfig
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.report.markdown import markdown_report
from themis_lib.runs.manifest import read_manifest
from themis_lib.stats.intervals import mean_interval, wilson_interval
from themis_lib.stats.pass_at_k import pass_at_k

#: A sample without a score.
ERROR = -1


class Told:
    """Answers what the case's input holds for the seed."""

    component_id, version, reads, deterministic = "tests/told", "1", ("input",), True

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Any, ctx: Any) -> GenerationResult:
        return GenerationResult(final_output=case.input[ctx.seed])


class Told_As_Score:  # noqa: N801
    """Scores an answer by itself."""

    component_id, version, reads = "tests/told_as_score", "1", ("value",)

    def fingerprint(self) -> str:
        return ""

    def score(self, parsed: Any, case: Any, ctx: Any) -> Score | ScoreError:
        return (
            ScoreError(reason="told to fail")
            if parsed.value == ERROR
            else Score(value=parsed.value)
        )


GENERATOR, METRIC = Told(), Told_As_Score()


def spec_of(
    *cases: Any, metadata: Any = (), reducer: Any = "builtin/mean", **evaluation: Any
) -> dict[str, Any]:
    """Cases that score what is told, each a number or a list of one for each sample, in
    shards of two.
    """
    rows = [scores if isinstance(scores, list) else [scores] for scores in cases]
    return {
        "generation": {
            "generator": "tests.runs.test_summary:GENERATOR",
            "reducer": reducer,
        },
        "evaluation": {
            "metrics": [{"use": "tests.runs.test_summary:METRIC", "id": "score"}],
            **evaluation,
        },
        "datasets": [
            {
                "dataset_id": "d",
                "cases": [
                    {
                        "case_id": str(at),
                        "input": row,
                        "metadata": metadata[at] if metadata else {},
                    }
                    for at, row in enumerate(rows)
                ],
            }
        ],
        "runtime": {"shard_size": 2},
        "seeds": list(range(len(rows[0]))),
    }


def run(*cases: Any, store: Any = None, **options: Any) -> RunResult:
    return experiment_from_spec(
        Experiment, spec_of(*cases, **options), where="spec"
    ).run(store)


def row(*cases: Any, **options: Any) -> SummaryRow:
    (found,) = run(*cases, **options).summary
    return found


def topics(*names: Any) -> list[dict[str, Any]]:
    return [{} if name is None else {"topic": name} for name in names]


def test_interval_is_chosen_by_the_scores() -> None:
    """Wilson's for scores of 0 and 1, Student's t for others, with the standard error
    beside both.
    """
    binary, other = row(1, 0, 1, 1), row(0.25, 1, 0.5, 0.5)

    assert ("wilson", *wilson_interval(3, 4)) == (
        binary.interval_method,
        binary.low,
        binary.high,
    )
    assert "t" == other.interval_method
    assert scipy.stats.sem([0.25, 1, 0.5, 0.5]) == pytest.approx(other.standard_error)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("t", "t"), ("wilson", "wilson"), ("bootstrap", "bootstrap"), ("auto", "wilson")],
)
def test_interval_is_the_one_asked_for(method: Any, expected: str) -> None:
    """The row names its method, and holds what `mean_interval` gives for it."""
    found = row(
        1, 0, 1, 1, 0, statistics={"interval": method, "resamples": 200, "seed": 3}
    )

    interval = mean_interval(
        np.array([1.0, 0, 1, 1, 0]), method=method, resamples=200, seed=3
    )
    assert expected == found.interval_method
    assert (interval.low, interval.high) == (found.low, found.high)


def test_wilson_has_no_interval_for_other_scores() -> None:
    """A proportion's interval of what is no proportion is null, beside the mean."""
    found = row(0.5, 1, statistics={"interval": "wilson"})

    assert (0.75, None, None, None) == (
        found.mean,
        found.low,
        found.high,
        found.interval_method,
    )


def test_errors_are_left_out_and_counted() -> None:
    """`exclude`, the default: the mean of the cases with a score."""
    found = row(1, ERROR, 0, 1)

    assert (3, 1, "exclude") == (found.n, found.errors, found.error_policy)
    assert 2 / 3 == pytest.approx(found.mean)
    assert wilson_interval(2, 3) == (found.low, found.high)


def test_errors_count_zero_where_asked() -> None:
    """`zero`: the mean of all cases; those without a score are counted as before."""
    found = row(1, ERROR, 0, 1, statistics={"errors": "zero"})

    assert (4, 1, "zero", 0.5) == (
        found.n,
        found.errors,
        found.error_policy,
        found.mean,
    )
    assert wilson_interval(2, 4) == (found.low, found.high)


def test_errors_fail_the_run_where_asked() -> None:
    """`fail`: no mean, a run that failed, and the reason; its tables are all there."""
    result = run(1, ERROR, 0, 1, statistics={"errors": "fail"})

    (found,) = result.summary
    assert (3, 1, "fail") == (found.n, found.errors, found.error_policy)
    assert [None] * 5 == [
        found.mean,
        found.standard_error,
        found.low,
        found.high,
        found.interval_method,
    ]
    assert RunStatus.FAILED is result.status
    assert (
        "1 of 4 cases of 'd' have no score (evaluation.statistics.errors is `fail`)"
        == result.failure
    )
    assert f"Failed: {result.failure}." in markdown_report(result)
    assert 4 == result.table("results").num_rows


def test_no_errors_fail_nothing() -> None:
    """`fail` and no case without a score: an ordinary run."""
    result = run(1, 0, statistics={"errors": "fail"})

    assert (RunStatus.COMPLETED, None, 0.5) == (
        result.status,
        result.failure,
        result.summary[0].mean,
    )


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("exclude", (0, 3, None, None, None)),
        ("zero", (3, 3, 0.0, "wilson", 0.0)),
        ("fail", (0, 3, None, None, None)),
    ],
)
def test_errors_alone_have_a_summary(policy: str, expected: tuple[Any, ...]) -> None:
    """A run without a single score fails, and its row says how many cases there
    were.
    """
    result = run(ERROR, ERROR, ERROR, statistics={"errors": policy})

    (found,) = result.summary
    assert RunStatus.FAILED is result.status
    assert expected == (
        found.n,
        found.errors,
        found.mean,
        found.interval_method,
        found.low,
    )


def test_report_states_the_policy() -> None:
    """Where cases have no score the report says what they are to the mean; else there
    is nothing to say.
    """
    reports = [
        markdown_report(run(1, score, statistics={"errors": policy}))
        for policy in ("exclude", "zero")
        for score in (ERROR, 0)
    ]

    assert [True, False, False, False] == [
        "left out of the mean (`errors: exclude`)" in text for text in reports
    ]
    assert [False, False, True, False] == [
        "count 0 in the mean (`errors: zero`)" in text for text in reports
    ]


def test_clusters_are_by_a_metadata_column() -> None:
    """The published example, ten scores in clusters of two: the error of five clusters,
    and their t.
    """
    scores = (1, 0, 1, 1, 0, 1, 0, 1, 1, 1)
    found = row(
        *scores, metadata=topics(*"aabbccddee"), statistics={"cluster_by": "topic"}
    )

    assert ("cluster t", 5, 10) == (found.interval_method, found.clusters, found.n)
    assert 0.122474 == pytest.approx(found.standard_error, abs=1e-6)
    assert scipy.stats.t.interval(0.95, 4, 0.7, found.standard_error) == pytest.approx(
        (found.low, found.high)
    )


def test_bootstrap_draws_clusters() -> None:
    """With both asked for, whole clusters are drawn."""
    scores = [0.1, 0.4, 0.3, 0.9, 0.5, 0.2]
    found = row(
        *scores,
        metadata=topics(*"aabbcc"),
        statistics={"cluster_by": "topic", "interval": "bootstrap"},
    )

    interval = mean_interval(
        np.array(scores), method="bootstrap", clusters=np.array(list("aabbcc"))
    )
    assert ("cluster bootstrap", interval.low, interval.high) == (
        found.interval_method,
        found.low,
        found.high,
    )


def test_case_without_the_column_is_a_cluster_of_its_own() -> None:
    """A case with no value, or null, shares it with nobody."""
    found = row(
        0.1,
        0.2,
        0.4,
        0.9,
        metadata=topics("a", "a", None, None),
        statistics={"cluster_by": "topic"},
    )
    nulls = row(
        0.1,
        0.2,
        0.4,
        0.9,
        metadata=[{"topic": "a"}, {"topic": "a"}, {"topic": None}, {}],
        statistics={"cluster_by": "topic"},
    )

    assert 3 == found.clusters
    assert (
        mean_interval(
            np.array([0.1, 0.2, 0.4, 0.9]), clusters=np.array([1, 1, 2, 3])
        ).low
        == found.low
    )
    assert found == nulls


def test_clusters_of_errors_are_not_counted() -> None:
    """A cluster in which no case has a score is not in the mean, unless it counts 0
    there.
    """
    given = {"metadata": topics("a", "a", "b", "c")}

    policies = ("exclude", "zero")
    found = [
        row(
            0.1,
            0.5,
            ERROR,
            0.4,
            **given,
            statistics={"cluster_by": "topic", "errors": policy},
        ).clusters
        for policy in policies
    ]
    assert [2, 3] == found


def test_slices_have_clusters_of_their_own() -> None:
    """A slice counts the clusters that its own cases are in."""
    metadata = [
        {"topic": topic, "level": level} for topic, level in ("ax", "ay", "by", "cy")
    ]
    result = run(
        0.1,
        0.3,
        0.5,
        0.4,
        metadata=metadata,
        slices=["level"],
        statistics={"cluster_by": "topic"},
    )

    assert {"all": 3, "level=x": 1, "level=y": 3} == {
        found.slice: found.clusters for found in result.summary
    }
    assert [None] == [
        found.standard_error for found in result.summary if found.slice == "level=x"
    ]


def test_variance_is_split_where_there_are_samples() -> None:
    """Between cases and within a case, from the scores of the samples, whatever the
    reducer makes of them.
    """
    expected = {"between_variance": 7.0, "within_variance": 2.0}

    for reducer in ("builtin/mean", "builtin/first", "builtin/max"):
        found = row([4, 6], [0, 2], reducer=reducer)
        assert expected == found.model_dump(include=set(expected))


def test_variance_is_null_for_one_sample() -> None:
    """One score a case does not say what part of it is the case's."""
    found = row(1, 0, 1)

    assert (None, None) == (found.between_variance, found.within_variance)


def test_samples_without_a_score_are_not_in_the_variance() -> None:
    """They are left out, whatever cases without a score are to the mean."""
    for policy in ("exclude", "zero"):
        found = row(
            [4, 6, ERROR], [ERROR, 0, 2], [ERROR] * 3, statistics={"errors": policy}
        )
        assert (7.0, 2.0, 1) == (
            found.between_variance,
            found.within_variance,
            found.errors,
        )


def test_a_slice_that_is_named_twice_counts_its_cases_once() -> None:
    """A column that is listed twice is one column: n and the interval are those of the
    cases there are.
    """
    once, twice = (
        run(0.1, 0.3, 0.5, metadata=topics(*"aab"), slices=names)
        for names in (["topic"], ["topic"] * 2)
    )

    assert once.summary == twice.summary


def test_slices_have_variances_of_their_own() -> None:
    """A slice of one case has no variance between cases."""
    result = run([4, 6], [0, 2], metadata=topics("a", "b"), slices=["topic"])

    assert {"all": (7.0, 2.0), "topic=a": (None, 2.0), "topic=b": (None, 2.0)} == {
        found.slice: (found.between_variance, found.within_variance)
        for found in result.summary
    }


@pytest.mark.parametrize("method", ["auto", "bootstrap"])
def test_pass_at_k_has_an_interval_over_cases(method: Any) -> None:
    """The unbiased estimate of each case, then the interval of their mean."""
    cases = [[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 0], [1, 0, 0, 0]]
    found = row(
        *cases,
        reducer={"use": "builtin/pass_at_k", "k": 2},
        statistics={"interval": method},
    )

    interval = mean_interval(
        np.array([pass_at_k(4, sum(case), 2) for case in cases]), method=method
    )
    assert {"auto": "t", "bootstrap": "bootstrap"}[method] == found.interval_method
    assert (interval.mean, interval.low, interval.high) == (
        found.mean,
        found.low,
        found.high,
    )


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        (
            {"cluster_by": "topics"},
            (
                "evaluation.statistics.cluster_by: no case has metadata 'topics'; did "
                "you mean"
            ),
        ),
        (
            {"cluster_by": "topic", "interval": "wilson"},
            "with `cluster_by` use `auto`, `t` or `bootstrap`",
        ),
        ({"interval": "walt"}, "evaluation.statistics.interval"),
        ({"errors": "ignore"}, "evaluation.statistics.errors"),
        ({"cluster": "topic"}, "unknown setting 'evaluation.statistics.cluster'"),
        ({"resamples": 10}, "evaluation.statistics.resamples"),
        ({"seed": -1}, "evaluation.statistics.seed"),
    ],
)
def test_unfit_setting_is_refused(statistics: dict[str, Any], message: str) -> None:
    """One line that names the setting, before anything is generated."""
    with pytest.raises(ConfigError) as raised:
        run(1, 0, metadata=topics("a", "b"), statistics=statistics)

    assert message in str(raised.value)


@pytest.mark.parametrize("name", ["slices", "statistics.cluster_by"])
def test_column_is_named_by_the_setting_that_asks_for_it(name: str) -> None:
    """Slices and clusters are looked for in one go, and refused each under its own
    name.
    """
    evaluation = {"slices": ["a", "b"], "statistics": {"cluster_by": "c"}}
    metadata = [{"a": 1, **({"c": 1} if name == "slices" else {"b": 1})}]

    with pytest.raises(ConfigError, match=f"^evaluation.{name}: no case has metadata"):
        run(1, metadata=metadata, **evaluation)


def test_record_of_a_run_holds_the_settings() -> None:
    """What the intervals were made with, down to the seed, is in the manifest."""
    store = InMemoryRunStore()
    result = run(1, 0, statistics={"interval": "bootstrap", "seed": 5}, store=store)

    recorded = read_manifest(store, result.run_id).statistics
    assert ("bootstrap", 5, 10_000) == (
        recorded.interval,
        recorded.seed,
        recorded.resamples,
    )


def test_summary_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """A summary that was written without the newer columns is one that left errors out,
    of independent cases.
    """
    store = RunStore(str(tmp_path))
    result = run([1, 0], [ERROR, ERROR], store=store)
    path = tmp_path / "runs" / result.run_id / "summary.parquet"
    newer = ["error_policy", "clusters", "between_variance", "within_variance"]
    newest = ["no_answer", "no_answer_policy", "no_answer_score", "lowest", "highest"]
    pq.write_table(pq.read_table(path).drop_columns([*newer, *newest]), path)

    (found,) = RunResult(store, result.run_id).summary

    assert (1, 1, 0.5) == (found.n, found.errors, found.mean)
    assert ["exclude", None, None, None] == [getattr(found, name) for name in newer]
    assert [0, None, None, None, None] == [getattr(found, name) for name in newest]


def test_n_of_an_earlier_version_is_what_the_mean_is_over(tmp_path: Path) -> None:
    """Version 0.1.0 left errors that count as 0 out of `n`."""
    store = RunStore(str(tmp_path))
    result = run(1, 0, ERROR, statistics={"errors": "zero"}, store=store)
    path = tmp_path / "runs" / result.run_id / "summary.parquet"
    table = pq.read_table(path)
    of_two = pa.array([2], pa.int64())
    table = table.set_column(table.column_names.index("n"), "n", of_two)
    pq.write_table(table.drop_columns(["no_answer", "no_answer_policy"]), path)

    (found,) = RunResult(store, result.run_id).summary

    assert (3, 3, 1) == (found.n, found.cases, found.errors)


class Says:
    """Answers what the case's input holds: a text, nothing, or an exception."""

    component_id, version, reads = "tests/says", "1", ("input",)

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Any, ctx: Any) -> GenerationResult:
        said = case.input[ctx.seed] if isinstance(case.input, list) else case.input
        if said == "fail":
            raise RuntimeError("the connection is gone")
        if isinstance(said, dict):
            return GenerationResult(**said)
        return GenerationResult(final_output=said)


class Stretched:
    """Scores a number by itself, in a range that a test sets."""

    component_id, version, reads = "tests/stretched", "1", ("value",)

    def __init__(self, **abilities: Any) -> None:
        vars(self).update(abilities)

    def fingerprint(self) -> str:
        return ""

    def score(self, parsed: Any, case: Any, ctx: Any) -> Score:
        return Score(value=parsed.value)


def answered(
    *said: Any,
    metric: Any = "builtin/numeric_match",
    reducer: Any = "builtin/first",
    metadata: Any = (),
    slices: Any = (),
    store: Any = None,
    **statistics: Any,
) -> RunResult:
    """A run whose cases expect 1, with what the model said to each."""
    cases = []
    for at, text in enumerate(said):
        of_case = metadata[at] if metadata else {}
        cases.append(
            Case(case_id=str(at), input=text, expected_output=1, metadata=of_case)
        )
    samples = len(said[0]) if isinstance(said[0], list) else 1
    return Experiment(
        generation=GenerationConfig(generator=Says(), reducer=reducer),
        evaluation=EvaluationConfig(
            metrics=[metric],
            parsers=["builtin/number"],
            slices=list(slices),
            statistics=StatisticsConfig(**statistics),
        ),
        datasets=[Dataset(dataset_id="d", cases=cases)],
        seeds=list(range(samples)),
    ).run(store)


@pytest.mark.parametrize(
    "nothing",
    [
        "I do not know",
        "",
        None,
        {"error": "the model refused: no"},
        {"error": "stopped", "finish_reason": "content_filter"},
        {"final_output": "let me think", "finish_reason": "length"},
        {"finish_reason": "length"},
    ],
    ids=repr,
)
def test_case_without_an_answer_counts_zero(nothing: Any) -> None:
    """Whatever the reason for which there is nothing to score: 16 right of 40 are 0.4."""
    result = answered(*["1"] * 16, *[nothing] * 24)

    (found,) = result.summary
    assert (0.4, 40, 24, 0) == (found.mean, found.n, found.no_answer, found.errors)
    assert wilson_interval(16, 40) == (found.low, found.high)
    assert (found.low, found.high) == (found.possible_low, found.possible_high)
    assert {"no answer", None} == set(result.table("results")["missing"].to_pylist())


def test_failed_case_is_left_out_and_bounded() -> None:
    """A failed request is no answer of the model: the interval says what it might be."""
    (found,) = answered("1", "1", "1", "2", "fail", "none").summary

    assert (5, 1, 1, 0.6) == (found.n, found.no_answer, found.errors, found.mean)
    assert wilson_interval(3, 5) == (found.low, found.high)
    assert wilson_interval(3, 6)[0] == found.possible_low
    assert wilson_interval(4, 6)[1] == found.possible_high
    assert (6, 1) == (found.cases, found.left_out)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("zero", (0.5, 4)), ("exclude", (1.0, 2)), ("fail", (None, 2))],
)
def test_no_answer_counts_as_asked(policy: Any, expected: tuple[Any, ...]) -> None:
    """`zero` (the default), `exclude` or `fail`, beside what failed cases do."""
    result = answered("1", "1", "none", "none", "fail", no_answer=policy)

    (found,) = result.summary
    assert expected == (found.mean, found.n)
    assert (2, 1, 5, policy) == (
        found.no_answer,
        found.errors,
        found.cases,
        found.no_answer_policy,
    )
    assert (policy == "fail") == (result.status is RunStatus.FAILED)
    if policy == "fail":
        assert (
            "2 of 5 cases of 'd' have no numeric_match for lack of an answer "
            "(evaluation.statistics.no_answer is `fail`)"
        ) == result.failure


@pytest.mark.parametrize(
    ("abilities", "scores", "expected"),
    [
        ({}, ("1", "0.5"), ("zero", 0.0, 0.5)),
        ({}, ("1", "3"), ("unknown", None, 2.0)),
        ({}, ("1", "-1"), ("unknown", None, 0.0)),
        ({"higher_is_better": False}, ("1", "0"), ("unknown", None, 0.5)),
        ({"score_range": (1, 5)}, ("5", "3"), ("zero", 1.0, 3.0)),
        (
            {"score_range": (0, 1), "higher_is_better": False},
            ("0.5", "0"),
            ("zero", 1.0, 0.5),
        ),
        ({"score_range": "wide"}, ("1", "0.5"), ("zero", 0.0, 0.5)),
    ],
)
def test_no_answer_counts_as_the_worst_score(
    abilities: dict[str, Any], scores: tuple[str, ...], expected: tuple[Any, ...]
) -> None:
    """0 in the range of 0 to 1, else what the metric declares; where nobody says which
    score is the worst the case is left out.
    """
    (found,) = answered(*scores, "none", metric=Stretched(**abilities)).summary

    assert expected == (found.no_answer_policy, found.no_answer_score, found.mean)
    assert (1, 3) == (found.no_answer, found.cases)


def test_slices_count_what_is_missing_as_the_whole_does() -> None:
    """Each slice has its own counts; they add up to those of all cases."""
    said = ("1", "none", "fail", "1", "none", "2")
    result = answered(*said, metadata=topics(*"aabbba"), slices=["topic"])

    whole, *parts = result.summary
    counts = [(row.cases, row.n, row.no_answer, row.errors) for row in parts]
    assert [(3, 3, 1, 0), (3, 2, 1, 1)] == counts
    assert (6, 5, 2, 1) == (whole.cases, whole.n, whole.no_answer, whole.errors)


def test_clusters_keep_the_cases_without_an_answer() -> None:
    """A cluster of which no case has an answer is one of zeros."""
    labels = topics("a", "a", "b", "b", None)
    said = ("1", "2", "none", "none", "1")
    (found,) = answered(*said, metadata=labels, cluster_by="topic").summary

    scores = np.array([1.0, 0, 0, 0, 1])
    interval = mean_interval(scores, clusters=np.array([0, 0, 1, 1, 2]))
    assert (3, 5) == (found.clusters, found.n)
    assert (interval.mean, interval.low) == (found.mean, found.low)


@pytest.mark.parametrize(
    "statistics",
    [
        {"interval": "bootstrap"},
        {"errors": "zero"},
        {"cluster_by": "topic"},
        {"seed": 1},
    ],
    ids=repr,
)
@pytest.mark.parametrize("driver", DRIVERS)
def test_change_of_settings_costs_the_summary_alone(
    statistics: dict[str, Any],
    driver: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """Every row of every stage is found; the rows of the summary, and only those, are
    computed, once.
    """
    api_url = (
        request.getfixturevalue("prefect_api") if driver == "through the flow" else ""
    )
    spec = {
        **spec_of(1, 0, 1, ERROR, metadata=topics(*"abab"), slices=["topic"]),
        "name": "settings",
        "storage": {"store": str(tmp_path / "store")},
    }
    DRIVERS[driver](spec, tmp_path, api_url)
    spec["evaluation"]["statistics"] = statistics

    changed, again = (DRIVERS[driver](spec, tmp_path, api_url) for _ in range(2))

    assert 0 == sum(stage.computed for stage in changed.manifest.stages)
    assert (3, 0) == (
        changed.manifest.summary_computed,
        again.manifest.summary_computed,
    )


told = st.lists(
    st.tuples(
        st.lists(st.sampled_from([0, 1, 0.25, 0.7, ERROR]), min_size=2, max_size=2),
        st.sampled_from([None, "a", "b", "c"]),
    ),
    min_size=1,
    max_size=9,
)


@settings(max_examples=10)
@given(told, st.sampled_from(["t", "bootstrap"]), st.randoms(use_true_random=False))
def test_order_and_shards_do_not_matter(
    cases: list[tuple[list[float], Any]], method: str, random: Any
) -> None:
    """Cases in another order, in shards of another size, have the same summary, which
    is found and not computed.
    """
    cases = [*cases, ([0.5, 1], "a")]
    store = InMemoryRunStore()

    def summary(given: list[tuple[list[float], Any]], shard_size: int) -> RunResult:
        spec = spec_of(
            *(scores for scores, _ in given),
            metadata=topics(*(topic for _, topic in given)),
            slices=["topic"],
            statistics={"cluster_by": "topic", "interval": method, "resamples": 100},
        )
        return experiment_from_spec(
            Experiment, {**spec, "runtime": {"shard_size": shard_size}}, where="spec"
        ).run(store)

    first = summary(cases, 2)
    random.shuffle(cases)
    second = summary(cases, 5)

    assert 0 == second.manifest.summary_computed
    assert first.summary == second.summary
    assert all(
        found.mean is None or math.isfinite(found.mean) for found in first.summary
    )
