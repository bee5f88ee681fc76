"""Arrays and tables as values: their type, shape and content."""

from __future__ import annotations

import sys
from typing import Any

from themis_lib.identity.digests import digest


def array_parts(value: Any) -> list[Any] | None:
    """Return what an array or table of numpy, pandas or pyarrow says; `None` for others.

    A library that is not loaded has made no array.
    """
    for name, parts in (
        ("numpy", _numpy_parts),
        ("pandas", _pandas_parts),
        ("pyarrow", _arrow_parts),
    ):
        library = sys.modules.get(name)
        found = parts(library, value) if library is not None else None
        if found is not None:
            return found
    return None


def _numpy_parts(numpy: Any, value: Any) -> list[Any] | None:
    if not isinstance(value, (numpy.ndarray, numpy.generic)):
        return None
    kind, shape = str(value.dtype.descr), list(value.shape)
    masked = numpy.ma.MaskedArray
    mask = value.mask if isinstance(value, masked) else None
    fill = value.fill_value if isinstance(value, masked) else None
    if value.dtype.hasobject:
        return ["array", kind, shape, value.tolist(), fill]
    content = numpy.ascontiguousarray(numpy.asarray(value)).tobytes().hex()
    # The mask of a masked array is an array, too; that of others is missing.
    hidden = None if mask is None else numpy.asarray(mask)
    return ["array", kind, shape, digest("array", content), hidden, fill]


def _pandas_parts(pandas: Any, value: Any) -> list[Any] | None:
    if isinstance(value, pandas.DataFrame):
        columns = [value.iloc[:, number] for number in range(value.shape[1])]
        return ["frame", list(value.columns), value.index, value.attrs, *columns]
    if isinstance(value, pandas.Index):
        levels = [item.dtype for item in getattr(value, "levels", [value])]
        kinds = [_pandas_type(pandas, item) for item in levels]
        return ["index", kinds, list(value.names), value.tolist()]
    if isinstance(value, pandas.Series):
        kind = _pandas_type(pandas, value.dtype)
        content = [value.name, value.tolist(), value.index, value.attrs]
        return ["series", kind, *content]
    return None


def _pandas_type(pandas: Any, dtype: Any) -> Any:
    """Return a type as text; that of categories does not name them."""
    if isinstance(dtype, pandas.CategoricalDtype):
        return [str(dtype), dtype.categories, dtype.ordered]
    return str(dtype)


def _schema(schema: Any) -> list[Any]:
    # A schema as text shows the beginning of its metadata.
    fields = [[field.name, str(field.type), field.nullable] for field in schema]
    return [fields, schema.metadata, [field.metadata for field in schema]]


def _arrow_parts(arrow: Any, value: Any) -> list[Any] | None:
    if isinstance(value, (arrow.Table, arrow.RecordBatch)):
        return ["table", _schema(value.schema), value.to_pylist()]
    if isinstance(value, (arrow.Array, arrow.ChunkedArray, arrow.Scalar)):
        is_scalar = isinstance(value, arrow.Scalar)
        content = value.as_py() if is_scalar else value.to_pylist()
        return ["arrow", str(value.type), content]
    return None
