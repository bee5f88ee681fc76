"""What is under way at a provider is noted once, by whoever is first."""

from __future__ import annotations

from pathlib import Path
from threading import Thread

import pytest

from themis_lib import InMemoryRunStore, RunStore
from themis_lib.storage.batch_ledger import Batch, BatchLedger, new_label

KEYS = [bytes([number]) * 16 for number in range(8)]


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> RunStore:
    if request.param == "folder":
        return RunStore(str(tmp_path))
    return InMemoryRunStore()


def ledger_of(store: RunStore) -> BatchLedger:
    return BatchLedger(store, "generate", "f1")


def intended(ledger: BatchLedger, keys: list[bytes]) -> Batch:
    batch = ledger.intend(new_label(), keys, {"input_file_id": "file-1"})
    assert batch is not None
    return batch


def test_every_reader_sees_an_intent(store: RunStore) -> None:
    """With its rows, its label and what was sent ahead."""
    batch = intended(ledger_of(store), KEYS[:2])

    assert [batch] == ledger_of(store).read()
    assert (1, tuple(KEYS[:2])) == (batch.number, batch.keys)
    assert {"input_file_id": "file-1"} == batch.prepared
    assert frozenset(KEYS[:2]) == batch.held
    assert (False, None) == (batch.is_noted, batch.batch_id)


def test_no_row_is_in_two_batches(store: RunStore) -> None:
    """Writers that know nothing of each other cannot both intend a row."""
    first, second = ledger_of(store), ledger_of(store)
    assert [] == second.read()
    intended(first, KEYS[:4])

    assert second.intend(new_label(), KEYS[3:], {}) is None
    assert 2 == intended(second, KEYS[4:]).number


def test_the_first_id_is_the_id(store: RunStore) -> None:
    """One who takes a batch for lost, and one who knows its id, agree in the end."""
    batch = intended(ledger_of(store), KEYS)

    assert ledger_of(store).note(batch, None) is None
    assert ledger_of(store).note(batch, "batch_1") is None
    assert ledger_of(store).batch(1).is_void
    assert [] == ledger_of(store).open_batches()
    again = intended(ledger_of(store), KEYS)
    assert "batch_2" == ledger_of(store).note(again, "batch_2")
    assert "batch_2" == ledger_of(store).note(again, None)


def test_rows_that_were_left_are_free(store: RunStore) -> None:
    """And so are those whose replies are gone; others are held for good."""
    ledger = ledger_of(store)
    batch = intended(ledger, KEYS)
    ledger.note(batch, "batch_1")
    ledger.close(batch, "expired", KEYS[:2])
    ledger.close(batch, "completed", [])

    closed = ledger_of(store).batch(1)
    assert ("expired", frozenset(KEYS[2:])) == (closed.state, closed.held)
    assert not closed.is_open
    ledger.forget(closed, KEYS[2:4])
    assert frozenset(KEYS[4:]) == ledger_of(store).batch(1).held
    assert intended(ledger_of(store), KEYS[:4])


def test_of_many_writers_one_wins(store: RunStore) -> None:
    """Each row is in one batch, whatever the order."""
    won: list[bytes] = []

    def write(start: int) -> None:
        for at in range(8):
            key = KEYS[(start + at) % 8]
            if ledger_of(store).intend(new_label(), [key], {}) is not None:
                won.append(key)

    threads = [Thread(target=write, args=[start]) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert KEYS == sorted(won)
    assert list(range(1, 9)) == [batch.number for batch in ledger_of(store).read()]
