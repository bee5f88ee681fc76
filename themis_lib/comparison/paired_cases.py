"""The cases of two runs in pairs, also those whose content changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from themis_lib.comparison.scored_cases import ScoredCases
from themis_lib.core.metadata import metadata_value
from themis_lib.core.models import Case
from themis_lib.errors import ConfigError
from themis_lib.identity.digests import load_json, load_json_or_null
from themis_lib.runs.results import RunResult


@dataclass(frozen=True)
class SideCases:
    """The cases of a run to evaluate, by dataset and in its order.

    They are the paired ones, and those that ask what a paired one asks: where these are
    independent draws, their order tells them apart. `places` has the place of each
    pair's case among all of them, and `earlier` how many before it ask the same.
    """

    cases: Mapping[str, Sequence[Case]]
    places: npt.NDArray[np.int64]
    earlier: list[int]

    def paired(self) -> list[Case]:
        """Return the case of each pair."""
        every = [case for cases in self.cases.values() for case in cases]
        return [every[place] for place in self.places.tolist()]


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

    def baseline_cases(self, run: RunResult) -> SideCases:
        """Return the cases of the baseline, which is `run`."""
        return _side_cases(run, self.before, self.baseline)

    def candidate_cases(self, run: RunResult) -> SideCases:
        """Return the cases of the candidate, which is `run`."""
        return _side_cases(run, self.after, self.candidate)


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


def _side_cases(
    run: RunResult,
    scored: ScoredCases,
    paired: Sequence[int],
) -> SideCases:
    asked = [content[:2] for content in scored.contents]
    wanted = {asked[row] for row in paired}
    rows = [row for row, question in enumerate(asked) if question in wanted]
    # An experiment has its data dataset by dataset, and each in its order.
    order = {name: at for at, name in enumerate(dict.fromkeys(scored.dataset_ids))}
    rows.sort(key=lambda row: (order[scored.dataset_ids[row]], row))
    counts: Counter[tuple[str, str]] = Counter()
    earlier = {}
    for row in rows:
        earlier[row] = counts[asked[row]]
        counts[asked[row]] += 1
    cases: defaultdict[str, list[Case]] = defaultdict(list)
    for item in run.table("cases").take(rows).to_pylist():
        cases[item["dataset_id"]].append(_case_of(item))
    place_of = {row: place for place, row in enumerate(rows)}
    return SideCases(
        cases=dict(cases),
        places=np.array([place_of[row] for row in paired], np.int64),
        earlier=[earlier[row] for row in paired],
    )


def _case_of(row: Mapping[str, Any]) -> Case:
    metadata = {}
    for name, text in row["metadata"] or []:
        metadata[name] = metadata_value(text)
    return Case(
        case_id=row["case_id"],
        input=load_json(row["input"]),
        expected_output=load_json_or_null(row["expected_output"]),
        metadata=metadata,
    )
