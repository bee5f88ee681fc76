"""How outputs end other than by themselves: cut, filtered or refused."""

from __future__ import annotations

from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc


class Ending(StrEnum):
    """Why an output is not what the model would have written to its end."""

    CUT = "cut"
    FILTERED = "filtered"
    REFUSED = "refused"


#: Finish reasons as OpenAI, Anthropic, Google, Zhipu and local servers write them, in
#: small letters.
_FINISH_REASONS = {
    "length": Ending.CUT,
    "max_tokens": Ending.CUT,
    "max_output_tokens": Ending.CUT,
    "max_length": Ending.CUT,
    "model_length": Ending.CUT,
    "model_context_window_exceeded": Ending.CUT,
    "content_filter": Ending.FILTERED,
    "content_filtered": Ending.FILTERED,
    "sensitive": Ending.FILTERED,
    "guardrail_intervened": Ending.FILTERED,
    "safety": Ending.FILTERED,
    "recitation": Ending.FILTERED,
    "blocklist": Ending.FILTERED,
    "prohibited_content": Ending.FILTERED,
    "spii": Ending.FILTERED,
    "refusal": Ending.REFUSED,
}
#: Adapters write so of an answer that the provider marks as a refusal.
_REFUSED = "the model refused"


def ending_of(finish_reason: str | None) -> Ending | None:
    """Return how an output ended; `None` where the model ended it, or nobody says.

    >>> ending_of("length").value, ending_of("MAX_TOKENS").value, ending_of("stop")
    ('cut', 'cut', None)
    """
    return _FINISH_REASONS.get((finish_reason or "").lower())


def count_endings(outputs: pa.Table) -> dict[Ending, int]:
    """Return how many rows of an outputs table ended so, for endings that occur."""
    counts: dict[Ending, int] = {}
    is_refusal = pc.fill_null(pc.starts_with(outputs["error"], _REFUSED), False)
    refused = pc.sum(is_refusal).as_py() or 0
    if refused:
        counts[Ending.REFUSED] = refused
    others = outputs["finish_reason"].filter(pc.invert(is_refusal))
    for item in pc.value_counts(others).to_pylist():
        ending = ending_of(item["values"])
        if ending is not None:
            counts[ending] = counts.get(ending, 0) + item["counts"]
    return {ending: counts[ending] for ending in Ending if ending in counts}
