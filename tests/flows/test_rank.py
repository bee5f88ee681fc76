"""`themis rank`: the terminal, the files it writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.rank import app
from tests.comparison.test_ranking import RIGHT
from themis_lib import Case, Dataset, evaluate


class Marked:
    """Answers right where its name says so."""

    component_id, version, reads = "tests/marked", "1", ("case_id",)
    deterministic = True

    def __init__(self, name: str) -> None:
        self.name = name

    def fingerprint(self) -> str:
        return self.name

    def generate(self, case: Any, ctx: Any) -> Any:
        from themis_lib import GenerationResult

        is_right = RIGHT[self.name][int(case.case_id)]
        return GenerationResult(final_output="yes" if is_right else "no")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a run of three models, one of them named in HTML."""
    path = tmp_path_factory.mktemp("ranked") / "store"
    cases = [
        Case(case_id=str(at), input=str(at), expected_output="yes") for at in range(120)
    ]
    for name in RIGHT:
        evaluate(
            model=Marked(name),
            data=Dataset(dataset_id="d", cases=cases),
            metric=["builtin/exact_match", "builtin/contains"],
            store=str(path),
            name=f"<b>{name}",
        )
    return path


def rank(store: Path, *arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments, "--store", str(store)])


def test_ranking_is_shown_and_written(store: Path, tmp_path: Path) -> None:
    """Terminal, Markdown, JSON and page have the same strengths; names are inert."""
    files = [tmp_path / f"ranking.{ending}" for ending in ("md", "json", "html")]
    options = [f"--{kind}" for kind in ("markdown", "json", "html")]
    pairs = [
        part for pair in zip(options, map(str, files), strict=True) for part in pair
    ]

    found = rank(store, "<b>*", "--metric", "exact_match", *pairs)

    assert 0 == found.exit_code, found.output
    markdown, data, page = (file.read_text(encoding="utf-8") for file in files)
    ranking = json.loads(data)
    best = ranking["runs"][0]
    assert "<b>good" == best["name"]
    for text in (found.output, markdown):
        assert f"{best['strength']:+.3f}" in text
        assert "a tie is half a win for both" in text
    assert "&lt;b&gt;good" in page
    assert "<b>good" not in page
    assert page.count('<line class="range"') == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["<b>*"], "the runs share 'exact_match', 'contains'"),
        (["<b>*", "--metric", "exact_mach"], "did you mean 'exact_match'?"),
        (["<b>good"], "name two or more"),
        (["<b>good", "nobody"], "nobody"),
    ],
    ids=["several metrics", "misspelt metric", "one run", "unknown run"],
)
def test_bad_input_is_one_line(store: Path, arguments: Any, message: str) -> None:
    """With exit code 2, and what to write instead."""
    found = rank(store, *arguments)

    assert 2 == found.exit_code
    assert message in found.output.replace("\n", " ")
