"""What is to be known of a certification beside its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from themis_lib.certification.readings import Reading, Token


def notes_of(
    answers: Sequence[Reading],
    *,
    temperature: float | None,
    refuses_logprobs: bool,
) -> list[str]:
    """Return a sentence for each thing that bears on what the numbers mean."""
    tokens = [token for item in answers if item.is_rated for token in item.tokens]
    notes = _sampling_notes(tokens, temperature)
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
    return [
        f"{drawn:,} of {len(tokens):,} tokens are not the likeliest ones, although "
        "temperature 0 was asked for: the server draws, or penalizes tokens"
    ]
