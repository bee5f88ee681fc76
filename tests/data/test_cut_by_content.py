"""Data cut by content: an edit changes the shards around it, and parses no others."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from themis_lib.core.config import DatasetFile
from themis_lib.data.columns import CaseMapping
from themis_lib.data.cut import Cut, data_digests, shards_of
from themis_lib.data.datasets import case_tables
from themis_lib.errors import DatasetError
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import InMemoryRunStore, RunStore

#: Small shards, so that a few hundred cases have many; they double in size.
CUT = Cut(
    reads=("input",), samples=1, shard_size=None, deterministic=True, first_rows=8
)
NONDETERMINISTIC = replace(CUT, deterministic=False)

FEW = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

Row = dict[str, str]


@dataclass
class Parsed:
    """Counts the rows that were made cases of."""

    rows: int = 0

    def take(self) -> int:
        """The rows since it was asked last."""
        rows, self.rows = self.rows, 0
        return rows


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Parsed:
    counter = Parsed()
    case = CaseMapping.case

    def counted(self: CaseMapping, *arguments: Any) -> Any:
        counter.rows += 1
        return case(self, *arguments)

    monkeypatch.setattr(CaseMapping, "case", counted)
    return counter


def rows_of(numbers: list[int]) -> list[Row]:
    """A row for each number, distinct where the numbers are."""
    return [
        {
            "case_id": f"case-{number}",
            "input": f'What is {number}, "really"?\n',
            "expected_output": str(number),
        }
        for number in numbers
    ]


def write_jsonl(path: Path, rows: list[Row]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def write_csv(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_parquet(path: Path, rows: list[Row]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=100)


WRITERS: dict[str, Callable[[Path, list[Row]], None]] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "parquet": write_parquet,
}
any_format = pytest.mark.parametrize("suffix", list(WRITERS))


def cut(
    path: Path,
    rows: list[Row],
    store: RunStore,
    how: Cut = CUT,
    **options: Any,
) -> list[Shard]:
    """The shards of some rows, which replace those of a file."""
    WRITERS[path.suffix[1:]](path, rows)
    dataset = DatasetFile(dataset_id="d", path=str(path), **options)
    return list(shards_of([dataset], store, how))


def cases_of(shards: list[Shard], store: RunStore) -> list[dict[str, Any]]:
    cases = []
    for shard in shards:
        table = store.read_table(shard.cases.path)
        assert table is not None
        cases += table.to_pylist()
    return cases


def ids_by_shard(shards: list[Shard], store: RunStore) -> list[list[str]]:
    return [[case["case_id"] for case in cases_of([shard], store)] for shard in shards]


def edited(numbers: list[int], rng: random.Random) -> list[int]:
    """The numbers with one added, removed, or moved to another place."""
    numbers = list(numbers)
    place = rng.randrange(len(numbers))
    kind = rng.choice(["insert", "remove", "move"])
    if kind == "insert":
        numbers.insert(place, max(numbers) + 1)
    else:
        number = numbers.pop(place)
        if kind == "move":
            numbers.insert(rng.randrange(len(numbers)), number)
    return numbers


@any_format
@FEW
@given(seed=st.integers(0, 2**32), count=st.integers(1, 200), how=st.data())
def test_warm_cut_is_the_cold_one(
    suffix: str,
    seed: int,
    count: int,
    how: st.DataObject,
    tmp_path: Path,
    parsed: Parsed,
) -> None:
    """After any edits, shards are those of a store that saw nothing before, and no row of
    a shard that was there is parsed.
    """
    rng = random.Random(seed)
    # Few texts, so that cases are equal in what the generator reads.
    texts = how.draw(st.sampled_from([3, 1000]))
    chosen = replace(
        how.draw(st.sampled_from([CUT, NONDETERMINISTIC])),
        samples=how.draw(st.sampled_from([1, 3])),
    )
    warm = InMemoryRunStore()
    path = tmp_path / f"d.{suffix}"
    numbers = list(range(count))
    before: list[list[str]] = []
    for _ in range(3):
        rows = rows_of(numbers)
        for number, row in zip(numbers, rows, strict=True):
            row["input"] = f"text {number % texts}"
        parsed.take()
        shards = cut(path, rows, warm, chosen)
        warm_rows = parsed.take()
        cold = InMemoryRunStore()
        expected = cut(path, rows, cold, chosen)

        assert expected == shards
        assert cases_of(expected, cold) == cases_of(shards, warm)
        assert [row["case_id"] for row in rows] == [
            case["case_id"] for case in cases_of(shards, warm)
        ]
        # Data of one shard is parsed in any case.
        if len(shards) > 1:
            held = ids_by_shard(shards, warm)
            new = [ids for ids in held if ids not in before]
            assert warm_rows <= sum(map(len, new))
            before = held
        numbers = edited(numbers, rng) if len(numbers) > 1 else numbers


@any_format
def test_an_edit_changes_few_shards(
    suffix: str, tmp_path: Path, parsed: Parsed
) -> None:
    """One, and sometimes a few behind it: on average less than three, of which a case
    that moves has two.
    """
    rng = random.Random(7)
    store = InMemoryRunStore()
    path = tmp_path / f"d.{suffix}"
    numbers = list(range(2000))
    shards = cut(path, rows_of(numbers), store)
    assert len(shards) > 30
    changed: list[int] = []
    for _ in range(30):
        parsed.take()
        numbers = edited(numbers, rng)
        after = cut(path, rows_of(numbers), store)
        new = {shard.cases.path: shard for shard in after}
        for shard in shards:
            new.pop(shard.cases.path, None)
        changed.append(len(new))
        assert parsed.take() == sum(shard.cases.rows for shard in new.values())
        shards = after

    assert sum(changed) / len(changed) < 3


@pytest.mark.parametrize("number", [1, 7, 9])
def test_small_data_is_one_shard(number: int, tmp_path: Path) -> None:
    """Up to six fifths of the first size."""
    shards = cut(tmp_path / "d.jsonl", rows_of(list(range(number))), InMemoryRunStore())

    assert [number] == [shard.cases.rows for shard in shards]


def test_shards_are_as_large_as_their_place_says(tmp_path: Path) -> None:
    """From half to six fifths of a size that doubles behind the rows of sixteen; with
    more samples a case, of fewer cases.
    """
    rows = rows_of(list(range(2000)))
    for samples in (1, 4):
        size = 8 // samples
        shards = cut(
            tmp_path / "d.jsonl",
            rows,
            InMemoryRunStore(),
            replace(CUT, samples=samples),
        )

        for shard in shards[:-1]:
            expected = size
            end = 16 * size
            while shard.start >= end:
                expected *= 2
                end += 16 * expected
            assert expected // 2 <= shard.cases.rows <= 6 * expected // 5
        assert [shard.start for shard in shards[1:]] == [
            shard.start + shard.cases.rows for shard in shards[:-1]
        ]


def test_occurrences_are_counted_anew_without_parsing(
    tmp_path: Path, parsed: Parsed
) -> None:
    """A case in front, equal to one of another shard: that one is the second now."""
    rows = rows_of(list(range(200)))
    store = InMemoryRunStore()
    path = tmp_path / "d.jsonl"
    cut(path, rows, store, NONDETERMINISTIC)
    parsed.take()
    new = {**rows[150], "case_id": "new"}

    shards = cut(path, [new, *rows], store, NONDETERMINISTIC)

    occurrences = {
        case["case_id"]: case["occurrence"] for case in cases_of(shards, store)
    }
    assert {"case-150"} == {name for name, count in occurrences.items() if count}
    assert parsed.take() <= 40


@any_format
def test_ids_of_other_blocks_are_compared(suffix: str, tmp_path: Path) -> None:
    """A new case may not have the id of one that is not parsed again."""
    rows = rows_of(list(range(200)))
    store = InMemoryRunStore()
    path = tmp_path / f"d.{suffix}"
    cut(path, rows, store)

    with pytest.raises(DatasetError, match="case id 'case-7' appears twice"):
        cut(path, [*rows, {**rows[7], "input": "another"}], store)


@any_format
def test_ids_of_rows_that_come_twice_are_refused(suffix: str, tmp_path: Path) -> None:
    """Though each of their blocks was in the cut before, where no id came twice."""
    store = InMemoryRunStore()
    path = tmp_path / f"cases.{suffix}"
    rows = rows_of(list(range(600)))
    cut(path, rows, store)

    with pytest.raises(DatasetError, match=r"case id 'case-\d+' appears twice"):
        cut(path, rows + rows[300:], store)
    with pytest.raises(DatasetError, match=r"case id 'case-\d+' appears twice"):
        cut(path, rows[300:] + rows, store)


@any_format
def test_numbered_ids_follow_the_rows(
    suffix: str, tmp_path: Path, parsed: Parsed
) -> None:
    """Behind a new row, cases have new ids, and are parsed again; before it, none is."""
    rows = [{"input": f"text {number}"} for number in range(300)]
    store = InMemoryRunStore()
    path = tmp_path / f"d.{suffix}"
    cut(path, rows, store)
    parsed.take()

    cut(path, [*rows, {"input": "last"}], store)
    appended = parsed.take()
    shards = cut(path, [{"input": "first"}, *rows], store)

    assert appended < 100
    assert [f"d-{number:04d}" for number in range(301)] == [
        case["case_id"] for case in cases_of(shards, store)
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_broken_row_is_named_by_its_line(suffix: str, tmp_path: Path) -> None:
    """In the middle of a file whose other rows are known."""
    rows = rows_of(list(range(200)))
    for row in rows:
        row["input"] = row["input"].strip()
    store = InMemoryRunStore()
    path = tmp_path / f"d.{suffix}"
    cut(path, rows, store)
    lines = path.read_text(encoding="utf-8").splitlines()
    broken = {"jsonl": '{"input"', "csv": "a,b,c,d"}[suffix]
    lines.insert(150, broken)
    path.write_text("\n".join(lines), encoding="utf-8")
    dataset = DatasetFile(dataset_id="d", path=str(path))

    with pytest.raises(DatasetError, match=rf"d\.{suffix}:151"):
        list(shards_of([dataset], store, CUT))


@pytest.mark.parametrize(
    "options",
    [
        {"filter": {"expected_output": [str(at) for at in range(0, 400, 2)]}},
        {"sample": 250},
    ],
)
def test_chosen_rows_are_cut_by_content_too(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """They are parsed again, and most shards stay as they were."""
    store = InMemoryRunStore()
    path = tmp_path / "d.jsonl"
    before = cut(path, rows_of(list(range(400))), store, **options)
    after = cut(path, rows_of([400, *range(400)]), store, **options)

    known = {shard.cases.path for shard in before}
    assert len(before) > 10
    assert len([1 for shard in after if shard.cases.path not in known]) <= 4


def test_a_shard_size_is_exact(tmp_path: Path) -> None:
    """By position, as it says."""
    how = replace(CUT, shard_size=7)
    shards = cut(
        tmp_path / "d.jsonl", rows_of(list(range(20))), InMemoryRunStore(), how
    )

    assert [7, 7, 6] == [shard.cases.rows for shard in shards]


def test_a_lost_part_is_made_again(tmp_path: Path, parsed: Parsed) -> None:
    """Also one that an edited file would have used."""
    rows = rows_of(list(range(200)))
    store = InMemoryRunStore()
    path = tmp_path / "d.jsonl"
    before = cut(path, rows, store)
    store.remove(before[5].cases.path)
    parsed.take()

    after = cut(path, [*rows, *rows_of([200])], store)

    assert before[:5] == after[:5]
    assert before[5] == after[5]
    assert parsed.take() >= before[5].cases.rows
    assert len(cases_of(after, store)) == 201


def test_data_is_named_alike_however_it_was_cut(tmp_path: Path) -> None:
    """By its cases alone, kept or parsed."""
    rows = rows_of(list(range(200)))
    store = InMemoryRunStore()
    path = tmp_path / "d.jsonl"
    cut(path, rows, store)
    warm = cut(path, [*rows[100:], *rows[:100]], store)
    sized = cut(path, rows, store, replace(CUT, shard_size=9))

    assert data_digests(warm) == data_digests(sized)


def test_equal_rows_end_somewhere(tmp_path: Path) -> None:
    """Cases that differ in nothing but their number: no place is as good as another."""
    rows = [{"input": "same"}] * 300
    store = InMemoryRunStore()

    shards = cut(tmp_path / "d.jsonl", rows, store, NONDETERMINISTIC)

    counts = Counter(case["occurrence"] for case in cases_of(shards, store))
    assert dict.fromkeys(range(300), 1) == counts
    assert len(shards) > 10


@pytest.mark.parametrize(
    "options",
    [
        {"columns": {"input": "turns", "metadata": ["kind", "number", "days", "flag"]}},
        {
            "derive": {
                "input": "turns[0].content ~ number",
                "number": "number + seed",
            }
        },
        {"columns": {"input": "number", "case_id": "q-{row:03d}"}},
    ],
)
def test_blocks_become_the_cases_of_the_file(
    options: dict[str, Any], tmp_path: Path
) -> None:
    """Whatever types its columns have, first and after an edit."""
    path = tmp_path / "d.parquet"
    rows = pa.table(
        {
            "turns": [[{"role": "user", "content": f"q {at}"}] for at in range(200)],
            "kind": pa.array([None, "a", "b", "a"] * 50).dictionary_encode(),
            "number": [None if at % 7 == 3 else float(at) for at in range(200)],
            "days": pa.array(range(200), pa.date32()),
            "flag": [at % 3 == 0 for at in range(200)],
        }
    )
    if "derive" in options:
        rows = rows.drop_columns(["number"]).append_column("number", [range(200)])
    store = InMemoryRunStore()
    dataset = DatasetFile(dataset_id="d", path=str(path), **options)
    for table in (rows, pa.concat_tables([rows.slice(0, 90), rows.slice(91)])):
        pq.write_table(table, path)

        shards = list(shards_of([dataset], store, CUT))

        expected = pa.concat_tables(case_tables(dataset)).to_pylist()
        found = cases_of(shards, store)
        for case in found:
            del case["occurrence"]
        assert expected == found
        assert len(shards) > 5
