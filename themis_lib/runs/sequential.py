"""The record of a run that stopped, or might have stopped, when it was decided."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from themis_lib.core.models import FrozenModel

#: What a question came to. `better`, `worse` and `same` are of a difference, `pass` and
#: `fail` of a gate.
Verdict = Literal["better", "worse", "same", "pass", "fail", "undecided"]
#: Why no more cases were computed for a question.
Ended = Literal["decided", "futile", "budget", "data"]

CONFIDENCE_SEQUENCE = "confidence sequence"


class SequentialLook(FrozenModel):
    """What was known after the first `n` cases in the random order.

    `low` and `high` are the ends of the confidence sequence. `e_value` is the evidence
    against the hypothesis that is tested: no difference, or a mean at the gate's limit.
    """

    n: int
    estimate: float | None
    low: float
    high: float
    e_value: float


class SequentialQuestion(FrozenModel):
    """One thing that a run was to decide, and how it was decided.

    It is about a difference from `baseline`, the id of a run, or about the mean where
    there is none. `alpha` is its share of the whole level. `null` is the mean or the
    difference that `e_value` speaks against, `lowest` and `highest` the scores that the
    metric can give. `cases` counts the cases that there are.
    """

    metric_id: str
    dataset_id: str
    gate: str | None = None
    baseline: str | None = None
    alpha: float
    null: float
    lowest: float
    highest: float
    cases: int
    verdict: Verdict = "undecided"
    ended: Ended
    looks: list[SequentialLook] = Field(default_factory=list)

    @property
    def last(self) -> SequentialLook | None:
        """The look that it ended with; `None` if there was none."""
        return self.looks[-1] if self.looks else None

    @property
    def used(self) -> int:
        """How many cases it was decided, or given up, after."""
        return self.looks[-1].n if self.looks else 0

    @property
    def boundary(self) -> float:
        """The e-value that decides, 1/α."""
        return 1 / self.alpha


class SequentialRecord(FrozenModel):
    """The rule by which a run was to stop, and what was decided.

    `order_seed` is the seed of the order of the cases. `delta` is the difference below
    which two sides count as the same, `None` where none does. `cases` counts the cases
    of each dataset that can decide, `used` those that were computed, and `total` all: a
    case that a baseline lacks decides nothing. `data` has the digest of all cases of
    each, as the record of a run on all of them has it.
    """

    alpha: float
    delta: float | None = None
    order_seed: int = 0
    test: str = "betting, uniform over all constant bets"
    cases: dict[str, int] = Field(default_factory=dict)
    used: dict[str, int] = Field(default_factory=dict)
    total: dict[str, int] = Field(default_factory=dict)
    data: dict[str, str] = Field(default_factory=dict)
    questions: list[SequentialQuestion] = Field(default_factory=list)

    @property
    def is_partial(self) -> bool:
        """Whether cases of the data have no rows in the run."""
        return self.used != self.total

    @property
    def is_out_of_budget(self) -> bool:
        """Whether a question was given up because the budget ended."""
        return any(item.ended == "budget" for item in self.questions)
