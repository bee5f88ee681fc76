"""Real input: recorded solutions of GSM8K, scored as their publishers scored them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.drivers import DRIVERS
from themis_lib import Experiment
from themis_lib.catalog import load_task
from themis_lib.experiment.spec import load_spec

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("THEMIS_TEST_DATA", ROOT.parent / "shared/data")) / "gsm8k"

pytestmark = pytest.mark.skipif(
    not DATA.exists(), reason="GSM8K is not on this machine"
)


def spec(solutions: Path, store: Path) -> dict[str, Any]:
    """The example as it is, given nothing but paths."""
    return load_spec(
        ROOT / "examples/gsm8k.yaml",
        overrides=[
            f"datasets.0.path={DATA / 'test.jsonl'}",
            f"generation.generator.path={solutions}",
            f"storage.store={store}",
        ],
    )


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("name", "correct"),
    [
        pytest.param("6b_finetuning", 286, marks=pytest.mark.slow),
        ("175b_verification", 742),
    ],
)
def test_scores_agree_with_every_published_verdict(
    name: str, correct: int, driver: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The example scores each recorded solution as its publishers did, all 1,319 of
    them.
    """
    solutions = DATA / f"solutions_{name}.jsonl"
    published = {
        line["case_id"]: line["is_correct"]
        for line in map(json.loads, solutions.open())
    }
    api_url = (
        request.getfixturevalue("prefect_api") if driver == "through the flow" else ""
    )

    result = DRIVERS[driver](spec(solutions, tmp_path / "store"), tmp_path, api_url)

    scores = result.table("scores").to_pylist()
    assert published == {row["case_id"]: row["score"] == 1.0 for row in scores}
    assert correct == sum(row["score"] == 1.0 for row in scores)
    assert (1319, 0) == (result.summary[0].n, result.summary[0].errors)


@pytest.mark.parametrize(
    ("name", "correct"), [("6b_finetuning", 286), ("175b_verification", 742)]
)
def test_catalogue_scores_agree_with_every_published_verdict(
    name: str, correct: int, tmp_path: Path
) -> None:
    """So does the task `gsm8k`, by its name, and the same task as a file finds its rows."""
    solutions = DATA / f"solutions_{name}.jsonl"
    published = {
        line["case_id"]: line["is_correct"]
        for line in map(json.loads, solutions.open())
    }
    overrides = [f"model=replay:{solutions}", f"storage.store={tmp_path / 'store'}"]
    data = str(DATA / "test.jsonl")
    copied = tmp_path / "my.yaml"
    copied.write_text(load_task("gsm8k").text, encoding="utf-8")

    by_name = Experiment.from_config("gsm8k", overrides=overrides, data=data).run()
    by_file = Experiment.from_config(copied, overrides=overrides, data=data).run()

    scores = by_name.table("scores").to_pylist()
    assert published == {row["case_id"]: row["score"] == 1.0 for row in scores}
    assert correct == sum(row["score"] == 1.0 for row in scores)
    assert (1319, 0) == (by_name.summary[0].n, by_name.summary[0].errors)
    assert scores == by_file.table("scores").to_pylist()
    assert 0 == sum(stage.computed for stage in by_file.manifest.stages)
