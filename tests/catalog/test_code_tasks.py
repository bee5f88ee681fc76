"""HumanEval and MBPP from the catalogue, on small files of their shape."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import themis_lib
from tests.support.replays import jsonl
from tests.support.sandboxes import needs
from themis_lib import Experiment
from themis_lib.errors import ComponentError
from themis_lib.explain.first_prompts import first_prompts

CATALOG = Path(themis_lib.__file__).parent / "catalog"

HUMANEVAL = [
    {
        "task_id": "HumanEval/32",
        "prompt": (
            "import math\n\n\ndef poly(xs: list, x: float):\n"
            '    """ Evaluates polynomial with coefficients xs at point x. """\n'
            "    return sum([coeff * math.pow(x, i) for i, coeff in enumerate(xs)])\n\n\n"
            'def find_zero(xs: list):\n    """ xs are coefficients of a polynomial.\n'
            "    find_zero returns a zero point of it.\n"
            '    """\n'
        ),
        "canonical_solution": "    return -xs[0] / xs[1]\n",
        "test": (
            "\n\nMETADATA = {}\n\n\ndef check(candidate):\n"
            "    for coeffs in ([1, 2], [-6, 3]):\n"
            "        solution = candidate(list(coeffs))\n"
            "        assert math.fabs(poly(coeffs, solution)) < 1e-4\n"
        ),
        "entry_point": "find_zero",
    },
    {
        "task_id": "HumanEval/23",
        "prompt": 'def strlen(string: str) -> int:\n    """ Return length of given string"""\n',
        "canonical_solution": "    return len(string)\n",
        "test": "def check(candidate):\n    assert candidate('') == 0\n    assert candidate('abc') == 3\n",
        "entry_point": "strlen",
    },
]
MBPP = [
    {
        "task_id": 601,
        "text": "Write a function to find the longest chain of the given pairs.",
        "code": "…",
        "test_list": ["assert max_chain_length([Pair(5, 24), Pair(25, 60)], 2) == 2"],
        "test_setup_code": "",
        "challenge_test_list": [],
    },
    {
        "task_id": 927,
        "text": "Write a function to calculate the height of the given binary tree.",
        "code": "…",
        "test_list": ["assert (max_height(root)) == 2", "assert max_height(None) == 0"],
        "test_setup_code": "root = Node(1)\nroot.left = Node(2)",
        "challenge_test_list": [],
    },
]
CHAIN = """Here it is:

```python
class Pair(object):
    def __init__(self, a, b):
        self.a = a
        self.b = b

def max_chain_length(arr, n):
    best = [1] * n
    for i in range(1, n):
        for j in range(i):
            if arr[i].a > arr[j].b:
                best[i] = max(best[i], best[j] + 1)
    return max(best)
```

For example:

```python
print(max_chain_length([Pair(1, 2)], 1))
```
"""
HEIGHT = """class Node:
    def __init__(self, data):
        self.data = data
        self.left = self.right = None

def max_height(node):
    if node is None:
        return 0
    return 1 + max(max_height(node.left), max_height(node.right))
"""


def task(name, folder, rows, *, run_code=True):
    """Return a task of the catalogue as plain data, on a file of its rows."""
    spec = yaml.safe_load((CATALOG / f"{name}.yaml").read_text(encoding="utf-8"))
    del spec["about"]
    spec["generation"]["generator"] = {"use": "builtin/demo_generator"}
    (dataset,) = spec["datasets"]
    spec["datasets"] = [
        {
            "dataset_id": dataset["dataset_id"],
            "path": jsonl(folder / "cases.jsonl", rows),
            "columns": dataset["columns"],
        }
    ]
    if run_code:
        spec["evaluation"]["metrics"][0]["run_code"] = True
    return spec


def run_recorded(spec, folder, outputs, **generation):
    """Run a task on recorded outputs, which need no prompt."""
    recorded = jsonl(folder / "outputs.jsonl", outputs)
    generator = {"use": "builtin/replay", "path": recorded}
    spec["generation"] = {"generator": generator, **generation}
    spec["datasets"][0]["columns"]["input"] = "task_id"
    return Experiment.model_validate(spec).run()


def outcomes(run):
    """Return score and outcome of each sample of a run, by case."""
    found = {}
    for case in run.cases:
        scores = case.scores["code_tests"]
        found[case.case.case_id] = [
            (score.value, score.details["outcome"]) for score in scores
        ]
    return found


@pytest.fixture(autouse=True)
def sandbox():
    needs("namespaces")


def test_humaneval_scores_completions_and_whole_functions(tmp_path):
    """The published solutions pass as they are, and so does a function in a fence."""
    outputs = [
        {"case_id": row["task_id"], "output": output}
        for row in HUMANEVAL
        for output in (
            row["canonical_solution"],
            f"```python\n{row['prompt']}{row['canonical_solution']}```",
            "    return 10.0\n",
        )
    ]
    spec = task("humaneval", tmp_path, HUMANEVAL)

    run = run_recorded(spec, tmp_path, outputs, candidate_policy={"num_samples": 3})

    passed, wrong = (1.0, "passed"), (0.0, "wrong")
    assert {
        "HumanEval/32": [passed, passed, wrong],
        "HumanEval/23": [passed, passed, wrong],
    } == outcomes(run)


def test_humaneval_gives_pass_at_k(tmp_path):
    """With n samples of which c pass, a case is 1 − C(n−c, k)/C(n, k)."""
    right, wrong = "    return len(string)\n", "    return 0\n"
    outputs = [
        {"case_id": "HumanEval/23", "output": output}
        for output in (right, wrong, right, wrong)
    ]

    run = run_recorded(
        task("humaneval", tmp_path, HUMANEVAL[1:]),
        tmp_path,
        outputs,
        candidate_policy={"num_samples": 4},
        reducer={"use": "builtin/pass_at_k", "k": 2},
    )

    assert pytest.approx(1 - 1 / 6) == run.summary[0].mean


def test_mbpp_scores_code_whose_classes_its_tests_use(tmp_path):
    """Tests that make objects of the code's classes, and setup code, work as
    published.
    """
    outputs = [
        {"case_id": "601", "output": CHAIN},
        {"case_id": "927", "output": HEIGHT},
    ]

    run = run_recorded(task("mbpp", tmp_path, MBPP), tmp_path, outputs)

    passed = [(1.0, "passed")]
    assert {"601": passed, "927": passed} == outcomes(run)


def test_no_solution_and_no_test_is_in_the_prompt_of_humaneval(tmp_path):
    """The model is shown the prompt column, and nothing of the tests."""
    experiment = Experiment.model_validate(task("humaneval", tmp_path, HUMANEVAL))

    (shown,) = first_prompts(experiment.compile(), 1)

    text = str(shown.turns)
    assert "find_zero returns a zero point" in text
    assert "check(candidate)" not in text
    assert "-xs[0]" not in text


@pytest.mark.parametrize(("name", "rows"), [("humaneval", HUMANEVAL), ("mbpp", MBPP)])
def test_nothing_is_generated_without_permission_to_run_code(tmp_path, name, rows):
    """The task as it is in the catalogue is refused, with the setting to allow it."""
    spec = task(name, tmp_path, rows, run_code=False)
    experiment = Experiment.model_validate(spec)

    with pytest.raises(ComponentError, match=r"evaluation\.metrics\.0\.run_code=true"):
        experiment.run()
