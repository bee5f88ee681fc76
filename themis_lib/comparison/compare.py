"""The comparison of runs with a baseline.

Matched cases, paired differences, exact tests, and what data like these can show.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from themis_lib.comparison.changed_cases import changed_cases
from themis_lib.comparison.conclusions import with_conclusions
from themis_lib.comparison.corrected_pair import CorrectedPair
from themis_lib.comparison.missing_scores import Guess
from themis_lib.comparison.models import (
    ChangedCase,
    Comparison,
    Difference,
    Flip,
)
from themis_lib.comparison.run_pair import RunPair
from themis_lib.comparison.sequential_differences import (
    stopped_notes,
    with_sequences,
)
from themis_lib.comparison.sides import (
    identity_differences,
    run_side,
)
from themis_lib.errors import ConfigError
from themis_lib.runs.results import RunResult
from themis_lib.runs.summary import ALL_CASES
from themis_lib.stats.prediction_powered import FEWEST_LABELS


def compare(
    baseline: RunResult,
    *candidates: RunResult,
    cluster_by: str | None = None,
    slices: Sequence[str] = (),
    delta: float | None = None,
    seed: int = 0,
    corrected: bool = False,
) -> Comparison:
    """Compare each candidate with the baseline, on the cases and metrics both have.

    `cluster_by` and `slices` name metadata columns, read from the candidate. Cases of
    one cluster count as dependent; a case without a value is a cluster by itself.
    `cluster_by` defaults to that of the candidates' statistics, which also say what
    cases without a score count as. Each value of a slice gets its own difference.
    `delta` is the difference that matters: an interval within ± `delta` is called the
    same, and the power is stated for it instead of for the observed difference. `seed`
    is for sign flips drawn at random. With `corrected`, labels of people correct both
    means first, of the metrics that have labels in both runs; see `corrected_scores`.

    Raises `ConfigError` for runs without scores, cases or metrics in common, a column
    that no case has, or `corrected` means without labels.
    """
    _check_arguments(baseline, candidates, delta)
    cluster_by = cluster_by or _common_cluster_column(candidates)
    pairs: list[RunPair] = []
    pair_of = CorrectedPair if corrected else RunPair
    for candidate in candidates:
        pair = pair_of(
            baseline,
            candidate,
            cluster_by=cluster_by,
            slices=slices,
        )
        pairs.append(pair)
    # Of all pairs at once: Holm's adjustment is over the whole comparison.
    differences = concluded_differences(
        pairs,
        delta=delta,
        seed=seed,
    )
    flips: list[Flip] = []
    unmatched = []
    changed: list[ChangedCase] = []
    for pair in pairs:
        flips += pair.flips()
        unmatched += pair.cases.unmatched
        changed += changed_cases(pair.before, pair.after, pair.cases)
    # Also runs of other experiments compare; the settings say what they differ in.
    identity = {}
    for run in candidates:
        identity[run.run_id] = identity_differences(baseline.manifest, run.manifest)
    return Comparison(
        runs=[run_side(run) for run in (baseline, *candidates)],
        differences=differences,
        flips=flips,
        unmatched=unmatched,
        identity=identity,
        changed=changed,
        cluster_by=cluster_by,
        slices=list(slices),
        matched_by_id=sum(pair.cases.by_id for pair in pairs),
        notes=[
            *stopped_notes(pairs, differences),
            *_label_notes(differences),
            *(note for pair in pairs for note in pair.notes),
        ],
    )


def concluded_differences(
    pairs: Sequence[RunPair],
    *,
    delta: float | None = None,
    seed: int = 0,
) -> list[Difference]:
    """Return the differences of pairs of runs, with Holm's p over all of them."""
    guesses: list[Guess] = ["left out"]
    if any(pair.is_undecided for pair in pairs):
        guesses += ["least", "greatest"]
    differences, *others = [
        _differences(
            pairs,
            guess,
            delta=delta,
            seed=seed,
        )
        for guess in guesses
    ]
    return with_sequences(pairs, with_conclusions(differences, delta, others))


def _differences(
    pairs: Sequence[RunPair],
    guess: Guess,
    *,
    delta: float | None,
    seed: int,
) -> list[Difference]:
    found: list[Difference] = []
    for pair in pairs:
        found += pair.differences(
            delta=delta,
            seed=seed,
            guess=guess,
        )
    return found


def _label_notes(differences: Sequence[Difference]) -> list[str]:
    """Return how many labels corrected means have, and where these are too few."""
    notes = []
    for item in differences:
        if item.labels is None or item.slice != ALL_CASES:
            continue
        note = (
            f"{item.dataset_id} {item.metric_id}: means corrected by "
            f"{item.baseline_labels:,} and {item.candidate_labels:,} labels; flips and "
            "counts are of raw scores"
        )
        if item.labels < FEWEST_LABELS:
            note += f"; fewer than {FEWEST_LABELS} labels are too few to conclude"
        notes.append(note)
    return notes


def _check_arguments(
    baseline: RunResult,
    candidates: Sequence[RunResult],
    delta: float | None,
) -> None:
    if not candidates:
        raise ConfigError(
            f"run {baseline.run_id!r} alone: name at least one more run to compare it "
            "with"
        )
    # A run against itself shows no difference, which would look like a result.
    run_ids = [baseline.run_id]
    for candidate in candidates:
        if candidate.run_id in run_ids:
            raise ConfigError(
                f"run {candidate.run_id!r} is named twice; compare different runs"
            )
        run_ids.append(candidate.run_id)
    # NaN fails this test too.
    if delta is not None and not 0 < delta < math.inf:
        raise ConfigError(f"delta {delta!r}: give a difference above 0")


def _common_cluster_column(candidates: Sequence[RunResult]) -> str | None:
    columns: set[str] = set()
    for run in candidates:
        column = run.manifest.statistics.cluster_by
        if column:
            columns.add(column)
    # All differences of a comparison count dependence by the same column.
    if len(columns) > 1:
        names = " and ".join(map(repr, sorted(columns)))
        raise ConfigError(
            f"the runs have other clusters, by {names}; say by which to compare"
        )
    return columns.pop() if columns else None
