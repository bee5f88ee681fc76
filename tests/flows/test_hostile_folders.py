"""Working directories in which every file has the name of a library.

By both ways of starting, and both ways of installing.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from themis_lib.components.module_folders import SAFE_PATH

ROOT = Path(__file__).parents[2]
#: Libraries that a run imports.
LIBRARIES = [
    "anyio",
    "click",
    "fsspec",
    "httpx",
    "jinja2",
    "numpy",
    "orjson",
    "prefect",
    "pyarrow",
    "pydantic",
    "rich",
    "scipy",
    "sqlalchemy",
    "themis_lib",
    "typer",
    "uvicorn",
    "yaml",
]
#: Users' modules, which an experiment names.
MODULES = {
    "flows.py": """
        def model(prompt): return prompt.upper()
    """,
    "tasks.py": """
        BONUS = 0.25
        def helper(is_right): return 1.0 if is_right else 0.0
        class MyMetric:
            component_id, version, reads = "mine/metric", "1", ("value", "expected_output")
            def fingerprint(self): return ""
            def score(self, parsed, case, ctx):
                from themis_lib import Score
                return Score(value=helper(parsed.value == case.expected_output))
    """,
    "deployments/scores.py": """
        def close(value, expected_output): return 0.5
    """,
    "utils.py": """
        def f(value, expected_output): return 1.0
    """,
    "metrics.py": """
        import tasks
        from tasks import helper
        def imported(value, expected_output): return helper(value == expected_output)
        def dotted(value, expected_output):
            return tasks.helper(value == expected_output) * 0 + tasks.BONUS
    """,
}
EXPERIMENT = """
generation: {generator: "flows:model"}
evaluation:
  metrics: ["tasks:MyMetric", "metrics:imported", "metrics:dotted", "utils:f",
    "deployments.scores:close"]
datasets:
- dataset_id: d
  cases:
  - {case_id: a, input: x, expected_output: X}
  - {case_id: b, input: y, expected_output: z}
"""
MEANS = {
    "mine/metric": "0.5000",
    "imported": "0.5000",
    "dotted": "0.2500",
    "f": "1.0000",
    "close": "0.5000",
}
WAYS = ["themis", "module"]


def write_modules(folder: Path, first_line: str = "") -> None:
    for name, text in MODULES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [line[8:] for line in text.splitlines()[1:]]
        path.write_text(first_line + "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every name of a library fails there when it is imported."""
    folder = tmp_path_factory.mktemp("hostile")
    for name in (*sys.stdlib_module_names, *LIBRARIES):
        # The library asks for modules of other systems, and does without them.
        if importlib.util.find_spec(name) is None:
            continue
        text = f"raise RuntimeError('{name} of the working directory was imported')\n"
        (folder / f"{name}.py").write_text(text)
    write_modules(folder)
    (folder / "experiment.yaml").write_text(EXPERIMENT)
    return folder


@pytest.fixture(scope="module", params=["wheel", "editable"])
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The programs of an environment in which the project is installed.

    Its dependencies are those of the environment of the tests.
    """
    folder = tmp_path_factory.mktemp(request.param)
    venv.create(folder / "environment", symlinks=True)
    programs = folder / "environment" / "bin"
    prefect = importlib.util.find_spec("prefect")
    assert prefect is not None
    packages = Path(str(prefect.origin)).parents[1]
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = folder / "environment" / "lib" / version / "site-packages"
    # Behind what is installed here: its own `.pth` files are not read.
    (site / "zz_dependencies.pth").write_text(f"{packages}\n")
    what = ["--editable", str(ROOT)] if request.param == "editable" else [str(ROOT)]
    pip = [sys.executable, "-m", "pip", "--python", str(programs / "python")]
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    install = [*pip, "install", *options, *what]
    subprocess.run(install, check=True, capture_output=True)
    return programs


def start(
    way: str,
    verb: str,
    *arguments: str,
    folder: Path,
    programs: Path,
    **environment: str,
) -> str:
    """Return what a program prints that must end well."""
    command = [str(programs / "themis"), verb]
    if way == "module":
        command = [str(programs / "python"), "-m", f"flows.{verb}"]
    inherited = {
        name: value for name, value in os.environ.items() if name != "PYTHONPATH"
    }
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**inherited, "COLUMNS": "200", **environment},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert "of the working directory was imported" not in done.stderr
    return done.stdout


def means(printed: str) -> dict[str, str]:
    """Return the mean of each metric, from the table that a run prints."""
    rows = [line.split() for line in printed.splitlines()]
    return {row[1]: row[4] for row in rows if row[:1] == ["d"] and len(row) > 4}


@pytest.fixture
def server(prefect_api: str) -> dict[str, str]:
    """The environment of a run that uses the server of the tests."""
    return {
        "PREFECT_API_URL": prefect_api,
        "PREFECT_API_AUTH_STRING": os.environ["PREFECT_API_AUTH_STRING"],
    }


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("verb", ["run", "runs", "server", "identity"])
def test_help_is_printed(
    installation: Path, hostile: Path, way: str, verb: str
) -> None:
    """No file of the working directory is imported."""
    printed = start(way, verb, "--help", folder=hostile, programs=installation)

    assert "Usage" in printed


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_components_are_the_users(installation: Path, hostile: Path, way: str) -> None:
    """Each definition is listed under the name that its user gave it."""
    printed = start(
        way, "identity", "experiment.yaml", folder=hostile, programs=installation
    )

    assert "definition  flows.model  (flows.py:1)" in printed
    assert "definition  tasks.MyMetric  (tasks.py:3)" in printed
    assert "definition  tasks.helper  (tasks.py:2)" in printed
    assert "value       tasks.BONUS" in printed
    assert "definition  deployments.scores.close  (deployments/scores.py:1)" in printed


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("runner", ["threads", "processes"])
def test_experiment_runs(
    installation: Path,
    hostile: Path,
    way: str,
    runner: str,
    server: dict[str, str],
    tmp_path: Path,
) -> None:
    """With every score from the user's own code, in threads and in processes."""
    arguments = ["experiment.yaml", "--store", str(tmp_path), "--runner", runner]
    printed = start(
        way, "run", *arguments, folder=hostile, programs=installation, **server
    )

    assert MEANS == means(printed)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("prefect_dask") is None, reason="needs the extra dask"
)
@pytest.mark.parametrize("way", WAYS)
def test_workers_of_dask_run_it(
    installation: Path, hostile: Path, way: str, server: dict[str, str], tmp_path: Path
) -> None:
    """They are started by another library, in the same folder."""
    arguments = ["experiment.yaml", "--store", str(tmp_path), "--runner", "dask"]
    printed = start(
        way, "run", *arguments, folder=hostile, programs=installation, **server
    )

    assert MEANS == means(printed)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_server_is_started_there(
    installation: Path, hostile: Path, way: str, tmp_path: Path
) -> None:
    """By a first run, and stopped by the command."""
    environment = {"PREFECT_HOME": str(tmp_path / "home")}
    places = {"folder": hostile, "programs": installation}
    try:
        printed = start(
            way,
            "run",
            "experiment.yaml",
            "--store",
            str(tmp_path / "store"),
            **places,
            **environment,
        )
    finally:
        stopped = start(way, "server", "stop", **places, **environment)

    assert (MEANS, "stopped\n") == (means(printed), stopped)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_modules_beside_the_experiment_come_first(
    installation: Path, hostile: Path, way: str, tmp_path: Path
) -> None:
    """Before those of the working directory, also where they import each other."""
    write_modules(tmp_path, first_line="# Beside the experiment.\n")
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    printed = start(
        way,
        "identity",
        str(tmp_path / "experiment.yaml"),
        folder=hostile,
        programs=installation,
    )

    for definition in ("flows.model", "utils.f", "deployments.scores.close"):
        # Files elsewhere are shown without their folders.
        file = definition.split(".")[-2]
        assert f"definition  {definition}  ({file}.py:2)" in printed
    assert "definition  tasks.helper  (tasks.py:3)" in printed


def test_runs_that_are_served_import_the_libraries(hostile: Path) -> None:
    """Prefect puts the working directory first, again and again, to load the flow."""
    program = (
        "import flows, os, sys\n"
        "for name in ('statistics', 'flows.typed', 'queue', 'tasks'):\n"
        "    sys.path.insert(0, os.getcwd())\n"
        "    print(__import__(name).__file__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=hostile,
        env={**os.environ, "PYTHONSAFEPATH": SAFE_PATH, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    files = done.stdout.splitlines()
    assert 4 == len(files)
    assert [] == [file for file in files if file.startswith(str(hostile))]
