"""What `python -m flows.run` shows of a matrix: its plan, its prompts, its result."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from flows import exit_codes
from flows.cells import CellEnd
from flows.display import gates_text
from flows.terminal import FittingTable, as_text, assemble, filled_table
from themis_lib.comparison.matrix import CellScore, MatrixComparison
from themis_lib.comparison.sequential_text import sequential_lines
from themis_lib.explain.plan import StagePlan
from themis_lib.report.comparison_markdown import p_text
from themis_lib.report.figures import fixed
from themis_lib.report.markdown import dollars
from themis_lib.runs.results import RunResult
from themis_lib.runs.sequential import CONFIDENCE_SEQUENCE

_HEADINGS = (
    "cell",
    "n",
    "mean",
    "95 % interval",
    "difference",
    "95 % interval",
    "Holm's p",
    "conclusion",
)
_PLAN_HEADINGS = ("cell", "calls", "cached", "shared", "other rows", "price")
_EMPTY = "—"


@dataclass(frozen=True)
class MatrixScreen:
    """A matrix that ended: its comparison, and how each cell did."""

    comparison: MatrixComparison
    ends: Mapping[str, CellEnd]
    console: Console

    def show(
        self,
        *,
        seconds: float,
        places: Mapping[str, str | None],
    ) -> None:
        """Print the scores of all cells, what went wrong, and `places` to look at."""
        matrix = self.comparison.result.matrix
        good = sum(end.code == exit_codes.COMPLETED for end in self.ends.values())
        counts = f"  {good} of {len(self.ends)} cells completed in {seconds:.1f} s"
        self.console.print(assemble((matrix.name, "bold"), counts))
        for place in self.comparison.places:
            self.console.print(
                assemble((place.metric_id, "bold"), f"  on {place.data}")
            )
            self.console.print(scores_table(self.comparison.at(place)))
        for line in self._lines():
            self.console.print(as_text(line), soft_wrap=True)
        self._print_decisions()
        self._print_gates()
        for name, text in places.items():
            if text:
                # Not wrapped: addresses and commands are copied from here.
                self.console.print(as_text(f"{name:<8}{text}"), soft_wrap=True)

    def _lines(self) -> Iterator[str]:
        comparison = self.comparison
        tested = [score for score in comparison.scores if score.difference is not None]
        if tested:
            matrix = comparison.result.matrix
            baseline = matrix.baseline.name
            if any(axis.changes_data for axis in matrix.axes):
                baseline += ", or its like on the same data"
            line = f"differences from {baseline}, paired by case"
            # Cells in step have the conclusions of their own tests, as a note says.
            if not all(is_in_step(score) for score in tested):
                count = f"{len(tested):,} difference(s)"
                line += f"; conclusions by Holm's p over {count}"
            yield line
        yield from (f"not compared: {note}" for note in comparison.notes)
        yield from comparison.stopped_notes
        for name, end in self.ends.items():
            if end.code:
                reason = end.error or exit_codes.MEANINGS[end.code]
                yield f"cell {name}: exit code {end.code}: {reason}"

    def _print_decisions(self) -> None:
        for name, run in self.comparison.result.runs.items():
            for line in sequential_lines(run.manifest):
                self.console.print(as_text(f"{name}: {line}"), soft_wrap=True)

    def _print_gates(self) -> None:
        for name, run in self.comparison.result.runs.items():
            if run.manifest.gates:
                self.console.print(assemble((name, "bold")))
                self.console.print(gates_text(run.manifest.gates), soft_wrap=True)


def is_in_step(score: CellScore) -> bool:
    """Return whether a cell was decided against the baseline while both ran."""
    item = score.difference
    return item is not None and item.interval_method == CONFIDENCE_SEQUENCE


def scores_table(scores: Sequence[CellScore]) -> Table:
    """Return the scores of cells in one place, each against its baseline."""
    rows = map(_score_cells, scores)
    return filled_table(_HEADINGS, rows, left=("cell", "conclusion"))


def _score_cells(score: CellScore) -> list[str]:
    row = score.row
    cells = [
        score.cell.name,
        f"{row.n:,}",
        fixed(row.mean),
        _interval(row.low, row.high),
    ]
    item = score.difference
    if item is None:
        conclusion = "baseline" if score.is_baseline else "not compared"
        return [*cells, _EMPTY, _EMPTY, _EMPTY, conclusion]
    difference = _EMPTY if item.difference is None else f"{item.difference:+.4f}"
    return [
        *cells,
        difference,
        _interval(item.low, item.high),
        p_text(item.p_adjusted),
        item.conclusion,
    ]


def _interval(
    low: float | None,
    high: float | None,
) -> str:
    if low is None or high is None:
        return _EMPTY
    # "to", since a dash before a negative number reads as a second minus.
    return f"{low:.4f} to {high:.4f}"


def cost_text(runs: Iterable[RunResult]) -> str | None:
    """Return what all cells paid; `None` where no price is known."""
    known = [run.manifest.cost_paid for run in runs]
    paid = [cost for cost in known if cost is not None]
    return f"{dollars(sum(paid))} paid by all cells" if paid else None


def print_matrix_plan(
    plans: Mapping[str, Sequence[StagePlan]],
    console: Console,
) -> None:
    """Print what each cell would compute, and all of them; shared rows count once."""
    table = FittingTable()
    for heading in _PLAN_HEADINGS:
        table.add_column(heading, justify="left" if heading == "cell" else "right")
    rows = {name: _PlanRow.of(stages) for name, stages in plans.items()}
    for name, row in rows.items():
        table.add_row(as_text(name), *map(as_text, row.cells()))
    total = _PlanRow.of([stage for stages in plans.values() for stage in stages])
    table.add_section()
    table.add_row(as_text("all cells", style="bold"), *map(as_text, total.cells()))
    console.print(table)
    if any(row.shared for row in rows.values()):
        line = "shared: calls that a cell above makes; no cell pays for them again"
        console.print(as_text(line), soft_wrap=True)
    if not total.calls + total.others:
        console.print("every row is in the store; a run computes nothing")


@dataclass(frozen=True)
class _PlanRow:
    """What a cell would compute: calls of models and judges, and rows of other stages.

    `price` is in dollars; `None` where nothing tells.
    """

    calls: int
    cached: int
    shared: int
    others: int
    price: float | None
    lacks_price: bool

    @classmethod
    def of(cls, stages: Sequence[StagePlan]) -> _PlanRow:
        calls = [item for item in stages if _is_call(item)]
        others = [item for item in stages if not _is_call(item)]
        costs = [item.cost for item in stages if item.cost is not None]
        return cls(
            calls=sum(item.missing + item.unknown for item in calls),
            cached=sum(item.cached for item in calls),
            shared=sum(item.shared for item in calls),
            others=sum(item.missing + item.unknown for item in others),
            price=sum(costs) if costs else None,
            lacks_price=any(map(_lacks_price, stages)),
        )

    def cells(self) -> list[str]:
        counts = (self.calls, self.cached, self.shared, self.others)
        price = _EMPTY if self.price is None else dollars(self.price)
        if self.lacks_price:
            price = "not known" if self.price is None else f"{price} and more"
        return [*(f"{count:,}" for count in counts), price]


def _is_call(item: StagePlan) -> bool:
    return item.stage.partition("[")[0] in ("generate", "judge")


def _lacks_price(item: StagePlan) -> bool:
    """Return whether calls of a model would cost nobody knows how much."""
    is_wanted = item.missing + item.unknown > 0
    return is_wanted and item.calls_model and item.is_paid and item.cost is None
