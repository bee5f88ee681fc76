"""Marks of rows, and borders that follow from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from themis_lib.data import marks
from themis_lib.data.borders import cut_by_content
from themis_lib.data.marks import Repetitions, row_bytes, row_marks

#: A type of Arrow's, and its values.
COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "text": (pa.string(), st.text(max_size=3)),
    "bytes": (pa.large_binary(), st.binary(max_size=3)),
    "integer": (pa.int16(), st.integers(-3, 3)),
    "float": (pa.float64(), st.sampled_from([0.0, 0.5, -2.0])),
    "boolean": (pa.bool_(), st.booleans()),
    "category": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from("ab")),
    "list": (pa.list_(pa.string()), st.lists(st.text(max_size=2), max_size=3)),
    "object": (
        pa.struct([("a", pa.int64()), ("b", pa.list_(pa.int64()))]),
        st.fixed_dictionaries(
            {
                "a": st.none() | st.integers(0, 2),
                "b": st.lists(st.integers(0, 1), max_size=2),
            }
        ),
    ),
}


@pytest.mark.parametrize("kind", list(COLUMNS))
@given(data=st.data())
def test_rows_are_equal_where_their_marks_are(kind: str, data: st.DataObject) -> None:
    """However a column is chunked and sliced, and beside another column."""
    arrow, values = COLUMNS[kind]
    held = data.draw(st.lists(st.none() | values, min_size=1, max_size=12))
    start = data.draw(st.integers(0, len(held) - 1))
    whole = pa.array(held, arrow)
    chunked = pa.chunked_array([whole.slice(0, start), whole.slice(start)])
    other = pa.array(range(len(held)))

    found = row_marks([whole])

    for left, left_mark in zip(held, found, strict=True):
        for right, right_mark in zip(held, found, strict=True):
            assert (left == right) == (left_mark == right_mark)
    assert found.tolist() == row_marks([chunked]).tolist()
    assert found[start:].tolist() == row_marks([whole.slice(start)]).tolist()
    assert len(set(row_marks([whole, other]).tolist())) == len(held)
    assert len(row_bytes([whole])) == len(held)


def test_marks_are_the_same_in_every_release() -> None:
    """Borders follow from them: other ones would move every shard."""
    found = row_marks(
        [pa.array(["", "a", None, "What is 2+2?"]), pa.array([1, 2, 3, 4])]
    )

    assert [
        13595729643489119328,
        6651010513767583111,
        544738731160821587,
        11633562835592849404,
    ] == found.tolist()


def test_long_texts_are_marked_in_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a text is longer than what is computed at once."""
    texts = pa.array(["ab" * 50, "c", "", "ab" * 49 + "aa", "b" * 7, None])
    expected = row_marks([texts]).tolist()

    marks._powers.cache_clear()
    monkeypatch.setattr(marks, "_SPAN", 8)
    found = row_marks([texts]).tolist()
    monkeypatch.undo()
    marks._powers.cache_clear()

    assert expected == found
    assert len(set(found)) == 6


@given(st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=8))
def test_repetitions_are_counted_over_all_batches(batches: list[list[int]]) -> None:
    """As if each mark were looked for among all before it."""
    repetitions = Repetitions()
    seen: list[int] = []
    for batch in batches:
        counts = repetitions.count(np.array(batch, np.uint64)).tolist()
        for mark, count in zip(batch, counts, strict=True):
            assert seen.count(mark) == count
            seen.append(mark)


def borders(texts: list[str], size: int, most_bytes: int, batch: int) -> list[int]:
    """The rows of each shard, of tables of so many rows."""
    table = pa.table({"text": texts})
    tables = [table.slice(at, batch) for at in range(0, len(texts), batch)]
    cut = cut_by_content(
        tables, lambda _: size, most_bytes=most_bytes, marked=lambda one: one.columns
    )
    found = list(cut)
    assert pa.concat_tables(found)["text"].to_pylist() == texts
    return [one.num_rows for one in found]


def test_borders_do_not_depend_on_batches() -> None:
    """Nor on what is behind them, but for the last."""
    texts = [f"text {number}" for number in range(200)]

    found = borders(texts, 10, 10**6, 7)

    assert found == borders(texts, 10, 10**6, 200)
    assert found[:-2] == borders(texts[:190], 10, 10**6, 31)[: len(found) - 2]
    assert all(5 <= rows <= 15 for rows in found[:-1])


def test_large_rows_are_fewer_in_a_shard() -> None:
    """As many as fit, and at least one."""
    texts = [str(number % 10) * 100 for number in range(50)]

    assert max(borders(texts, 10, 350, 8)) <= 3
    assert {1} == set(borders(texts, 10, 50, 8))
