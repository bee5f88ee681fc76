"""The page of a matrix, in a browser as a person uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.report.conftest import Visit, names
from tests.support.matrices import MODELS, PROMPTS, matrix_of
from tests.support.reported_runs import HOSTILE
from themis_lib.comparison.matrix import compare_matrix
from themis_lib.report.html_matrix import matrix_html, write_matrix

BOTH = {"model": MODELS, "prompt": PROMPTS}
LISTED = {"evaluation.metrics.0.scale": [1.0, 0.5, 0.25], "prompt": PROMPTS}


def page_of(folder: Path, matrix: Any, **changes: Any) -> str:
    return matrix_html(compare_matrix(matrix_of(folder, matrix, **changes).run()))


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of three scales by two prompts."""
    return page_of(tmp_path_factory.mktemp("listed"), LISTED)


def texts(page: Any, selector: str) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def shown(visit: Visit, html: str, selector: str, **context: Any) -> list[str]:
    """The texts of what a selector finds on a page."""
    return visit(html, lambda page: texts(page, selector), **context)


def test_grid_has_every_cell(visit: Visit, tmp_path: Path) -> None:
    """Two axes make a grid of means with their differences; the baseline is marked and
    an excluded cell is named.
    """
    matrix = {**LISTED, "exclude": [{"scale": 0.25, "prompt": "loud"}]}

    html = page_of(tmp_path, matrix)

    assert ["plain", "loud", "1.0", "0.5", "0.25"] == shown(visit, html, ".heat th")
    assert [
        "0.833 baseline",
        "0.667 −0.167",
        "0.417 −0.417",
        "0.333 −0.500",
        "0.208 −0.625",
        "excluded",
    ] == shown(visit, html, ".heat tbody td")
    assert ["0.833 baseline"] == shown(visit, html, ".heat .baseline")


def test_grid_is_drawn_for_each_value_of_other_axes(
    visit: Visit, tmp_path: Path
) -> None:
    """Of three axes, two make the grids and the third tells them apart."""
    matrix = {"generation.generator.model": ["m1", "m2"], **LISTED}

    html = page_of(tmp_path, matrix)

    assert [
        "model by scale prompt plain",
        "model by scale prompt loud",
        "model",
        "scale",
        "prompt",
    ] == shown(visit, html, "figcaption")


def test_one_axis_has_a_table_and_no_grid(visit: Visit, tmp_path: Path) -> None:
    """A grid of one line would say the same as the table."""
    html = page_of(tmp_path, {"model": MODELS})

    assert [] == shown(visit, html, ".heat")
    assert ["m1", "m2", "m3"] == shown(visit, html, ".cells tbody th")
    assert ["baseline", "same", "same"] == shown(visit, html, ".cells .conclusion")


def test_means_of_values_are_named(visit: Visit, listed: str) -> None:
    """Each axis has the mean of each value, and over how many combinations it is."""
    assert ["1.0 0.750", "0.5 0.375", "0.25 0.188", "plain 0.486", "loud 0.389"] == (
        shown(visit, listed, ".marginal tbody tr")
    )
    assert [
        "Over the 2 combinations of the other axes that all 3 values have.",
        "Over the 3 combinations of the other axes that both values have.",
    ] == shown(visit, listed, "figure p")


def test_failed_cell_is_there_with_its_reason(visit: Visit, tmp_path: Path) -> None:
    """It is in the list of runs, and its place in the grid says that it has no score."""
    models = {
        "bad": {"generation.generator": "tests.support.failing:Hopeless"},
        **MODELS,
    }
    matrix = {"model": models, "prompt": PROMPTS, "baseline": "m1-plain"}

    html = page_of(tmp_path, matrix)

    assert 2 == shown(visit, html, ".heat td").count("no score")
    [first, second] = shown(visit, html, ".reason")
    assert first == second
    assert first.endswith("no row can succeed")


def test_page_fits_a_phone(visit: Visit, listed: str) -> None:
    """At 390 pixels nothing sticks out; wide grids scroll by themselves, also by
    keyboard.
    """

    def act(page: Any) -> tuple[int, list[str]]:
        width = page.evaluate("document.documentElement.scrollWidth")
        return width, [name for role, name in names(page, {"region"})]

    width, regions = visit(listed, act, viewport={"width": 390, "height": 800})

    assert 390 == width
    assert ["Means of first", "Runs of the cells"] == sorted(regions)


@pytest.mark.parametrize("shade", ["light", "dark"])
def test_text_on_every_shade_can_be_read(shade: str, visit: Visit, listed: str) -> None:
    """The contrast of text and cell is 4.5 or more (WCAG 2.2, AA)."""
    contrast = """() => {
      const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
      const light = (color) => {
        canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
        const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((part) => {
          const share = part / 255;
          return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
      };
      return [...document.querySelectorAll(".heat tbody td")].map((cell) => {
        const [low, high] = [light(getComputedStyle(cell).backgroundColor),
          light(getComputedStyle(cell).color)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
      });
    }"""

    found = visit(
        listed,
        lambda page: page.evaluate(contrast),
        color_scheme=shade,
    )

    assert 6 == len(found)
    assert all(value >= 4.5 for value in found), found


def test_text_of_settings_is_text(visit: Visit, tmp_path: Path) -> None:
    """What a prompt says is never read as HTML, and a password in a URL is left out."""
    values = {
        "a": {"generation.prompt_spec.prefix": HOSTILE},
        "b": {"generation.generator.base_url": "http://me:secret@host/"},
    }

    html = page_of(tmp_path, {"v": values})

    [a, b] = shown(visit, html, ".settings code")
    assert HOSTILE.splitlines()[0][:20] in a
    assert "secret" not in html
    assert "host" in b


def test_page_lies_beside_the_baseline_and_links_to_reports(
    visit: Visit, tmp_path: Path
) -> None:
    """The cells that have a report are a link away; the same comparison has the same
    page.
    """
    from themis_lib.report.html import write_report

    result = matrix_of(tmp_path, BOTH).run()
    baseline = result.runs["m1-plain"]
    write_report(baseline)

    address = write_matrix(compare_matrix(result))

    html = Path(address).read_text()
    assert f"{baseline.location}/matrix.html" == address
    assert 1 == html.count(f'href="../{baseline.run_id}/report.html"')
    assert html == matrix_html(compare_matrix(result))


def test_matrix_without_scores_has_a_page(visit: Visit, tmp_path: Path) -> None:
    """It says that no cell has a score."""
    html = page_of(
        tmp_path,
        {"model": {"bad": {"generation.generator": "tests.support.failing:Hopeless"}}},
    )

    assert ["No cell has a score."] == shown(visit, html, ".empty")
