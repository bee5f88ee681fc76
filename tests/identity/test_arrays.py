"""Arrays and tables are described by type, shape and content."""

from __future__ import annotations

from typing import Any

import numpy
import pandas
import pyarrow
import pytest

from tests.identity.test_values import described
from themis_lib.identity.arrays import array_parts

MASKED = numpy.ma.array
PAIR = [("a", "i4"), ("b", "i4")]


def categories(*names: str, ordered: bool = False) -> pandas.Categorical:
    return pandas.Categorical(["a"], categories=list(names), ordered=ordered)


def noted(value: str) -> pandas.Series:
    made = pandas.Series([1])
    made.attrs["note"] = value
    return made


def table(note: str) -> pyarrow.Table:
    return pyarrow.table({"a": [1]}).replace_schema_metadata({"note": note})


UNEQUAL: dict[str, tuple[Any, Any]] = {
    "shapes": (numpy.zeros((2, 3)), numpy.zeros((3, 2))),
    "types": (numpy.zeros(2, "f4"), numpy.zeros(4, "f2")),
    "signs of zero": (numpy.array([0.0]), numpy.array([-0.0])),
    "masks": (MASKED([1, 2], mask=[0, 1]), MASKED([1, 2], mask=[1, 0])),
    "fill values": (
        MASKED([1, 2], mask=[0, 1], fill_value=5),
        MASKED([1, 2], mask=[0, 1], fill_value=6),
    ),
    "masks of fields": (
        MASKED([(1, 2)], mask=[(0, 1)], dtype=PAIR),
        MASKED([(1, 2)], mask=[(1, 0)], dtype=PAIR),
    ),
    "masks of objects": (
        MASKED([1, "a"], mask=[0, 1], dtype=object),
        MASKED([1, "a"], mask=[1, 0], dtype=object),
    ),
    "fields": (numpy.array([(1, 2)], PAIR), numpy.array([(1, 3)], PAIR)),
    "names of fields": (
        numpy.array([(1, 2)], PAIR),
        numpy.array([(1, 2)], [("a", "i4"), ("c", "i4")]),
    ),
    "objects": (numpy.array([1], object), numpy.array([True], object)),
    "scalars": (numpy.float64(1), numpy.float32(1)),
    "scalar and number": (numpy.float64(1), 1.0),
    "functions": (numpy.add, numpy.subtract),
    "index": (pandas.Index([1]), pandas.Index([2])),
    "names of indexes": (pandas.Index([1], name="a"), pandas.Index([1], name="b")),
    "categories": (categories("a", "b"), categories("a", "c")),
    "categories of a series": (
        pandas.Series(categories("a", "b")),
        pandas.Series(categories("b", "a")),
    ),
    "order of a series": (
        pandas.Series(categories("a", ordered=True)),
        pandas.Series(categories("a")),
    ),
    "categories of an index": (
        pandas.CategoricalIndex(categories("a", "b")),
        pandas.CategoricalIndex(categories("b", "a")),
    ),
    "attributes of a series": (noted("a"), noted("b")),
    "levels": (
        pandas.MultiIndex.from_tuples([(1, 2)]),
        pandas.MultiIndex.from_tuples([(1, 3)]),
    ),
    "columns": (pandas.DataFrame({"a": [1]}), pandas.DataFrame({"b": [1]})),
    "missing values": (
        pandas.Series([1, None], dtype="Int64"),
        pandas.Series([1, 2], dtype="Int64"),
    ),
    "chunks": (
        pyarrow.chunked_array([[1], [2]]),
        pyarrow.chunked_array([[1], [3]]),
    ),
    "arrow scalars": (pyarrow.scalar(1), pyarrow.scalar(1, pyarrow.int8())),
    "metadata": (table("a" * 999), table("a" * 998 + "b")),
    "not a number and null": (
        pyarrow.array([float("nan")]),
        pyarrow.array([None], pyarrow.float64()),
    ),
}


@pytest.mark.parametrize("kind", UNEQUAL)
def test_unequal_arrays_are_told_apart(kind: str) -> None:
    """A change of content, type, shape or names changes the description."""
    one, other = UNEQUAL[kind]

    assert described(one) == described(one)
    assert repr(described(one)) != repr(described(other))


def test_layout_is_no_content() -> None:
    """Neither strides nor chunks are described."""
    rows = numpy.array([[1, 2], [3, 4]])
    chunks = pyarrow.chunked_array([[1], [2]])

    assert described(rows) == described(numpy.asfortranarray(rows))
    assert described(chunks) == described(pyarrow.chunked_array([[1, 2]]))


def test_array_that_holds_itself_is_described() -> None:
    """A cycle through an array of objects ends."""
    value = numpy.empty(1, dtype=object)
    value[0] = value

    assert described(value) == described(value)


def test_other_values_are_no_arrays() -> None:
    """A list or a module of an array library is not an array."""
    assert [None, None] == [array_parts([1]), array_parts(numpy)]
