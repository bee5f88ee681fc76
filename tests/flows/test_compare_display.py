"""What the command that compares shows, and which columns are worth showing."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from flows.compare_display import informative_columns, place_text, print_comparison
from tests.support.compared_runs import StatedScore, case, run_of
from themis_lib import InMemoryRunStore, compare
from themis_lib.comparison.models import Comparison
from themis_lib.report.comparison_markdown import (
    DIFFERENCE_HEADINGS,
    TEST_HEADINGS,
    difference_cells,
)
from themis_lib.runs.manifest import GateOutcome, GateRecord


def two_runs(
    *,
    datasets: tuple[str, ...] = ("d",),
    metrics: tuple[str, ...] = ("m",),
    slices: tuple[str, ...] = (),
    candidates: int = 1,
) -> Comparison:
    """A comparison of runs over twenty cases of each dataset, the first with half of
    them right and the others with all.
    """
    store = InMemoryRunStore()
    runs = []
    for right in (10, *([20] * candidates)):
        cases = {}
        for dataset_id in datasets:
            cases[dataset_id] = [
                case(f"{dataset_id}{at}", float(at < right), topic="ab"[at % 2])
                for at in range(20)
            ]
        runs.append(
            run_of(store, cases, metrics={name: StatedScore() for name in metrics})
        )
    return compare(*runs, slices=slices)


def shown(
    comparison: Comparison,
    gates: dict[str, list[GateRecord]] | None = None,
    *,
    width: int = 160,
) -> str:
    console = Console(width=width, file=io.StringIO())
    print_comparison(comparison, gates or {}, console)
    return str(console.file.getvalue())


def gate(text: str) -> GateRecord:
    return GateRecord(
        gate=text,
        metric_id="m",
        dataset_id="d",
        slice="all",
        outcome=GateOutcome.PASS,
        estimate=1.0,
        low=0.9,
        high=1.0,
        reason="it is above",
    )


# Columns


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ["metric"]),
        ({"candidates": 2}, ["run", "metric"]),
        ({"datasets": ("d", "e")}, ["dataset", "metric"]),
        ({"metrics": ("m", "n")}, ["metric"]),
        ({"slices": ("topic",)}, ["slice"]),
        ({"slices": ("topic",), "metrics": ("m", "n")}, ["slice", "metric"]),
    ],
    ids=str,
)
def test_names_of_which_there_is_one_are_left_out(
    settings: dict[str, Any], expected: list[str]
) -> None:
    """A row keeps the names that tell it from the others, and at least one."""
    comparison = two_runs(**settings)
    rows = [difference_cells(item) for item in comparison.differences]

    headings, kept = informative_columns(comparison, DIFFERENCE_HEADINGS, rows)

    names = {"run", "dataset", "slice", "metric"}
    assert expected == [heading for heading in headings if heading in names]
    assert {len(headings)} == {len(row) for row in kept}


def test_columns_of_dashes_are_left_out() -> None:
    """A column goes where every row has a dash, and stays where one has a value."""
    rows = [["d", "—", "—", "1"], ["d", "—", "2", "3"]]

    assert (["x", "z", "metric"], [["d", "—", "1"], ["d", "2", "3"]]) == (
        informative_columns(two_runs(), ["x", "y", "z", "metric"], rows)
    )


def test_cells_stay_under_their_headings() -> None:
    """What is left of a row is as it was."""
    comparison = two_runs()
    rows = [difference_cells(item) for item in comparison.differences]

    headings, kept = informative_columns(comparison, DIFFERENCE_HEADINGS, rows)

    whole = dict(zip(DIFFERENCE_HEADINGS, rows[0], strict=True))
    assert {name: whole[name] for name in headings} == dict(
        zip(headings, kept[0], strict=True)
    )


def test_adjusted_p_takes_the_place_of_p() -> None:
    """Of the two only Holm's is shown; where there is none of Holm's, p stays."""
    comparison = two_runs()

    both, _ = informative_columns(comparison, ["p", "Holm's p"], [["0.1", "0.2"]])
    alone, _ = informative_columns(comparison, ["n", "p"], [["5", "0.1"]])

    assert (["Holm's p"], ["n", "p"]) == (both, alone)
    assert {"p", "Holm's p"} <= set(TEST_HEADINGS)


# Places


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "d, m"),
        ({"metrics": ("m", "n")}, "d"),
        ({"datasets": ("e", "d")}, "e, d, m"),
        ({"datasets": ("e", "d"), "metrics": ("m", "n")}, "e, d"),
    ],
    ids=str,
)
def test_place_is_the_datasets_and_the_one_metric(
    settings: dict[str, Any], expected: str
) -> None:
    """Datasets are in the order of the comparison; of several metrics none is named."""
    assert expected == place_text(two_runs(**settings))


# The screen


def test_first_line_is_the_conclusion() -> None:
    """It names the baseline, the conclusion and the place."""
    assert "stated  1 better on d, m\n" == shown(two_runs()).splitlines(True)[0]


def test_runs_can_be_read_on_a_narrow_terminal() -> None:
    """Eighty columns hold two runs side by side, their ids in one piece."""
    comparison = two_runs()

    lines = shown(comparison, width=80).splitlines()

    ids = [side.run_id for side in comparison.runs]
    assert 1 == sum(all(name in line for name in ids) for line in lines)


def test_sides_have_no_line_of_dashes() -> None:
    """Without prices no line speaks of cost."""
    lines = shown(two_runs()).splitlines()

    firsts = [line.split()[0] for line in lines if line.strip()]
    assert {"run", "experiment", "status", "cases"} <= set(firsts)
    assert not {"cost", "paid"} & set(firsts)


def test_square_brackets_are_text() -> None:
    """Names are shown as they are, though rich has markup in brackets."""
    store = InMemoryRunStore()
    runs = [
        run_of(store, {"[bold]d": [case("[red]q", score)]}, name="[i]run")
        for score in (0, 1)
    ]

    text = shown(compare(*runs))

    assert "[i]run  " in text
    assert " on [bold]d, m" in text
    assert "[red]q" in text


def test_gates_of_one_run_have_no_heading() -> None:
    """With one candidate there is no doubt which run a gate is about."""
    comparison = two_runs()
    run_id = comparison.runs[1].run_id

    alone = shown(comparison, {run_id: [gate("m >= 0.5")]}).splitlines()
    several = shown(
        comparison, {run_id: [gate("m >= 0.5")], "other": [], "third": [gate("m >= 1")]}
    ).splitlines()

    (label, first), (_, third) = [
        (line.split("  ")[0], at)
        for at, line in enumerate(several)
        if line.endswith((f"  {run_id}", "  third"))
    ]
    assert label
    assert not [line for line in alone if line.endswith(f"  {run_id}")]
    assert "gate pass  m >= 0.5  (d)" == several[first + 1]
    assert "gate pass  m >= 1  (d)" == several[third + 1]
    assert not [line for line in several if line.endswith("  other")]
