"""Files that cases name: read with the data, and known by their content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.media import PDF, WAV, as_base64, data_url, png, write_jsonl
from themis_lib.core.config import DatasetFile
from themis_lib.core.models import Case, Dataset
from themis_lib.data import part_folders
from themis_lib.data.datasets import case_rows
from themis_lib.data.part_files import PartFiles
from themis_lib.errors import DatasetError
from themis_lib.identity.digests import load_json

IMAGE = {"type": "image", "path": "a.png"}


def inputs(
    dataset: DatasetFile | Dataset, *, fields: tuple[str, ...] = ()
) -> list[Any]:
    """The inputs of a dataset's cases as they are kept."""
    rows = case_rows(dataset, files=PartFiles(fields))
    return [load_json(text) for _, text, _, _ in rows]


def of_file(folder: Path, *values: Any) -> DatasetFile:
    path = write_jsonl(folder / "cases.jsonl", list(values))
    return DatasetFile(dataset_id="d", path=str(path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.png").write_bytes(png(1))
    (tmp_path / "b.dat").write_bytes(png(1))
    (tmp_path / "c.wav").write_bytes(WAV)
    (tmp_path / "d.pdf").write_bytes(PDF)
    (tmp_path / "notes.txt").write_text("hello")
    return tmp_path


def test_a_path_becomes_the_content_of_its_file(folder: Path) -> None:
    """In parts, in messages, whatever the file is called, by path, data or data URL."""
    same = [
        {"type": "image", "path": "a.png"},
        {"type": "image", "path": "./b.dat"},
        {"type": "image", "url": data_url(png(1), "image/png")},
        {"type": "image", "data": as_base64(png(1)), "media_type": "image/png"},
    ]
    turns = [{"role": "user", "content": same}]

    found = inputs(of_file(folder, same, turns))

    [content] = {json.dumps(part, sort_keys=True) for part in found[0]}
    assert {"type": "image", "media_type": "image/png", "bytes": 69} | {
        "sha256": json.loads(content)["sha256"]
    } == json.loads(content)
    assert found[0] == found[1][0]["content"]


@pytest.mark.parametrize(
    ("part", "media_type"),
    [
        ({"type": "audio", "path": "c.wav"}, "audio/wav"),
        ({"type": "file", "path": "d.pdf"}, "application/pdf"),
        ({"type": "file", "path": "notes.txt"}, "text/plain"),
        ({"type": "file", "path": "a.png"}, "image/png"),
        (
            {"type": "file", "path": "notes.txt", "media_type": "text/x-log"},
            "text/x-log",
        ),
    ],
)
def test_content_tells_the_media_type(part: Any, media_type: str, folder: Path) -> None:
    """Of a text its suffix does, or `media_type`."""
    assert media_type == inputs(of_file(folder, [part]))[0][0]["media_type"]


def test_name_and_detail_are_kept(folder: Path) -> None:
    """They are sent; the name of the file is not."""
    cached = {"cache_control": {"type": "ephemeral"}}
    part = {**IMAGE, "name": "x.png", "detail": "low", **cached}

    [[kept]] = inputs(of_file(folder, [part]))

    assert ("x.png", "low") == (kept["name"], kept["detail"])
    assert cached["cache_control"] == kept["cache_control"]


@pytest.mark.parametrize(
    "value",
    [
        "text",
        ["a", 1],
        {"image": IMAGE},
        [IMAGE, "not a part"],
        [{**IMAGE, "pixels": 4}],
        [{"type": "dir", "path": "a"}, {"type": "file", "path": "gone"}],
        [{"type": "text", "text": "q"}],
        [
            {
                "role": "user",
                "content": [{"type": "image_url", "image_url": {"url": "x"}}],
            }
        ],
        [{"type": "image", "url": "https://x.test/1.png"}],
    ],
)
def test_what_names_no_file_stays_as_it_is(value: Any, folder: Path) -> None:
    """A list is one of parts only if each of its items is."""
    assert [value] == inputs(of_file(folder, value))


def test_fields_of_a_template_may_name_files(folder: Path) -> None:
    """Those that it reads, one part or a list of them; others stay as they are."""
    value = {"one": IMAGE, "many": [IMAGE, IMAGE], "other": IMAGE, "q": "?"}

    [found] = inputs(of_file(folder, value), fields=("one", "many", "q", "absent"))

    assert "sha256" in found["one"]
    assert [found["one"]] * 2 == found["many"]
    assert (IMAGE, "?") == (found["other"], found["q"])


def test_fields_of_a_template_may_have_parts_below_them(folder: Path) -> None:
    """As deep as a template can reach; an error says where the part is."""
    shots = [{"q": "?", "picture": IMAGE}, {"q": "??", "parts": [IMAGE]}]

    [found] = inputs(of_file(folder, {"shots": shots}), fields=("shots",))

    one, other = found["shots"]
    assert ["image/png"] * 2 == [
        one["picture"]["media_type"],
        other["parts"][0]["media_type"],
    ]
    gone = {"a": {"b": {"type": "image", "path": "gone.png"}}}
    with pytest.raises(DatasetError, match=r"a\.b: path 'gone\.png'"):
        inputs(of_file(folder, gone), fields=("a",))


def test_columns_of_paths_become_parts_by_expression(folder: Path) -> None:
    """A CSV file has no objects."""
    (folder / "cases.csv").write_text("question,picture\nWhat?,a.png\n")
    parts = "[{'type': 'text', 'text': question}, {'type': 'image', 'path': picture}]"
    dataset = DatasetFile(
        dataset_id="d", path=str(folder / "cases.csv"), derive={"input": parts}
    )

    [[text, image]] = inputs(dataset)

    assert {"type": "text", "text": "What?"} == text
    assert "image/png" == image["media_type"]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            {"type": "image", "path": "gone.png"},
            "path 'gone.png': there is no such file",
        ),
        ({"type": "image", "path": "."}, "path '.' cannot be read: IsADirectoryError"),
        ({"type": "image", "path": "c.wav"}, "it is audio/wav, which is no image"),
        (
            {"type": "audio", "path": "d.pdf"},
            "it is application/pdf, which is no audio",
        ),
        (
            {"type": "image", "path": "empty.png"},
            "tells the media type; write `media_type`",
        ),
        ({"type": "file", "path": "empty.txt"}, "it is empty"),
        (
            {"type": "image", "path": "a.png", "media_type": "image/jpeg"},
            "it is image/png, and media_type says 'image/jpeg'",
        ),
        (
            {"type": "image", "path": "big.png"},
            "has 33,554,433 bytes, and a request can",
        ),
        (
            {"type": "image", "path": "../x.png"},
            "not below the folder of the data file",
        ),
        (
            {"type": "image", "path": "/etc/x.png"},
            "not below the folder of the data file",
        ),
        ({"type": "file", "path": "b/../../x.pdf"}, "not below the folder of the data"),
        ({"type": "image", "data": "%%%", "media_type": "image/png"}, "not base64"),
        ({"type": "image", "url": "a.png"}, "'a.png' is no URL; write `path`"),
        ({"type": "file", "url": "file:///etc/passwd"}, "write `path` for a file"),
    ],
)
def test_a_file_that_cannot_be_sent_is_refused(
    part: Any, message: str, folder: Path
) -> None:
    """The message names the data file, the line and the part."""
    (folder / "empty.png").touch()
    (folder / "empty.txt").touch()
    with (folder / "big.png").open("wb") as file:
        file.truncate(part_folders.MOST_BYTES + 1)
    dataset = of_file(folder, "good", [{"type": "text", "text": "q"}, part])

    with pytest.raises(DatasetError) as raised:
        inputs(dataset)

    assert str(raised.value).startswith(f"{folder}/cases.jsonl:2: part 2: ")
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({**IMAGE, "pixels": 4}, "it has 'path', 'pixels', 'type'; a part has `type`"),
        (
            {"type": "image", "url": "data:nonsense"},
            "its `url` or its settings are mal",
        ),
        ({**IMAGE, "media_type": 3}, "its `url` or its settings are malformed"),
    ],
)
def test_misspelt_part_of_a_message_is_refused(
    part: Any, message: str, folder: Path
) -> None:
    """In a message it can be nothing else; as a bare list it is data."""
    turn = {"role": "user", "content": [part]}

    with pytest.raises(DatasetError, match=f"part 1: {message}"):
        inputs(of_file(folder, [turn]))
    assert [[part]] == inputs(of_file(folder, [part]))


def test_paths_of_cases_in_memory_begin_in_the_working_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Code may name any file, also by an absolute path."""
    monkeypatch.chdir(folder)
    absolute = {"type": "image", "path": str(folder / "a.png")}
    cases = [Case(case_id="1", input=[IMAGE]), Case(case_id="2", input=[absolute])]

    one, other = inputs(Dataset(dataset_id="d", cases=cases))

    assert one == other
    gone = Case(case_id="3", input=[{"type": "image", "path": "gone.png"}])
    with pytest.raises(DatasetError, match="dataset 'd': case '3': part 1: path 'gone"):
        inputs(Dataset(dataset_id="d", cases=[gone]))


def test_paths_begin_at_a_data_file_on_any_filesystem() -> None:
    """The file is read as the data file is."""
    memory = fsspec.filesystem("memory")
    row = {"input": [{"type": "image", "path": "images/a.png"}]}
    memory.pipe("/media/cases.jsonl", json.dumps(row).encode())
    memory.pipe("/media/images/a.png", png(1))
    dataset = DatasetFile(dataset_id="d", path="memory://media/cases.jsonl")

    [[part]] = inputs(dataset)

    assert "image/png" == part["media_type"]
    memory.rm("/media/images/a.png")
    with pytest.raises(DatasetError, match=r"'images/a\.png': there is no such file"):
        inputs(dataset)


def test_parts_of_a_table_lose_the_keys_that_it_adds(folder: Path) -> None:
    """Arrow gives every part every key, with nulls."""
    parts = [{"type": "text", "text": "What?"}, IMAGE]
    rows = [{"input": parts}, {"input": [IMAGE]}]
    pq.write_table(pa.Table.from_pylist(rows), folder / "cases.parquet")
    typed = DatasetFile(dataset_id="d", path=str(folder / "cases.parquet"))

    assert inputs(of_file(folder, parts, [IMAGE])) == inputs(typed)
