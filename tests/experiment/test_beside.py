"""Files and modules are looked for beside the experiment that names them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.support.media import png
from themis_lib import ComponentError, DatasetError, Experiment, RunResult
from themis_lib.components.imports import import_named
from themis_lib.experiment.beside import resolve_beside

CASES = [{"case_id": "a", "input": "1", "expected_output": "1"}]
MODULE = """
class Model:
    component_id, version, reads = "beside/model", "1", ("input",)

    def fingerprint(self):
        return ""

    def generate(self, case, ctx):
        from themis_lib import GenerationResult
        return GenerationResult(final_output={answer!r})
"""


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def write_experiment(folder: Path, **generator: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "experiment.yaml"
    spec = {
        "generation": {"generator": generator},
        "evaluation": {"metrics": ["builtin/exact_match"]},
        "datasets": [{"dataset_id": "d", "path": "data/cases.jsonl"}],
    }
    path.write_text(yaml.safe_dump(spec))
    return path


def _unused(name: str) -> str:
    return f"{name}_{uuid4().hex}"


def outputs(run: RunResult) -> list[Any]:
    return run.table("outputs")["output"].to_pylist()


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_data_beside_the_experiment(tmp_path: Path) -> None:
    """Datasets and recordings, from another working directory."""
    folder = tmp_path / "project"
    write_lines(folder / "data" / "cases.jsonl", CASES)
    write_lines(folder / "said.jsonl", [{"case_id": "a", "output": "beside"}])
    path = write_experiment(folder, use="builtin/replay", path="said.jsonl")

    assert ['"beside"'] == outputs(Experiment.from_config(path).run())
    assert ['"beside"'] == outputs(Experiment.from_config(os.path.relpath(path)).run())


def test_beside_comes_before_the_working_directory(tmp_path: Path) -> None:
    """Where both have such a file; where only the working directory has, that one."""
    folder = tmp_path / "project"
    write_lines(Path("data/cases.jsonl"), CASES)
    write_lines(Path("said.jsonl"), [{"case_id": "a", "output": "working directory"}])
    path = write_experiment(folder, use="builtin/replay", path="said.jsonl")

    before = outputs(Experiment.from_config(path).run())
    write_lines(folder / "said.jsonl", [{"case_id": "a", "output": "beside"}])
    after = outputs(Experiment.from_config(path).run())

    assert ['"working directory"'] == before
    assert ['"beside"'] == after


def test_data_that_is_given_is_the_working_directory_s(tmp_path: Path) -> None:
    """Where both have such a file: it is no name of the experiment's file."""
    folder = tmp_path / "project"
    write_lines(folder / "mine.jsonl", [])
    write_lines(folder / "only_beside.jsonl", CASES)
    write_lines(Path("mine.jsonl"), CASES)
    path = write_experiment(folder, use="builtin/demo_generator")

    here = Experiment.from_config(path, data="mine.jsonl")
    beside = Experiment.from_config(path, data="only_beside.jsonl")

    assert "mine.jsonl" == here.datasets[0].path  # type: ignore[union-attr]
    assert str(folder / "only_beside.jsonl") == beside.datasets[0].path  # type: ignore[union-attr]


def test_place_of_the_experiment_costs_nothing(tmp_path: Path) -> None:
    """From another working directory everything is found in the store."""
    folder = tmp_path / "project"
    write_lines(folder / "data" / "cases.jsonl", CASES)
    write_lines(folder / "said.jsonl", [{"case_id": "a", "output": "1"}])
    path = write_experiment(folder, use="builtin/replay", path="said.jsonl")
    override = [f"storage.store={tmp_path / 'store'}"]

    Experiment.from_config(path, overrides=override).run()
    os.chdir(folder)
    again = Experiment.from_config("experiment.yaml", overrides=override).run()

    assert {0} == {record.computed for record in again.manifest.stages}


def test_module_beside_the_experiment(tmp_path: Path) -> None:
    """It is imported from there, and so are the modules that it imports."""
    folder, name = tmp_path / "project", _unused("beside")
    write_lines(folder / "data" / "cases.jsonl", CASES)
    helper = _unused("helper")
    (folder / f"{helper}.py").write_text("ANSWER = 'from a helper'\n")
    text = MODULE.replace("{answer!r}", "ANSWER")
    (folder / f"{name}.py").write_text(f"from {helper} import ANSWER\n{text}")
    path = write_experiment(folder, use=f"{name}:Model")

    assert ['"from a helper"'] == outputs(Experiment.from_config(path).run())


def test_module_beside_comes_before_the_working_directory(tmp_path: Path) -> None:
    """Where both have one of that name."""
    folder, name = tmp_path / "project", _unused("both")
    write_lines(folder / "data" / "cases.jsonl", CASES)
    (folder / f"{name}.py").write_text(MODULE.format(answer="beside"))
    Path(f"{name}.py").write_text(MODULE.format(answer="working directory"))
    path = write_experiment(folder, use=f"{name}:Model")

    assert ['"beside"'] == outputs(Experiment.from_config(path).run())


@pytest.mark.parametrize("is_imported", [True, False])
def test_two_modules_of_one_name_are_refused(tmp_path: Path, is_imported: bool) -> None:
    """Python holds one of them, which would be taken for the other."""
    name = _unused("twice")
    paths = []
    for folder in (tmp_path / "one", tmp_path / "two"):
        write_lines(folder / "data" / "cases.jsonl", CASES)
        (folder / f"{name}.py").write_text(MODULE.format(answer=folder.name))
        paths.append(write_experiment(folder, use=f"{name}:Model"))
    first = Experiment.from_config(paths[0])
    if is_imported:
        first.compile()

    with pytest.raises(ComponentError) as failure:
        Experiment.from_config(paths[1])

    assert str(tmp_path / "one" / f"{name}.py") in str(failure.value)
    assert str(tmp_path / "two" / f"{name}.py") in str(failure.value)
    assert ['"one"'] == outputs(first.run())


@pytest.mark.parametrize(
    "component",
    [
        {"use": "openai", "model": "m", "input_builder": "{}:found"},
        {"use": "langgraph", "graph": "{}:found"},
        {"use": "builtin/semantic_similarity", "embed": "{}:found"},
    ],
)
def test_module_that_a_setting_names(component: dict[str, str], tmp_path: Path) -> None:
    """A function or an object of a module beside the experiment."""
    name = _unused("named")
    (tmp_path / f"{name}.py").write_text("found = 'beside'\n")
    settings = {key: value.format(name) for key, value in component.items()}

    resolve_beside({"generation": {"generator": settings}}, tmp_path)

    assert "beside" == import_named("test", f"{name}:found")


def test_text_too_long_for_a_path_names_the_dataset(tmp_path: Path) -> None:
    """It is refused as any other file that is missing."""
    path = write_experiment(tmp_path, use="builtin/demo_generator")
    text = path.read_text().replace("data/cases.jsonl", f"{'x' * 5000}.jsonl")
    path.write_text(text)

    with pytest.raises(DatasetError, match="dataset 'd': "):
        Experiment.from_config(path).run()


def test_files_of_cases_in_an_experiment_are_beside_it(tmp_path: Path) -> None:
    """Wherever the command runs."""
    folder = tmp_path / "work"
    path = write_experiment(folder, use="tests.support.counting:Reader")
    (folder / "images").mkdir()
    (folder / "images" / "1.png").write_bytes(png())
    image = {"type": "image", "path": "images/1.png"}
    values = [[image], [{"role": "user", "content": [image]}]]
    spec = yaml.safe_load(path.read_text())
    spec["datasets"][0] = {
        "dataset_id": "d",
        "cases": [
            {"case_id": str(number), "input": value}
            for number, value in enumerate(values)
        ],
    }
    path.write_text(yaml.safe_dump(spec))

    resolve_beside(spec, folder)

    inputs = [case["input"] for case in spec["datasets"][0]["cases"]]
    there = {"type": "image", "path": str(folder / "images" / "1.png")}
    assert [[there], [{"role": "user", "content": [there]}]] == inputs
