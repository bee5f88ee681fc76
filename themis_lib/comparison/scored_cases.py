"""The cases of a run with their scores, and the matching of two runs' cases.

Cases match by dataset and content, not by id. Only what is left of a run that another
tool evaluated matches by id: its log may write the same input in another way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import (
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from themis_lib.comparison.models import Unmatched
from themis_lib.errors import (
    ConfigError,
    StoreError,
    nearest,
)
from themis_lib.runs.manifest import RunStatus
from themis_lib.runs.random_order import Content as Content
from themis_lib.runs.random_order import case_contents
from themis_lib.runs.results import RunResult
from themis_lib.runs.score_groups import UNANSWERED
from themis_lib.stages.missing import Missing, missing_kind

Floats = npt.NDArray[np.float64]
# As tables and summaries write a missing value; the text "null" has quotes there.
_NO_VALUE = "null"


@dataclass
class ScoredCases:
    """The cases of a run in order, and their reduced scores under each metric.

    A score is NaN where a case failed, and `UNANSWERED` where it has no answer.
    """

    run_id: str
    dataset_ids: list[str]
    case_ids: list[str]
    contents: list[Content]
    metadata: Sequence[Mapping[str, str]]
    is_imported: bool = False
    scores: dict[str, Floats] = field(default_factory=dict)

    def row_numbers(self) -> dict[tuple[str, str], int]:
        """Return the row of each case by its dataset and id."""
        # Ids are unique only within a dataset.
        ids = zip(self.dataset_ids, self.case_ids, strict=True)
        return dict(zip(ids, range(len(self.case_ids)), strict=True))

    def column(
        self,
        name: str,
        rows: npt.NDArray[np.int64],
    ) -> list[str | None]:
        """Return a metadata column of some cases, `None` for a case that lacks it.

        Raises `ConfigError` where every case lacks it.
        """
        values: list[str | None] = []
        for row in rows:
            text = self.metadata[row].get(name)
            values.append(None if text == _NO_VALUE else text)
        # A column that no case has is most likely misspelt.
        if values.count(None) == len(values):
            known: set[str] = set()
            for row in rows:
                known.update(self.metadata[row])
            hint = nearest(name, known) if known else "no case has any"
            raise ConfigError(
                f"run {self.run_id!r}: no case has metadata {name!r}; {hint}"
            )
        return values


@dataclass
class Matched:
    """The rows of the same cases in two runs, and the cases without a partner.

    `baseline` and `candidate` are equally long, in the baseline's order. `by_id` counts
    those that only their ids match.
    """

    baseline: npt.NDArray[np.int64]
    candidate: npt.NDArray[np.int64]
    unmatched: list[Unmatched]
    by_id: int = 0


def scored_cases(result: RunResult) -> ScoredCases:
    """Return the scored cases of a run.

    Raises `ConfigError` for a run without scores, and `StoreError` for tables that
    cannot be read.
    """
    try:
        table = result.table("cases")
        results = result.table(
            "results",
            columns=[
                "dataset_id",
                "case_id",
                "metric_id",
                "score",
                "missing",
                "error",
            ],
        )
    # A damaged or a locked file is for the user to mend, so it needs no traceback.
    except (pa.ArrowException, OSError) as error:
        raise StoreError(
            f"a table of run {result.run_id!r} in {result.location} cannot be read: "
            f"{error}"
        ) from None
    metadata = []
    for pairs in table["metadata"].to_pylist():
        # Arrow gives the pairs of a map, and null for a case without metadata.
        metadata.append(dict(pairs or []))
    cases = ScoredCases(
        run_id=result.run_id,
        dataset_ids=table["dataset_id"].to_pylist(),
        case_ids=table["case_id"].to_pylist(),
        contents=case_contents(table),
        metadata=metadata,
        is_imported=result.manifest.imported is not None,
    )
    _fill_scores(cases, results)
    if not cases.scores:
        raise ConfigError(
            f"run {result.run_id!r} has no scores to compare: "
            f"{_missing_scores_reason(result)}"
        )
    return cases


def _fill_scores(
    cases: ScoredCases,
    results: pa.Table,
) -> None:
    row_of = cases.row_numbers()
    for row in results.to_pylist():
        metric_id, score = row["metric_id"], row["score"]
        # A run without metrics still has a reduced row for each case.
        if metric_id is None:
            continue
        # A metric without a single score is compared too, and has no numbers.
        if metric_id not in cases.scores:
            cases.scores[metric_id] = np.full(len(row_of), np.nan)
        if score is None:
            # Up to 0.1.0 a run does not say what is missing: its reason tells.
            missing = row["missing"] or missing_kind(row["error"])
            score = UNANSWERED if missing == Missing.NO_ANSWER else None
        if score is not None:
            cases.scores[metric_id][row_of[row["dataset_id"], row["case_id"]]] = score


def _missing_scores_reason(result: RunResult) -> str:
    manifest = result.manifest
    if result.status is RunStatus.RUNNING:
        return "it is still under way"
    if manifest.until_stage != "reduce":
        return f"it went until {manifest.until_stage!r}"
    if manifest.error:
        return manifest.error
    # It did score, so its tables must have been removed afterwards.
    if any(record.stage.startswith("score[") for record in manifest.stages):
        return f"its tables are no longer in {result.location}"
    return "it has no metric"


def matched(
    baseline: ScoredCases,
    candidate: ScoredCases,
) -> Matched:
    """Match the cases of two runs by dataset, input and expected output.

    Equal cases of a run match in their order. Where a run is imported, what is left
    matches by dataset and id, unless the expected outputs differ. Raises `ConfigError`
    where no case has a partner.
    """
    contents = candidate.contents
    row_of = dict(zip(contents, range(len(contents)), strict=True))
    partners: dict[int, int] = {}
    for row, content in enumerate(baseline.contents):
        partner = row_of.get(content)
        if partner is not None:
            partners[row] = partner
    by_content = len(partners)
    if baseline.is_imported or candidate.is_imported:
        partners |= _partners_by_id(baseline, candidate, partners)
    baseline_rows = sorted(partners)
    candidate_rows = [partners[row] for row in baseline_rows]
    if not baseline_rows:
        raise ConfigError(
            f"runs {baseline.run_id!r} and {candidate.run_id!r} have no case in "
            f"common, of datasets {_dataset_names(baseline)} and "
            f"{_dataset_names(candidate)}; cases are the same if dataset, input and "
            "expected output are"
        )
    only_before = _case_ids_outside(baseline, set(baseline_rows))
    only_after = _case_ids_outside(candidate, set(candidate_rows))
    unmatched = []
    # A `dict` has no duplicates and keeps the order, which a set would not.
    for name in dict.fromkeys([*only_before, *only_after]):
        item = Unmatched(
            run_id=candidate.run_id,
            dataset_id=name,
            only_in_baseline=only_before.get(name, []),
            only_in_candidate=only_after.get(name, []),
        )
        unmatched.append(item)
    return Matched(
        baseline=np.array(baseline_rows, np.int64),
        candidate=np.array(candidate_rows, np.int64),
        unmatched=unmatched,
        by_id=len(partners) - by_content,
    )


def _partners_by_id(
    baseline: ScoredCases,
    candidate: ScoredCases,
    partners: Mapping[int, int],
) -> dict[int, int]:
    """Return the cases without a partner that have one by id, row by row."""
    row_of = candidate.row_numbers()
    taken = set(partners.values())
    found = {}
    for case, row in baseline.row_numbers().items():
        partner = row_of.get(case)
        if row in partners or partner is None or partner in taken:
            continue
        expected = {baseline.contents[row][2], candidate.contents[partner][2]}
        # Two that differ are of two cases, whatever their ids.
        if len(expected - {None}) < 2:
            found[row] = partner
    return found


def _case_ids_outside(
    cases: ScoredCases,
    rows: set[int],
) -> dict[str, list[str]]:
    """Return the ids of the cases whose row is not in `rows`, by dataset."""
    ids: defaultdict[str, list[str]] = defaultdict(list)
    for row, dataset_id in enumerate(cases.dataset_ids):
        if row not in rows:
            ids[dataset_id].append(cases.case_ids[row])
    return ids


def _dataset_names(cases: ScoredCases) -> str:
    return " and ".join(map(repr, dict.fromkeys(cases.dataset_ids)))


def slice_names(
    column: str,
    values: Sequence[str | None],
) -> list[str]:
    """Return the slice of each case over a metadata column, as summaries name it."""
    names = []
    for value in values:
        text = _NO_VALUE if value is None else value
        names.append(f"{column}={text}")
    return names


def cluster_numbers(values: Sequence[str | None]) -> npt.NDArray[np.int64]:
    """Return a number for each case, the same for the cases of one cluster.

    A case without a value is a cluster by itself.
    """
    numbers: dict[str | int, int] = {}
    found = []
    for row, value in enumerate(values):
        # The row, an integer, is a name that no other case can have.
        name = row if value is None else value
        found.append(numbers.setdefault(name, len(numbers)))
    return np.array(found, np.int64)
