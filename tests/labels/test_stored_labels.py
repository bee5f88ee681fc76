"""Labels at rest: on every filesystem, and under the commands that look after a store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.labelling import give_labels, judged_run
from tests.support.stores import OpenStore
from themis_lib import InMemoryRunStore, RunStore
from themis_lib.errors import ConfigError
from themis_lib.labels.labelled_scores import labelled_scores
from themis_lib.labels.stored_labels import Label, LabelStore, check_labeller
from themis_lib.upkeep.check import check
from themis_lib.upkeep.compact import compact
from themis_lib.upkeep.prune import remove, unused

LABEL = Label(
    item="0" * 32,
    metric_id="correct",
    value=1.0,
    labeller="ana",
    labelled_at="2026-01-01T00:00:00.000000+00:00",
    note="sure",
)
LATER = replace(LABEL, value=0.0, labelled_at="2026-01-01T00:00:00.000001+00:00")
#: Older than a minute to come: every file, whatever the clock of the store.
NOW = -60.0


def test_labels_are_kept(open_store: OpenStore) -> None:
    """Labels come back as they were given, in the order of time; the same label twice
    is one.
    """
    assert 1 == LabelStore(open_store()).add([LATER])
    assert 1 == LabelStore(open_store()).add([LABEL, LATER, LABEL])

    found = LabelStore(open_store())

    assert [1.0, 0.0] == found.all()["value"].to_pylist()
    assert [0.0] == found.current()["value"].to_pylist()
    assert ["sure"] == found.current()["note"].to_pylist()


def test_labels_are_parquet_that_anybody_reads(tmp_path: Path) -> None:
    """A label is a row of plain columns in a Parquet file."""
    LabelStore(RunStore(str(tmp_path))).add([LABEL])

    (file,) = (tmp_path / "labels").glob("*.parquet")
    (row,) = pq.read_table(file).to_pylist()

    assert (1.0, "ana", "correct") == (row["value"], row["labeller"], row["metric_id"])


def test_one_file_a_label_until_they_are_compacted(open_store: OpenStore) -> None:
    """Compaction merges labels, keeps all of them, and twice changes nothing."""
    store = open_store()
    run = judged_run(store)
    for at in range(4):
        give_labels(run, 3, labeller=f"person {at}")
    before = labelled_scores(run)

    outcomes = {done.directory: done for done in compact(open_store())}
    again = {done.directory: done for done in compact(open_store())}

    assert (4, 1, 12) == (
        outcomes["labels"].files_before,
        outcomes["labels"].files_after,
        outcomes["labels"].rows,
    )
    assert (1, 1) == (again["labels"].files_before, again["labels"].files_after)
    assert before == labelled_scores(run)
    assert 12 == LabelStore(open_store()).all().num_rows


def test_pruning_keeps_labels(open_store: OpenStore) -> None:
    """Labels outlive the runs in which they were given: they belong to the content."""
    store = open_store()
    run = judged_run(store)
    give_labels(run, 3)
    for file in store.files(f"runs/{run.run_id}"):
        store.remove(file.path)

    gone = list(remove(store, unused(store, older_than_s=NOW), known=[]))

    assert gone
    assert not [item for item in gone if item.directory.startswith("labels")]
    assert 3 == LabelStore(open_store()).all().num_rows


def test_pruning_keeps_a_damaged_label(tmp_path: Path) -> None:
    """A file of labels that was set aside stays, and is named by a check:
    nothing computes a label again."""
    labels = LabelStore(RunStore(str(tmp_path)))
    labels.add([LABEL])
    (file,) = (tmp_path / "labels").glob("*.parquet")
    file.write_bytes(b"no Parquet")

    assert 0 == LabelStore(RunStore(str(tmp_path))).all().num_rows
    assert [] == unused(RunStore(str(tmp_path)), older_than_s=NOW)
    (problem,) = check(RunStore(str(tmp_path)))
    assert problem.uri.endswith(f"{file.name}.damaged")


@pytest.mark.parametrize("directory", ["labels", "labels/draws"])
def test_checking_reads_labels(directory: str, tmp_path: Path) -> None:
    """A damaged label or draw is named, with what to do."""
    run = judged_run(RunStore(str(tmp_path)))
    give_labels(run, 3)
    assert [] == list(check(RunStore(str(tmp_path))))
    (file,) = (tmp_path / directory).glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-30])

    (problem,) = check(RunStore(str(tmp_path)))

    assert file.name in problem.uri
    assert "restore it from a copy" in problem.advice


def test_a_lost_draw_leaves_its_labels() -> None:
    """Without its draw a label is still found, and is part of no sample."""
    run = judged_run(InMemoryRunStore())
    give_labels(run, 3)
    for file in run.store.files("labels/draws"):
        run.store.remove(file.path)

    table = labelled_scores(run)

    assert 3 == len(table["label"].drop_null())
    assert 0 == len(table["inclusion_probability"].drop_null())


def test_a_labeller_has_a_name() -> None:
    """An empty name is refused; space around one does not make another person."""
    assert "ana" == check_labeller(" ana ")
    with pytest.raises(ConfigError, match="labeller"):
        check_labeller(" ")
