"""The tasks of the catalogue: each compiles, and scores a file of its shape exactly."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.dataset_files import write_jsonl
from tests.support.hub import install_hub
from themis_lib import Experiment
from themis_lib.catalog import find_tasks, load_task, task_names
from themis_lib.components.registry import ADAPTERS
from themis_lib.errors import ConfigError, DatasetError
from themis_lib.explain.first_prompts import first_prompts

ROOT = Path(__file__).parents[2]
ARC = {"text": ["Sun", "Mars", "Moon"], "label": ["1", "2", "3"]}
SQUAD = {"text": ["Paris", "the city of Paris"], "answer_start": [0, 3]}
TRUTHFUL = {"choices": ["Nothing happens", "You die"], "labels": [1, 0]}
WIKIHOW = {
    "activity_label": "Baking",
    "ctx": "Bake bread. [header] Mix the dough.",
    "endings": ["Eat [title] it.", "Bake it.", "Sing.", "Sleep."],
    "label": "1",
}
BLANK = {
    "sentence": "Ann thanked Bea because _ had helped.",
    "option1": "Ann",
    "option2": "Bea",
    "answer": "2",
}
MMLU = {"question": "A planet?", "choices": ["Sun", "Mars", "Moon", "Sky"], "answer": 1}
SUMS = {"problem": "What is 2 + 2?", "answer": "4"}
PASSAGE = {"passage": "Mars is red.", "question": "is mars red", "answer": True}
GOAL = {"goal": "Cut bread", "sol1": "Use a spoon", "sol2": "Use a knife", "label": 1}
STEM = {"question_stem": "A planet is", "choices": ARC, "answerKey": "2"}
KEYED = {"question": "A planet?", "choices": ARC, "answerKey": "2"}

#: By task: a row of its shape, an output that is right, and one that is wrong.
ROWS: dict[str, tuple[dict[str, Any], str, str]] = {
    "gsm8k": (
        {"question": "2 apples and 2 pears?", "answer": "2 + 2 = 4\n#### 4"},
        "There are 2 and 2, so 4.\n#### 4",
        "#### 5",
    ),
    "math_500": (
        {"problem": "Halve 1.", "answer": r"\frac{1}{2}"},
        r"So it is $\boxed{0.5}$.",
        r"\boxed{\frac{1}{3}}",
    ),
    "aime_2024": ({**SUMS, "answer": "073"}, r"\boxed{73}", r"73, no: \boxed{74}"),
    "aime_2025": ({**SUMS, "answer": 73}, "The answer is 73.", r"\boxed{37}"),
    "mmlu": (MMLU, "Answer: B", "Answer: A"),
    "mmlu_choice": (MMLU, "B", "A"),
    "mmlu_pro": (
        {"question": "A planet?", "options": list("rstuvwxyzM"), "answer": "J"},
        "M is one. Answer: J",
        "Answer: A",
    ),
    "arc_easy": (KEYED, "Answer: B", "Answer: C"),
    "arc_easy_choice": (KEYED, "Mars", "Sun"),
    "arc_challenge": ({**KEYED, "answerKey": "3"}, "The answer is C.", "B"),
    "arc_challenge_choice": ({**KEYED, "answerKey": "3"}, "Moon", "Mars"),
    "hellaswag": (WIKIHOW, "Answer: B", "Answer: A"),
    "hellaswag_choice": (WIKIHOW, "Bake it.", "Eat. it."),
    "winogrande": (BLANK, "Answer: B", "Answer: A"),
    "winogrande_choice": (BLANK, "Bea had helped.", "Ann had helped."),
    "piqa": (GOAL, "Answer: B", "Answer: A"),
    "piqa_choice": (GOAL, "Use a knife", "Use a spoon"),
    "boolq": (PASSAGE, "Yes, it is.", "No. It is blue."),
    "boolq_choice": (PASSAGE, "yes", "no"),
    "truthfulqa_mc_choice": (
        {"question": "And then?", "mc1_targets": TRUTHFUL},
        "Nothing happens",
        "You die",
    ),
    "commonsense_qa": (KEYED, "Answer: B", "Answer: A"),
    "commonsense_qa_choice": (KEYED, "Mars", "Sun"),
    "openbookqa": (STEM, "Answer: B", "Answer: A"),
    "openbookqa_choice": (STEM, "Mars", "Sun"),
    "squad": (
        {"context": "Paris is big.", "question": "What is big?", "answers": SQUAD},
        "The city of Paris.",
        "London",
    ),
    "drop": (
        {
            "passage": "He ran 3 yards.",
            "question": "How far?",
            "answers_spans": {"spans": ["3", "3 yards"], "types": ["number", "span"]},
        },
        "3 yards",
        "4",
    ),
    "triviaqa": (
        {
            "question": "Capital?",
            "answer": {"value": "Rome", "aliases": ["Rome", "Roma"]},
        },
        "roma",
        "Milan",
    ),
    "bbh": (
        {"input": "Is it (A) or (B)?", "target": "(B)"},
        "It is not (A).\nSo the answer is **(B)**.",
        "So the answer is (A).",
    ),
    "simpleqa": (SUMS, "It is 4.", "It is 5."),
    "ifeval": (
        {
            "prompt": "Write without commas.",
            "instruction_id_list": ["punctuation:no_comma"],
            "kwargs": [{"num_words": None}],
        },
        "No commas here.",
        "One, two.",
    ),
}
#: Tasks whose options are shuffled, so that the letter is not known beforehand.
SHUFFLED = {
    "truthfulqa_mc": {"question": "And then?", "mc1_targets": TRUTHFUL},
    "gpqa": {
        "Question": "A planet? ",
        "Correct Answer": "Mars\n",
        "Incorrect Answer 1": "Sun",
        "Incorrect Answer 2": "Moon",
        "Incorrect Answer 3": "Sky",
    },
}


def judge(prompt: str) -> str:
    """Return the verdict of a judge that looks for the expected output."""
    _, expected, output = re.findall(r"<[\w ]+ [0-9a-f]+>\n(.*?)\n</", prompt, re.S)
    verdict = "correct" if expected in output else "incorrect"
    return f'{{"reason": "seen", "verdict": "{verdict}"}}'


def overrides_of(name: str, model: str) -> list[str]:
    """Return what is typed behind a task's name."""
    if name == "simpleqa":
        return [f"model={model}", "judge=tests.catalog.test_tasks:judge"]
    return [f"model={model}"]


def is_installed(name: str) -> None:
    """Skip a task whose library is not on this machine."""
    if name == "ifeval":
        pytest.importorskip("langdetect")


def test_every_task_has_a_row_here() -> None:
    """A task that is added is tested, too; those that run code are by `test_code_tasks`."""
    assert sorted({*ROWS, *SHUFFLED, "humaneval", "mbpp"}) == task_names()


@pytest.mark.parametrize("name", sorted({*ROWS, *SHUFFLED}))
def test_data_of_a_task_is_what_its_shape_says(name: str) -> None:
    """The columns of `about.shape` are those that its cases are made of."""
    row = SHUFFLED.get(name) or ROWS[name][0]

    assert set(load_task(name).about.shape) <= set(row)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_right_answers_score_1_and_wrong_ones_0(name: str, tmp_path: Path) -> None:
    """Every metric of a task tells a right output from a wrong one."""
    is_installed(name)
    row, right, wrong = ROWS[name]
    data = write_jsonl(tmp_path / "data.jsonl", [row, row])
    dataset_id = "gsm8k-test" if name == "gsm8k" else name
    outputs = write_jsonl(
        tmp_path / "outputs.jsonl",
        [
            {"case_id": f"{dataset_id}-0000", "output": right},
            {"case_id": f"{dataset_id}-0001", "output": wrong},
        ],
    )

    run = Experiment.from_config(
        name, overrides=overrides_of(name, f"replay:{outputs}"), data=data
    ).run()

    metrics = list(run.cases[0].final_scores)
    assert [dict.fromkeys(metrics, 1.0), dict.fromkeys(metrics, 0.0)] == [
        case.final_scores for case in run.cases
    ]
    assert metrics
    assert 0 == sum(row.errors for row in run.summary)


@pytest.mark.parametrize("name", sorted(SHUFFLED))
def test_options_are_shuffled_by_the_seed_of_the_data(
    name: str, tmp_path: Path
) -> None:
    """The letter of the right option is the one that it has in the prompt."""
    rows = [dict(SHUFFLED[name]) for _ in range(6)]
    key = "Question" if name == "gpqa" else "question"
    for number, row in enumerate(rows):
        row[key] = f"Question {number}?"
    data = write_jsonl(tmp_path / "data.jsonl", rows)
    letters = set()
    for seed in range(4):
        experiment = Experiment.from_config(
            name,
            overrides=["model=builtin/demo_generator", f"datasets.0.seed={seed}"],
            data=data,
        )
        for case in experiment.run().cases:
            options = case.case.input["choices"]
            letter = case.case.expected_output
            right = "Mars" if name == "gpqa" else "Nothing happens"
            assert right == options["ABCD".index(letter)]
            assert 1.0 == case.final_scores["exact_match"]
            letters.add(letter)

    assert len(letters) > 1


@pytest.mark.parametrize("name", sorted({*ROWS, *SHUFFLED}))
def test_a_task_is_an_experiment_file_to_copy(name: str, tmp_path: Path) -> None:
    """What `themis tasks NAME` prints compiles with a model, to the same stages."""
    is_installed(name)
    copied = tmp_path / "my.yaml"
    copied.write_text(load_task(name).text, encoding="utf-8")
    overrides = overrides_of(name, "builtin/demo_generator")

    by_name = Experiment.from_config(name, overrides=overrides)
    by_file = Experiment.from_config(copied, overrides=overrides)

    assert by_file == by_name
    assert by_file.compile().fingerprint == by_name.compile().fingerprint


def test_tasks_that_rate_choices_take_a_generator_that_can() -> None:
    """`rates: choices` picks the generator beside the one that is named."""
    for name in task_names():
        if not name.endswith("_choice"):
            continue
        generator = Experiment.from_config(
            name, overrides=["model=tiny"]
        ).generation.generator

        assert "llama_choice" == generator["use"]
        assert "tiny" == generator["model"]


@pytest.mark.skipif("openai_choice" in ADAPTERS, reason="it can rate choices")
def test_a_model_that_cannot_rate_choices_is_refused() -> None:
    with pytest.raises(ConfigError, match="'openai' cannot; those that can: llama"):
        Experiment.from_config("piqa_choice", overrides=["model=openai:gpt-4o-mini"])


@pytest.mark.parametrize("name", ["gsm8", "GSM8K"])
def test_a_name_that_is_no_task_gives_the_nearest(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"no file '{name}'.*did you mean 'gsm8k'"):
        Experiment.from_config(name, overrides=["model=tiny"])


def test_a_file_takes_precedence_over_a_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec = {"name": "mine", "generation": {"generator": "builtin/demo_generator"}}
    Path("gsm8k").write_text(yaml.safe_dump(spec), encoding="utf-8")

    assert "mine" == Experiment.from_config("gsm8k").name


def test_a_task_without_a_model_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gsm8k: generation\.generator has no `use`"):
        Experiment.from_config("gsm8k")


def test_data_without_a_column_names_it_and_the_shape(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", [{"question": "?", "choises": ["a"]}])

    with pytest.raises(DatasetError) as raised:
        Experiment.from_config("mmlu", overrides=["model=tiny"], data=data)

    message = str(raised.value)
    assert f"{data}:1: no column 'choices'; did you mean 'choises'?" in message
    assert "data of mmlu has question: the question; choices: the four" in message


def test_data_without_a_column_that_is_derived_names_the_shape(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", [{"question": "?", "answerKey": "A"}])

    with pytest.raises(
        DatasetError, match=r"no column 'choices'.*; data of arc_easy has"
    ):
        Experiment.from_config("arc_easy", overrides=["model=tiny"], data=data)


def test_data_with_other_names_is_derived_to_the_shape(tmp_path: Path) -> None:
    row = {"q": "A planet?", "options": MMLU["choices"], "answer": 1}
    data = write_jsonl(tmp_path / "data.jsonl", [row])
    overrides = ["datasets.0.derive.question=q", "datasets.0.derive.choices=options"]

    run = Experiment.from_config(
        "mmlu", overrides=["model=builtin/demo_generator", *overrides], data=data
    ).run()

    assert {"question": "A planet?", "choices": MMLU["choices"]} == run.cases[
        0
    ].case.input
    assert 1.0 == run.summary[0].mean


def test_hub_data_is_asked_for_by_name_subset_and_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With `k`, so are the few-shot examples, which come before the case."""
    hub = install_hub(monkeypatch, [MMLU, {**MMLU, "question": "Red?"}])
    experiment = Experiment.from_config(
        "mmlu",
        overrides=["model=builtin/demo_generator", "generation.few_shot.k=1"],
        limit=1,
    )

    run = experiment.run()
    (prompt,) = first_prompts(experiment.compile(), 1)

    asked = {(names, options["split"]) for names, options in hub.asked}
    assert {(("cais/mmlu", "all"), "dev"), (("cais/mmlu", "all"), "test")} == asked
    assert 1.0 == run.summary[0].mean
    ((_, text),) = prompt.turns
    assert 1 == text.count("Answer each question")
    assert text.index("Red?") < text.index("Answer: B\n\nA planet?")


def test_hub_data_without_the_library_says_both_ways_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without the extra, a task names it, and the file that may take its place."""
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    experiment = Experiment.from_config(
        "gsm8k", overrides=["model=builtin/demo_generator"]
    )

    with pytest.raises(DatasetError, match=r"themis-flows\[huggingface\].*--data FILE"):
        experiment.run()


def test_wrong_labels_are_an_error_and_not_a_zero(tmp_path: Path) -> None:
    """Positions that are compared with letters are refused before anything is scored."""
    data = write_jsonl(tmp_path / "data.jsonl", [MMLU])
    overrides = [
        "model=builtin/demo_generator",
        "datasets.0.columns={expected_output: answer}",
    ]

    with pytest.raises(ConfigError, match="map: letter"):
        Experiment.from_config("mmlu", overrides=overrides, data=data).run()


def test_labels_that_count_from_1_are_an_error_and_not_a_zero(tmp_path: Path) -> None:
    """The last option would be E, which no answer is."""
    data = write_jsonl(tmp_path / "data.jsonl", [MMLU, {**MMLU, "answer": 4}])
    experiment = Experiment.from_config(
        "mmlu", overrides=["model=builtin/demo_generator"], data=data
    )

    with pytest.raises(ConfigError, match="'E' is none of the letters ABCD"):
        experiment.run()


def test_a_label_outside_of_the_options_names_its_line(tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", [MMLU, {**MMLU, "answer": "Venus"}])
    experiment = Experiment.from_config(
        "mmlu", overrides=["model=builtin/demo_generator"], data=data
    )

    with pytest.raises(DatasetError, match=r"data\.jsonl:2: column 'answer': 'Venus'"):
        experiment.run()


def test_tasks_are_found_by_name_and_title() -> None:
    assert ["arc_challenge", "arc_easy"] == [
        task.name
        for task in find_tasks("Grade School sci")
        if "_choice" not in task.name
    ]


def table_row(name: str) -> str:
    """Return the row of a task in the table of the page on benchmarks."""
    task = load_task(name)
    first = task.spec["datasets"][0]
    data = f"`{first['huggingface']}`, {first.get('split', 'test')}"
    return f"| `{name}` | {task.about.title} | {data} | {task.about.licence} |"


def test_the_page_on_benchmarks_lists_every_task() -> None:
    """Its table is what the files say."""
    page = (ROOT / "docs/guides/benchmarks.md").read_text(encoding="utf-8")
    table = page.partition("| task | what it is")[2].partition("\n\n")[0]

    assert list(map(table_row, task_names())) == table.splitlines()[2:]
