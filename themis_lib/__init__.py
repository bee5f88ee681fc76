"""Reproducible LLM evaluation: generate, parse, score and reduce as stages that never
compute a row twice.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from themis_lib.certification.certify import certify
    from themis_lib.certification.models import Certification
    from themis_lib.comparison.assertions import assert_no_worse
    from themis_lib.comparison.attribution import explain_difference
    from themis_lib.comparison.compare import compare
    from themis_lib.comparison.matrix import MatrixComparison, compare_matrix
    from themis_lib.comparison.models import Comparison
    from themis_lib.comparison.rank_runs import rank_runs
    from themis_lib.comparison.ranking import Ranking
    from themis_lib.comparison.stop_when_decided import (
        run_matrix_until_decided,
        run_until_decided,
    )
    from themis_lib.core.config import (
        BatchConfig,
        CandidatePolicy,
        CostConfig,
        DatasetFile,
        EvaluationConfig,
        GenerationConfig,
        HubDataset,
        RuntimeConfig,
        StatisticsConfig,
        StorageConfig,
    )
    from themis_lib.core.lm_eval_dataset import LmEvalDataset
    from themis_lib.core.models import (
        Candidate,
        Case,
        Dataset,
        GenerationResult,
        Message,
        ParsedOutput,
        ReducedCandidate,
        Score,
        ScoreError,
        TokenUsage,
        TraceStep,
    )
    from themis_lib.core.prices import Price
    from themis_lib.core.prompts import PromptSpec
    from themis_lib.core.protocols import CorpusMetric, JudgeCall
    from themis_lib.errors import (
        BudgetError,
        ComponentError,
        ConfigError,
        DatasetError,
        FatalError,
        InputError,
        ModelError,
        RowError,
        ShardError,
        StoreError,
        ThemisError,
        TransientError,
    )
    from themis_lib.experiment.evaluate import evaluate, evaluate_async
    from themis_lib.experiment.experiment import Experiment
    from themis_lib.experiment.matrix import CellResult, Matrix, MatrixResult
    from themis_lib.labels.corrected_scores import (
        CorrectedScore,
        corrected_score,
        corrected_scores,
    )
    from themis_lib.labels.labelled_scores import labelled_scores
    from themis_lib.labels.session import LabelSession
    from themis_lib.runs.case_results import CaseResult
    from themis_lib.runs.manifest import RunStatus
    from themis_lib.runs.results import RunResult, SummaryRow
    from themis_lib.storage.store import InMemoryRunStore, RunStore
    from themis_lib.verification.models import Verification
    from themis_lib.verification.verify import verify_run

# Before pyarrow is imported, which reads it once. Arrow's own allocator keeps what was
# freed: a run would take an eighth more memory, and no less time.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

__all__ = [
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

#: Where the public names are. Imported when one is used: a command that only shows its
#: help, or a run of pytest without an evaluation, needs none of them.
_MODULES = {
    "certification.certify": ("certify",),
    "certification.models": ("Certification",),
    "comparison.assertions": ("assert_no_worse",),
    "comparison.attribution": ("explain_difference",),
    "comparison.compare": ("compare",),
    "comparison.stop_when_decided": (
        "run_matrix_until_decided",
        "run_until_decided",
    ),
    "comparison.matrix": ("MatrixComparison", "compare_matrix"),
    "comparison.models": ("Comparison",),
    "comparison.rank_runs": ("rank_runs",),
    "comparison.ranking": ("Ranking",),
    "core.config": (
        "BatchConfig",
        "CandidatePolicy",
        "CostConfig",
        "DatasetFile",
        "EvaluationConfig",
        "GenerationConfig",
        "HubDataset",
        "RuntimeConfig",
        "StatisticsConfig",
        "StorageConfig",
    ),
    "core.lm_eval_dataset": ("LmEvalDataset",),
    "core.models": (
        "Candidate",
        "Case",
        "Dataset",
        "GenerationResult",
        "Message",
        "ParsedOutput",
        "ReducedCandidate",
        "Score",
        "ScoreError",
        "TokenUsage",
        "TraceStep",
    ),
    "core.prices": ("Price",),
    "core.prompts": ("PromptSpec",),
    "core.protocols": ("CorpusMetric", "JudgeCall"),
    "errors": (
        "BudgetError",
        "ComponentError",
        "ConfigError",
        "DatasetError",
        "FatalError",
        "InputError",
        "ModelError",
        "RowError",
        "ShardError",
        "StoreError",
        "ThemisError",
        "TransientError",
    ),
    "experiment.evaluate": (
        "evaluate",
        "evaluate_async",
    ),
    "experiment.experiment": ("Experiment",),
    "experiment.matrix": ("CellResult", "Matrix", "MatrixResult"),
    "labels.labelled_scores": ("labelled_scores",),
    "labels.session": ("LabelSession",),
    "labels.corrected_scores": (
        "CorrectedScore",
        "corrected_score",
        "corrected_scores",
    ),
    "runs.case_results": ("CaseResult",),
    "runs.manifest": ("RunStatus",),
    "runs.results": (
        "RunResult",
        "SummaryRow",
    ),
    "storage.store": (
        "InMemoryRunStore",
        "RunStore",
    ),
    "verification.models": ("Verification",),
    "verification.verify": ("verify_run",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    # The next use finds it at once.
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
