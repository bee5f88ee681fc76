"""What is to be known of a certification beside its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from themis_lib.certification.readings import Reading, Token

#: Reasons for an answer without a text that are told.
_SHOWN_REASONS = 3
_REASON_CHARACTERS = 300


def notes_of(
    answers: Sequence[Reading],
    *,
    temperature: float | None,
    refuses_logprobs: bool,
) -> list[str]:
    """Return a sentence for each thing that bears on what the numbers mean."""
    tokens = [token for item in answers if item.is_rated for token in item.tokens]
    notes = [*_notes_without_text(answers), *_sampling_notes(tokens, temperature)]
    if not all(item.has_seed for item in answers):
        notes.append("the server takes no seed: requests were sent without")
    if refuses_logprobs:
        notes.append("the server refuses to give log-probabilities: texts alone tell")
    elif answers and not tokens:
        notes.append("no log-probabilities came back: texts alone tell")
    builds = sorted({item.served_by for item in answers if item.served_by})
    if len(builds) > 1:
        notes.append(
            f"{len(builds)} builds of the server answered ({', '.join(builds[:5])}), by "
            "`system_fingerprint`"
        )
    return notes


def _notes_without_text(answers: Sequence[Reading]) -> list[str]:
    """Return how many answers have no text, and why."""
    reasons = Counter(
        " ".join(item.no_text.split())[:_REASON_CHARACTERS]
        for item in answers
        if item.no_text
    )
    if not reasons:
        return []
    told = [f"{count:,} × {why}" for why, count in reasons.most_common(_SHOWN_REASONS)]
    return [
        f"{reasons.total():,} of {len(answers):,} answers have no text, and say nothing of "
        f"each other: {'; '.join(told)}"
    ]


def _sampling_notes(
    tokens: Sequence[Token],
    temperature: float | None,
) -> list[str]:
    """Return what there is to say where tokens are not always the likeliest ones."""
    if temperature:
        return [
            f"temperature {temperature:g}: the model draws, so that equal answers need a "
            "seed that the server keeps to"
        ]
    drawn = sum(not token.is_likeliest for token in tokens)
    if not drawn:
        return []
    if temperature is None:
        why = "no temperature was asked for, so that the model may draw; temperature=0 asks"
    else:
        why = "the server draws, or penalizes tokens, although temperature 0 was asked for"
    return [f"{drawn:,} of {len(tokens):,} tokens are not the likeliest ones: {why}"]
