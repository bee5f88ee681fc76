"""What the answers of all arrangements say together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from themis_lib.certification.arrangements import Arrangement
from themis_lib.certification.models import (
    ArrangementCheck,
    ScoreNoise,
    TextDifference,
)
from themis_lib.certification.pairs import Pair, compared
from themis_lib.certification.readings import Reading
from themis_lib.stats.intervals import wilson_interval
from themis_lib.stats.variance import sample_moments, variance_split

#: Differences that a record keeps.
_MOST_SHOWN = 20
_SHOWN_TOKENS = 12
_SHOWN_CHARACTERS = 120


@dataclass(frozen=True)
class Answers:
    """The answers of one arrangement, in the order of the prompts.

    `None` for one that failed, for a reason in `errors`.
    """

    arrangement: Arrangement
    readings: Sequence[Reading | None]
    errors: Mapping[str, int]
    sampled_at: str

    @property
    def refusal(self) -> str:
        """What the server says in place of every text; empty if there is a text."""
        reasons = [reading.no_text for reading in self.readings if reading]
        return "; ".join(sorted(set(filter(None, reasons)))) if all(reasons) else ""


@dataclass(frozen=True)
class PromptName:
    """The names of a prompt."""

    dataset_id: str
    case_id: str


class Findings:
    """Answers in several arrangements, each compared with those it is to be equal to."""

    def __init__(
        self,
        names: Sequence[PromptName],
        answers: Sequence[Answers],
    ) -> None:
        self._names = names
        self._answers = answers
        by_name = {item.arrangement.name: item for item in answers}
        self._pairs: dict[str, list[Pair | None]] = {}
        for item in answers:
            expected = item.arrangement.compared_with
            if expected is not None:
                self._pairs[item.arrangement.name] = [
                    _pair(one, other)
                    for one, other in zip(
                        by_name[expected].readings, item.readings, strict=True
                    )
                ]

    @property
    def checks(self) -> list[ArrangementCheck]:
        """What was found of each arrangement."""
        return [self._check(item) for item in self._answers]

    def _check(self, item: Answers) -> ArrangementCheck:
        name = item.arrangement.name
        return ArrangementCheck(
            arrangement=name,
            compared_with=item.arrangement.compared_with,
            at_once=item.arrangement.at_once,
            sampled_at=item.sampled_at,
            rows=len(item.readings),
            failed=sum(reading is None for reading in item.readings),
            errors=dict(item.errors),
            **_counted([pair for pair in self._pairs.get(name, ()) if pair]),
        )

    @property
    def by_prompt(self) -> tuple[int, int]:
        """How many prompts were compared, and how many have another text somewhere."""
        count = differing = 0
        for at in range(len(self._names)):
            pairs = [of[at] for of in self._pairs.values()]
            texts = [pair.same_text for pair in pairs if pair is not None]
            count += bool(texts)
            differing += not all(texts)
        return count, differing

    @property
    def interval(self) -> tuple[float | None, float | None]:
        """The share of prompts whose text depends on how it is asked, with 95 %."""
        count, differing = self.by_prompt
        return wilson_interval(differing, count) if count else (None, None)

    @property
    def noise(self) -> ScoreNoise | None:
        """What that does to a score; `None` without two answers to one prompt."""
        # Behind the prefix, the prompts are others.
        answers = [item for item in self._answers if not item.arrangement.has_prefix]
        scores = np.full((len(self._names), len(answers)), np.nan)
        for at in range(len(self._names)):
            given = [item.readings[at] for item in answers]
            if any(reading and not reading.no_text for reading in given):
                scores[at] = _most_moved_scores(
                    [None if reading is None else reading.text for reading in given]
                )
        within = variance_split(sample_moments(scores)).within
        return None if within is None else ScoreNoise(variance=within)

    @property
    def differences(self) -> list[TextDifference]:
        """The texts that differ, of each prompt the first before the second."""
        found: list[tuple[int, TextDifference]] = []
        by_name = {item.arrangement.name: item for item in self._answers}
        of_prompt: Counter[int] = Counter()
        for name, pairs in self._pairs.items():
            item = by_name[name]
            expected = by_name[item.arrangement.compared_with or ""].readings
            for at, pair in enumerate(pairs):
                one, other = expected[at], item.readings[at]
                if pair is None or pair.same_text or one is None or other is None:
                    continue
                difference = _difference(name, self._names[at], pair, one, other)
                found.append((of_prompt[at], difference))
                of_prompt[at] += 1
        found.sort(key=lambda item: item[0])
        return [difference for _, difference in found[:_MOST_SHOWN]]


def _pair(
    expected: Reading | None,
    got: Reading | None,
) -> Pair | None:
    """Return two answers compared; `None` if one failed, or neither has a text."""
    if expected is None or got is None or (expected.no_text and got.no_text):
        return None
    return compared(expected, got)


def _counted(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return what pairs say together, as fields of an `ArrangementCheck`."""
    rated = [pair for pair in pairs if pair.is_rated]
    return {
        "compared": len(pairs),
        "texts_differ": sum(not pair.same_text for pair in pairs),
        "tokens": sum(pair.tokens for pair in pairs),
        "tokens_differ": sum(pair.tokens_differ for pair in pairs),
        "first_token": _median(pair.first for pair in pairs),
        "gap": _median(pair.gap for pair in pairs),
        "rated": len(rated),
        "logprobs_differ": sum(not pair.same_logprobs for pair in rated),
        "largest_shift": max(
            (max(pair.shifts, default=0.0) for pair in rated), default=None
        ),
    }


def _median(values: Iterable[float | None]) -> float | None:
    """Return the median of those that are known; `None` of nothing."""
    known = [value for value in values if value is not None]
    return float(median(known)) if known else None


def _difference(
    arrangement: str,
    name: PromptName,
    pair: Pair,
    expected: Reading,
    got: Reading,
) -> TextDifference:
    first = pair.first or 0

    def joined(reading: Reading, start: int, stop: int) -> str:
        tokens = reading.tokens[max(start, 0) : stop]
        return "".join(token.text for token in tokens)[:_SHOWN_CHARACTERS]

    return TextDifference(
        arrangement=arrangement,
        dataset_id=name.dataset_id,
        case_id=name.case_id,
        token=first,
        before=joined(expected, first - _SHOWN_TOKENS, first),
        expected=joined(expected, first, first + _SHOWN_TOKENS),
        got=joined(got, first, first + _SHOWN_TOKENS),
        gap=pair.gap,
    )


def _most_moved_scores(texts: Sequence[str | None]) -> list[float]:
    """Return the scores of 0 and 1 that differ most among some texts.

    Equal texts have one score. NaN where there is no text.

    >>> _most_moved_scores(["a", "b", "a", None])
    [0.0, 1.0, 0.0, nan]
    """
    counts = Counter(text for text in texts if text is not None)
    total = sum(counts.values())
    # The texts to score 1, by how many answers they are together: nearest to half.
    reached: dict[int, frozenset[str]] = {0: frozenset()}
    for item, count in sorted(counts.items()):
        for size, chosen in list(reached.items()):
            reached.setdefault(size + count, chosen | {item})
    best = min(reached, key=lambda size: (abs(2 * size - total), size))
    scores = []
    for text in texts:
        scores.append(float("nan") if text is None else float(text in reached[best]))
    return scores
