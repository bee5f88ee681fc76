"""Changes of a user's code, of its values, files, variables and libraries: what they
compute again in the next process, and how `--plan` and `why` name them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.new_process import in_new_process

PROGRAM = """
import os
from typer.testing import CliRunner
from flows.run import app as run
from flows.why import app as why
from themis_lib import Experiment

path, store = {path!r}, {store!r}
plan = CliRunner().invoke(run, [path, "--plan"])
result = Experiment.from_config(path).run()
said = CliRunner().invoke(why, ["last", "a", "--store", store])
print(json.dumps({{
    "computed": {{item.name: item.computed for item in result.manifest.stages}},
    "scores": [next(iter(case.final_scores.values())) for case in result.cases],
    "plan": plan.output,
    "why": said.output,
}}), flush=True)
# Without teardown: threads of Arrow may abort a process that ends while they start.
os._exit(0)
"""
MAIN = """
import os
from pathlib import Path

import {library}
from {name}_helpers import Base, longer
from themis_lib import GenerationResult, Score

WORDS = Path(__file__).with_name("words.txt")


class Generator:
    component_id = "mine/generator"
    version = "1"

    def fingerprint(self):
        return ""

    def generate(self, case, ctx):
        return GenerationResult(final_output={library}.cleaned(case.input))


class Metric(Base):
    component_id = "mine/metric"
    version = "1"
    reads = ("value",)

    def __init__(self, weight=1):
        self._weight = weight

    def fingerprint(self):
        return "I forget the weight"

    def score(self, parsed, case, ctx):
        words = WORDS.read_text().split()
        more = float(os.environ.get("THEMIS_MORE", "0")) + len(words)
        text = {library}.cleaned(parsed.value)
        return Score(value=self._weight * longer(text) + self.more() + more)
"""
HELPERS = """
OFFSETS = {"a": 0}


class Base:
    def more(self):
        return 0.0


def longer(text):
    return float(len(text)) + OFFSETS["a"]
"""
LIBRARY = """
def cleaned(text):
    return text
"""
Outcome = dict[str, Any]


class Project:
    """An experiment with a module of its user, a module next door, and a library that
    is installed in a folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = f"mine_{folder.name}"
        self.library = f"cleaning_{folder.name}"
        self.code = folder / "code"
        self.site = folder / "site-packages"
        self.helpers = self.code / f"{self.name}_helpers.py"
        self.words = self.code / "words.txt"
        self.environment: dict[str, str | None] = {"THEMIS_MORE": None}
        self.spec: dict[str, Any] = {
            "name": "mine",
            "generation": {"generator": {"use": f"{self.name}:Generator"}},
            "evaluation": {
                "parsers": ["builtin/text"],
                "metrics": [{"use": f"{self.name}:Metric"}],
            },
            "datasets": [
                {
                    "dataset_id": "texts",
                    "cases": [{"case_id": text, "input": text} for text in ("a", "bc")],
                }
            ],
            "storage": {"store": str(folder / "store")},
        }
        self.code.mkdir()
        self.site.mkdir()
        names = {"name": self.name, "library": self.library}
        self.main = self.code / f"{self.name}.py"
        self.main.write_text(MAIN.format(**names))
        self.helpers.write_text(HELPERS)
        self.words.write_text("")
        self.install("1.0", LIBRARY)

    def install(self, version: str, text: str) -> None:
        """Install a version of the library in place of another."""
        (self.site / f"{self.library}.py").write_text(text)
        for info in self.site.glob("*.dist-info"):
            for file in info.iterdir():
                file.unlink()
            info.rmdir()
        info = self.site / f"{self.library}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {self.library}\nVersion: {version}\n"
        )

    def run(self) -> Outcome:
        """Plan, run and explain the experiment in a new process."""
        path = self.folder / "experiment.yaml"
        path.write_text(yaml.safe_dump(self.spec))
        store = self.spec["storage"]["store"]
        paths = [str(self.code), str(self.site), str(Path.cwd())]
        outcome: Outcome = in_new_process(
            PROGRAM.format(path=str(path), store=store),
            PYTHONPATH=os.pathsep.join(paths),
            PYTHONDONTWRITEBYTECODE="1",
            COLUMNS="300",
            **self.environment,
        )
        return outcome


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def edited(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def set_variable(project: Project) -> None:
    project.environment["THEMIS_MORE"] = "10"


def set_weight(project: Project) -> None:
    project.spec["evaluation"]["metrics"][0]["weight"] = 2


#: By kind: the edit, and how it is named.
EDITS: dict[str, tuple[Callable[[Project], object], str]] = {
    "definition": (
        lambda project: edited(project.helpers, "len(text))", "len(text) + 10)"),
        "`{name}_helpers.longer` in {name}_helpers.py:10 changed",
    ),
    "base class": (
        lambda project: edited(project.helpers, "return 0.0", "return 10.0"),
        "`{name}_helpers.Base.more` in {name}_helpers.py:6 changed",
    ),
    "value": (
        lambda project: edited(project.helpers, '"a": 0', '"a": 10'),
        "`{name}_helpers.OFFSETS` changed",
    ),
    "setting": (set_weight, "`attribute _weight` changed"),
    "file": (
        lambda project: project.words.write_text("one two"),
        "`{words}` changed",
    ),
    "variable": (set_variable, "`env:THEMIS_MORE` changed"),
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[] if kind == "definition" else [pytest.mark.slow])
        for kind in EDITS
    ],
)
def test_change_is_computed_again_and_named(kind: str, project: Project) -> None:
    """The scores are computed again and nothing else, by a component whose own
    `fingerprint()` sees no change; the plan and the explanation name the cause.
    """
    edit, cause = EDITS[kind]
    first = project.run()
    edit(project)
    second = project.run()
    third = project.run()

    assert {"generate": 2, "parse": 2, "score": 2, "reduce": 2} == first["computed"]
    assert (0, 0, 2) == tuple(
        second["computed"][stage] for stage in ("generate", "parse", "score")
    )
    assert first["scores"] != second["scores"]
    named = cause.format(name=project.name, words=project.words.resolve())
    assert named in second["plan"]
    assert named in second["why"]
    assert 0 == sum(third["computed"].values())
    assert second["scores"] == third["scores"]


@pytest.mark.parametrize(
    ("libraries", "expected"),
    [
        pytest.param("scoring", (0, 2), marks=pytest.mark.slow),
        pytest.param("all", (2, 2), marks=pytest.mark.slow),
        pytest.param("none", (0, 0), marks=pytest.mark.slow),
        pytest.param(None, (0, 2), marks=pytest.mark.slow),
    ],
)
def test_upgraded_library_is_named_where_it_counts(
    libraries: str | None, expected: tuple[int, int], project: Project
) -> None:
    """By default another version computes scores again and asks no model; `all` asks,
    `none` computes nothing. The plan and the explanation name both versions.
    """
    if libraries is not None:
        project.spec["identity"] = {"libraries": libraries}
    project.run()
    project.install("1.1", LIBRARY.replace("return text", "return text + '!'"))
    second = project.run()

    computed = second["computed"]
    assert expected == (computed["generate"], computed["score"])
    named = f"library {project.library}: 1.0 → 1.1"
    assert (expected != (0, 0)) == (named in second["plan"])
    assert (expected != (0, 0)) == (named in second["why"])
    assert 0 == sum(project.run()["computed"].values())


@pytest.mark.slow
def test_library_that_nothing_uses_costs_nothing(project: Project) -> None:
    """An installed library that no component reaches is no part of them."""
    edited(project.main, f"import {project.library}\n", "")
    edited(project.main, f"{project.library}.cleaned(case.input)", "case.input")
    edited(project.main, f"{project.library}.cleaned(parsed.value)", "parsed.value")
    project.run()
    project.install("1.1", LIBRARY)

    assert 0 == sum(project.run()["computed"].values())
