"""The labels of a store, and the draws that they were given in.

    <store>/labels/rows-….parquet          one label each; `compact` merges them
    <store>/labels/draws/<draw>.parquet    the items of a population, in drawn order

Every file is created once and never changed. A label is found by its item, a key of what
was shown: it belongs to every run that has the same content, on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.errors import ConfigError
from themis_lib.identity.digests import digest
from themis_lib.storage.rows import RowSet
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import KEY, LABELS, table_of, with_columns_of

LABELS_DIRECTORY = "labels"
DRAWS_DIRECTORY = f"{LABELS_DIRECTORY}/draws"
#: What tells two labels apart.
_SAID = ("item", "value", "choice", "note", "labeller", "labelled_at")
#: Requests in flight where each file of labels is one.
_READERS = 16


@dataclass(frozen=True)
class Label:
    """What one person said about one item.

    `value` is on the metric's scale; `None` is no label: the item was skipped, or an
    earlier label withdrawn. `choice` is the verdict in the judge's words. `draw` names
    the draw that put the item before the person, `None` for a label given otherwise;
    `method` and `seed` say how it was drawn. `run_id` to `sample_index` say where the item
    was met first, and are in no key. `labelled_at` is ISO 8601 in UTC.
    """

    item: str
    metric_id: str
    value: float | None
    labeller: str
    labelled_at: str
    choice: str | None = None
    note: str | None = None
    draw: str | None = None
    method: str | None = None
    seed: int | None = None
    run_id: str | None = None
    dataset_id: str | None = None
    case_id: str | None = None
    sample_index: int | None = None

    @property
    def key(self) -> bytes:
        """The key of the label itself: the same label twice is one row.

        Where it was met and how it was drawn are no part of what was said.
        """
        said = {name: getattr(self, name) for name in _SAID}
        return bytes.fromhex(digest("label", said))


def is_label_path(path: str) -> bool:
    """Return whether a path of a store is a file of labels or of a draw.

    >>> is_label_path("labels/rows-0a.parquet"), is_label_path("labels/.rows-0a.tmp")
    (True, False)
    """
    directory, _, name = path.rpartition("/")
    is_complete = name.endswith(".parquet") and not name.startswith(".")
    return is_complete and directory in (LABELS_DIRECTORY, DRAWS_DIRECTORY)


def label_time() -> str:
    """Return the time in UTC, to the microsecond: a later label replaces an earlier one."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def check_labeller(labeller: str) -> str:
    """Return a labeller's name without surrounding space. Raise `ConfigError` if empty."""
    name = labeller.strip()
    if not name:
        raise ConfigError(
            f"labeller {labeller!r} is no name; write `--labeller NAME`, which may be an "
            "alias"
        )
    return name


class LabelStore:
    """The labels and draws of a store."""

    def __init__(self, store: RunStore) -> None:
        self.store = store
        self._rows = RowSet(store, LABELS_DIRECTORY, LABELS)

    def add(self, labels: Sequence[Label]) -> int:
        """Keep labels, in one file, and return how many of them are new.

        Raise `StoreError` if the store cannot be written.
        """
        known = set(self.all()["key"].to_pylist())
        new = {label.key: label for label in labels if label.key not in known}
        if new:
            self.write(list(new.values()))
        return len(new)

    def write(self, labels: Sequence[Label]) -> None:
        """Keep labels that are known to be new, in one file.

        Raise `StoreError` if the store cannot be written.
        """
        records = [{"key": label.key, **asdict(label)} for label in labels]
        with self.store.refusals():
            self._rows.write_loose(table_of(records, self._rows.schema))

    def all(self) -> pa.Table:
        """Return every label that was ever given, each once, in the order of time."""
        paths = [f"{LABELS_DIRECTORY}/{name}" for name in self._rows.names()]
        tables = [self._rows.schema.empty_table()]
        with ThreadPoolExecutor(_READERS) as readers:
            for table in readers.map(self.store.read_table, paths):
                if table is not None:
                    known = with_columns_of(table, self._rows.schema)
                    tables.append(known.cast(self._rows.schema))
        labels = pa.concat_tables(tables).sort_by(
            [("labelled_at", "ascending"), (KEY.name, "ascending")]
        )
        # A compaction that was interrupted leaves a label in two files.
        return _last_of_each(labels, [KEY.name])

    def current(self) -> pa.Table:
        """Return the last label of each labeller for each item, in the order of time.

        Skipped items are among them, with a null `value`.
        """
        return last_labels(self.all())

    def keep_draw(
        self,
        name: str,
        table: pa.Table,
    ) -> None:
        """Keep the items of a population in drawn order, with their weights."""
        with self.store.refusals():
            self.store.keep_part(f"{DRAWS_DIRECTORY}/{name}.parquet", table)

    def draw(self, name: str) -> pa.Table | None:
        """Return the items of a draw in order; `None` if its file is gone or damaged."""
        return self.store.read_table(f"{DRAWS_DIRECTORY}/{name}.parquet")


def last_labels(labels: pa.Table) -> pa.Table:
    """Return the last label of each labeller for each item; see `LabelStore.current`."""
    return _last_of_each(labels, ["item", "labeller"])


def _last_of_each(
    labels: pa.Table,
    columns: Sequence[str],
) -> pa.Table:
    """Return the last row of each combination of values, rows in their order."""
    numbered = labels.append_column("at", pa.array(range(labels.num_rows), pa.int64()))
    last = numbered.group_by(list(columns)).aggregate([("at", "max")])["at_max"]
    order = pc.sort_indices(last)
    return labels.take(last.take(order))
