"""The cases of two runs in pairs, also those whose content changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from themis_lib.comparison.scored_cases import ScoredCases
from themis_lib.core.metadata import metadata_value
from themis_lib.core.models import Case
from themis_lib.errors import ConfigError
from themis_lib.identity.digests import load_json, load_json_or_null
from themis_lib.runs.results import RunResult


@dataclass(frozen=True)
class CasePairs:
    """The rows of the paired cases in two runs, dataset by dataset.

    `unpaired` counts the cases that only one run has.
    """

    before: ScoredCases
    after: ScoredCases
    baseline: list[int]
    candidate: list[int]
    unpaired: int

    def datasets(self) -> dict[str, npt.NDArray[np.int64]]:
        """Return the places of the pairs of each dataset."""
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place, row in enumerate(self.candidate):
            places[self.after.dataset_ids[row]].append(place)
        return {name: np.array(each, np.int64) for name, each in places.items()}

    def case_id(self, place: int) -> str:
        """Return the candidate's id of the case of a pair."""
        return self.after.case_ids[self.candidate[place]]

    def column(
        self,
        name: str,
        places: npt.NDArray[np.int64],
    ) -> list[str | None]:
        """Return a metadata column of the candidate. Raise `ConfigError` without it."""
        rows = np.array(self.candidate, np.int64)[places]
        return self.after.column(name, rows)

    def cases_of(
        self,
        run: RunResult,
        rows: Sequence[int],
    ) -> dict[str, list[Case]]:
        """Return some cases of a run by dataset, in the order of the rows."""
        table = run.table("cases").take(rows)
        cases: defaultdict[str, list[Case]] = defaultdict(list)
        for row in table.to_pylist():
            metadata = {}
            for name, text in row["metadata"] or []:
                metadata[name] = metadata_value(text)
            case = Case(
                case_id=row["case_id"],
                input=load_json(row["input"]),
                expected_output=load_json_or_null(row["expected_output"]),
                metadata=metadata,
            )
            cases[row["dataset_id"]].append(case)
        return dict(cases)


def paired_cases(
    before: ScoredCases,
    after: ScoredCases,
) -> CasePairs:
    """Pair the cases of two runs: by content, and what is left by dataset and id.

    Raise `ConfigError` where no case has a partner.
    """
    row_of = {content: row for row, content in enumerate(after.contents)}
    partners: dict[int, int] = {}
    for row, content in enumerate(before.contents):
        if content in row_of:
            partners[row] = row_of[content]
    taken = set(partners.values())
    row_of_id = after.row_numbers()
    for case, row in before.row_numbers().items():
        partner = row_of_id.get(case)
        if row not in partners and partner is not None and partner not in taken:
            partners[row] = partner
    if not partners:
        raise ConfigError(
            f"runs {before.run_id!r} and {after.run_id!r} have no case in common, "
            "neither by content nor by id"
        )
    # By dataset, as an experiment has them: tables are in the order of the data.
    order = {name: at for at, name in enumerate(dict.fromkeys(before.dataset_ids))}
    baseline = sorted(partners, key=lambda row: (order[before.dataset_ids[row]], row))
    cases = len(before.case_ids) + len(after.case_ids)
    return CasePairs(
        before=before,
        after=after,
        baseline=baseline,
        candidate=[partners[row] for row in baseline],
        unpaired=cases - 2 * len(partners),
    )
