"""The pytest plugin, in runs of pytest."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from flows.parameters import EvaluateParameters
from tests.support.policies import run_in_process, write_experiment
from themis_lib import RunStore, assert_no_worse
from themis_lib.runs.manifest import manifests

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]

TEST = """
    import pytest
    from themis_lib import assert_no_worse

    def test_quality(themis_run):
        baseline = themis_run("e.yaml")
        run = themis_run("e.yaml", overrides={overrides!r}, limit={limit!r})
        assert_no_worse(run, baseline, metric="m", margin=0.1)
        assert {cases} == sum(run.manifest.datasets.values())
"""


def runs(store: Path) -> int:
    return len(manifests(RunStore(str(store))))


@pytest.fixture(scope="module", autouse=True)
def imported(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Everything that a test imports, before it does: pytester takes it away again, and
    numpy cannot be imported twice.
    """
    path = write_experiment(tmp_path_factory.mktemp("imported"), {"d": [1, 1, 0]})
    better = run_in_process(EvaluateParameters(experiment=str(path)))
    scale = ["evaluation.metrics.0.scale=0.5"]
    parameters = EvaluateParameters(experiment=str(path), overrides=scale)
    with pytest.raises(AssertionError):
        assert_no_worse(run_in_process(parameters), better, metric="m", margin=0.1)


@pytest.fixture
def folder(pytester: pytest.Pytester) -> Path:
    """The root of a project with an experiment."""
    write_experiment(pytester.path, {"d": [1] * 30 + [0] * 10})
    pytester.makefile(".ini", pytest="[pytest]")
    return pytester.path


def run_tests(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_inprocess("-p", "themis_lib.pytest_plugin", *arguments)


def write_test(
    pytester: pytest.Pytester,
    cases: int = 40,
    overrides: tuple[str, ...] = (),
    limit: int | None = None,
) -> None:
    pytester.makepyfile(TEST.format(cases=cases, overrides=overrides, limit=limit))


def test_file_runs_in_its_store(pytester: pytest.Pytester, folder: Path) -> None:
    """That of the file, where the option names none; a limit holds."""
    write_test(pytester, cases=30, limit=30)

    run_tests(pytester).assert_outcomes(passed=1)

    assert 2 == runs(folder / "store")


def test_option_names_the_store(pytester: pytest.Pytester, folder: Path) -> None:
    """It wins over the file's."""
    write_test(pytester)

    run_tests(pytester, "--themis-store", "elsewhere").assert_outcomes(passed=1)

    assert [2, False] == [runs(folder / "elsewhere"), (folder / "store").exists()]


def test_failure_says_what_is_worse(pytester: pytest.Pytester, folder: Path) -> None:
    """In the report of the test."""
    write_test(pytester, overrides=("evaluation.metrics.0.scale=0.5",))

    result = run_tests(pytester)

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*AssertionError: fail: m no worse than * by 0.1 (d)",
            "E*mean 0.7500 → 0.3750, 0 rose and 30 fell, p *",
            "E*see more: themis compare *",
        ]
    )


def test_experiment_of_python_runs_in_the_projects_store(
    pytester: pytest.Pytester, folder: Path
) -> None:
    """In `results` where it names none, also if it has run in memory before."""
    pytester.makepyfile(
        """
        from themis_lib import Dataset, Case, Experiment, EvaluationConfig
        from themis_lib import GenerationConfig

        def test_quality(themis_run):
            experiment = Experiment(
                generation=GenerationConfig(generator="builtin/demo_generator"),
                evaluation=EvaluationConfig(metrics=["builtin/exact_match"]),
                datasets=[Dataset(dataset_id="d", cases=[Case(case_id="a", input="1 + 1", expected_output="2")])],
            )
            experiment.run()
            assert "completed" == themis_run(experiment).status.value
        """
    )

    run_tests(pytester).assert_outcomes(passed=1)

    assert 1 == runs(folder / "results")


def test_plugin_imports_nothing_but_pytest() -> None:
    """It is loaded by every pytest run of who has the package."""
    script = (
        "import pytest, sys, time\n"
        "began = time.process_time()\n"
        "import themis_lib.pytest_plugin\n"
        "print(time.process_time() - began < 0.05)\n"
        "print({'prefect', 'pyarrow', 'numpy', 'pydantic', 'themis_lib.core'} & set(sys.modules))"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert "True\nset()\n" == done.stdout


def test_project_may_have_packages_named_like_ours(tmp_path: Path) -> None:
    """`python -m pytest` puts the project first on the path: its `flows` is not ours."""
    (tmp_path / "flows.py").write_text("MINE = True\n")
    (tmp_path / "test_mine.py").write_text(
        "def test_it():\n    import flows; flows.MINE\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "themis_lib.pytest_plugin"]

    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert 0 == done.returncode, done.stdout + done.stderr


def test_plugin_is_declared() -> None:
    """Pytest finds it by the package's metadata, under the name that `-p` would give it:
    under another, it would refuse to have it twice.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert {"themis_lib.pytest_plugin": "themis_lib.pytest_plugin"} == (
        project["entry-points"]["pytest11"]
    )
