"""A template's names are the columns that become the input, and no others."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.counting import CALLS
from themis_lib import Dataset, DatasetError, Experiment, PromptSpec, evaluate
from themis_lib.core.config import DatasetFile, LabelMap
from themis_lib.data.template_columns import with_template_columns

TEMPLATE = "{{ question }}\n{{ choices | lettered | join('\n') }}"
ROWS: list[dict[str, Any]] = [
    {
        "question": f"What is {number} + 1?",
        "choices": [str(number), str(number + 1)],
        "answer": 1,
        "subject": "sums",
    }
    for number in range(4)
]
LABEL = {"column": "answer", "map": "letter", "choices": "choices"}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(item)}\n" for item in rows))


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    """Questions with choices, as most sets of them are shaped."""
    write(tmp_path / "rows.jsonl", ROWS)
    return {
        "generation": {
            "generator": {"use": "tests.support.counting:Echo"},
            "prompt_spec": {"template": TEMPLATE},
        },
        "evaluation": {"metrics": ["builtin/exact_match"]},
        "datasets": [
            {
                "dataset_id": "d",
                "path": str(tmp_path / "rows.jsonl"),
                "columns": {"expected_output": LABEL},
            }
        ],
        "storage": {"store": str(tmp_path / "store")},
    }


def cost(spec: dict[str, Any]) -> int:
    CALLS.clear()
    Experiment.model_validate(spec).run()
    return CALLS["generate"]


def test_generator_is_given_the_rendered_input(spec: dict[str, Any]) -> None:
    """The case keeps the columns that the template reads, and the letter of its label."""
    result = Experiment.model_validate(spec).run()

    (first, *_) = result.table("cases").to_pylist()
    assert '{"choices":["0","1"],"question":"What is 0 + 1?"}' == first["input"]
    assert '"B"' == first["expected_output"]
    output = result.table("outputs")["output"][0].as_py()
    assert "What is 0 + 1?\nA. 0\nB. 1" == json.loads(output)


@pytest.mark.parametrize(("answer", "score"), [("B.", 1.0), ("A.", 0.0)])
def test_right_and_wrong_answers_score_what_they_should(
    answer: str, score: float
) -> None:
    """From columns alone: letter, position and text of an option are one."""
    result = evaluate(
        model=lambda prompt: answer,
        data=ROWS,
        columns={"expected_output": LabelMap.model_validate(LABEL)},
        prompt_spec=PromptSpec(template=TEMPLATE),
        parser="builtin/choice_letter",
        metric="builtin/exact_match",
    )

    assert (score, 4, 0) == (
        result.summary[0].mean,
        result.summary[0].n,
        result.summary[0].errors,
    )


def test_mappings_may_have_a_key_named_input() -> None:
    """As a file may have a column: instruction, input and output are a usual form."""
    rows = [{"instruction": "Sort.", "input": "b a", "output": "a b"}]

    result = evaluate(
        model=lambda prompt: prompt,
        data=rows,
        columns={"expected_output": "output"},
        prompt_spec=PromptSpec(template="{{ instruction }} {{ input }}"),
    )

    assert '"Sort. b a"' == result.table("outputs")["output"][0].as_py()


@pytest.mark.parametrize(
    ("template", "case_input"),
    [("{{ input }}", "b a"), ("{{ q }}", {"q": "b a"}), ("b a", "unused")],
)
def test_mappings_with_an_input_keep_it(template: str, case_input: Any) -> None:
    """Where the template reads it, or its fields."""
    result = evaluate(
        model=lambda prompt: prompt,
        data=[{"input": case_input, "expected_output": "b a"}],
        prompt_spec=PromptSpec(template=template),
    )

    assert json.dumps(case_input).replace(": ", ":") == (
        result.table("cases")["input"][0].as_py()
    )
    assert 1.0 == result.summary[0].mean


def test_column_that_the_template_does_not_use_costs_nothing(
    spec: dict[str, Any], tmp_path: Path
) -> None:
    """An edit of one that it uses costs the rows that hold it."""
    assert (4, 0) == (cost(spec), cost(spec))

    rows = copy.deepcopy(ROWS)
    for row in rows:
        row["subject"] = "arithmetic"
    write(tmp_path / "rows.jsonl", rows)
    unused = cost(spec)
    rows[2]["question"] = "What is two and one?"
    write(tmp_path / "rows.jsonl", rows)

    assert (0, 1) == (unused, cost(spec))


def test_edit_of_a_label_map_generates_nothing(spec: dict[str, Any]) -> None:
    """What is expected is no part of what is asked."""
    cost(spec)
    spec["datasets"][0]["columns"]["expected_output"] = {
        "column": "answer",
        "map": ["no", "yes"],
    }

    assert 0 == cost(spec)


def test_edit_of_a_template_generates_every_case(spec: dict[str, Any]) -> None:
    """It is a part of the prompt spec."""
    cost(spec)
    spec["generation"]["prompt_spec"]["template"] = TEMPLATE + "\nAnswer:"

    assert 4 == cost(spec)


def test_cases_whose_prompts_are_equal_stay_two_draws(
    spec: dict[str, Any],
) -> None:
    """Whether two draws are independent depends on the cases, not on a prompt."""
    spec["generation"]["prompt_spec"]["template"] = "Say yes.{{ question[:0] }}"

    assert 4 == cost(spec)


def test_input_that_cannot_be_rendered_is_an_error_of_its_row(
    spec: dict[str, Any], tmp_path: Path
) -> None:
    """It is not asked, and counted beside the mean."""
    rows = copy.deepcopy(ROWS)
    rows[1]["question"] = None
    write(tmp_path / "rows.jsonl", rows)

    result = Experiment.model_validate(spec).run()

    assert (3, 1) == (result.summary[0].n, result.summary[0].errors)
    error = result.table("outputs")["error"][1].as_py()
    assert error.startswith("the prompt's template: it prints a null")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            "{{ qestion }}",
            r"rows\.jsonl:1: no column 'qestion'; did you mean 'question'",
        ),
        ("{{ question }} {{ input }}", r"no column 'input'"),
    ],
)
def test_unknown_column_is_named_before_anything_is_sent(
    spec: dict[str, Any], template: str, message: str
) -> None:
    """With the file, the column and the nearest one there is."""
    spec["generation"]["prompt_spec"]["template"] = template
    CALLS.clear()

    with pytest.raises(DatasetError, match=message):
        Experiment.model_validate(spec).run()

    assert 0 == CALLS["generate"]


def test_mapped_inputs_are_kept() -> None:
    """A list of columns has to have the template's names; one column may hold them."""
    listed = DatasetFile(dataset_id="d", path="p", columns={"input": ["question", "a"]})
    single = DatasetFile(dataset_id="d", path="p", columns={"input": "doc"})
    whole = DatasetFile(dataset_id="d", path="p")

    assert [listed, single] == with_template_columns([listed, single], ["question"])
    assert [whole] == with_template_columns([whole], ["input"])
    with pytest.raises(DatasetError, match=r"columns\.input has no 'b'"):
        with_template_columns([listed], ["b"])


def test_first_input_of_a_single_column_is_looked_at(
    spec: dict[str, Any], tmp_path: Path
) -> None:
    """Its fields are known when it is read."""
    write(tmp_path / "rows.jsonl", [{"doc": {"question": "a"}, "answer": "b"}])
    spec["datasets"][0]["columns"] = {"input": "doc", "expected_output": "answer"}

    with pytest.raises(DatasetError, match="the first input has no 'choices'"):
        Experiment.model_validate(spec).run()


def test_cases_in_memory_are_checked(spec: dict[str, Any]) -> None:
    """Each of them, by its id."""
    cases = [
        {"case_id": "one", "input": {"question": "a", "choices": []}},
        {"case_id": "two", "input": {"question": "a", "choice": []}},
    ]
    dataset = Dataset.model_validate({"dataset_id": "d", "cases": cases})

    with pytest.raises(DatasetError, match=r"case 'two' has no 'choices'.*'choice'"):
        with_template_columns([dataset], ["question", "choices"])


@pytest.mark.parametrize("target", ["input", "case_id", "metadata"])
def test_only_expected_outputs_are_labels(spec: dict[str, Any], target: str) -> None:
    spec["datasets"][0]["columns"][target] = LABEL

    with pytest.raises(DatasetError, match=f"columns.{target} is a map of labels"):
        Experiment.model_validate(spec).run()


def test_label_without_a_place_names_its_line(
    spec: dict[str, Any], tmp_path: Path
) -> None:
    """Nothing is generated."""
    write(tmp_path / "rows.jsonl", [*ROWS, {**ROWS[0], "answer": 2}])
    CALLS.clear()

    with pytest.raises(DatasetError, match=r"rows\.jsonl:5: column 'answer': 2 is not"):
        Experiment.model_validate(spec).run()

    assert 0 == CALLS["generate"]
