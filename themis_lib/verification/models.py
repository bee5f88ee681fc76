"""The data of a verification: what was looked at, what differs, and what that proves."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from themis_lib.core.models import FrozenModel

#: The column of a difference where not a value differs, but what the row was made from.
KEY_COLUMN = "key"
#: What is verified beside the stages: the cases, which nothing computes.
CASES_LABEL = "cases"
#: Where a row is kept: in the store, for every run, and in the run's own table. A run
#: without such tables has the digests of its files on record instead.
Place = Literal["store", "run"]


class CellDifference(FrozenModel):
    """A cell that is not the same everywhere, as texts from three places.

    `stored` is in the store's rows, in `file`, `recorded` in the run's own table, or
    proven to be what the run had by the digest of its file, and `computed` is what the
    stage made of the same row now. `None` where a place has no such row, where nobody
    knows, or where nothing was computed. `differs_in` names the places that differ
    from what was computed; without any, the two copies differ, and nothing else tells
    which is right. For the column `key`, what the row reads is not what it read when it
    was stored; `file` is then one that was changed, where the run's record tells.
    """

    stage: str
    dataset_id: str
    case_id: str
    sample_index: int | None = None
    metric_id: str | None = None
    column: str
    stored: str | None = None
    recorded: str | None = None
    computed: str | None = None
    differs_in: list[Place] = Field(default_factory=list)
    file: str | None = None

    @property
    def row(self) -> str:
        """The row's name for people: `sums/case-1, sample 0`."""
        name = f"{self.dataset_id}/{self.case_id}"
        if self.sample_index is not None:
            return f"{name}, sample {self.sample_index}"
        return name if self.metric_id is None else f"{name}, {self.metric_id}"


class StageCheck(FrozenModel):
    """The rows of one stage that were looked at again.

    `rows` are those that could be, `sampled` those that were, and `differing` those of
    them that differ; with `confidence`, at most `most_differing` of `rows` do. If not
    `is_computed`, only their keys and their copies were compared. `failed_now`
    could not be computed, which may pass. `changed_files` do not hold what they held in
    the run, by the digests in its record: all files are looked at. `lost` rows are no
    longer in the store, so that only the run's table has them. `differences` are the
    first of them.
    """

    stage: str
    rows: int
    sampled: int
    differing: int = 0
    most_differing: int
    confidence: float
    is_computed: bool = True
    changed_files: list[str] = Field(default_factory=list)
    failed_now: int = 0
    lost: int = 0
    differences: list[CellDifference] = Field(default_factory=list)
    causes: list[str] = Field(default_factory=list)


class EqualityTest(FrozenModel):
    """A two-sample test of stored rows of a model against newly drawn ones.

    `compares` is `texts` or `first token`. `effect` is the mean discrepancy, 0 on
    average if nothing has changed. `p_holm` is adjusted for all tests of the
    verification.
    """

    compares: str
    cases: int
    effect: float
    p_value: float
    p_holm: float


class ChangedCase(FrozenModel):
    """A case whose stored and new texts are among those that differ most."""

    dataset_id: str
    case_id: str
    discrepancy: float
    stored: list[str]
    drawn: list[str]


class ModelCheck(FrozenModel):
    """Whether the model behind a stage still writes what it wrote.

    `calls` were made on `cases`, of which `failed` came to nothing. `equal` of the
    `drawn` texts are equal to a stored one of their case. `is_greedy` at temperature 0.
    `reason` says why there is no test.
    """

    stage: str
    model: str | None
    cases: int = 0
    calls: int = 0
    failed: int = 0
    drawn: int = 0
    equal: int = 0
    is_greedy: bool = False
    tests: list[EqualityTest] = Field(default_factory=list)
    alpha: float
    most_changed: list[ChangedCase] = Field(default_factory=list)
    reason: str | None = None

    @property
    def has_changed(self) -> bool:
        """Whether a test says that the model behind this name has changed."""
        return any(test.p_holm < self.alpha for test in self.tests)

    @property
    def is_unanswered(self) -> bool:
        """Whether calls were made and none came to anything, so that nothing is known."""
        return self.calls > 0 and self.drawn == 0


class Verification(FrozenModel):
    """What a verification of a run found.

    `sample` is how many rows of each stage it was to look at, `None` for all.
    `environment` has a line for each thing that is not what it was when the run ended,
    and `data` one for each dataset whose file holds other cases by now.
    """

    run_id: str
    name: str
    verified_at: str
    seed: int
    sample: int | None
    stages: list[StageCheck]
    models: list[ModelCheck] = Field(default_factory=list)
    environment: list[str] = Field(default_factory=list)
    data: list[str] = Field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether nothing was found that differs."""
        if any(check.differing or check.changed_files for check in self.stages):
            return False
        return not any(check.has_changed for check in self.models)

    @property
    def cannot_tell(self) -> bool:
        """Whether nothing differs, but a model was asked and never answered."""
        return self.holds and any(check.is_unanswered for check in self.models)

    @property
    def verdict(self) -> str:
        """What was found, in one sentence."""
        differing = sum(check.differing for check in self.stages)
        changed = [check.stage for check in self.models if check.has_changed]
        files = sum(len(check.changed_files) for check in self.stages)
        found = []
        if differing:
            found.append(f"{differing:,} row(s) differ")
        if files:
            found.append(f"{files:,} file(s) changed since the run")
        if changed:
            found.append(f"the model behind {', '.join(changed)} has changed")
        unanswered = [check.stage for check in self.models if check.is_unanswered]
        if unanswered:
            found.append(f"no call of {', '.join(unanswered)} came to anything")
        return "; ".join(found) or "nothing that was looked at differs"
