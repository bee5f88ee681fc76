"""The record of how data was cut: unchanged files are not read again, and of files that
were edited only what changed.

    rows/cases/<name>.json      the shards of some data, named by its content
    rows/cases/<name>.latest    which record is the newest of such data, whatever it holds
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from themis_lib.core.config import DatasetFile
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.core.secrets import resolve_references
from themis_lib.data.blocks import dataset_settings
from themis_lib.data.part_folders import Folder, folder_of
from themis_lib.errors import InputError
from themis_lib.identity.digests import digest
from themis_lib.storage.contents import stored_digests
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore

CASES_DIRECTORY = "rows/cases"
#: Raised when a file would become other cases than before.
CASES_VERSION = 3
#: A file that cases name: the dataset, the path, and the SHA-256 of its content.
NamedFile = tuple[str, str, str]


@dataclass(frozen=True)
class CutRecord:
    """The shards of a cut in order, and the files that their cases name.

    `blocks` has what each block became: its name, the first of its shards, and how many
    these are.
    """

    shards: Sequence[Shard]
    files: Sequence[NamedFile]
    blocks: Sequence[tuple[str, int, int]] = ()

    def to_bytes(self) -> bytes:
        """Return the record as JSON."""
        shards = [shard.to_json() for shard in self.shards]
        record = {"shards": shards, "files": self.files, "blocks": self.blocks}
        return json.dumps(record).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> CutRecord:
        """Return what `to_bytes` wrote, or an earlier version, which knew no blocks.

        Raise `ValueError` for what cannot be used: before that, shards lacked digests.
        """
        try:
            record = json.loads(content)
            shards = [Shard.from_json(value) for value in record["shards"]]
            files = [(name, path, sha256) for name, path, sha256 in record["files"]]
            blocks = [
                (name, first, count) for name, first, count in record.get("blocks", [])
            ]
        except (KeyError, TypeError) as error:
            raise ValueError(f"no record of a cut ({error})") from None
        if any(shard.content is None for shard in shards):
            raise ValueError("a record of shards without digests")
        return cls(shards, files, blocks)


class CutRecords:
    """The records in a store of how some data was cut with some settings.

    There are none unless every dataset is a local file that can be read.
    """

    def __init__(
        self,
        store: RunStore,
        datasets: Sequence[AnyDataset],
        cut: Mapping[str, Any],
    ) -> None:
        self._store = store
        self._datasets = {dataset.dataset_id: dataset for dataset in datasets}
        contents = _contents(datasets)
        self._name = self._latest = None
        if contents is None:
            return
        settings = [settings for _, *settings in contents]
        name = digest("cut", [CASES_VERSION, contents, dict(cut)])
        latest = digest("latest", [CASES_VERSION, settings, dict(cut)])
        self._name = f"{CASES_DIRECTORY}/{name}.json"
        self._latest = f"{CASES_DIRECTORY}/{latest}.latest"

    def find(self) -> CutRecord | None:
        """Return the record of this very data, if all that it needs is in the store."""
        record = None if self._name is None else self._read(self._name)
        if record is None:
            return None
        paths = [shard.cases.path for shard in record.shards]
        # The record outlives its parts where the store is pruned.
        if len(paths) == 1:
            # The run will read the only part anyway: reading it now costs no request
            # more.
            are_present = self._store.read_table(paths[0]) is not None
        else:
            are_present = self._are_present(paths)
        return record if are_present else None

    def shards_of_block(self, name: str) -> Sequence[Shard] | None:
        """Return what a block of this name became when such data was cut last.

        `None` if there was none, or if a part of it is gone.
        """
        shards = self._kept.get(name)
        if shards is None or not self._are_present(
            shard.cases.path for shard in shards
        ):
            return None
        return shards

    def named_of_blocks(self) -> Sequence[NamedFile]:
        """Return the files that cases of those blocks name."""
        return () if self._newest is None else self._newest.files

    def keep(self, record: CutRecord) -> None:
        """Write the record of this data, now the newest."""
        if self._name is None or self._latest is None:
            return
        self._store.replace(self._name, record.to_bytes())
        # A single block that changes is to be parsed in any case.
        if len(record.blocks) > 1:
            self._store.replace(self._latest, self._name.encode())

    @cached_property
    def _newest(self) -> CutRecord | None:
        if self._latest is None:
            return None
        try:
            name = self._store.read_bytes(self._latest).decode()
        except (FileNotFoundError, ValueError):
            return None
        return self._read(name)

    @cached_property
    def _kept(self) -> dict[str, Sequence[Shard]]:
        newest = self._newest
        if newest is None:
            return {}
        return {
            name: newest.shards[first : first + count]
            for name, first, count in newest.blocks
        }

    @cached_property
    def _present(self) -> frozenset[str]:
        return frozenset(self._store.list(CASES_DIRECTORY))

    def _are_present(self, paths: Iterable[str]) -> bool:
        return all(PurePath(path).name in self._present for path in paths)

    def _read(self, name: str) -> CutRecord | None:
        """Return a record whose files are as they were; `None` if it cannot be used."""
        # What another version wrote is cut again, and replaced.
        try:
            record = CutRecord.from_bytes(self._store.read_bytes(name))
        except (FileNotFoundError, ValueError):
            return None
        return record if self._are_as_they_were(record.files) else None

    def _are_as_they_were(self, named: Sequence[NamedFile]) -> bool:
        """Return whether files that cases name hold what they held, and the store has it."""
        if not named:
            return True
        stored = stored_digests(self._store)
        folders: dict[str, Folder] = {}
        for dataset_id, path, sha256 in named:
            if dataset_id not in folders:
                folders[dataset_id] = folder_of(self._datasets[dataset_id])
            try:
                content = folders[dataset_id].facts(path)
            # Cutting the dataset will say what is wrong with the file.
            except ValueError:
                return False
            if content.sha256 != sha256 or sha256 not in stored:
                return False
        return True


def _contents(datasets: Sequence[AnyDataset]) -> list[list[Any]] | None:
    """Return the content of each file, as a digest, and what else its cases depend on.

    `None` unless every dataset is a local file that can be read.
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
        contents.append([content, *dataset_settings(dataset)])
    return contents
