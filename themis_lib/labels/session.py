"""One person's way through the items of a run, in drawn order, each label kept at once."""

from __future__ import annotations

import getpass
from dataclasses import dataclass, field, replace
from typing import TypedDict

from themis_lib.errors import ConfigError
from themis_lib.labels.draws import Draw, DrawMethod, draw_items
from themis_lib.labels.items import RunItems, items_of
from themis_lib.labels.shown_items import ShownItem, show
from themis_lib.labels.stored_labels import (
    Label,
    LabelStore,
    check_labeller,
    label_time,
)
from themis_lib.runs.results import RunResult
from themis_lib.storage.tables import KEY

#: How many items are labelled unless somebody says otherwise.
DEFAULT_COUNT = 100


def default_labeller() -> str:
    """Return the name of the user of this machine, `anonymous` where it has none."""
    try:
        return getpass.getuser()
    # No entry for the user, as in some containers.
    except (OSError, KeyError):
        return "anonymous"


class _Drawn(TypedDict):
    draw: str
    method: DrawMethod
    seed: int


@dataclass
class LabelSession:
    """What one person labels: the first `count` items of a draw.

    `given` are the labels of this session in their order. Make one with `of`.
    """

    items: RunItems
    draw: Draw
    labels: LabelStore
    labeller: str
    count: int
    given: list[Label] = field(default_factory=list)
    _queue: list[str] = field(default_factory=list)
    _done: dict[str, float | None] = field(default_factory=dict)
    _last: Label | None = None

    @classmethod
    def of(
        cls,
        run: RunResult,
        metric_id: str | None = None,
        *,
        labeller: str | None = None,
        method: DrawMethod | None = None,
        seed: int | None = None,
        count: int = DEFAULT_COUNT,
    ) -> LabelSession:
        """Return a session over the items of a metric of a run.

        `metric_id` may be `None` where only one could be meant, `labeller` defaults to
        the user of this machine. `count` is how many items, from the first of the draw,
        are labelled in all, earlier sessions included. Without `method` or `seed`, an
        earlier session of this labeller goes on; the first is `uniform` with seed 0. What
        this labeller said of the same content in another run is not asked again.

        Raise `ConfigError` for a metric that the run has not, an empty name, a count
        below 1, an unknown method, a seed below 0 or above `MOST_SEED`, or a run without
        any scored answer. Raise `StoreError` as `give` does.
        """
        if count < 1:
            raise ConfigError(f"count {count!r}: label one item or more")
        name = check_labeller(default_labeller() if labeller is None else labeller)
        items = items_of(run, metric_id)
        if not items.contents:
            raise ConfigError(
                f"run {run.run_id!r} has no score of {items.question.metric_id!r}: "
                "there is nothing to label"
            )
        labels = LabelStore(run.store)
        earlier, drawn = _earlier(labels, items, name)
        method = method or (drawn[0] if drawn else "uniform")
        if seed is None:
            seed = drawn[1] if drawn and drawn[0] == method else 0
        session = cls(
            items=items,
            draw=draw_items(items, method=method, seed=seed),
            labels=labels,
            labeller=name,
            count=min(count, len(items.contents)),
        )
        session._begin(earlier)
        return session

    def _begin(self, earlier: dict[str, Label]) -> None:
        """Queue what this labeller has not labelled: new items first, then skipped."""
        wanted = self.draw.items[: self.count]
        self._done = {item: earlier[item].value for item in wanted if item in earlier}
        self._queue = [item for item in wanted if item not in earlier]
        self._queue += [item for item in wanted if self._done.get(item, 0.0) is None]
        self._last = earlier.get(wanted[-1])
        self._mark_end()

    def _mark_end(self) -> None:
        """Keep the label of the last item again if it was given in another draw.

        How far an order was gone through shows in the labels of its draw, and those of
        another run, with other items, are none.
        """
        last = self._last
        if self._queue or last is None or last.draw == self.draw.name:
            return
        if last.value is not None:
            self.draw.keep(self.labels)
            self.labels.write(
                [replace(last, labelled_at=label_time(), **self._drawn())]
            )
        self._last = None

    @property
    def current(self) -> ShownItem | None:
        """The item before the person; `None` when all are labelled or skipped."""
        return show(self.items, self._queue[0]) if self._queue else None

    @property
    def waiting(self) -> tuple[str, ...]:
        """The items that are still to be labelled, in their order."""
        return tuple(self._queue)

    @property
    def labelled(self) -> int:
        """How many of the `count` items this labeller has labelled."""
        return sum(value is not None for value in self._done.values())

    @property
    def skipped(self) -> int:
        """How many of them this labeller has skipped."""
        return len(self._done) - self.labelled

    def give(
        self,
        choice: str,
        note: str | None = None,
    ) -> Label:
        """Label the current item, keep the label, and go to the next item.

        `choice` is a name among the item's choices, or a number where it has none. Raise
        `ConfigError` for anything else, and `StoreError` if the label cannot be written:
        then the item stays.
        """
        shown = self._shown()
        named = shown.choice_named(choice)
        value = self.items.question.value_of(named)
        # A number is the value itself.
        has_choices = self.items.question.choices is not None
        return self._keep(shown.item, value, named if has_choices else None, note)

    def skip(self, note: str | None = None) -> Label:
        """Keep that the current item was skipped, and go to the next.

        A later session asks for it again. Raise `StoreError` as `give` does.
        """
        return self._keep(self._shown().item, None, None, note)

    def back(self) -> bool:
        """Withdraw the last label of this session, and ask for its item again.

        Both remain stored. Return whether there was one. Raise `StoreError` as `give`
        does.
        """
        if not self.given:
            return False
        last = self.given[-1]
        if last.value is not None:
            withdrawn = replace(
                last, value=None, choice=None, note=None, labelled_at=label_time()
            )
            self.labels.write([withdrawn])
        self.given.pop()
        self._done.pop(last.item, None)
        self._queue.insert(0, last.item)
        return True

    def _shown(self) -> ShownItem:
        shown = self.current
        if shown is None:
            raise ConfigError("every item of the session is labelled; raise `count`")
        return shown

    def _keep(
        self,
        item: str,
        value: float | None,
        choice: str | None,
        note: str | None,
    ) -> Label:
        dataset_id, case_id, sample_index = self.items.place_of(item)
        label = Label(
            item=item,
            metric_id=self.items.question.metric_id,
            value=value,
            choice=choice,
            note=note,
            labeller=self.labeller,
            labelled_at=label_time(),
            run_id=self.items.run.run_id,
            dataset_id=dataset_id,
            case_id=case_id,
            sample_index=sample_index,
            **self._drawn(),
        )
        # Before its first label: a label without its draw would be part of no sample.
        if not self.given:
            self.draw.keep(self.labels)
        self.labels.write([label])
        self._queue.pop(0)
        self._done[item] = value
        self.given.append(label)
        self._mark_end()
        return label

    def _drawn(self) -> _Drawn:
        draw = self.draw
        return {"draw": draw.name, "method": draw.method, "seed": draw.seed}


def _earlier(
    labels: LabelStore,
    items: RunItems,
    labeller: str,
) -> tuple[dict[str, Label], tuple[DrawMethod, int] | None]:
    """Return what a labeller said about items, and how they were drawn at last."""
    earlier: dict[str, Label] = {}
    drawn: tuple[DrawMethod, int] | None = None
    for row in labels.current().drop_columns([KEY.name]).to_pylist():
        if row["labeller"] != labeller or row["item"] not in items.contents:
            continue
        earlier[row["item"]] = Label(**row)
        if row["method"] is not None and row["seed"] is not None:
            drawn = row["method"], row["seed"]
    return earlier, drawn
