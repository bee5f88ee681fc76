"""The cases of a run as objects."""

from __future__ import annotations

import pytest

from themis_lib import Case, Dataset, Experiment, GenerationConfig, RuntimeConfig


@pytest.fixture
def experiment() -> Experiment:
    """Five cases in shards of two, two samples each, without metrics."""
    cases = [Case(case_id=f"c{number}", input=str(number)) for number in range(5)]
    return Experiment(
        generation=GenerationConfig(generator="builtin/demo_generator"),
        datasets=[Dataset(dataset_id="d", cases=cases)],
        runtime=RuntimeConfig(shard_size=2),
        seeds=[1, 2],
    )


def test_cases_are_in_the_order_of_the_data(experiment: Experiment) -> None:
    """By index, from the end, as a slice and one after another."""
    cases = experiment.run().cases

    assert 5 == len(cases)
    assert ["c0", "c1", "c2", "c3", "c4"] == [item.case.case_id for item in cases]
    assert "c4" == cases[-1].case.case_id
    assert ["c1", "c3"] == [item.case.case_id for item in cases[1:4:2]]


@pytest.mark.parametrize("index", [5, -6])
def test_case_beyond_the_end_is_an_index_error(
    experiment: Experiment, index: int
) -> None:
    """As with any sequence."""
    cases = experiment.run().cases

    with pytest.raises(IndexError, match="of 5"):
        cases[index]


def test_candidates_are_named_by_case_and_sample(experiment: Experiment) -> None:
    """The pipeline puts on id, seed and index, sample by sample."""
    candidates = experiment.run().cases[3].generated_candidates

    assert [("c3-0", 1, 0), ("c3-1", 2, 1)] == [
        (item.candidate_id, item.seed, item.sample_index) for item in candidates
    ]


def test_stopped_run_has_what_it_made(experiment: Experiment) -> None:
    """After `generate` there are candidates and nothing further."""
    case = experiment.run(until_stage="generate").cases[0]

    assert 2 == len(case.generated_candidates)
    assert [] == case.parsed_outputs
    assert case.reduced_candidate is None
    assert {} == case.final_scores
