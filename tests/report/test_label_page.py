"""The page on which a person labels, in a real browser: offline, blind, and kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.report.conftest import CONTROLS, Visit, names
from tests.support.labelling import (
    CORRECT,
    RUBRIC,
    Seeing,
    cases,
    grading_judge,
    judged_run,
)
from tests.support.media import png
from themis_lib import InMemoryRunStore, LabelSession, RunResult
from themis_lib.labels.exchange import import_labels
from themis_lib.labels.labelled_scores import labelled_scores
from themis_lib.labels.stored_labels import LabelStore
from themis_lib.report.label_page import label_page


@pytest.fixture
def run() -> RunResult:
    return judged_run(InMemoryRunStore())


def page_of(run: RunResult, labeller: str = "ana") -> str:
    return label_page(
        LabelSession.of(run, labeller=labeller or None), labeller=labeller
    )


def progress(page: Any) -> str:
    return str(page.inner_text("#progress"))


def saved(page: Any, path: Path) -> Path:
    with page.expect_download() as download:
        page.click("#save")
    assert "labels.json" == download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_the_page_tells_nothing(run: RunResult) -> None:
    """The page holds no run id, no verdict, no model and no case id, packed or not."""
    import base64
    import gzip
    import re

    page = page_of(run)
    packed = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)
    assert packed is not None
    data = gzip.decompress(base64.b64decode(packed.group(1))).decode()

    for text in (page, data):
        for secret in (run.run_id, "I looked.", "answers_right_or_wrong", '"q0"'):
            assert secret not in text
    assert page == page_of(run)


def test_labels_by_keyboard(visit: Visit, run: RunResult, tmp_path: Path) -> None:
    """Label three by keys, skip one, undo one, save: the file's labels are imported."""

    def act(page: Any) -> Path:
        page.keyboard.press("c")
        page.keyboard.press("i")
        page.keyboard.press("s")
        page.keyboard.press("n")
        page.keyboard.type("could be")
        page.keyboard.press("Enter")
        page.keyboard.press("c")
        assert "3 of 6 labelled, 1 skipped" == progress(page)
        page.keyboard.press("i")
        page.keyboard.press("u")
        assert "3 of 6 labelled, 1 skipped" == progress(page)
        return saved(page, tmp_path / "labels.json")

    imported = import_labels(run, visit(page_of(run), act))

    assert 4 == imported.new
    labels = LabelStore(run.store).current()
    assert [1.0, 0.0, None, 1.0] == labels["value"].to_pylist()
    assert [None, None, None, "could be"] == labels["note"].to_pylist()
    assert {"ana"} == set(labels["labeller"].to_pylist())
    assert 3 == len(labelled_scores(run)["inclusion_probability"].drop_null())


def test_a_reload_loses_nothing(visit: Visit, run: RunResult, tmp_path: Path) -> None:
    """What was labelled before the page was closed is there when it is opened again."""

    def act(page: Any) -> tuple[str, str, str]:
        before = page.inner_text("#texts")
        page.keyboard.press("c")
        page.keyboard.press("i")
        page.reload()
        page.wait_for_selector("#choices button")
        after = page.inner_text("#texts")
        page.keyboard.press("c")
        saved(page, tmp_path / "labels.json")
        return before, after, progress(page)

    before, after, said = visit(page_of(run), act)

    assert before != after
    assert "3 of 6 labelled" == said
    given = json.loads((tmp_path / "labels.json").read_text())["labels"]
    assert 3 == len({label["item"] for label in given})


def test_undo_stays_on_its_page(visit: Visit, run: RunResult, tmp_path: Path) -> None:
    """A second page of the same draw, in the same browser, undoes none of the first."""
    first = page_of(run)

    def act(page: Any) -> Path:
        page.keyboard.press("c")
        return saved(page, tmp_path / "labels.json")

    import_labels(run, visit(first, act))

    def go_on(page: Any) -> tuple[list[bool], str]:
        page.set_content(first)
        page.wait_for_selector("#choices button")
        page.keyboard.press("c")
        page.set_content(page_of(run))
        page.wait_for_selector("#choices button")
        disabled = [page.is_disabled("#undo")]
        page.keyboard.press("c")
        disabled.append(page.is_disabled("#undo"))
        page.keyboard.press("u")
        page.keyboard.press("u")
        disabled.append(page.is_disabled("#undo"))
        page.set_content(first)
        page.wait_for_selector("#choices button")
        return disabled, progress(page)

    assert ([True, False, True], "1 of 6 labelled") == visit(page_of(run), go_on)


def test_a_name_is_needed_to_save(visit: Visit, run: RunResult) -> None:
    """A page for anybody has no name on it, and saves nothing before there is one."""

    def act(page: Any) -> list[bool]:
        page.keyboard.press("c")
        found = [page.is_disabled("#save")]
        page.fill("#labeller", "ben")
        found.append(page.is_disabled("#save"))
        # Letters of a name are no labels.
        assert "1 of 6 labelled" == progress(page)
        return found

    assert [True, False] == visit(page_of(run, labeller=""), act)


def test_grades_by_mouse(visit: Visit, tmp_path: Path) -> None:
    """Each grade is a button, named for those who cannot see it."""
    run = judged_run(InMemoryRunStore(), metric=RUBRIC, judge=grading_judge)

    def act(page: Any) -> list[tuple[str, str]]:
        page.click("#choices button:has-text('4')")
        saved(page, tmp_path / "labels.json")
        return names(page, CONTROLS)

    found = visit(page_of(run), act)
    import_labels(run, tmp_path / "labels.json")

    assert {("button", str(grade)) for grade in range(1, 6)} <= set(found)
    assert ("textbox", "Your name or alias") in found
    assert [0.75] == labelled_scores(run)["label"].drop_null().to_pylist()


def test_numbers_are_typed(visit: Visit, tmp_path: Path) -> None:
    """A metric of numbers has a field, which refuses what is out of range."""
    metric = {"use": "builtin/f1", "id": "f1"}
    run = judged_run(
        InMemoryRunStore(), metric=metric, model=lambda prompt: f"{prompt} 4"
    )

    def act(page: Any) -> None:
        page.keyboard.type("7")
        page.keyboard.press("Enter")
        assert "0 of 6 labelled" == progress(page)
        page.fill("#choices input", "0.5")
        page.keyboard.press("Enter")
        assert "1 of 6 labelled" == progress(page)
        saved(page, tmp_path / "labels.json")

    visit(page_of(run), act)
    import_labels(run, tmp_path / "labels.json")

    assert [0.5] == labelled_scores(run)["label"].drop_null().to_pylist()


def test_what_models_wrote_is_text(visit: Visit) -> None:
    """An answer with markup and scripts is shown as it is, and runs nothing."""
    text = "<img src=x onerror=alert(1)><script>alert(2)</script></pre>"
    run = judged_run(
        InMemoryRunStore(),
        count=1,
        metric={**CORRECT, "use": "builtin/contains"},
        model=lambda prompt: text,
    )

    assert text == visit(page_of(run), lambda page: page.inner_text(".answer pre"))


def test_images_are_drawn(visit: Visit, tmp_path: Path) -> None:
    """A small image of an input is on the page, from the store."""
    (tmp_path / "dot.png").write_bytes(png())
    image = {"type": "image", "path": str(tmp_path / "dot.png")}
    case = cases(1)[0].model_copy(update={"input": [image]})
    metric = {**CORRECT, "use": "builtin/contains"}
    run = judged_run(InMemoryRunStore(), dataset=[case], metric=metric, model=Seeing())

    drawn = visit(page_of(run), lambda page: page.locator("img.medium").count())

    assert 1 == drawn


def test_the_end(visit: Visit, run: RunResult) -> None:
    """Behind the last item the page says what to do; a page of nothing says so too."""

    def act(page: Any) -> str:
        for _ in range(7):
            page.keyboard.press("c")
        return str(page.inner_text("#texts"))

    assert "Save the file" in visit(page_of(run), act)
    session = LabelSession.of(run, labeller="cem")
    while session.current is not None:
        session.give("correct")
    empty = visit(page_of(run, "cem"), lambda page: page.inner_text(".empty"))
    assert "Every item is labelled" in empty


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_off(
    visit: Visit, run: RunResult, scheme: str, width: int
) -> None:
    """Narrow or wide, light or dark, the page does not scroll sideways."""

    def act(page: Any) -> bool:
        script = "document.documentElement.scrollWidth <= window.innerWidth"
        return bool(page.evaluate(script))

    size = {"width": width, "height": 800}
    assert visit(page_of(run), act, viewport=size, color_scheme=scheme)
