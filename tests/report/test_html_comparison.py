"""The page of a comparison, in a browser as a person uses it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.report.conftest import CONTROLS, Visit, names
from tests.support.reported_runs import HOSTILE, run
from themis_lib import Case, Dataset, RunResult
from themis_lib.comparison.models import (
    Comparison,
    Difference,
    Flip,
    RunSide,
    Unmatched,
)
from themis_lib.report.comparison_markdown import run_labels
from themis_lib.report.html_comparison import comparison_html, write_comparison

CASES = [
    Case(case_id="up", input="one", expected_output="!one", metadata={"kind": "a"}),
    Case(
        case_id="down", input=HOSTILE, expected_output=HOSTILE, metadata={"kind": "b"}
    ),
    Case(case_id="tied", input="three", expected_output="3", metadata={"kind": "b"}),
]


def side(result: RunResult) -> RunSide:
    return RunSide(
        run_id=result.run_id,
        name=result.manifest.name,
        status=result.status.value,
        location=result.location,
        started_at=result.manifest.started_at,
        cases=3,
        cost=1.5,
        cost_paid=0.5,
        input_tokens=21,
        output_tokens=9,
        latency_mean_s=0.25,
        latency_p50_s=0.2,
        latency_p95_s=0.9,
    )


def compared(**changes: Any) -> tuple[Comparison, list[RunResult]]:
    """Two runs of three cases, of which one got better and one got worse."""
    metrics = [{"use": "builtin/exact_match", "id": "exact"}]
    baseline = run(Dataset(dataset_id="d", cases=CASES), metrics=metrics, name="echo")
    renamed = [CASES[1].model_copy(update={"case_id": "renamed"}), CASES[2], CASES[0]]
    candidate = run(
        Dataset(dataset_id="d", cases=renamed),
        metrics=metrics,
        prefix="!",
        name="louder",
    )
    ids = {"run_id": candidate.run_id, "dataset_id": "d", "metric_id": "exact"}
    difference = Difference(
        **ids,
        slice="all",
        n=3,
        baseline_errors=0,
        candidate_errors=1,
        baseline_mean=1 / 3,
        candidate_mean=1 / 3,
        difference=0.0,
        standard_error=0.2,
        low=-0.4,
        high=0.4,
        interval_method="t",
        test="exact McNemar",
        p_value=1.0,
        p_adjusted=1.0,
        improved=1,
        worsened=1,
        tied=1,
        conclusion="cannot tell",
        detectable=0.617,
        delta=0.05,
        cases_needed=1234,
    )
    comparison = Comparison(
        runs=[side(baseline), side(candidate)],
        differences=[difference],
        flips=[
            Flip(
                **ids,
                case_id="up",
                candidate_case_id="up",
                baseline_score=0.0,
                candidate_score=1.0,
            ),
            Flip(
                **ids,
                case_id="down",
                candidate_case_id="renamed",
                baseline_score=1.0,
                candidate_score=0.0,
            ),
        ],
        unmatched=[
            Unmatched(
                run_id=candidate.run_id,
                dataset_id="d",
                only_in_baseline=["lost-1"],
                only_in_candidate=[],
            )
        ],
        identity={candidate.run_id: [f'generator.fingerprint: "" → "{HOSTILE}"']},
    )
    return comparison.model_copy(update=changes), [baseline, candidate]


def test_what_differs_and_how_surely(visit: Visit) -> None:
    """Difference, interval, conclusion, power, both sides, what changed and what was
    not matched are all there.
    """
    text = visit(comparison_html(*compared()), lambda page: page.text_content("body"))

    for expected in (
        "cannot tell",
        "−0.400 to +0.400",
        "0.333 → 0.333",
        "exact McNemar",
        "$1.50",
        "900 ms",
        "lost-1",
        HOSTILE,
        "smallest difference likely to show (80 of 100 times) is 0.617",
        "Only in echo: 1",
        "A difference of 0.050 would take 1,234 cases",
    ):
        assert expected in " ".join(text.split())


def test_numbers_read_as_text(visit: Visit) -> None:
    """One difference is not "all 1 differences", and a bound of p has no equals
    sign.
    """
    comparison, runs = compared()
    sure = comparison.model_copy(
        update={
            "differences": [
                comparison.differences[0].model_copy(update={"p_value": 1e-9})
            ]
        }
    )

    text = visit(
        comparison_html(sure, runs), lambda page: page.inner_text("#differences")
    )

    assert "correction over the one difference of this comparison" in text
    assert "exact McNemar, p < 0.001 before" in text


def test_what_conclusions_rest_on(visit: Visit) -> None:
    """Holm's families, and what cases without a score count as; nothing of scores that
    are all there.
    """
    comparison, runs = compared()
    (whole,) = comparison.differences
    whole = whole.model_copy(update={"baseline_no_answer": 2})
    other = whole.model_copy(update={"dataset_id": "e"})
    full = whole.model_copy(
        update={"slice": "kind=a", "baseline_no_answer": 0, "candidate_errors": 0}
    )
    several, one = [
        visit(
            comparison_html(
                comparison.model_copy(update={"differences": differences}), runs
            ),
            lambda page: " ".join(page.text_content("body").split()),
        )
        for differences in ([whole, other, full], [full])
    ]

    for expected in (
        "over all 2 differences of this comparison, and over 1 of slices apart:",
        "Cases without an answer count as the worst score",
        "Cases that failed in either run are left out (errors: exclude); a verdict holds",
    ):
        assert expected in several
    for unexpected in ("a verdict holds", "count as the worst"):
        assert unexpected not in one


def test_flips_are_side_by_side(visit: Visit) -> None:
    """A flip shows both outputs beside each other, also where the case has another name
    and place in the candidate.
    """

    def act(page: Any) -> list[Any]:
        page.select_option("#filter-direction", label="worsened")
        found = page.locator("[role=option]").all_text_contents()
        outputs = page.locator(
            ".column section:has(> h4:text-is('Output')) pre"
        ).all_text_contents()
        return [found, outputs, page.text_content(".detail"), page.title()]

    found, outputs, text, title = visit(comparison_html(*compared()), act)

    assert [f"1 → 0down{HOSTILE}"] == found
    assert [HOSTILE, f"!{HOSTILE}"] == outputs
    assert "named renamed in the candidate" in text
    assert "echo against louder" == title


def test_flips_are_found_by_text(visit: Visit) -> None:
    """Text is looked for in both runs."""

    def act(page: Any) -> list[str]:
        page.keyboard.press("/")
        page.keyboard.type("!ONE")
        page.wait_for_selector("text=1 of 2 flips")
        return page.locator("[role=option] .id").all_text_contents()

    assert ["up"] == visit(comparison_html(*compared()), act)


def test_controls_have_names(visit: Visit) -> None:
    """Every control has a name in the accessibility tree."""
    found = visit(comparison_html(*compared()), lambda page: names(page, CONTROLS))

    assert [] == [role for role, name in found if not name.strip()]
    assert {"searchbox", "combobox", "option", "link"} <= {role for role, _ in found}


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(visit: Visit, width: int) -> None:
    """The page does not scroll sideways."""
    act = lambda page: page.evaluate("document.documentElement.scrollWidth")

    assert width == visit(
        comparison_html(*compared()), act, viewport={"width": width, "height": 800}
    )


def test_runs_that_agree_have_a_page(visit: Visit) -> None:
    """Without flips, differences or changes each part says that there is nothing."""
    comparison, runs = compared(flips=[], differences=[], unmatched=[], identity={})

    text = visit(
        comparison_html(comparison, runs), lambda page: page.inner_text("body")
    )

    for expected in (
        "No case has another score",
        "no case has a score in both runs",
        "every setting that can change a row is the same",
    ):
        assert expected in text
    assert "Unmatched" not in text


def test_several_candidates_are_told_apart(visit: Visit) -> None:
    """With more than one candidate every difference and flip names its run, and flips
    can be narrowed to one.
    """
    comparison, runs = compared()
    other = run(
        Dataset(dataset_id="d", cases=CASES),
        metrics=[{"use": "builtin/exact_match", "id": "exact"}],
        prefix="?",
    )
    theirs = {"run_id": other.run_id}
    several = comparison.model_copy(
        update={
            "runs": [
                *comparison.runs,
                side(other).model_copy(update={"name": "asking"}),
            ],
            "differences": [
                *comparison.differences,
                comparison.differences[0].model_copy(update=theirs),
            ],
            "flips": [
                *comparison.flips,
                comparison.flips[1].model_copy(
                    update={**theirs, "candidate_case_id": "down"}
                ),
            ],
        }
    )

    def act(page: Any) -> list[Any]:
        page.select_option("#filter-run", label="asking")
        outputs = page.locator(
            ".column section:has(> h4:text-is('Output')) pre"
        ).all_text_contents()
        return [
            page.text_content(".found"),
            outputs,
            page.locator("#differences tbody th").all_text_contents(),
        ]

    found, outputs, differences = visit(comparison_html(several, [*runs, other]), act)

    assert ("1 of 3 flips", [HOSTILE, f"?{HOSTILE}"]) == (found, outputs)
    assert ["d louder", "d asking"] == differences


def test_the_same_comparison_gives_the_same_bytes() -> None:
    """A page has no date but those of the runs."""
    comparison, runs = compared()

    assert comparison_html(comparison, runs) == comparison_html(
        comparison, [RunResult(item.store, item.run_id) for item in runs]
    )


def test_runs_are_told_apart() -> None:
    """Runs of one experiment bear the end of their ids."""
    comparison, _ = compared()
    first, second = comparison.runs
    twin = second.model_copy(
        update={"name": first.name, "run_id": "20260101-000000-abcdef"}
    )

    assert ["echo", "louder"] == list(run_labels([first, second]).values())
    assert "echo abcdef" == run_labels([first, twin])[twin.run_id]


def test_lines_of_dashes_are_left_out(visit: Visit) -> None:
    """What no run has a value for takes no line; what one run has does."""
    comparison, runs = compared()
    unknown = {
        name: None
        for name in RunSide.model_fields
        if name.startswith(("cost", "latency")) or name.endswith("tokens")
    }
    free = [side.model_copy(update=unknown) for side in comparison.runs]
    timed = free[1].model_copy(update={"latency_mean_s": 0.5})

    def headings(sides: list[RunSide]) -> list[str]:
        page = comparison_html(comparison.model_copy(update={"runs": sides}), runs)
        found = "#runs tbody th"
        return list(visit(page, lambda page: page.locator(found).all_inner_texts()))

    assert ["run", "status", "started", "cases"] == headings(free)[:4]
    assert not any("latency" in heading for heading in headings(free))
    assert "latency, mean" in headings([free[0], timed])


def test_page_is_written_beside_the_tables_of_the_last_run() -> None:
    """It has a place of its own in the store, and its address is returned."""
    comparison, runs = compared()

    address = write_comparison(comparison, runs)

    path = f"runs/{runs[-1].run_id}/comparison.html"
    assert runs[-1].store.uri(path) == address
    written = runs[-1].store.read_bytes(path).decode()
    assert comparison_html(comparison, runs) == written
