"""`themis explain`: shares in the terminal and in files, and calls that are asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flows.explain import app
from tests.support.counting import CALLS
from themis_lib import Experiment


def experiment(name: str, store: Path, **generator: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "name": name,
            "generation": {
                "generator": {"use": "tests.support.counting:Generator", **generator},
            },
            "evaluation": {
                "parsers": ["builtin/number"],
                "metrics": [{"use": "builtin/numeric_match", "id": "right"}],
            },
            "datasets": [
                {
                    "dataset_id": "d",
                    "cases": [
                        {"case_id": f"<b>{at}", "input": str(at), "expected_output": at}
                        for at in range(4)
                    ],
                }
            ],
            "storage": {"store": str(store)},
        }
    )


def explain(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with a run `before`, and a run `after` with another prompt and model."""
    path = tmp_path / "store"
    experiment("before", path).run()
    after = experiment("after", path, model="m2")
    spec = after.generation.prompt_spec.model_copy(update={"prefix": "7 "})
    generation = after.generation.model_copy(update={"prompt_spec": spec})
    after.model_copy(update={"generation": generation}).run()
    return path


def test_calls_are_asked_for_before_they_are_made(store: Path) -> None:
    """Without a terminal and without --yes nothing is called."""
    before = CALLS["generate"]

    refused = explain("before", "after", "--store", str(store))

    assert 2 == refused.exit_code
    assert "lack up to 8 calls, price not known" in refused.output
    assert before == CALLS["generate"]


def test_an_explanation_is_shown_and_written(store: Path, tmp_path: Path) -> None:
    """Terminal, Markdown, JSON and page have the same shares; ids are inert."""
    files = [tmp_path / name for name in ("e.md", "e.json", "e.html")]
    markdown, numbers, page = files

    result = explain(
        *("before", "after", "--store", str(store), "--yes"),
        *("--markdown", str(markdown), "--json", str(numbers), "--html", str(page)),
    )

    assert 0 == result.exit_code, result.output
    (score,) = json.loads(numbers.read_text())["scores"]
    shares = {item["factor"]: item["share"] for item in score["shares"]}
    assert ["prompt", "model"] == list(shares)
    assert score["difference"] == sum(shares.values())
    for text in (result.output, markdown.read_text(), page.read_text()):
        assert f"{shares['prompt']:+.4f}" in text
    assert "<b>3" not in page.read_text()
    again = explain("before", "after", "--store", str(store))
    assert "rows computed: none" in again.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("before", "before"), "named twice"),
        (("before", "nothing"), "nothing"),
        (("before", "after", "--metric", "righ"), "right"),
        (("before", "after", "--cluster-by", "topic", "--yes"), "topic"),
    ],
)
def test_wrong_input_is_one_line(
    store: Path,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    """Exit code 2 and one line that names what is wrong."""
    result = explain(*arguments, "--store", str(store))

    assert 2 == result.exit_code
    assert said in result.output
    assert "Traceback" not in result.output
