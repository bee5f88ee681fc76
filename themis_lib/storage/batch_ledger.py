"""The batches that runs have sent to a provider for the rows of one stage.

    batches/<stage>/<fingerprint>/000001.intent.json   these rows are about to be sent
    batches/<stage>/<fingerprint>/000001.sent.json     the batch's id; null: never sent
    batches/<stage>/<fingerprint>/000001.ended.json    how it ended, and the rows left out
    batches/<stage>/<fingerprint>/000001.gone.json     rows whose replies are removed

Each file is created once, by whoever is first. An intent takes the next number, so that
its writer has seen every earlier one: no two batches have a row in common, unless the
first one left it without an answer. That needs no locks, and holds between machines.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from themis_lib.storage.store import RunStore

_INTENT = "intent"
_SENT = "sent"
_ENDED = "ended"
_GONE = "gone"


@dataclass(frozen=True)
class Batch:
    """Some rows, by key, that are sent together.

    `label` names the batch to the provider, `prepared` is what was sent ahead.
    `created_at` is the time of the intent, in seconds since 1970. Once it `is_noted`,
    `batch_id` is the provider's, or `None` if it was never sent. `left` are the rows
    without an answer of a batch that has ended: `None` until then. `gone` are those
    whose replies the provider has removed before they were stored.
    """

    number: int
    label: str
    keys: tuple[bytes, ...]
    created_at: float
    prepared: Mapping[str, Any]
    is_noted: bool = False
    batch_id: str | None = None
    state: str | None = None
    left: frozenset[bytes] | None = None
    gone: frozenset[bytes] = frozenset()

    @property
    def is_void(self) -> bool:
        """Whether it was never sent."""
        return self.is_noted and self.batch_id is None

    @property
    def is_open(self) -> bool:
        """Whether it may be under way at the provider."""
        return not self.is_void and self.left is None

    @property
    def held(self) -> frozenset[bytes]:
        """The rows that it has answered, or may still answer."""
        if self.is_void:
            return frozenset()
        return frozenset(self.keys) - (self.left or frozenset()) - self.gone


def new_label() -> str:
    """Return a name for a batch that no other batch has."""
    return f"themis-{uuid.uuid4().hex}"


class BatchLedger:
    """The batches of one stage under one fingerprint, in a store."""

    def __init__(
        self,
        store: RunStore,
        stage: str,
        fingerprint: str,
    ) -> None:
        self._store = store
        self._directory = f"batches/{stage}/{fingerprint}"
        # What is written never changes, and is read once.
        self._batches: dict[int, Batch] = {}

    def read(self) -> list[Batch]:
        """Return every batch, in the order of their intents."""
        names = set(self._store.list(self._directory))
        numbers = []
        for name in names:
            digits, _, kind = name.partition(".")
            if kind == f"{_INTENT}.json":
                numbers.append(int(digits))
        for number in sorted(numbers):
            batch = self._batches.get(number)
            if batch is None:
                batch = _intent_of(number, self._load(number, _INTENT))
            if not batch.is_noted and _name(number, _SENT) in names:
                batch = _noted(batch, self._load(number, _SENT))
            if batch.left is None and _name(number, _ENDED) in names:
                batch = _ended(batch, self._load(number, _ENDED))
            if not batch.gone and _name(number, _GONE) in names:
                gone = self._load(number, _GONE)["keys"]
                batch = replace(batch, gone=_keys(gone))
            self._batches[number] = batch
        return [self._batches[number] for number in sorted(self._batches)]

    def batch(self, number: int) -> Batch:
        """Return a batch as it is by now."""
        self.read()
        return self._batches[number]

    def intend(
        self,
        label: str,
        keys: Sequence[bytes],
        prepared: Mapping[str, Any],
    ) -> Batch | None:
        """Note that rows are about to be sent, before they are.

        Return `None` if another batch has one of them.
        """
        wanted = frozenset(keys)
        while True:
            number = 1
            for batch in self.read():
                if wanted & batch.held:
                    return None
                number = batch.number + 1
            content = {
                "label": label,
                "created_at": time.time(),
                "prepared": dict(prepared),
                "keys": [key.hex() for key in keys],
            }
            # Where somebody else has taken the number, what they sent is read first.
            if self._create(number, _INTENT, content):
                return self.batch(number)

    def note(
        self,
        batch: Batch,
        batch_id: str | None,
    ) -> str | None:
        """Note the provider's id of a batch, or that it was never sent.

        Return what was noted first, by anybody.
        """
        self._create(batch.number, _SENT, {"batch_id": batch_id})
        return self.batch(batch.number).batch_id

    def close(
        self,
        batch: Batch,
        state: str,
        left: Sequence[bytes],
    ) -> None:
        """Note how a batch ended, and which rows it left without an answer."""
        content = {"state": state, "left": [key.hex() for key in left]}
        self._create(batch.number, _ENDED, content)

    def forget(
        self,
        batch: Batch,
        keys: Sequence[bytes],
    ) -> None:
        """Note rows whose replies the provider has no longer: another batch may have
        them.
        """
        self._create(batch.number, _GONE, {"keys": [key.hex() for key in keys]})

    def open_batches(self) -> list[Batch]:
        """Return the batches that may be under way at the provider."""
        return [batch for batch in self.read() if batch.is_open]

    def _create(
        self,
        number: int,
        kind: str,
        content: Mapping[str, Any],
    ) -> bool:
        path = f"{self._directory}/{_name(number, kind)}"
        self._store.make_folder(path)
        return self._store.create(path, json.dumps(content).encode())

    def _load(
        self,
        number: int,
        kind: str,
    ) -> dict[str, Any]:
        path = f"{self._directory}/{_name(number, kind)}"
        return json.loads(self._store.read_bytes(path))  # type: ignore[no-any-return]


def _name(
    number: int,
    kind: str,
) -> str:
    return f"{number:06d}.{kind}.json"


def _intent_of(
    number: int,
    content: Mapping[str, Any],
) -> Batch:
    return Batch(
        number=number,
        label=content["label"],
        keys=tuple(map(bytes.fromhex, content["keys"])),
        created_at=content["created_at"],
        prepared=content["prepared"],
    )


def _noted(
    batch: Batch,
    content: Mapping[str, Any],
) -> Batch:
    return replace(batch, is_noted=True, batch_id=content["batch_id"])


def _ended(
    batch: Batch,
    content: Mapping[str, Any],
) -> Batch:
    return replace(batch, state=content["state"], left=_keys(content["left"]))


def _keys(texts: Sequence[str]) -> frozenset[bytes]:
    return frozenset(map(bytes.fromhex, texts))
