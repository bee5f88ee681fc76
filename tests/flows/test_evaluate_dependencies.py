"""Files, variables and code of a user are checked by the flow as they are in process,
and either finds the rows of the other.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.drivers import DRIVERS, flow_outcome
from tests.support.scored import modules

MAIN = """
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from {name}_helpers import longer
from themis_lib import Score

WORDS = Path(__file__).with_name("words.txt")
POOL = ThreadPoolExecutor(1)


class Metric:
    component_id = "mine/metric"
    version = "1"
    reads = ("value",)
    runtime = ("POOL",)

    def fingerprint(self):
        return ""

    def score(self, parsed, case, ctx):
        words = POOL.submit(WORDS.read_text).result().split()
        more = float(os.environ.get("THEMIS_MORE", "0"))
        return Score(value=longer(parsed.value) + len(words) + more)
"""
HELPERS = "def longer(text): return float(len(text))\n"
N = 5


class Project:
    """A metric with a helper, a file and a variable, in an experiment of three shards."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch, api_url: str) -> None:
        self.folder = folder
        self.patch = patch
        self.api_url = api_url
        self.name = f"flowing_{folder.name}"
        self.files = {
            self.name: MAIN.format(name=self.name),
            f"{self.name}_helpers": HELPERS,
        }
        self.words = folder / "words.txt"
        self.words.write_text("")
        self.spec: dict[str, Any] = {
            "name": "flowing",
            "generation": {"generator": "builtin/demo_generator"},
            "evaluation": {
                "parsers": ["builtin/text"],
                "metrics": [{"use": f"{self.name}:Metric"}],
            },
            "datasets": [
                {
                    "dataset_id": "texts",
                    "cases": [
                        {"case_id": str(at), "input": f"{at} + {at} = ?"}
                        for at in range(N)
                    ],
                }
            ],
            "storage": {"store": str(folder / "store")},
            "runtime": {"shard_size": 2},
        }

    def run(self, driver: str) -> tuple[int, list[float]]:
        """Run it; return how many rows were scored, and the scores."""
        if driver == "on processes":
            outcome = flow_outcome(
                self.spec, self.folder, self.api_url, runner="processes"
            )
            result = outcome.run.result
        else:
            result = DRIVERS[driver](self.spec, self.folder, self.api_url)
        record = next(item for item in result.manifest.stages if item.name == "score")
        scores = [next(iter(case.final_scores.values())) for case in result.cases]
        return record.computed, scores

    def edit_helper(self) -> None:
        """Edit the module next door, and import it anew."""
        file = self.folder / f"{self.name}_helpers.py"
        file.write_text(HELPERS.replace("len(text)", "len(text) + 1"))
        for name in self.files:
            importlib.reload(sys.modules[name])
        importlib.reload(sys.modules[self.name])

    def edit_file(self) -> None:
        self.words.write_text("one")

    def edit_variable(self) -> None:
        self.patch.setenv("THEMIS_MORE", "1")


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_api: str
) -> Iterator[Project]:
    monkeypatch.delenv("THEMIS_MORE", raising=False)
    made = Project(tmp_path, monkeypatch, prefect_api)
    with modules(tmp_path, made.files, monkeypatch):
        yield made


@pytest.mark.parametrize(
    "edit",
    [
        "edit_helper",
        pytest.param("edit_file", marks=pytest.mark.slow),
        pytest.param("edit_variable", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "drivers",
    [
        ("through the flow", "through the flow", "in process"),
        ("in process", "through the flow", "through the flow"),
    ],
    ids=["flow first", "process first"],
)
def test_edit_is_seen_by_either_driver(
    edit: str, drivers: tuple[str, str, str], project: Project
) -> None:
    """After an edit every row is scored again, once, with the new result."""
    before, after, again = drivers
    first = [project.run(before), project.run(after)]
    getattr(project, edit)()
    scores = [score + 1 for score in first[0][1]]

    assert [(N, first[0][1]), (0, first[0][1])] == first
    assert (N, scores) == project.run(after)
    assert (0, scores) == project.run(again)


@pytest.mark.slow
@pytest.mark.parametrize("edit", ["edit_file", "edit_variable"])
def test_edit_is_seen_by_worker_processes(edit: str, project: Project) -> None:
    """What worker processes read is checked, too."""
    project.patch.setenv("PYTHONPATH", str(project.folder), prepend=":")
    project.spec["runtime"]["workers"] = 2
    count, scores = project.run("on processes")
    getattr(project, edit)()
    changed = [score + 1 for score in scores]

    assert N == count
    assert (N, changed) == project.run("on processes")
    assert (0, changed) == project.run("on processes")
    assert (0, changed) == project.run("in process")
