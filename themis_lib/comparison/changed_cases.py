"""The cases that two runs both have, but not with the same data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from themis_lib.comparison.models import ChangedCase
from themis_lib.comparison.scored_cases import Content, Matched, ScoredCases
from themis_lib.explain.differences import differences
from themis_lib.identity.digests import load_json, load_json_or_null


def changed_cases(
    before: ScoredCases,
    after: ScoredCases,
    cases: Matched,
) -> Iterator[ChangedCase]:
    """Yield the changed cases of two runs.

    First the matched cases whose metadata differ, then the cases without a partner
    whose id the other run has, with other data, and without a partner too.
    """
    for row, partner in zip(
        cases.baseline.tolist(),
        cases.candidate.tolist(),
        strict=True,
    ):
        changes = differences(
            dict(before.metadata[row]),
            dict(after.metadata[partner]),
            "metadata",
        )
        if changes:
            yield _changed_case(before, after, row, partner, changes)
    old_rows, new_rows = before.row_numbers(), after.row_numbers()
    for item in cases.unmatched:
        theirs = set(item.only_in_candidate)
        for case_id in item.only_in_baseline:
            if case_id not in theirs:
                continue
            name = item.dataset_id, case_id
            row, partner = old_rows[name], new_rows[name]
            changes = differences(
                _case_data(before, row),
                _case_data(after, partner),
            )
            yield _changed_case(before, after, row, partner, changes)


def _changed_case(
    before: ScoredCases,
    after: ScoredCases,
    row: int,
    partner: int,
    changes: list[str],
) -> ChangedCase:
    return ChangedCase(
        run_id=after.run_id,
        dataset_id=before.dataset_ids[row],
        case_id=before.case_ids[row],
        candidate_case_id=after.case_ids[partner],
        changes=changes,
    )


def _case_data(
    cases: ScoredCases,
    row: int,
) -> dict[str, Any]:
    content: Content = cases.contents[row]
    _, case_input, expected, _ = content
    return {
        "input": load_json(case_input),
        "expected_output": load_json_or_null(expected),
        "metadata": dict(cases.metadata[row]),
    }
