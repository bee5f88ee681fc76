"""Users' modules that have the name of a package of this project.

Each test has a process to itself: such a module is imported once in each.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.support.new_process import in_new_process

ROOT = str(Path(__file__).parents[2])
TASKS = """
import enum
import random
from dataclasses import dataclass

random.seed(3)
BONUS = 0.25


class Colour(enum.Enum):
    RED = 1


@dataclass(frozen=True)
class Weights:
    first: float = 1.0
    colour: Colour = Colour.RED


WEIGHTS = Weights()


def helper(x):
    return WEIGHTS.first * (1.0 if x else 0.0)


def model(prompt):
    return prompt.upper()


class MyMetric:
    component_id, version, reads = "mine/metric", "1", ("value", "expected_output")

    def __init__(self, weights=WEIGHTS):
        self.weights = weights

    def fingerprint(self):
        return ""

    def score(self, parsed, case, ctx):
        from themis_lib import Score
        return Score(value=helper(parsed.value == case.expected_output))
"""
METRICS = """
import tasks
import tasks as chores
from tasks import helper


def imported(value, expected_output):
    return helper(value == expected_output)


def dotted(value, expected_output):
    return tasks.helper(value == expected_output) + tasks.BONUS


def inside(value, expected_output):
    from tasks import BONUS, helper
    return helper(value == expected_output) + BONUS


def handed(value, expected_output, lib=chores):
    return lib.helper(value == expected_output) + lib.BONUS
"""
FUNCTIONS = [
    "score[imported]",
    "score[dotted]",
    "score[inside]",
    "score[handed]",
]
EXPERIMENT = """
generation: {generator: "tasks:model"}
evaluation:
  metrics: ["tasks:MyMetric", "metrics:imported", "metrics:dotted", "metrics:inside",
    "metrics:handed"]
datasets: [{dataset_id: d, cases: [{case_id: a, input: x, expected_output: X}]}]
"""
#: Prints the fingerprint of each stage.
FINGERPRINTS = """
from themis_lib import Experiment
stages = Experiment.from_config("experiment.yaml").compile().stages
print(json.dumps({stage.label: str(stage.fingerprint) for stage in stages}))
"""


@pytest.fixture(autouse=True)
def _in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", ROOT)
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setenv("THEMIS_MODULE_FOLDERS", "[]")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")


def write(name: str, text: str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


def named(*names: str, see: str = "found") -> Any:
    """Return what is seen of what the names lead to, in a process with our packages."""
    program = f"""
        import flows, tasks, deployments
        from themis_lib.components.imports import import_named
        def look(found): return {see}
        print(json.dumps([look(import_named("metric", name)) for name in {names!r}]))
    """
    return in_new_process(textwrap.dedent(program))


def refusal(name: str) -> str:
    program = f"""
        import flows, tasks, deployments
        from themis_lib import ComponentError
        from themis_lib.components.imports import import_named
        said = []
        for _ in range(2):
            try:
                import_named("metric", {name!r})
            except ComponentError as error:
                said.append(str(error))
        print(json.dumps(said))
    """
    first, again = in_new_process(textwrap.dedent(program))
    assert first == again
    return str(first)


def fingerprints(before: str = "import tasks") -> dict[str, str]:
    shown: dict[str, str] = in_new_process(f"{before}\n{FINGERPRINTS}")
    return shown


@pytest.mark.parametrize("package", ["tasks", "flows", "deployments"])
def test_module_of_the_name_of_a_package_can_be_named(package: str) -> None:
    """It is the user's, and ours are what they were."""
    write(f"{package}.py", "answer = 4\n")

    assert [4] == named(f"{package}:answer")
    assert [ROOT] == named(
        f"{package}:answer",
        see=f"str(__import__('pathlib').Path({package}.__file__).parents[1])",
    )


def test_ours_is_found_without_one() -> None:
    """As any other module: a name that it lacks is an error."""
    assert refusal("tasks:answer").startswith("module 'tasks' has no 'answer'")


@pytest.mark.parametrize("initial", [None, "from .scores import close\nBONUS = 2\n"])
def test_folder_of_the_name_of_a_package_can_be_named(initial: str | None) -> None:
    """With or without `__init__.py`; its modules come behind ours."""
    write("deployments/scores.py", "from . import more\nclose = more.value\n")
    write("deployments/more.py", "value = 3\n")
    if initial is not None:
        write("deployments/__init__.py", initial)

    assert [3, 3] == named("deployments.scores:close", "deployments.more:value")
    if initial is not None:
        assert [3, 2] == named("deployments:close", "deployments:BONUS")


def test_modules_of_a_folder_are_imported_once() -> None:
    """By their name from the package, and by that of the folder."""
    write("tasks/__init__.py", "from .scores import close\n")
    write("tasks/scores.py", "def close(): pass\n")

    assert ["tasks.scores", "tasks.scores"] == named(
        "tasks:close", "tasks.scores:close", see="found.__module__"
    )
    assert [True] == named(
        "tasks:close", see="found is __import__('tasks.scores').scores.close"
    )


def test_module_that_fails_says_why() -> None:
    """And is not kept half-made."""
    write("tasks.py", "answer = 4\nimport nowhere\n")

    expected = "metric 'tasks:answer' cannot be imported: No module named 'nowhere'"
    assert expected == refusal("tasks:answer")


def test_two_of_one_name_are_refused() -> None:
    """Beside two experiments of one process."""
    for folder in ("one", "two"):
        write(f"{folder}/tasks.py", "def close(value, expected_output): return 1\n")
        write(
            f"{folder}/experiment.yaml",
            """
            generation: {generator: builtin/demo_generator}
            evaluation: {metrics: ["tasks:close"]}
            """,
        )

    said = in_new_process(
        "import flows\nfrom themis_lib import ComponentError, Experiment\n"
        "Experiment.from_config('one/experiment.yaml').compile()\n"
        "try: Experiment.from_config('two/experiment.yaml')\n"
        "except ComponentError as error: print(json.dumps(str(error)))"
    )

    assert said.startswith("module 'tasks' beside the experiment")


def test_module_that_was_imported_under_its_own_name_is_taken() -> None:
    """By a notebook, which has no need of our package."""
    write("tasks.py", "class Metric: pass\n")
    found = in_new_process(
        "sys.path.insert(0, '.')\nfrom tasks import Metric\n"
        "from themis_lib.components.imports import import_named\n"
        "print(json.dumps(import_named('metric', 'tasks:Metric') is Metric))"
    )

    assert found


def test_keys_are_those_of_a_module_of_any_name() -> None:
    """Rows are found again by a process in which `tasks` is the user's own."""
    write("tasks.py", TASKS)
    write("metrics.py", METRICS)
    write("experiment.yaml", EXPERIMENT)

    hidden = fingerprints()
    alone = fingerprints("sys.path.insert(0, '.'); import tasks; assert tasks.BONUS")

    assert alone == hidden


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("1.0 if x else", "0.5 if x else", ["score[mine/metric]", *FUNCTIONS]),
        pytest.param(
            "first: float = 1.0",
            "first: float = 2.0",
            ["score[mine/metric]", *FUNCTIONS],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "BONUS = 0.25", "BONUS = 0.5", FUNCTIONS[1:], marks=pytest.mark.slow
        ),
        # A module that is handed on counts as a whole.
        pytest.param(
            "prompt.upper()",
            "prompt.lower()",
            ["generate", "score[handed]"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "BONUS = 0.25", "BONUS = 0.25  # a comment", [], marks=pytest.mark.slow
        ),
    ],
)
def test_edit_is_seen_through_our_package(
    before: str, after: str, expected: list[str]
) -> None:
    """A helper's, a constant's and a default's, however it was imported."""
    write("tasks.py", TASKS)
    write("metrics.py", METRICS)
    write("experiment.yaml", EXPERIMENT)

    first = fingerprints()
    write("tasks.py", TASKS.replace(before, after))
    second = fingerprints()

    assert set(expected) == {label for label in first if first[label] != second[label]}


@pytest.mark.parametrize("module", ["tasks", "metrics"])
def test_files_that_a_module_reads_are_seen(module: str) -> None:
    """While it is imported, whatever its name."""
    write("words.txt", "a")
    write(
        f"{module}.py",
        """
        WORDS = open("words.txt").read()
        def close(value, expected_output): return float(value in WORDS)
        """,
    )
    write(
        "experiment.yaml",
        f"""
        generation: {{generator: builtin/demo_generator}}
        evaluation: {{metrics: ["{module}:close"]}}
        """,
    )

    read = in_new_process(
        "import tasks\nfrom themis_lib import Experiment\n"
        "compiled = Experiment.from_config('experiment.yaml').compile()\n"
        "found = [component.files for stage in compiled.stages"
        " for component in stage.components if component.code]\n"
        "print(json.dumps([sorted(files) for files in found]))"
    )

    assert [[str(Path("words.txt").resolve())]] == read
