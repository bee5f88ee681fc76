"""A matrix: its cells are experiments of their own, which share their rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.counting import CALLS
from tests.support.matrices import (
    MODELS,
    PARSERS,
    PROMPTS,
    matrix_file,
    matrix_of,
)
from tests.test_edit_costs import K, N, base
from themis_lib import ConfigError, DatasetError, Experiment, InputError, Matrix
from themis_lib.experiment.matrix import has_matrix
from themis_lib.experiment.spec import experiment_from_spec

METERED = {"use": "tests.support.metered:Charged"}


def counted(matrix: Matrix) -> tuple[int, int, int]:
    """Run a matrix and count the calls of its generators, parsers and metrics."""
    CALLS.clear()
    matrix.run()
    return CALLS["generate"], CALLS["parse"], CALLS["score"]


def test_three_by_three_share_their_rows(tmp_path: Path) -> None:
    """A model generates once for all parsers, and a parser reads equal texts of all
    models once; equal answers are scored once.
    """
    matrix = matrix_of(tmp_path, {"model": MODELS, "parser": PARSERS})

    assert 9 == len(matrix.cells)
    assert (3 * N * K, 3 * N * K, N * K) == counted(matrix)
    assert (0, 0, 0) == counted(matrix)


def test_axis_of_a_metric_costs_no_generation(tmp_path: Path) -> None:
    """Each cell scores; the texts and their answers are those of the first."""
    matrix = matrix_of(tmp_path, {"evaluation.metrics.0.scale": [1.0, 0.5, 0.25]})

    assert (N * K, N * K, 3 * N * K) == counted(matrix)


def test_cells_share_a_store_in_memory(tmp_path: Path) -> None:
    """A matrix without a store on a disk shares its rows all the same."""
    matrix = matrix_of(tmp_path, {"parser": PARSERS}, storage={"store": "memory"})

    assert (N * K, 3 * N * K, N * K) == counted(matrix)


def test_cell_is_the_experiment_written_alone(tmp_path: Path) -> None:
    """It has the same fingerprint, and finds the rows that the other has stored."""
    alone = base(tmp_path / "store")
    alone["generation"]["generator"]["model"] = "m2"
    alone["generation"]["prompt_spec"] = {"prefix": "p"}
    experiment = experiment_from_spec(Experiment, alone, where="alone")
    experiment.run()
    matrix = matrix_of(tmp_path, {"model": MODELS, "prompt": PROMPTS})
    cell = matrix.cell("m2-loud").experiment
    CALLS.clear()

    cell.run()

    assert {} == CALLS
    assert experiment.compile().fingerprint == cell.compile().fingerprint
    assert "costs-m2-loud" == cell.name


def test_cell_that_fails_does_not_stop_the_others(tmp_path: Path) -> None:
    """Its error is kept, and the other cells have their runs."""
    models = {
        "good": {"generation.generator.model": "m1"},
        "bad": {"generation.generator": "tests.support.failing:Hopeless"},
        "last": {"generation.generator.model": "m3"},
    }

    result = matrix_of(tmp_path, {"model": models}).run()

    assert ["good", "last"] == list(result.runs)
    assert [None, "no row can succeed", None] == [
        item.error and item.error.rpartition(": ")[2] for item in result.cells
    ]


def test_wrong_cell_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """The cell is named, and no component is called."""
    CALLS.clear()
    matrix = matrix_of(
        tmp_path,
        {"generation.generator.model": ["m1"], "generation.generator.temprature": [1]},
    )

    with pytest.raises(
        InputError, match=r"cell 'm1-temprature=1': .* did you mean 'temperature'"
    ):
        matrix.run()

    assert {} == CALLS


def test_unknown_setting_of_a_cell_names_file_and_cell(tmp_path: Path) -> None:
    """The nearest setting is in the message."""
    path = matrix_file(tmp_path, {"generation.promt_spec.prefix": ["a"]})

    with pytest.raises(ConfigError) as refused:
        Matrix.from_config(path)

    assert str(refused.value) == (
        f"{path}: matrix, cell 'a': unknown setting 'generation.promt_spec'; "
        "did you mean 'prompt_spec'?"
    )


def test_name_that_is_there_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    """YAML would keep the last of two values of one name without a word."""
    path = tmp_path / "twice.yaml"
    path.write_text(
        yaml.safe_dump(base(tmp_path / "store"))
        + "matrix:\n"
        + "  model:\n"
        + "    a: {generation.generator.model: m1}\n"
        + "    a: {generation.generator.model: m2}\n"
    )
    line = len(path.read_text().splitlines())

    with pytest.raises(ConfigError, match=f"{line}: matrix: 'a' is there twice"):
        Matrix.from_config(path)


def test_override_holds_for_all_cells(tmp_path: Path) -> None:
    """Also inside a component that the cells set."""
    generators = {
        name: {"generation.generator": {**METERED, "model": name}}
        for name in ("a", "b")
    }
    path = matrix_file(tmp_path, {"model": generators})

    matrix = Matrix.from_config(
        path, overrides=["generation.generator.global_limit=slow"]
    )

    assert [{**METERED, "model": name, "global_limit": "slow"} for name in "ab"] == [
        dict(cell.experiment.generation.generator) for cell in matrix.cells
    ]


def test_override_of_what_cells_set_is_refused(tmp_path: Path) -> None:
    """It would make all cells the same, or do nothing."""
    path = matrix_file(tmp_path, {"model": MODELS})

    for override in ("generation.generator.model=m9", "generation.generator=a"):
        with pytest.raises(ConfigError, match=r"sets 'generation.generator.model'"):
            Matrix.from_config(path, overrides=[override])


def test_models_of_cells_keep_the_settings_for_any_model(tmp_path: Path) -> None:
    """`model` is a shorthand in a matrix, too; a generator without `use` has settings for
    whatever model a cell names.
    """
    spec = base(tmp_path / "store")
    spec["generation"] = {"generator": {"temperature": 0.5}}
    spec["matrix"] = {
        "model": ["openai:a", "vllm:b"],
        "generation.generator.max_tokens": [8, 16],
    }
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))

    matrix = Matrix.from_config(path)

    assert [
        {"use": use, "model": model, "temperature": 0.5, "max_tokens": tokens}
        for use, model in (("openai", "a"), ("vllm", "b"))
        for tokens in (8, 16)
    ] == [dict(cell.experiment.generation.generator) for cell in matrix.cells]
    with pytest.raises(ConfigError, match="the matrix sets 'model' itself"):
        Matrix.from_config(path, overrides=["model=openai:c"])


def test_named_model_holds_for_all_cells(tmp_path: Path) -> None:
    """It comes before the settings of cells, which are for it."""
    path = matrix_file(tmp_path, {"generation.generator.temperature": [0.0, 1.0]})

    matrix = Matrix.from_config(path, overrides=["model=openai:c"])

    assert [
        {"use": "openai", "model": "c", "temperature": value} for value in (0.0, 1.0)
    ] == [dict(cell.experiment.generation.generator) for cell in matrix.cells]


def test_override_changes_the_matrix_itself(tmp_path: Path) -> None:
    """Its settings have paths as all others do."""
    path = matrix_file(tmp_path, {"model": MODELS, "prompt": PROMPTS})

    matrix = Matrix.from_config(path, overrides=["matrix.baseline=m3-loud"])

    assert "m3-loud" == matrix.baseline.name
    assert "m3-loud" == matrix.in_order[0].name


def test_override_of_a_generator_is_refused_where_cells_name_models(
    tmp_path: Path,
) -> None:
    """`model` is `generation.generator`: all cells would have the same."""
    path = matrix_file(tmp_path, {"model": ["openai:a", "openai:b"]})

    with pytest.raises(ConfigError, match="the matrix sets 'model' itself"):
        Matrix.from_config(path, overrides=["generation.generator=openai"])


@pytest.mark.parametrize("axis", ["datasets", "datasets.0", "datasets.0.path"])
def test_data_is_refused_where_cells_set_it(tmp_path: Path, axis: str) -> None:
    """The file would not be read."""
    values = {"a": {axis: "a.jsonl"}, "b": {axis: "b.jsonl"}}
    path = matrix_file(
        tmp_path, {"data": values}, datasets=[{"dataset_id": "d", "path": "c.jsonl"}]
    )

    with pytest.raises(
        ConfigError, match=f"data 'mine.jsonl': the matrix sets '{axis}'"
    ):
        Matrix.from_config(path, data="mine.jsonl")


def test_task_of_the_catalogue_is_a_matrix_by_an_override(tmp_path: Path) -> None:
    """Its file has no `matrix:`; the axes are given, and data for all cells."""
    data = tmp_path / "data.jsonl"
    data.write_text('{"question": "q", "choices": ["x", "y"], "answer": 1}\n')
    overrides = ["matrix={model: [openai:a, openai:b]}"]

    matrix = Matrix.from_config("mmlu", overrides=overrides, data=str(data))

    assert has_matrix("mmlu", overrides)
    assert not has_matrix("mmlu")
    assert ["mmlu-openai:a", "mmlu-openai:b"] == [
        cell.experiment.name for cell in matrix.cells
    ]


def test_data_of_another_shape_is_refused_with_the_shape(tmp_path: Path) -> None:
    """As without a matrix."""
    data = tmp_path / "data.jsonl"
    data.write_text('{"question": "q", "answer": 1}\n')

    with pytest.raises(DatasetError, match=r"no column 'choices'.*data of mmlu has"):
        Matrix.from_config(
            "mmlu", overrides=["matrix.model=[openai:a]"], data=str(data)
        )


def test_limit_holds_for_all_cells(tmp_path: Path) -> None:
    """Each cell has the first cases of each dataset."""
    path = matrix_file(tmp_path, {"model": MODELS})

    assert (3 * 2 * K, 2 * K, 2 * K) == counted(Matrix.from_config(path, limit=2))


def test_budget_is_for_all_cells_together(tmp_path: Path) -> None:
    """The cell that would go beyond it stops; what is in the store costs nothing."""
    models = {
        name: {"generation.generator": {**METERED, "model": name}} for name in "abc"
    }
    price = {"input": 100_000, "output": 100_000}
    matrix = matrix_of(
        tmp_path,
        {"model": models, "evaluation.metrics.0.scale": [1.0, 0.5]},
        cost={"prices": dict.fromkeys("abc", price), "max_cost": 13.0},
        evaluation={
            "metrics": [{"use": "tests.support.counting:Metric", "id": "first"}]
        },
        seeds=[1],
    )

    result = matrix.run()

    paid = [run.manifest.cost_paid for run in result.runs.values()]
    assert [6.0, 0.0, 6.0, 0.0] == paid
    assert ["a", "b"] == sorted({name[0] for name in result.runs})


def test_experiment_refuses_the_file_of_a_matrix(tmp_path: Path) -> None:
    """It is several experiments, and the message says what loads them."""
    path = matrix_file(tmp_path, {"model": MODELS})

    with pytest.raises(ConfigError, match=r"Matrix\.from_config"):
        Experiment.from_config(path)


@pytest.mark.parametrize(
    ("matrix", "cell", "expected"),
    [
        ({"model": MODELS}, "m2", "m1"),
        ({"model": MODELS}, "m1", None),
        (
            {"model": MODELS, "datasets.0.limit": [1, 2]},
            "m2-limit=2",
            "m1-limit=2",
        ),
        ({"model": MODELS, "datasets.0.limit": [1, 2]}, "m1-limit=2", None),
    ],
)
def test_cell_is_compared_with_the_baseline_on_its_data(
    matrix: Any, cell: str, expected: str | None, tmp_path: Path
) -> None:
    """Scores on other data are not compared: there the baseline has the other values."""
    datasets = [{"dataset_id": "d", "path": str(tmp_path / "d.jsonl")}]
    found = matrix_of(tmp_path, matrix, datasets=datasets)

    baseline = found.baseline_of(found.cell(cell))

    assert expected == (baseline and baseline.name)
