"""Shards of cases, each stored as a part that any stage, on any machine, can read."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from themis_lib.core.config import DatasetFile
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.protocols import case_columns
from themis_lib.core.secrets import resolve_references
from themis_lib.data.datasets import IdRegistry, case_tables
from themis_lib.data.part_files import PartFiles
from themis_lib.data.part_folders import Folder, folder_of
from themis_lib.errors import InputError
from themis_lib.identity.digests import canonical_json, digest, row_keys, set_digest
from themis_lib.identity.part import Part
from themis_lib.storage.contents import stored_digests
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import CASES, column_digests

#: Raised when the same file would be cut into other tables than before.
CASES_VERSION = 3
_DIRECTORY = "rows/cases"
#: Rows of outputs in the first shards.
_FIRST_SHARD_ROWS = 4096
#: The same where each file of a shard takes requests.
_FIRST_REMOTE_ROWS = 16_384
#: The same where shards are spread over processes, so that also a small dataset has
#: some for each.
_FIRST_SPREAD_ROWS = 256
#: Shards double in size up to this one, each size used for so many of them: results
#: come early, and a large dataset has few files.
_LARGEST_SHARD_ROWS = 32_768
_SHARDS_OF_A_SIZE = 8
#: Text of a shard's cases, counted once for each sample: the most a stage may hold in
#: memory at once.
_LARGEST_SHARD_BYTES = 128 * 2**20
#: How canonical JSON of a content part says what it is; of other JSON, too, but then
#: rows are looked up one by one for nothing.
_PART_TYPES = '"type":"(text|image|audio|file|image_url|(in|out)put_[a-z]+)"'
#: The columns that hold canonical JSON text already.
_JSON_COLUMNS = ("input", "expected_output", "metadata")


@dataclass(frozen=True)
class Cut:
    """The settings that decide how datasets are cut.

    `reads` is what the generator reads of a case: cases that agree in it are counted as
    occurrences, unless the generator is `deterministic`. `shard_size` is the cases of a
    shard; without it, the first shards have `first_rows` rows of outputs, `samples` for
    each case. `fields` are the names of the prompt's template: they may hold parts.
    """

    reads: tuple[str, ...]
    samples: int
    shard_size: int | None
    deterministic: bool
    first_rows: int = _FIRST_SHARD_ROWS
    fields: tuple[str, ...] = ()


def first_rows(
    store: RunStore,
    *,
    spread: bool,
) -> int:
    """Return the rows of the first shards: few where they are `spread` over processes,
    many in a store behind requests.
    """
    if spread:
        return _FIRST_SPREAD_ROWS
    if store.local or store.in_memory:
        return _FIRST_SHARD_ROWS
    return _FIRST_REMOTE_ROWS


def shards_of(
    datasets: Sequence[AnyDataset],
    store: RunStore,
    cut: Cut,
) -> Iterator[Shard]:
    """Yield the shards of all datasets in order, each written to the store before.

    Local files that were cut like this before are not parsed again: the store records
    their shards under the digest of their content. Raises `DatasetError` if a case id
    appears twice.
    """
    name = _record_name(datasets, cut)
    recorded = _recorded_shards(datasets, store, name) if name else None
    if recorded is not None:
        yield from recorded
        return
    shards = []
    files = PartFiles(cut.fields)
    for shard in _cut_datasets(datasets, store, cut, files):
        shards.append(shard.to_json())
        yield shard
    # Only a complete cut is recorded: a run that stops early never gets here.
    if name:
        named = [[*place, sha256] for place, sha256 in files.named.items()]
        content = json.dumps({"shards": shards, "files": named})
        store.replace(name, content.encode())


def _record_name(
    datasets: Sequence[AnyDataset],
    cut: Cut,
) -> str | None:
    """Return the path of the record of these shards; `None` unless every dataset is a
    local file that can be read.
    """
    contents = []
    for dataset in datasets:
        if not isinstance(dataset, DatasetFile):
            return None
        try:
            path = resolve_references(dataset.path, where="path")
            local = Path(path.removeprefix("file://")).expanduser()
            with local.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        # A URL of another kind, too, is no file here. Cutting the dataset will say what
        # is wrong with a file.
        except (OSError, InputError):
            return None
        # Where a file is does not change its cases; the suffixes of its name can.
        suffixes = PurePath(dataset.path).suffixes
        settings = dataset.model_dump(mode="json", exclude={"path", "storage_options"})
        # A cut of data without derived columns is found by what was written before.
        if not dataset.derive:
            del settings["derive"]
        contents.append([content, suffixes, settings])
    name = digest("cut", [CASES_VERSION, contents, asdict(cut)])
    return f"{_DIRECTORY}/{name}.json"


def keep_cases(
    store: RunStore,
    cases: pa.Table,
) -> Part:
    """Write the cases of a shard under the name of their content, unless they are there."""
    name = digest("cases", column_digests(cases))
    return store.keep_part(f"{_DIRECTORY}/{name}.parquet", cases.combine_chunks())


def content_digest(table: pa.Table) -> str:
    """Return the digest of the cases in a table, whatever their order and ids."""
    columns = [table[name].to_pylist() for name in _JSON_COLUMNS]
    return set_digest(key.hex() for key in row_keys("case", zip(*columns, strict=True)))


def data_digests(shards: Iterable[Shard]) -> dict[str, str]:
    """Return the digest of each dataset's cases, however they are cut and ordered.

    A shard that an earlier version recorded, without its digest, counts for nothing.
    """
    digests: defaultdict[str, list[str]] = defaultdict(list)
    for shard in shards:
        if shard.content is not None:
            digests[shard.dataset_id].append(shard.content)
    return {name: set_digest(items) for name, items in digests.items()}


def _recorded_shards(
    datasets: Sequence[AnyDataset],
    store: RunStore,
    name: str,
) -> list[Shard] | None:
    try:
        record = json.loads(store.read_bytes(name))
        shards = [Shard.from_json(value) for value in record["shards"]]
        if not _are_as_they_were(datasets, store, record["files"]):
            return None
    # A record that another version wrote may lack fields: cut again, and replace it.
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    # Nor did an earlier version record what the cases hold.
    if any(shard.content is None for shard in shards):
        return None
    paths = [shard.cases.path for shard in shards]
    # The record outlives its parts where the store is pruned.
    if len(paths) == 1:
        # The run will read the only part anyway: reading it now costs no request more.
        are_present = store.read_table(paths[0]) is not None
    else:
        present = store.list(_DIRECTORY)
        are_present = all(PurePath(path).name in present for path in paths)
    return shards if are_present else None


def _are_as_they_were(
    datasets: Sequence[AnyDataset],
    store: RunStore,
    named: Sequence[tuple[str, str, str]],
) -> bool:
    """Return whether files that cases name hold what they held, and the store has it."""
    if not named:
        return True
    by_id = {dataset.dataset_id: dataset for dataset in datasets}
    stored = stored_digests(store)
    folders: dict[str, Folder] = {}
    for dataset_id, path, sha256 in named:
        if dataset_id not in folders:
            folders[dataset_id] = folder_of(by_id[dataset_id])
        try:
            content = folders[dataset_id].facts(path)
        # Cutting the dataset will say what is wrong with the file.
        except ValueError:
            return False
        if content.sha256 != sha256 or sha256 not in stored:
            return False
    return True


def _cut_datasets(
    datasets: Sequence[AnyDataset],
    store: RunStore,
    cut: Cut,
    files: PartFiles,
) -> Iterator[Shard]:
    index = 0
    # Both over all datasets: the generator does not know which one a case is of.
    ids = IdRegistry()
    reads = case_columns(cut.reads)
    occurrences = _Occurrences(reads, deterministic=cut.deterministic)
    most_bytes = _LARGEST_SHARD_BYTES // cut.samples
    for dataset in datasets:
        start = 0
        tables = case_tables(dataset, files=files)
        for table in _cut_tables(tables, _shard_sizes(cut), most_bytes=most_bytes):
            ids.add_all(dataset.dataset_id, table["case_id"])
            counts = occurrences.count(table)
            cases = table.append_column("occurrence", counts)
            cases = cases.cast(CASES)
            files.keep(cases["input"], store)
            yield Shard(
                index=index,
                start=start,
                dataset_id=dataset.dataset_id,
                cases=keep_cases(store, cases),
                content=content_digest(table),
                has_lists=_any_input(table, r"^\["),
                has_parts=_any_input(table, _PART_TYPES),
            )
            index += 1
            start += cases.num_rows


def _any_input(
    table: pa.Table,
    pattern: str,
) -> bool:
    found = pc.match_substring_regex(table["input"], pattern)
    return bool(pc.any(found).as_py())


def _shard_sizes(cut: Cut) -> Iterator[int]:
    """Yield the cases of each shard.

    Sizes depend on the position alone, so that a dataset that grows keeps its shards.
    """
    rows = cut.first_rows
    while True:
        cases = max(rows // cut.samples, 1)
        for _ in range(_SHARDS_OF_A_SIZE):
            yield cut.shard_size or cases
        rows = min(2 * rows, _LARGEST_SHARD_ROWS)


def _cut_tables(
    tables: Iterable[pa.Table],
    sizes: Iterator[int],
    *,
    most_bytes: int,
) -> Iterator[pa.Table]:
    """Yield tables of the given sizes; where rows are large, of as many rows as fit
    into `most_bytes`.
    """
    held: list[pa.Table] = []
    rows, size = 0, next(sizes)
    for table in tables:
        held.append(table)
        rows += table.num_rows
        while rows >= size or sum(item.nbytes for item in held) > most_bytes:
            whole = pa.concat_tables(held)
            fitting = _rows_within(whole, most_bytes)
            taken = min(size, fitting, rows)
            # `nbytes` counts more than text: all that is held may still fit.
            if taken == rows < size:
                break
            yield whole.slice(0, taken)
            held = [whole.slice(taken)]
            rows -= taken
            # A size cut short by its bytes is used again.
            if taken == size:
                size = next(sizes)
    if rows:
        yield pa.concat_tables(held)


def _rows_within(
    table: pa.Table,
    most_bytes: int,
) -> int:
    """Return how many of the first rows hold at most so many bytes of text; at least 1."""
    lengths = np.zeros(table.num_rows, dtype=np.int64)
    for name in ("input", "expected_output", "metadata"):
        column = table[name].combine_chunks()
        sizes = pc.fill_null(pc.binary_length(column), 0)
        lengths += sizes.to_numpy()
    totals = np.cumsum(lengths)
    fitting = np.searchsorted(totals, most_bytes, side="right")
    return max(int(fitting), 1)


class _Occurrences:
    """Counts, for each case, the earlier cases of the run that the generator cannot
    tell from it.
    """

    def __init__(
        self,
        reads: Sequence[str],
        *,
        deterministic: bool,
    ) -> None:
        self._reads = reads
        self._deterministic = deterministic
        self._seen: defaultdict[bytes, int] = defaultdict(int)

    def count(self, table: pa.Table) -> pa.Array:
        # Equal cases of a deterministic generator share one key: computed once.
        if self._deterministic:
            zeros = np.zeros(table.num_rows, dtype=np.int32)
            return pa.array(zeros)
        texts: list[Iterable[str | None]] = []
        for name in self._reads:
            values: Iterable[Any] = table[name].to_pylist()
            if name not in _JSON_COLUMNS:
                values = map(canonical_json, values)
            texts.append(values)
        contents: Iterable[tuple[str | None, ...]] = zip(*texts, strict=True)
        # `zip` of no columns has no rows, but a generator that reads nothing cannot
        # tell any case from another.
        if not texts:
            contents = [()] * table.num_rows
        counts = []
        for key in row_keys("content", contents):
            counts.append(self._seen[key])
            self._seen[key] += 1
        return pa.array(counts, pa.int32())
