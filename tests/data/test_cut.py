"""Datasets cut into shards."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from themis_lib.core.config import DatasetFile
from themis_lib.data.cut import Cut, first_rows, shards_of
from themis_lib.errors import DatasetError
from themis_lib.identity.digests import set_digest
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import open_store

CUT = Cut(
    reads=("input",),
    samples=1,
    shard_size=3,
    deterministic=False,
)


def write_cases(path: Path, inputs: list[str]) -> DatasetFile:
    """Write one case for each input, with ids by position."""
    lines = [
        json.dumps({"case_id": f"case-{number}", "input": text})
        for number, text in enumerate(inputs)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return DatasetFile(dataset_id=path.stem, path=str(path))


def cut_once(dataset: DatasetFile, store: Path, cut: Cut = CUT) -> list[Shard]:
    """The shards of one dataset, in a store opened anew."""
    return list(shards_of([dataset], open_store(str(store)), cut))


def test_shards_follow_each_other_in_the_order_of_the_file(tmp_path: Path) -> None:
    """Seven cases in threes: two whole shards, and one with what is left."""
    dataset = write_cases(tmp_path / "seven.jsonl", list("abcdefg"))
    store = open_store(str(tmp_path / "store"))

    shards = list(shards_of([dataset], store, CUT))

    assert [0, 1, 2] == [shard.index for shard in shards]
    assert [0, 3, 6] == [shard.start for shard in shards]
    tables = [store.read_table(shard.cases.path) for shard in shards]
    ids = [
        case_id
        for table in tables
        if table is not None
        for case_id in table["case_id"].to_pylist()
    ]
    assert [f"case-{number}" for number in range(7)] == ids


def test_a_dataset_that_grows_keeps_its_whole_shards(tmp_path: Path) -> None:
    """The shard that was short is the only one that is written again."""
    path = tmp_path / "grows.jsonl"
    before = cut_once(write_cases(path, list("abcdefg")), tmp_path / "store")
    after = cut_once(write_cases(path, list("abcdefghi")), tmp_path / "store")

    assert [shard.cases for shard in before[:2]] == [shard.cases for shard in after[:2]]
    assert before[2].cases != after[2].cases


def test_a_second_cut_is_read_from_its_record(tmp_path: Path) -> None:
    """The shards are equal, whichever way they were found."""
    dataset = write_cases(tmp_path / "again.jsonl", list("abcde"))

    first = cut_once(dataset, tmp_path / "store")

    assert 1 == len(list((tmp_path / "store" / "rows" / "cases").glob("*.json")))
    assert first == cut_once(dataset, tmp_path / "store")


def test_content_does_not_depend_on_shards_order_or_ids(tmp_path: Path) -> None:
    """The digests of the shards make one digest of the data, however they are cut."""
    forward = write_cases(tmp_path / "forward.jsonl", list("abbcd"))
    backward = write_cases(tmp_path / "backward.jsonl", list("dcbba"))
    other = write_cases(tmp_path / "other.jsonl", list("abccd"))

    def content(dataset: DatasetFile, cut: Cut = CUT) -> str:
        shards = cut_once(dataset, tmp_path / "store", cut)
        return set_digest(shard.content or "" for shard in shards)

    expected = content(forward)
    assert expected == content(backward)
    assert expected == content(forward, replace(CUT, shard_size=1, samples=2))
    assert expected != content(other)


def test_a_record_without_contents_is_written_again(tmp_path: Path) -> None:
    """So that a run on a store of an earlier version names its data, too."""
    dataset = write_cases(tmp_path / "old.jsonl", list("abcde"))
    first = cut_once(dataset, tmp_path / "store")
    [record] = (tmp_path / "store" / "rows" / "cases").glob("*.json")
    recorded = json.loads(record.read_text())
    for shard in recorded["shards"]:
        del shard["content"]
    record.write_text(json.dumps(recorded))

    assert first == cut_once(dataset, tmp_path / "store")
    assert "content" in json.loads(record.read_text())["shards"][0]


def test_a_record_whose_shard_is_gone_is_not_believed(tmp_path: Path) -> None:
    """The shard is written again."""
    dataset = write_cases(tmp_path / "gone.jsonl", list("abcde"))
    first = cut_once(dataset, tmp_path / "store")
    lost = tmp_path / "store" / first[1].cases.path
    lost.unlink()

    assert first == cut_once(dataset, tmp_path / "store")
    assert lost.is_file()


@pytest.mark.parametrize(
    ("deterministic", "expected"),
    [(False, [0, 0, 1, 2]), (True, [0, 0, 0, 0])],
)
def test_equal_inputs_are_counted_unless_the_generator_is_deterministic(
    *, deterministic: bool, expected: list[int], tmp_path: Path
) -> None:
    """The count goes on from one shard to the next."""
    dataset = write_cases(tmp_path / "equal.jsonl", ["same", "other", "same", "same"])
    store = open_store(str(tmp_path / "store"))
    cut = replace(CUT, deterministic=deterministic)

    tables = [
        store.read_table(shard.cases.path) for shard in shards_of([dataset], store, cut)
    ]

    occurrences = [
        count
        for table in tables
        if table is not None
        for count in table["occurrence"].to_pylist()
    ]
    assert expected == occurrences


def test_an_id_that_appears_twice_is_refused(tmp_path: Path) -> None:
    """The error names the id, and nothing goes on record."""
    path = tmp_path / "twice.jsonl"
    line = json.dumps({"case_id": "one", "input": "a"})
    path.write_text(f"{line}\n{line}", encoding="utf-8")
    dataset = DatasetFile(dataset_id="twice", path=str(path))

    with pytest.raises(DatasetError, match="one"):
        cut_once(dataset, tmp_path / "store")

    assert not list((tmp_path / "store").rglob("*.json"))


def test_shards_are_small_where_they_are_spread(tmp_path: Path) -> None:
    """And as large in memory as in a local folder."""
    local = open_store(str(tmp_path / "store"))
    memory = open_store("memory://cut")

    assert first_rows(local, spread=True) < first_rows(local, spread=False)
    assert first_rows(local, spread=False) == first_rows(memory, spread=False)
