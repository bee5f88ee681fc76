"""The definition of correct: a run on a warm store gives the same tables as a run on an
empty one.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tables import tables_of
from themis_lib import Experiment, InMemoryRunStore
from themis_lib.experiment.spec import experiment_from_spec

numbers = st.integers(min_value=0, max_value=9).map(str)
# Empty, and not null, where there is nothing to match: null in every case is refused.
EXPECTED = st.just("") | numbers
cases = st.lists(
    st.fixed_dictionaries(
        {"input": numbers, "expected_output": EXPECTED},
        optional={
            "metadata": st.fixed_dictionaries({"topic": st.sampled_from(["a", "b"])})
        },
    ),
    min_size=1,
    max_size=12,
)
generators = st.fixed_dictionaries(
    {
        "use": st.sampled_from(
            [
                "tests.support.counting:Generator",
                "tests.support.counting:DeterministicGenerator",
            ]
        ),
        "temperature": st.sampled_from([0.0, 1.0]),
    }
)
JUDGES = [
    {"use": "tests.support.counting:Judge", "id": "a"},
    {
        "use": "tests.support.counting:Judge",
        "id": "b",
        "says": '{"verdict": "correct"}',
    },
    {"use": "tests.support.counting:Judge", "id": "c", "says": "no verdict"},
]
metrics = st.lists(
    st.sampled_from(
        [
            {"use": "tests.support.counting:Metric", "id": "plain"},
            {"use": "tests.support.counting:Metric", "id": "scaled", "scale": 0.5},
            {"use": "tests.support.counting:MetadataMetric", "id": "metadata"},
            {"use": "builtin/numeric_match"},
            {
                "use": "builtin/judge_correctness",
                "id": "one",
                "judge": "tests.support.counting:Judge",
                "explain": False,
            },
            {
                "use": "builtin/judge_correctness",
                "id": "all",
                "judge": JUDGES,
                "explain": False,
            },
        ]
    ),
    max_size=3,
    unique_by=lambda metric: metric.get("id", metric["use"]),
)
statistics = st.fixed_dictionaries(
    {},
    optional={
        "errors": st.sampled_from(["exclude", "zero", "fail"]),
        "interval": st.sampled_from(["auto", "t", "bootstrap"]),
        "cluster_by": st.sampled_from([None, "topic"]),
        "resamples": st.sampled_from([100, 200]),
    },
)


@st.composite
def experiments(draw: st.DrawFn) -> dict[str, Any]:
    seeds = draw(
        st.lists(st.integers(min_value=10, max_value=15), min_size=1, max_size=3)
    )
    ids = st.permutations([f"case-{index}" for index in range(12)])
    drawn = draw(cases)
    drawn[0] = {
        **drawn[0],
        "metadata": {"topic": "a"},
    }  # a slice that no case has is refused
    return {
        "generation": {
            "generator": draw(generators),
            "prompt_spec": {"prefix": draw(st.sampled_from([None, "p", "q"]))},
            "reducer": draw(
                st.sampled_from(
                    ["builtin/mean", "builtin/first", "builtin/majority_vote"]
                )
            ),
        },
        "evaluation": {
            "parsers": draw(
                st.sampled_from(
                    [
                        [],
                        ["tests.support.counting:Parser"],
                        ["builtin/number", "builtin/text"],
                    ]
                )
            ),
            "metrics": [] if draw(st.booleans()) else draw(metrics),
            "slices": draw(st.sampled_from([[], ["topic"]])),
            "statistics": draw(statistics),
        },
        "datasets": [
            {
                "dataset_id": "numbers",
                "cases": [
                    {"case_id": case_id, **case}
                    for case_id, case in zip(draw(ids), drawn, strict=False)
                ],
            }
        ],
        "runtime": {"shard_size": draw(st.integers(min_value=1, max_value=5))},
        "seeds": seeds,
    }


def check_warm_equals_cold(history: list[dict[str, Any]]) -> None:
    """Each experiment, run on the store of all before it, has the tables that it has on
    an empty one.
    """
    warm = InMemoryRunStore()

    for spec in history:
        experiment = experiment_from_spec(Experiment, spec, where="spec")
        expected = tables_of(experiment.run(InMemoryRunStore()))
        assert expected == tables_of(experiment.run(warm))


@settings(max_examples=12)
@given(st.lists(experiments(), min_size=2, max_size=4))
def test_warm_equals_cold(history: list[dict[str, Any]]) -> None:
    """Whatever ran on a store before, in shards of any size and cases in any order, a
    run's tables are the same.
    """
    check_warm_equals_cold(history)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(experiments(), min_size=2, max_size=4))
def test_warm_equals_cold_in_many_histories(history: list[dict[str, Any]]) -> None:
    """As above, for more of them."""
    check_warm_equals_cold(history)
