"""The page of an experiment's runs: self-contained, the same bytes for the same runs,
and nothing in it runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.report.test_history import row, series
from tests.support.chromium import CHROMIUM
from tests.support.counted_runs import ran
from themis_lib import InMemoryRunStore, InputError
from themis_lib.report.history import PastRun, past_runs
from themis_lib.report.history_page import history_html


def made(count: int) -> list[PastRun]:
    """Runs whose mean rises from 0.5, and every third of which has other settings."""
    rows = [
        row(0.5 + at / 1000, 0.45 + at / 1000, 0.55 + at / 1000) for at in range(count)
    ]
    return [run for run, _ in series(*rows, changed=tuple(range(3, count, 3))).points]


def test_page_has_a_plot_for_each_metric() -> None:
    """Without a metric all are drawn; with one, that one, and only runs of its
    experiment are listed.
    """
    store = InMemoryRunStore()
    ran(store, evaluation__metrics__0__id="a")
    ran(store, evaluation__metrics__0__id="b")
    ran(store, name="other", evaluation__metrics__0__id="c")

    both, one = (
        history_html(past_runs(store, name="costs")),
        history_html(past_runs(store), "c"),
    )

    assert [True, True] == [f"{name} over 1 run:" in both for name in ("a", "b")]
    assert "<h1>other</h1>" in one
    assert 1 == one.count("<tr>\n<th scope=")


def test_page_is_the_same_for_the_same_runs() -> None:
    """There is no date in it but those of the runs."""
    assert history_html(made(3)) == history_html(made(3))


def test_text_is_escaped() -> None:
    """What a prompt or a name says is text on the page."""
    store = InMemoryRunStore()
    ran(store, name="<script>alert(1)</script>")
    ran(
        store,
        name="<script>alert(1)</script>",
        generation__prompt_spec__prefix="<img src=x>",
    )

    page = history_html(past_runs(store))

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "&lt;img src=x&gt;" in page
    assert "<script" not in page
    assert "<img" not in page


def test_runs_without_scores_have_a_page() -> None:
    """Runs that came to no summary are listed, and the page says that there is nothing
    to draw.
    """
    store = InMemoryRunStore()
    result = ran(store)
    store.remove(f"runs/{result.run_id}/summary.parquet")

    assert "none of these runs came to a summary" in history_html(past_runs(store))


def test_nothing_to_draw_is_refused() -> None:
    """No runs, and a metric that none of them has, are errors."""
    store = InMemoryRunStore()
    ran(store)

    with pytest.raises(InputError, match="no runs to draw"):
        history_html([])
    with pytest.raises(InputError, match="has a metric 'fist'"):
        history_html(past_runs(store), "fist")


def test_each_experiment_has_its_part() -> None:
    """One after another, with a link to each; a single one needs no links."""
    store = InMemoryRunStore()
    ran(store)
    ran(store, name="other")

    page = history_html(past_runs(store))
    alone = history_html(past_runs(store, name="other"))

    assert "<title>2 experiments · runs</title>" in page
    assert '<a href="#experiment-1">costs</a>' in page
    assert '<a href="#experiment-2">other</a>' in page
    assert 2 == page.count('<table class="runs">')
    assert "<title>other · runs</title>" in alone
    assert "#experiment-1" not in alone


def test_axis_that_leaves_out_zero_says_so() -> None:
    """Small differences look large on it."""
    whole = [run for run, _ in series(row(0.5, 0.0, 1.0)).points]

    assert "The axis begins at 0." in history_html(made(2))
    assert "The axis begins" not in history_html(whole)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
@pytest.mark.parametrize(
    "count",
    [
        pytest.param(1, marks=pytest.mark.slow),
        pytest.param(2, marks=pytest.mark.slow),
        100,
    ],
)
@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_page_in_a_browser(count: int, width: int, scheme: str, tmp_path: Path) -> None:
    """A dot for each run inside the plot, a name for the picture, no message, and
    nothing wider than the screen.
    """
    api = pytest.importorskip("playwright.sync_api")
    file = tmp_path / "history.html"
    file.write_text(history_html(made(count)), encoding="utf-8")
    messages: list[str] = []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        page = browser.new_page(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(file.as_uri())
        plot = page.get_by_role("img", name=f"m over {count} run")
        frame, dots = plot.bounding_box(), plot.locator("circle").all()
        boxes = [dot.bounding_box() for dot in (dots[0], dots[-1])]
        scrolled = page.evaluate("document.documentElement.scrollWidth")
        browser.close()

    assert ([], count, width) == (messages, len(dots), scrolled)
    for box in boxes:
        assert frame["x"] <= box["x"] + box["width"] / 2 <= frame["x"] + frame["width"]
        assert (
            frame["y"] <= box["y"] + box["height"] / 2 <= frame["y"] + frame["height"]
        )
