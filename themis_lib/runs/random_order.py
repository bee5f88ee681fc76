"""The cases of a run in a random order that no outcome influences, look by look.

The order is by digests of a seed and of what the cases ask and expect. So it is the same
in every run on the same cases, whatever the order of the file, and cases that are added
do not change the order of the others. Keys do not depend on it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from themis_lib.data.cut import content_digest, keep_cases
from themis_lib.identity.digests import bytes_digest
from themis_lib.stages.reading import read
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

#: Dataset, input and expected output as JSON, and how many earlier cases of the dataset
#: are equal to it.
Content = tuple[str, str, str | None, int]
_FIRST_LOOK = 8
# Each look is an eighth larger than the last: waiting for the next one costs little.
_SMALLEST_STEP = 2
_GROWTH = 8
# Rows of outputs in a shard of a large look.
_LARGEST_SHARD_ROWS = 4096


@dataclass(frozen=True)
class OrderedCases:
    """The cases of one dataset in their random order, with the content of each."""

    dataset_id: str
    table: pa.Table
    contents: tuple[Content, ...]
    has_lists: bool
    has_parts: bool

    def only(self, contents: Collection[Content]) -> OrderedCases:
        """Return the cases with these contents, in the same order."""
        rows = [at for at, item in enumerate(self.contents) if item in contents]
        kept = tuple(self.contents[row] for row in rows)
        table = self.table.take(pa.array(rows, pa.int64()))
        return replace(self, table=table, contents=kept)

    def shards(
        self,
        start: int,
        end: int,
        store: RunStore,
        *,
        size: int,
        index: int,
    ) -> Iterator[Shard]:
        """Yield the cases from `start` to before `end`, written to the store.

        `size` is the most cases of a shard, `index` the number of the first shard.
        """
        end = min(end, len(self.contents))
        for number, first in enumerate(range(start, end, size), start=index):
            cases = self.table.slice(first, min(size, end - first))
            yield Shard(
                index=number,
                start=first,
                dataset_id=self.dataset_id,
                cases=keep_cases(store, cases),
                content=content_digest(cases),
                has_lists=self.has_lists,
                has_parts=self.has_parts,
            )


def look_ends(cases: int) -> list[int]:
    """Return after how many cases a run looks whether it is decided.

    >>> look_ends(60)
    [8, 10, 12, 14, 16, 18, 20, 22, 24, 27, 30, 33, 37, 41, 46, 51, 57, 60]
    """
    ends: list[int] = []
    reached = 0
    while reached < cases:
        step = max(_SMALLEST_STEP, reached // _GROWTH) if reached else _FIRST_LOOK
        reached = min(reached + step, cases)
        ends.append(reached)
    return ends


def shard_size(
    samples: int,
    asked: int | None,
) -> int:
    """Return the most cases of a shard of a look."""
    return asked or max(_LARGEST_SHARD_ROWS // samples, 1)


def in_random_order(
    shards: Iterable[Shard],
    store: RunStore,
    seed: int,
) -> dict[str, OrderedCases]:
    """Return the cases of each dataset in the order of a seed.

    Equal cases of a dataset keep their order.
    """
    tables: defaultdict[str, list[pa.Table]] = defaultdict(list)
    shards = list(shards)
    for shard in shards:
        tables[shard.dataset_id].append(read(store, shard.cases))
    ordered = {}
    for dataset_id, parts in tables.items():
        table = pa.concat_tables(parts)
        contents = case_contents(table)
        ranks = [_rank(seed, content) for content in contents]
        order = np.argsort(np.array(ranks), kind="stable")
        ordered[dataset_id] = OrderedCases(
            dataset_id,
            table.take(pa.array(order)),
            tuple(contents[row] for row in order),
            has_lists=any(shard.has_lists for shard in shards),
            has_parts=any(shard.has_parts for shard in shards),
        )
    return ordered


def case_contents(table: pa.Table) -> list[Content]:
    """Return what each case of a table asks and expects; equal ones are numbered."""
    seen: defaultdict[tuple[str, str, str | None], int] = defaultdict(int)
    contents: list[Content] = []
    columns = [table[name].to_pylist() for name in ("dataset_id", "input")]
    columns.append(table["expected_output"].to_pylist())
    for dataset_id, case_input, expected in zip(*columns, strict=True):
        content = (dataset_id, case_input, expected)
        contents.append((*content, seen[content]))
        seen[content] += 1
    return contents


def _rank(
    seed: int,
    content: Content,
) -> str:
    _, case_input, expected, occurrence = content
    # The dataset's name is left out: two names of one dataset have one order.
    text = json.dumps([seed, case_input, expected, occurrence])
    return bytes_digest("order", text.encode())
