"""The shorthand: an evaluation in one call."""

from __future__ import annotations

from pathlib import Path

import pytest

from themis_lib import (
    Case,
    ConfigError,
    Dataset,
    DatasetError,
    RunResult,
    evaluate,
)


def shout(prompt: str) -> str:
    return prompt.upper()


@pytest.mark.parametrize(
    "data",
    [
        [{"input": "a", "expected_output": "A"}],
        [Case(case_id="c", input="a", expected_output="A")],
        Dataset(
            dataset_id="d", cases=[Case(case_id="c", input="a", expected_output="A")]
        ),
    ],
    ids=["mappings", "cases", "dataset"],
)
def test_data_may_be(data: list[Case] | Dataset) -> None:
    """Mappings, cases or a dataset."""
    assert 1.0 == evaluate(model=shout, data=data).summary[0].mean


def test_data_may_be_a_file(tmp_path: Path) -> None:
    """A path is a dataset file."""
    path = tmp_path / "cases.jsonl"
    path.write_text('{"input": "a", "expected_output": "A"}\n')

    assert 1.0 == evaluate(model=shout, data=path).summary[0].mean


def test_lists_are_several_metrics_and_parsers() -> None:
    """Each metric has its own row in the summary."""
    run = evaluate(
        model=shout,
        data=[{"input": "a", "expected_output": "A"}],
        metric=["builtin/exact_match", len_of_value],
        parser=["builtin/text"],
        samples=2,
    )

    assert ["exact_match", "len_of_value"] == [row.metric_id for row in run.summary]
    assert 2 == len(run.manifest.seeds)


def len_of_value(value: str, expected: str) -> float:
    return len(value)


def test_store_keeps_the_rows(tmp_path: Path) -> None:
    """A second call with a store computes nothing."""

    def computed() -> set[int]:
        run: RunResult = evaluate(
            model=shout, data=[{"input": "a"}], store=str(tmp_path / "store")
        )
        return {record.computed for record in run.manifest.stages}

    assert {1} == computed()
    assert {0} == computed()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([3], "data: item 0 is int"),
        ([{"input": "a"}, {"inptu": "b"}], "data: item 1: input: "),
    ],
)
def test_bad_item_is_named(data: list[object], expected: str) -> None:
    """By its number and the field."""
    with pytest.raises(DatasetError) as failure:
        evaluate(model=shout, data=data)  # type: ignore[arg-type]

    assert str(failure.value).startswith(expected)


def test_data_without_expected_outputs_has_no_default_metric() -> None:
    """There is nothing to match; a metric that is asked for is refused."""
    run = evaluate(model=str.upper, data=[{"input": "a"}])

    assert ("completed", []) == (run.status.value, list(run.summary))
    with pytest.raises(ConfigError, match="'exact_match' needs expected outputs"):
        evaluate(model=str.upper, data=[{"input": "a"}], metric="builtin/exact_match")
