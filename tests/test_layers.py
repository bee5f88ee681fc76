"""What `import themis_lib` costs and exposes, and what may import what."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import themis_lib

ROOT = Path(__file__).parents[1]
PUBLIC = [
    "BatchConfig",
    "BudgetError",
    "Candidate",
    "CandidatePolicy",
    "Case",
    "CaseResult",
    "CellResult",
    "Certification",
    "Comparison",
    "ComponentError",
    "ConfigError",
    "CorpusMetric",
    "CorrectedScore",
    "CostConfig",
    "Dataset",
    "DatasetError",
    "DatasetFile",
    "EvaluationConfig",
    "Experiment",
    "FatalError",
    "GenerationConfig",
    "GenerationResult",
    "HubDataset",
    "InMemoryRunStore",
    "InputError",
    "JudgeCall",
    "LabelSession",
    "LmEvalDataset",
    "Matrix",
    "MatrixComparison",
    "MatrixResult",
    "Message",
    "ModelError",
    "ParsedOutput",
    "Price",
    "PromptSpec",
    "Ranking",
    "ReducedCandidate",
    "RowError",
    "RunResult",
    "RunStatus",
    "RunStore",
    "RuntimeConfig",
    "Score",
    "ScoreError",
    "ShardError",
    "StatisticsConfig",
    "StorageConfig",
    "StoreError",
    "SummaryRow",
    "ThemisError",
    "TokenUsage",
    "TraceStep",
    "TransientError",
    "Verification",
    "assert_no_worse",
    "certify",
    "compare",
    "compare_matrix",
    "corrected_score",
    "corrected_scores",
    "evaluate",
    "evaluate_async",
    "explain_difference",
    "labelled_scores",
    "rank_runs",
    "run_matrix_until_decided",
    "run_until_decided",
    "verify_run",
]
#: Slow to import, or another layer's.
HEAVY = [
    "prefect",
    "scipy",
    "yaml",
    "typer",
    "pandas",
    "datasets",
    "langgraph",
    "langchain_core",
    "flows",
    "tasks",
    "sacrebleu",
    "nltk",
    "sympy",
    "jsonschema",
]


def imported_by(program: str) -> set[str]:
    """The top-level packages that a fresh interpreter holds after a program."""
    listing = f"{program}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_import_is_light() -> None:
    """Importing the library imports no orchestrator, no command line and nothing
    heavy.
    """
    assert set() == imported_by("import themis_lib").intersection(HEAVY)


def test_library_knows_nothing_of_prefect() -> None:
    """No module of the library imports Prefect, the tasks or the flows, also when all
    of them are imported.
    """
    program = (
        "import importlib, pkgutil, themis_lib\n"
        "for module in pkgutil.walk_packages(themis_lib.__path__, 'themis_lib.'):\n"
        "    try:\n"
        "        importlib.import_module(module.name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        assert error.name in ('gguf', 'tokenizers', 'torch')"  # to train the bundled model
    )

    assert set() == imported_by(program).intersection(["prefect", "tasks", "flows"])


def test_public_names_are_these() -> None:
    """The library's surface is this list: a name added or removed is a decision."""
    assert PUBLIC == themis_lib.__all__


def test_public_names_are_all_there_is() -> None:
    """Every public name is found when it is asked for, and no other is."""
    program = (
        "import themis_lib\n"
        "names = dir(themis_lib)\n"
        "assert all(hasattr(themis_lib, name) for name in names)\n"
        "print(*(name for name in themis_lib.__all__ if name not in names))\n"
        "print(hasattr(themis_lib, 'Experimant'))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert ["", "False"] == done.stdout.splitlines()


#: Imports that break a contract: upwards, for type checking alone, and in a circle.
PLANTED = {
    "upwards": ("identity/digests.py", "import themis_lib.runs.run\n"),
    "type checking": (
        "storage/shard.py",
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n"
        "    from themis_lib.stages.stage import Stage\n",
    ),
    "circle": ("storage/store.py", "import themis_lib.storage.rows\n"),
    "of Prefect": ("core/models.py", "import prefect\n"),
}


def contracts_hold(folder: Path) -> bool:
    """Whether the import contracts hold for the packages in a folder."""
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [command, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A copy of the packages and of their contracts."""
    for name in ("themis_lib", "tasks", "flows", "deployments"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_floors_hold(packages: Path) -> None:
    """Each room of the library uses only what is below it, without a circle."""
    assert contracts_hold(packages)


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTED)
def test_planted_import_is_found(name: str, packages: Path) -> None:
    """An import that breaks the floors is caught, for type checking alone too."""
    module, planted = PLANTED[name]
    path = packages / "themis_lib" / module
    path.write_text(path.read_text() + planted)

    assert not contracts_hold(packages)
