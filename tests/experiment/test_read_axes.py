"""The `matrix:` of a file: axes in both spellings, what is left out, and what is
refused.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.matrices import MODELS, PROMPTS
from themis_lib import ConfigError
from themis_lib.experiment.axes import Axes
from themis_lib.experiment.read_axes import read_axes

BOTH = {"model": MODELS, "prompt": PROMPTS}
BAD: dict[str, tuple[Any, str]] = {
    "no mapping": ([1], "matrix: write a mapping of axes"),
    "no axis": ({"exclude": []}, "matrix: there is no axis"),
    "an empty axis": (
        {"generation.generator": []},
        "matrix.generation.generator: the axis is empty",
    ),
    "an axis without any value": ({"model": {}}, "matrix.model: the axis is empty"),
    "an unknown section": (
        {"genration.generator": ["a"]},
        "matrix.genration.generator: unknown setting 'genration.generator'; "
        "did you mean 'generation'?",
    ),
    "an unknown section in a value": (
        {"model": {"a": {"generaton.generator": "b"}}},
        "matrix.model.a: unknown setting 'generaton.generator'; "
        "did you mean 'generation'?",
    ),
    "a misspelt `exclude`": (
        {**BOTH, "exclud": [{"model": "m1"}]},
        "matrix.exclud: unknown setting 'exclud'; did you mean 'exclude'?",
    ),
    "a misspelt `baseline`": (
        {**BOTH, "basline": {"model": "m1"}},
        "did you mean 'baseline'?",
    ),
    "a value that is no setting": (
        {"model": {"small": "m1"}},
        "matrix.model.small: got 'm1'; write the settings that it replaces",
    ),
    "an axis that is one value": (
        {"generation.generator": "a"},
        "matrix.generation.generator: got 'a'; an axis has named values",
    ),
    "a value twice": (
        {"generation.generator.model": ["a", "a"]},
        "matrix.generation.generator.model: two values are named 'a'",
    ),
    "a name with spaces": (
        {"model": {"my model": {}}},
        "matrix.model: the name 'my model'",
    ),
    "a listed value that is no name": (
        {"generation.prompt_spec.prefix": ["Think step by step."]},
        "name the values: prefix: {NAME: {generation.prompt_spec.prefix: …}}",
    ),
    "a listed component with settings": (
        {"generation.generator": [{"use": "a"}]},
        "name the values: generator: {NAME: {generation.generator: …}}",
    ),
    "two axes of one setting": (
        {"a": MODELS, "b": MODELS},
        "the axes 'a' and 'b' both set 'generation.generator.model'",
    ),
    "a model by its shorthand and by its component": (
        {"model": ["tiny"], "generation.generator": ["small"]},
        "the axes 'model' and 'generation.generator' both set 'generation.generator'",
    ),
    "a key that YAML reads as a boolean": (
        {True: ["tiny"]},
        "matrix.true: unknown setting 'true'",
    ),
    "a store for each cell": (
        {"storage.store": ["a", "b"]},
        "'storage.store' is the same for all cells; set it outside the matrix",
    ),
    "two cells of one name": (
        {
            "a": {"x": {}, "x-y": {}},
            "b": {"y-z": {"seeds": [1]}, "z": {"seeds": [2]}},
        },
        "two cells are named 'x-y-z'",
    ),
    "an excluded axis": (
        {**BOTH, "exclude": [{"modle": "m1"}]},
        "matrix.exclude[0]: no axis 'modle'; did you mean 'model'?",
    ),
    "an excluded value": (
        {**BOTH, "exclude": [{"model": "m9"}]},
        "matrix.exclude[0].model: no value 'm9'; choose one of 'm1'",
    ),
    "an exclusion that is no list": (
        {**BOTH, "exclude": {"model": "m1"}},
        "matrix.exclude: write a list of cells",
    ),
    "an exclusion of everything": (
        {**BOTH, "exclude": [{"model": ["m1", "m2", "m3"]}]},
        "matrix.exclude: it leaves no cell",
    ),
    "a baseline that is no cell": (
        {**BOTH, "baseline": "m1-lowd"},
        "matrix.baseline: no cell 'm1-lowd'; did you mean 'm1-loud'?",
    ),
    "a baseline of an unknown value": (
        {**BOTH, "baseline": {"prompt": "lowd"}},
        "matrix.baseline.prompt: no value 'lowd'; did you mean 'loud'?",
    ),
    "an excluded baseline": (
        {
            **BOTH,
            "exclude": [{"model": "m1", "prompt": "loud"}],
            "baseline": {"model": "m1", "prompt": "loud"},
        },
        "matrix.baseline: 'm1-loud' is no cell, it is excluded",
    ),
    "a baseline of several values": (
        {**BOTH, "baseline": {"model": ["m1", "m2"]}},
        "matrix.baseline.model: name one value",
    ),
}


def cells(axes: Axes) -> list[str]:
    return [axes.cell_name(cell) for cell in axes.cells]


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_is_refused_with_its_place(name: str) -> None:
    """The message begins with the file, names the place, and helps with the fix."""
    matrix, expected = BAD[name]

    with pytest.raises(ConfigError) as refused:
        read_axes(matrix, where="m.yaml")

    assert str(refused.value).startswith("m.yaml: matrix")
    assert expected in str(refused.value)


def test_cells_are_all_combinations_in_the_order_of_the_file() -> None:
    """The last axis changes fastest; the first cell is the baseline."""
    axes = read_axes(BOTH, where="m.yaml")

    assert [
        "m1-plain",
        "m1-loud",
        "m2-plain",
        "m2-loud",
        "m3-plain",
        "m3-loud",
    ] == cells(axes)
    assert {"model": "m1", "prompt": "plain"} == axes.baseline


def test_listed_values_name_themselves() -> None:
    """A list has the values of the setting that it is the axis of. A number is named
    with the setting; of a setting and of a component, the last part is enough.
    """
    matrix = {
        "generation.generator": ["builtin/demo_generator", "replay"],
        "generation.generator.temperature": [0, 0.5],
    }

    axes = read_axes(matrix, where="m.yaml")

    assert ["generator", "temperature"] == [axis.label for axis in axes.axes]
    assert [
        "demo_generator-temperature=0",
        "demo_generator-temperature=0.5",
        "replay-temperature=0",
        "replay-temperature=0.5",
    ] == cells(axes)


def test_axes_with_the_same_last_part_keep_their_whole_names() -> None:
    """Otherwise nobody could tell which of them a cell speaks of."""
    matrix = {"generation.generator.model": ["a"], "generation.few_shot.model": ["b"]}

    axes = read_axes(matrix, where="m.yaml")

    assert list(matrix) == [axis.label for axis in axes.axes]


def test_whole_components_come_before_settings_inside_them() -> None:
    """Whatever the order of the axes, no setting of a cell is lost."""
    matrix = {
        "generation.generator.temperature": [0.5],
        "generation.generator": ["a"],
    }

    axes = read_axes(matrix, where="m.yaml")

    assert [
        ("generation.generator", "a"),
        ("generation.generator.temperature", 0.5),
    ] == axes.settings(axes.cells[0])


def test_excluded_cells_are_left_out() -> None:
    """An exclusion names some values, one or several of an axis, by its short name."""
    matrix = {
        "model": MODELS,
        "generation.generator.temperature": [0, 1],
        "exclude": [{"model": ["m1", "m2"], "temperature": 1}],
    }

    assert [
        "m1-temperature=0",
        "m2-temperature=0",
        "m3-temperature=0",
        "m3-temperature=1",
    ] == cells(read_axes(matrix, where="m.yaml"))


@pytest.mark.parametrize(
    "baseline", [{"model": "m2"}, {"model": "m2", "prompt": "plain"}, "m2-plain"]
)
def test_baseline_is_a_cell_by_its_values_or_its_name(baseline: Any) -> None:
    """An axis that is not named has its first value."""
    axes = read_axes({**BOTH, "baseline": baseline}, where="m.yaml")

    assert {"model": "m2", "prompt": "plain"} == axes.baseline


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ({"datasets.0.limit": [1, 2]}, True),
        ({"data": {"a": {"datasets": []}}}, True),
        ({"model": MODELS}, False),
    ],
)
def test_axis_of_data_is_known_by_its_settings(
    matrix: Any,
    expected: bool,
) -> None:
    """Scores on other data are never compared."""
    assert expected is read_axes(matrix, where="m.yaml").axes[0].changes_data
