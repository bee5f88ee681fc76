"""Negative controls of the search for credentials: what was put into a file on purpose
is found there.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import pickle
import sqlite3
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.contents import contents
from tests.support.reported_runs import run
from themis_lib import Case, Dataset
from themis_lib.report.html import report_html
from themis_lib.storage.part_files import parquet_bytes

HIDDEN = "sk-hidden-0b9d7a61-key"
#: Whose key is compressed, since its parts stand before it.
TOLD = (
    "Keys begin with sk-hidden-0b9d and end with 0b9d7a61-key: the provider refused "
    f"the request with {HIDDEN}."
)
#: Cells around it, since a Parquet file names the first and the last one in plain text.
CELLS = ["A", TOLD, "Z"]
ESCAPED = "".join(f"\\u{ord(character):04x}" for character in HIDDEN)
NESTED = pa.table(
    {
        "rows": [[{"details": {"said": CELLS}}]],
        "metadata": [[("note", cell) for cell in CELLS]],
    },
    schema=pa.schema(
        {
            "rows": pa.list_(
                pa.struct({"details": pa.struct({"said": pa.list_(pa.string())})})
            ),
            "metadata": pa.map_(pa.string(), pa.string()),
        }
    ),
)


def page() -> bytes:
    return report_html(
        run(Dataset(dataset_id="d", cases=[Case(case_id="1", input=TOLD)]), metrics=[])
    ).encode()


#: Files by what they are.
PLAIN = {
    "log": f"12:00:01 | INFO | {TOLD}\n".encode(),
    "JSON": json.dumps({"error": TOLD}).encode(),
    "keys of JSON": json.dumps({HIDDEN: 1}).encode(),
}
#: Those whose bytes do not show what they hold.
VEILED = {
    "Parquet": lambda: parquet_bytes(pa.table({"error": CELLS})),
    "nested Parquet": lambda: parquet_bytes(NESTED),
    "bytes in Parquet": lambda: parquet_bytes(
        pa.table({"output": [cell.encode() for cell in CELLS]})
    ),
    "JSON in Parquet": lambda: parquet_bytes(
        pa.table({"output": [f'{{"text": "{TOLD.replace(HIDDEN, ESCAPED)}"}}']})
    ),
    "page": page,
    "characters of HTML": lambda: "".join(
        f"&#{ord(character)};" for character in HIDDEN
    ).encode(),
    "escaped JSON": lambda: f'{{\n"error": ["{ESCAPED}"]\n}}'.encode(),
    "lines of JSON": lambda: f'{{"error": null}}\n{{"error": "{ESCAPED}"}}\n'.encode(),
    "JSON in JSON": lambda: json.dumps(
        {"parameters": f'{{"key": "{ESCAPED}"}}'}
    ).encode(),
    "gzip": lambda: gzip.compress(TOLD.encode()),
    "zstd": lambda: pa.compress(TOLD.encode() * 9, codec="zstd", asbytes=True),
    "pickle in JSON": lambda: json.dumps(
        {"result": base64.b64encode(pickle.dumps([TOLD])).decode()}
    ).encode(),
    "base64 after a prefix": lambda: (
        b"key/" + base64.urlsafe_b64encode(b"me:" + HIDDEN.encode())
    ),
}


def is_found(path: Path) -> bool:
    return any(HIDDEN.encode() in content for content in contents(path))


@pytest.mark.parametrize("content", PLAIN.values(), ids=PLAIN)
def test_plain_text_is_found(content: bytes, tmp_path: Path) -> None:
    """The bytes of every file are looked at as they are."""
    path = tmp_path / "file"
    path.write_bytes(content)

    assert is_found(path)


@pytest.mark.parametrize("kind", VEILED)
def test_what_bytes_do_not_show_is_found(kind: str, tmp_path: Path) -> None:
    """A text that is compressed, encoded or escaped is found, although the file's bytes
    are without it.
    """
    path = tmp_path / "file"
    path.write_bytes(VEILED[kind]())

    assert HIDDEN.encode() not in path.read_bytes()
    assert is_found(path)


def test_cells_of_a_database_are_found(tmp_path: Path) -> None:
    """Also one that SQLite keeps on two pages, and one that is only in the log beside
    its file.
    """
    paged, logged = tmp_path / "paged.db", tmp_path / "logged.db"
    with contextlib.closing(sqlite3.connect(paged)) as database:
        database.execute("PRAGMA page_size = 512")
        database.execute("CREATE TABLE said (text TEXT)")
        database.execute(
            "INSERT INTO said VALUES (?)", ["-" * 584 + HIDDEN + "-" * 496]
        )
        database.commit()
    with contextlib.closing(sqlite3.connect(logged)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE said (text TEXT)")
        database.execute("INSERT INTO said VALUES (?)", [TOLD])
        database.commit()

        assert [False, False] == [
            HIDDEN.encode() in path.read_bytes() for path in (paged, logged)
        ]
        assert [True, True] == [is_found(path) for path in (paged, logged)]


def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    """The search finds nothing in a file that holds other texts."""
    path = tmp_path / "file"
    path.write_bytes(parquet_bytes(pa.table({"error": [TOLD.replace(HIDDEN, "***")]})))

    assert not is_found(path)


def test_file_that_cannot_be_opened_is_no_clean_file(tmp_path: Path) -> None:
    """A damaged table is an error, not a file without credentials."""
    path = tmp_path / "file"
    path.write_bytes(parquet_bytes(pa.table({"error": CELLS}))[:-20])

    with pytest.raises(pa.ArrowInvalid):
        is_found(path)
