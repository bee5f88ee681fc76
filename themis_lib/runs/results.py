"""What a run returns: its status, counts and summary, and its cases and tables."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.components.records import BuiltMetric
from themis_lib.core.config import MissingPolicy, NoAnswerPolicy
from themis_lib.core.models import FrozenModel
from themis_lib.errors import StoreError, ThemisError
from themis_lib.runs.agreement import AgreementRecord
from themis_lib.runs.assembled_table import AssembledTable
from themis_lib.runs.case_results import CaseSequence
from themis_lib.runs.corpus_summary import CORPUS
from themis_lib.runs.manifest import Manifest, RunStatus, StageRecord, read_manifest
from themis_lib.runs.result_display import notebook_html, shell_text
from themis_lib.runs.run_parts import RunParts, read_parts
from themis_lib.runs.run_tables import RunTable, open_table_file
from themis_lib.runs.sample_table import sample_table
from themis_lib.runs.summary import ALL_CASES
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import RUN_TABLES

if TYPE_CHECKING:
    from pandas import DataFrame

#: The numbers that a row of the summary may lack.
_NO_NUMBERS: dict[str, Any] = dict.fromkeys(
    ("mean", "standard_error", "low", "high", "interval_method")
)
#: What `SummaryRow.cells` returns.
SUMMARY_HEADINGS = (
    "dataset",
    "metric",
    "mean",
    "95 % interval",
    "n",
    "no answer",
    "failed",
)


def corpus_title(metric_id: str) -> str:
    """Return how tables name a metric of a data set."""
    return f"{metric_id} (corpus)"


class SummaryRow(FrozenModel):
    """One dataset, slice and metric: a mean over `n` cases, and what is missing.

    `no_answer` counts the cases whose output holds no answer, `errors` those that
    failed. By `no_answer_policy` and `error_policy` they are in `n` and count as
    `no_answer_score` and 0 (`zero`), are left out (`exclude`; `unknown` where nobody
    says which score is the worst), or leave no mean (`fail`). `low` and `high` are the
    ends of the interval, `possible_low` and `possible_high` those that it could have,
    whatever the `undecided` cases would have scored between `lowest` and `highest`.
    `clusters` is `None` for cases taken as independent. In a run of version 0.1.0,
    `no_answer_policy` is `None`, and `errors` counts both kinds. See `StatisticsConfig`.
    Where `aggregate` is `corpus`, `mean` is the metric's score of all cases together,
    and the variances are `None`.
    """

    dataset_id: str
    slice: str
    metric_id: str
    n: int
    no_answer: int = 0
    no_answer_policy: NoAnswerPolicy | None = None
    errors: int
    error_policy: MissingPolicy = "exclude"
    mean: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    interval_method: str | None
    possible_low: float | None = None
    possible_high: float | None = None
    clusters: int | None = None
    between_variance: float | None = None
    within_variance: float | None = None
    no_answer_score: float | None = None
    lowest: float | None = None
    highest: float | None = None
    aggregate: Literal["mean", "corpus"] = "mean"

    @property
    def metric_title(self) -> str:
        """The metric, marked where the number is a score of the whole data set."""
        return corpus_title(self.metric_id) if self.is_corpus else self.metric_id

    @property
    def is_corpus(self) -> bool:
        """Whether `mean` is one score of all cases, and not the mean of theirs."""
        return self.aggregate == CORPUS

    @property
    def left_out(self) -> int:
        """How many cases are not in the mean."""
        count = 0 if self.error_policy == "zero" else self.errors
        return count if self.no_answer_policy == "zero" else count + self.no_answer

    @property
    def cases(self) -> int:
        """How many cases there are."""
        return self.n + self.left_out

    @property
    def undecided(self) -> int:
        """How many of the cases that are left out could have had any score."""
        count = self.errors if self.error_policy == "exclude" else 0
        return count + (self.no_answer if self.no_answer_policy == "unknown" else 0)

    @property
    def possible_means(self) -> tuple[float | None, float | None]:
        """The means with the lowest and the highest score for each undecided case."""
        if not self.undecided:
            return self.mean, self.mean
        if self.is_corpus or self.lowest is None or self.highest is None:
            return None, None
        total = (self.mean or 0.0) * self.n
        cases = self.n + self.undecided
        return (
            (total + self.undecided * self.lowest) / cases,
            (total + self.undecided * self.highest) / cases,
        )

    def cells(self) -> tuple[str, ...]:
        """Return the row as text under `SUMMARY_HEADINGS`, a dash for no number."""
        interval = "—"
        if self.low is not None and self.high is not None:
            interval = f"{self.low:.4f} – {self.high:.4f}"
        mean = "—" if self.mean is None else f"{self.mean:.4f}"
        counts = (f"{self.n:,}", f"{self.no_answer:,}", f"{self.errors:,}")
        return (self.dataset_id, self.metric_title, mean, interval, *counts)


class RunResult:
    """A finished run in a store. Raises `StoreError` if the store has no such run."""

    def __init__(
        self,
        store: RunStore,
        run_id: str,
        manifest: Manifest | None = None,
        *,
        corpus_metrics: Mapping[str, BuiltMetric] = MappingProxyType({}),
    ) -> None:
        self.store = store
        self.run_id = run_id
        #: The metrics of a data set, of a run that this process made.
        self.corpus_metrics = corpus_metrics
        self.manifest: Manifest = manifest or read_manifest(store, run_id)

    def __repr__(self) -> str:
        return shell_text(f"RunResult: {self._heading}", self._score_cells())

    def _repr_html_(self) -> str:
        return notebook_html(self._heading, self._score_cells())

    @property
    def _heading(self) -> str:
        return f"{self.manifest.name} {self.status.value}, run {self.run_id}"

    def _score_cells(self) -> list[tuple[str, ...]]:
        """Return headings and a row for each dataset and metric; empty without scores."""
        rows = []
        # A run that goes on, or whose tables are gone, still has a name to show.
        with contextlib.suppress(StoreError):
            rows = [row.cells() for row in self.summary if row.slice == ALL_CASES]
        return [SUMMARY_HEADINGS, *rows] if rows else []

    @property
    def status(self) -> RunStatus:
        """How the run ended."""
        return self.manifest.status

    @property
    def progress(self) -> dict[str, StageRecord]:
        """Rows computed, cached and failed, by stage."""
        return {record.stage: record for record in self.manifest.stages}

    @property
    def agreement(self) -> list[AgreementRecord]:
        """How far metrics agree with labels, where `evaluation.agreement` asks."""
        return self.manifest.agreement

    @property
    def location(self) -> str:
        """The address of the run's folder."""
        return self.store.uri(f"runs/{self.run_id}")

    @cached_property
    def summary(self) -> list[SummaryRow]:
        """One row for each dataset, slice and metric."""
        rows = []
        for values in self.table("summary").to_pylist():
            # A column that an earlier version did not write has its default.
            row = {name: value for name, value in values.items() if value is not None}
            if "no_answer_policy" not in row and row.get("error_policy") == "zero":
                # Up to 0.1.0, `n` left out the errors that were counted as 0.
                row["n"] += row["errors"]
            rows.append(SummaryRow(**(_NO_NUMBERS | row)))
        return rows

    @property
    def failure(self) -> str | None:
        """Why a complete run failed: missing scores that a policy of `fail` forbids."""
        problems: dict[str, list[str]] = {"errors": [], "no_answer": []}
        for row in self.summary:
            # Slices only repeat what is missing among all cases.
            if row.slice != ALL_CASES:
                continue
            of = f"of {row.cases:,} cases of {row.dataset_id!r} have no {row.metric_id}"
            if row.errors and row.error_policy == "fail":
                problems["errors"].append(f"{row.errors:,} {of}")
            if row.no_answer and row.no_answer_policy == "fail":
                problems["no_answer"].append(
                    f"{row.no_answer:,} {of} for lack of an answer"
                )
        texts = []
        for setting, found in problems.items():
            if found:
                texts.append(
                    f"{'; '.join(found)} (evaluation.statistics.{setting} is `fail`)"
                )
        return "; ".join(texts) or None

    def table(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        where: pc.Expression | None = None,
    ) -> pa.Table:
        """Return a table of the run, named as in `RUN_TABLES`.

        `columns` and `where` choose some of it, without the rest in memory. The table
        is empty if the run stopped before it.
        """
        table = self.open_table(name)
        # A run until `parse` has no scores: an empty table is easier to use than none.
        if table is None:
            names = list(columns or RUN_TABLES[name].names)
            return RUN_TABLES[name].empty_table().select(names)
        with contextlib.closing(table):
            return table.read(columns, where=where)

    def open_table(self, name: str) -> RunTable | None:
        """Open a table of the run to read some of its groups of rows, one for each shard
        and part; `None` if the run stopped before it.
        """
        if self.parts is None or name == "summary":
            return open_table_file(self.store, self.run_id, name)
        table = AssembledTable(self.store, name, self.parts)
        return table if table.group_sizes else None

    @cached_property
    def parts(self) -> RunParts | None:
        """The parts that hold the run's rows; `None` if it has tables of its own.

        Raise `StoreError` if their record cannot be read.
        """
        if self.manifest.tables == "files":
            return None
        return read_parts(self.store, self.run_id)

    def to_arrow(self) -> pa.Table:
        """Return one row for each case and sample, with a column for each metric.

        See `sample_table` for the columns; `table` returns the run's own tables.
        """
        metric_ids = []
        for record in self.manifest.stages:
            if record.name == "score" and record.member_id is not None:
                metric_ids.append(record.member_id)
        return sample_table(self.table, metric_ids)

    def to_pandas(self) -> DataFrame:
        """Return the table of `to_arrow` as a data frame of pandas.

        Raise `ThemisError` where pandas is not installed.
        """
        if find_spec("pandas") is None:
            raise ThemisError(
                "to_pandas() needs pandas: pip install pandas; "
                "to_arrow() does without it"
            )
        return self.to_arrow().to_pandas()

    @cached_property
    def cases(self) -> CaseSequence:
        """The cases in the order of the datasets, read as they are looked at."""
        tables = {}
        for name in RUN_TABLES:
            # The summary has no rows of cases.
            if name != "summary":
                tables[name] = self.open_table(name)
        return CaseSequence(tables)


def corpus_metric_ids(run: RunResult) -> set[str]:
    """Return the metrics of a run that give one score of a data set."""
    return {row.metric_id for row in run.summary if row.is_corpus}
