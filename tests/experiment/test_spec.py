"""Experiments in YAML: loading, overriding, and what is said when something is wrong
with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from themis_lib import ConfigError, Experiment
from themis_lib.experiment.spec import (
    apply_override,
    experiment_from_spec,
    load_spec,
    parse_yaml,
)

SPEC = """
generation:
  generator: builtin/demo_generator
evaluation:
  metrics:
    - builtin/exact_match
datasets:
  - dataset_id: sums
    path: sums.jsonl
  - dataset_id: inline
    cases:
      - {case_id: a, input: 1}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The experiment above, in a file."""
    file = tmp_path / "experiment.yaml"
    file.write_text(SPEC)
    return file


def overridden(*overrides: str) -> dict[str, Any]:
    spec = parse_yaml(SPEC, where="spec")
    for override in overrides:
        apply_override(spec, override)
    return spec


def refused(text: str) -> str:
    """What the one line says of an experiment, after the file."""
    with pytest.raises(ConfigError) as failure:
        experiment_from_spec(
            Experiment, parse_yaml(text, where="my.yaml"), where="my.yaml"
        )
    place, _, reason = str(failure.value).partition(": ")
    assert "my.yaml" == place
    assert "\n" not in reason
    return reason


def test_experiment_is_what_the_file_says(path: Path) -> None:
    """A file becomes an experiment that bears the file's name."""
    experiment = Experiment.from_config(path)

    assert "experiment" == experiment.name
    assert "builtin/demo_generator" == experiment.generation.generator
    assert ["sums", "inline"] == [dataset.dataset_id for dataset in experiment.datasets]


def test_name_in_the_file_wins(path: Path) -> None:
    """An experiment that names itself keeps its name."""
    path.write_text(SPEC + "name: mine\n")

    assert "mine" == Experiment.from_config(path).name


def test_limit_keeps_the_first_cases(path: Path) -> None:
    """A limit holds for each dataset, and the smaller limit wins."""
    path.write_text(SPEC.replace("path: sums.jsonl", "path: sums.jsonl\n    limit: 3"))

    assert [1, 3] == [
        Experiment.from_config(path, limit=limit).datasets[0].limit for limit in (1, 5)
    ]
    with pytest.raises(ConfigError, match=r"^limit 0: give at least one case$"):
        Experiment.from_config(path, limit=0)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("name=mine", {"name": "mine"}),
        ("seeds=[1, 2]", {"seeds": [1, 2]}),
        ("seeds=", {"seeds": None}),
        ("runtime.timeout_s=1.5", {"runtime": {"timeout_s": 1.5}}),
        ("generation.prompt_spec.prefix=a=b", None),
        ("generation.prompt_spec.prefix=Translate to French:", None),
        ("generation.prompt_spec.prefix=Question: what is # 1?", None),
        ("generation.prompt_spec.prefix=# Task", None),
        ("generation.prompt_spec.prefix={{ question }}: {% if a %}b{% endif %}", None),
        ("generation.prompt_spec.prefix=- a list in the prompt", None),
        ("generation.prompt_spec.prefix=@you: `go` %", None),
        ("name='a: b'", {"name": "a: b"}),
        ("runtime={timeout_s: 1.5}", {"runtime": {"timeout_s": 1.5}}),
        ("seeds=null", {"seeds": None}),
        (" generation.prompt_spec.prefix =x", None),
    ],
)
def test_override_sets_a_value(override: str, expected: dict[str, Any] | None) -> None:
    """An override sets a value that is written as YAML, whatever is there of the way to
    it.
    """
    spec = overridden(override)

    if expected is None:
        assert override.partition("=")[2] == spec["generation"]["prompt_spec"]["prefix"]
    else:
        assert expected == {name: spec[name] for name in expected}


def test_override_of_a_component_s_parameter_keeps_the_component() -> None:
    """A component given by its name alone becomes one with parameters, in lists as
    well.
    """
    spec = overridden(
        "generation.generator.error_rate=0.5", "evaluation.metrics.0.ignore_case=true"
    )

    assert {"use": "builtin/demo_generator", "error_rate": 0.5} == spec["generation"][
        "generator"
    ]
    assert [{"use": "builtin/exact_match", "ignore_case": True}] == spec["evaluation"][
        "metrics"
    ]


def test_override_changes_only_what_it_names(tmp_path: Path) -> None:
    """Not the section that an anchor of YAML has in another place, too."""
    path = tmp_path / "anchor.yaml"
    path.write_text("a: [{derive: &one {x: y}}]\nb: {derive: *one}\n")

    spec = load_spec(path, overrides=["a.0.derive.x=z"])

    assert {"a": [{"derive": {"x": "z"}}], "b": {"derive": {"x": "y"}}} == spec


def test_override_reaches_into_lists() -> None:
    """Items of lists are numbered from 0."""
    spec = overridden("datasets.0.limit=10", "datasets.1.cases.0.input=2")

    assert 10 == spec["datasets"][0]["limit"]
    assert 2 == spec["datasets"][1]["cases"][0]["input"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("name", "override 'name': write key.path=value"),
        ("=x", "override '=x': write key.path=value"),
        (
            "datasets.2.limit=1",
            (
                "override 'datasets.2.limit=1': '2' is not one of the 2 items, counted "
                "from 0"
            ),
        ),
        (
            "datasets.sums.limit=1",
            (
                "override 'datasets.sums.limit=1': 'sums' is not one of the 2 items, "
                "counted from 0"
            ),
        ),
        (
            "datasets.-1.limit=1",
            (
                "override 'datasets.-1.limit=1': '-1' is not one of the 2 items, "
                "counted from 0"
            ),
        ),
        (
            "seeds=[1",
            (
                "override 'seeds=[1':1: not YAML: expected ',' or ']', but got "
                "'<stream end>'"
            ),
        ),
    ],
)
def test_bad_overrides_are_refused(override: str, expected: str) -> None:
    """An override that is no assignment, or whose way ends, is named as it was
    written.
    """
    with pytest.raises(ConfigError) as failure:
        overridden(override)

    assert expected == str(failure.value)


def test_override_below_a_value_is_told_of_where_it_lands() -> None:
    """A way that leads below a number is an error of the setting it replaces."""
    spec = overridden("seeds=[1]", "seeds.0.x=2")

    with pytest.raises(
        ConfigError,
        match=r"^spec: seeds\[0\]: input should be a valid integer; got {'x': 2}$",
    ):
        experiment_from_spec(Experiment, spec, where="spec")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: [1,\nb: 2",
            "my.yaml:2: not YAML: expected ',' or ']', but got '<stream end>'",
        ),
        (
            "a: 1\n\tb: 2",
            "my.yaml:2: not YAML: found character '\\t' that cannot start any token",
        ),
        ("a: 1\nb: *none", "my.yaml:2: not YAML: found undefined alias 'none'"),
        ("{[1]: 2}", "my.yaml:1: not YAML: found unhashable key"),
        (
            "a: !!python/name:os.system",
            "my.yaml:1: not YAML: could not determine a constructor for the tag",
        ),
        ("a: 2024-13-45", "my.yaml: not YAML: month must be in 1..12"),
        (
            "a: \x00",
            (
                "my.yaml: not YAML: unacceptable character #x0000: special characters "
                "are not allowed"
            ),
        ),
    ],
)
def test_yaml_errors_name_file_and_line(text: str, expected: str) -> None:
    """Text that is no YAML is one line that names the file, the line where there is
    one, and the problem.
    """
    with pytest.raises(ConfigError) as failure:
        parse_yaml(text, where="my.yaml")

    assert str(failure.value).startswith(expected)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xff\xfe", "cannot be read: 'utf-8' codec can't decode byte 0xff"),
        (b"", ": an experiment is a mapping with `generation` and `datasets`"),
        (b"- 1", ": an experiment is a mapping with `generation` and `datasets`"),
    ],
)
def test_file_that_is_no_experiment_is_refused(
    path: Path, content: bytes, expected: str
) -> None:
    """A file that holds no mapping is named."""
    path.write_bytes(content)

    with pytest.raises(ConfigError) as failure:
        load_spec(path)

    assert str(path) in str(failure.value)
    assert expected in str(failure.value)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(
        ConfigError, match=r"^experiment '.*none.yaml' cannot be read: .*No such file"
    ):
        Experiment.from_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("datasets: []", "the setting 'generation' is missing"),
        (
            "generation: 5",
            (
                "generation: input should be a valid dictionary or instance of "
                "GenerationConfig; got 5"
            ),
        ),
        (
            "generation: {generater: x}",
            "unknown setting 'generation.generater'; did you mean 'generator'?",
        ),
        (
            "generation: {generator: x}\ndataset: []",
            "unknown setting 'dataset'; did you mean 'datasets'?",
        ),
        (
            "generation: {generator: x, candidate_policy: {num_sample: 3}}",
            (
                "unknown setting 'generation.candidate_policy.num_sample'; did you "
                "mean 'num_samples'?"
            ),
        ),
        (
            "generation: {generator: x, candidate_policy: {num_samples: 0}}",
            (
                "generation.candidate_policy.num_samples: input should be greater than "
                "0; got 0"
            ),
        ),
        (
            "generation: {generator: x}\nruntime: {timeout_s: -1}",
            "runtime.timeout_s: input should be greater than 0; got -1",
        ),
        (
            "generation: {generator: x}\nseeds: [a]",
            "seeds[0]: input should be a valid integer, unable to parse string as an "
            "integer; got 'a'",
        ),
        (
            "generation: {generator: x}\ndatasets: {dataset_id: d}",
            "datasets: input should be a valid list; got {'dataset_id': 'd'}",
        ),
    ],
)
def test_bad_settings_are_refused(text: str, expected: str) -> None:
    """A setting that is unknown, missing or wrong is one line with its path, the value
    and the nearest choice.
    """
    assert expected == refused(text)


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (
            "{dataset_id: d, pth: x}",
            "unknown setting 'datasets[0].pth'; did you mean 'path'?",
        ),
        (
            "{dataset_id: d, path: x, limt: 3}",
            "unknown setting 'datasets[0].limt'; did you mean 'limit'?",
        ),
        (
            "{dataset_id: d, path: x, limit: 0}",
            "datasets[0].limit: input should be greater than 0; got 0",
        ),
        (
            "{dataset_id: d, path: x, format: xml}",
            (
                "datasets[0].format: input should be 'jsonl', 'csv', 'parquet', "
                "'lm_eval', 'inspect' or 'promptfoo'; got 'xml'"
            ),
        ),
        (
            "{dataset_id: d, huggingface: x, splitt: a}",
            "unknown setting 'datasets[0].splitt'; did you mean 'split'?",
        ),
        ("{path: x}", "the setting 'datasets[0].dataset_id' is missing"),
        (
            "{dataset_id: d}",
            (
                "datasets[0]: one of 'cases', 'huggingface', 'path', 'task' is needed; got "
                "{'dataset_id': 'd'}"
            ),
        ),
        (
            "5",
            (
                "datasets[0]: input should be a valid dictionary or instance of "
                "Dataset; got 5"
            ),
        ),
        (
            "{dataset_id: d, cases: [{case_id: a, inptu: 1}, {case_id: b, inptu: 1}]}",
            "unknown setting 'datasets[0].cases[0].inptu'; did you mean 'input'?",
        ),
        (
            "{dataset_id: d, cases: [{case_id: 1, input: 1}]}",
            "datasets[0].cases[0].case_id: input should be a valid string; got 1",
        ),
        (
            "{dataset_id: d, cases: [{case_id: a, input: 1}, {case_id: a, input: 2}]}",
            "dataset 'd': case id 'a' appears twice; give each case its own",
        ),
    ],
)
def test_bad_datasets_are_refused(dataset: str, expected: str) -> None:
    """Of the three kinds of dataset, the one that is meant is told what is wrong with
    it.
    """
    assert expected == refused(f"generation: {{generator: x}}\ndatasets: [{dataset}]")


def test_first_bad_dataset_is_told_of() -> None:
    """Of two bad datasets of two kinds, the first is told of."""
    datasets = (
        "[{dataset_id: a, path: x}, {dataset_id: b, path: x, limt: 1}, {dataset_id: c, "
        "cases: [{}]}]"
    )

    assert "unknown setting 'datasets[1].limt'; did you mean 'limit'?" == refused(
        f"generation: {{generator: x}}\ndatasets: {datasets}"
    )
