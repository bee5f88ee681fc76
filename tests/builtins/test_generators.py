"""Generators without a model: the demo and the replay."""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.golden_builtins import generate_context
from themis_lib.builtins.generators import DemoGenerator, ReplayGenerator
from themis_lib.components.build import build, component_identity
from themis_lib.core.models import Case
from themis_lib.errors import ComponentError, DatasetError, RowError

ROWS = [
    {"case_id": "a", "output": "A: 1"},
    {"case_id": "b", "output": {"answer": 2}},
    {"case_id": "a", "output": "A: 3"},
]


def case(case_id: str = "a", **fields: Any) -> Case:
    return Case(case_id=case_id, input=fields.pop("input", None), **fields)


def jsonl(path: Path, rows: list[Any] = ROWS) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def outputs(generator: ReplayGenerator, *samples: tuple[str, int]) -> list[Any]:
    return [
        generator.generate(case(case_id), generate_context(sample)).final_output
        for case_id, sample in samples
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (case(input="2+2", expected_output={"answer": "4"}), {"answer": "4"}),
        (case(input="2+2"), "2+2"),
        (case(input="2+2", expected_output=False), False),
        (case(input={"q": 1}, expected_output=0), 0),
    ],
)
def test_demo_returns_what_is_expected_or_else_the_input(given, expected):
    """An expected output that is false or 0 is one; only null means that nothing is
    expected.
    """
    result = DemoGenerator().generate(given, generate_context())

    assert expected == result.final_output
    assert result.error is None


def test_demo_batch_is_the_same_as_one_by_one():
    """A batch returns one result for each case, in order."""
    cases = [case(str(number), input=number) for number in range(5)]
    contexts = [generate_context(number) for number in range(5)]
    demo = DemoGenerator()

    batch = demo.generate_batch(cases, contexts)

    assert [demo.generate(*pair) for pair in zip(cases, contexts, strict=True)] == batch


def test_demo_is_quick():
    """Ten thousand candidates take less than a second: a demo shows the pipeline, not
    its generator.
    """
    cases, contexts = [case(input=1)] * 10_000, [generate_context()] * 10_000

    began = time.perf_counter()
    DemoGenerator().generate_batch(cases, contexts)

    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    "name", ["recorded.jsonl", "recorded.ndjson", "RECORDED.JSONL"]
)
def test_replay_returns_the_recorded_outputs_of_json_lines(tmp_path, name):
    """Rows of one case are its samples in the order of the file; an output is any JSON
    value.
    """
    generator = ReplayGenerator(path=jsonl(tmp_path / name))

    assert ["A: 1", "A: 3", {"answer": 2}] == outputs(
        generator, ("a", 0), ("a", 1), ("b", 0)
    )


def test_replay_reads_csv(tmp_path):
    """CSV cells are text, also ids that look like numbers; quoted cells may hold lines,
    quotes and commas.
    """
    path = tmp_path / "recorded.csv"
    path.write_bytes(b'\xef\xbb\xbfcase_id,output\r\n007,"A: ""1"",\n2"\r\n\r\n8,\r\n')
    generator = ReplayGenerator(path=str(path))

    assert ['A: "1",\n2', ""] == outputs(generator, ("007", 0), ("8", 0))


def test_replay_reads_a_long_csv_cell(tmp_path):
    """An output longer than Python's own limit for a cell is read whole."""
    path = tmp_path / "recorded.csv"
    path.write_text(f"case_id,output\na,{'x' * 200_000}\n")

    assert ["x" * 200_000] == outputs(ReplayGenerator(path=str(path)), ("a", 0))


def test_replay_reads_parquet(tmp_path):
    """Parquet columns keep their types; whole numbers are ids too."""
    path = tmp_path / "recorded.parquet"
    pq.write_table(
        pa.table({"n": [1, 2], "text": [["x"], ["y", "z"]], "unused": [0, 0]}), path
    )
    generator = ReplayGenerator(path=str(path), column="text", case_id_column="n")

    assert [["x"], ["y", "z"]] == outputs(generator, ("1", 0), ("2", 0))


def test_replay_reads_any_filesystem():
    """The path is any fsspec URL."""
    with fsspec.open("memory://replay/recorded.jsonl", "w") as file:
        file.write('{"case_id": "a", "output": 1}')

    assert [1] == outputs(
        ReplayGenerator(path="memory://replay/recorded.jsonl"), ("a", 0)
    )


def test_replay_reads_a_path_with_brackets(tmp_path):
    """A path is a path, never a pattern."""
    generator = ReplayGenerator(path=jsonl(tmp_path / "run[1]*.jsonl"))

    assert ["A: 1"] == outputs(generator, ("a", 0))


def test_replay_takes_the_format_that_is_given(tmp_path):
    """`format` goes before the suffix."""
    generator = ReplayGenerator(path=jsonl(tmp_path / "recorded.txt"), format="jsonl")

    assert ["A: 1"] == outputs(generator, ("a", 0))


def test_sample_column_numbers_the_samples(tmp_path):
    """With `sample_column` the order of the file does not matter."""
    rows = [
        {"case_id": "a", "output": name, "n": n}
        for name, n in [("third", 2), ("first", "0"), ("second", 1)]
    ]
    generator = ReplayGenerator(
        path=jsonl(tmp_path / "recorded.jsonl", rows), sample_column="n"
    )

    assert ["first", "second", "third"] == outputs(
        generator, ("a", 0), ("a", 1), ("a", 2)
    )


@pytest.mark.parametrize(
    ("case_id", "sample", "message"),
    [
        ("c", 0, "no output is recorded for case 'c'"),
        ("a", 2, "no output is recorded for sample 2 of case 'a'; it has 2"),
        ("n", 0, "the output recorded for case 'n' is null"),
    ],
)
def test_what_is_not_recorded_is_a_fact_about_the_row(
    tmp_path, case_id, sample, message
):
    """A missing id, sample or output is a `RowError` that names it, not a crash of the
    run.
    """
    rows = [*ROWS, {"case_id": "n", "output": None}]
    generator = ReplayGenerator(path=jsonl(tmp_path / "recorded.jsonl", rows))

    with pytest.raises(RowError) as raised:
        generator.generate(case(case_id), generate_context(sample))

    assert message == str(raised.value)


def test_missing_rows_do_not_fail_their_batch(tmp_path):
    """In a batch the error stands where the result would; its neighbours have theirs."""
    generator = ReplayGenerator(path=jsonl(tmp_path / "recorded.jsonl"))
    cases = [case("a"), case("missing"), case("b")]

    first, second, third = generator.generate_batch(cases, [generate_context()] * 3)

    assert "A: 1" == first.final_output
    assert isinstance(second, RowError)
    assert {"answer": 2} == third.final_output


def test_identity_is_the_content_and_not_the_place(tmp_path):
    """Moving a file, or naming its format, changes nothing; one byte more changes the
    identity.
    """
    content = (tmp_path / "one.jsonl", tmp_path / "two.json", tmp_path / "three.jsonl")
    jsonl(content[0])
    content[1].write_bytes(content[0].read_bytes())
    content[2].write_bytes(content[0].read_bytes() + b"\n")

    one = ReplayGenerator(path=str(content[0]))
    moved = ReplayGenerator(
        path=str(content[1]), format="jsonl", storage_options={"auto_mkdir": False}
    )
    changed = ReplayGenerator(path=str(content[2]))

    assert component_identity("generator", one) == component_identity(
        "generator", moved
    )
    assert one.fingerprint() != changed.fingerprint()
    assert (
        hashlib.sha256(content[0].read_bytes()).hexdigest() == one.settings()["sha256"]
    )
    assert str(tmp_path) not in one.fingerprint()


@pytest.mark.parametrize("setting", ["column", "case_id_column", "sample_column"])
def test_columns_are_identity(tmp_path, setting):
    """Reading another column is another computation."""
    rows = [{"case_id": "a", "output": "x", "other": 0}]
    path = jsonl(tmp_path / "recorded.jsonl", rows)

    other = ReplayGenerator(path=path, **{setting: "other"})

    assert ReplayGenerator(path=path).fingerprint() != other.fingerprint()


def test_file_is_read_once_by_many_threads(tmp_path):
    """Loading is lazy, happens once, and a file that is gone afterwards is not missed."""
    path = tmp_path / "recorded.jsonl"
    generator = ReplayGenerator(path=jsonl(path))
    with ThreadPoolExecutor(8) as threads:
        recordings = list(threads.map(lambda _: generator._loaded_recording, range(32)))
    path.unlink()

    assert 1 == len({id(recording) for recording in recordings})
    assert ["A: 1"] == outputs(generator, ("a", 0))


def test_replay_can_be_sent_to_another_process(tmp_path):
    """A generator that has loaded its file can be pickled; it is equal to the one it
    came from.
    """
    generator = ReplayGenerator(path=jsonl(tmp_path / "recorded.jsonl"))
    generator.check()

    sent = pickle.loads(pickle.dumps(generator))

    assert generator == sent
    assert ["A: 1"] == outputs(sent, ("a", 0))


BROKEN: list[tuple[str, bytes, dict[str, Any], list[str]]] = [
    (
        "a.jsonl",
        b'{"case_id": "a", "output": 1}\n{"case_id"\n',
        {},
        ["a.jsonl:2: not JSON"],
    ),
    ("a.jsonl", b'{"case_id": "a", "output": NaN}', {}, ["a.jsonl:1: not JSON"]),
    ("a.jsonl", b'\n\n["a", 1]\n', {}, ["a.jsonl:3: not a JSON object"]),
    ("a.jsonl", b'{"case_id": "a", "output": "\xff"}', {}, ["a.jsonl:1: not JSON"]),
    (
        "a.jsonl",
        b'{"case_id": "a", "output": 1}',
        {"column": "outptu"},
        [
            "a.jsonl:1",
            "no column 'outptu'",
            "did you mean 'output'?",
            "'case_id', 'output'",
        ],
    ),
    (
        "a.jsonl",
        b'{"case_id": "a"}',
        {},
        ["a.jsonl:1", "no column 'output'", "'case_id'"],
    ),
    ("a.jsonl", b'{"case_id": null, "output": 1}', {}, ["a.jsonl:1", "None"]),
    ("a.jsonl", b'{"case_id": true, "output": 1}', {}, ["a.jsonl:1", "True"]),
    (
        "a.jsonl",
        b'{"case_id": "a", "output": 1, "n": -1}',
        {"sample_column": "n"},
        ["a.jsonl:1", "-1"],
    ),
    (
        "a.jsonl",
        b'{"case_id": "a", "output": 1, "n": 0}\n{"case_id": "a", "output": 2, "n": 0}',
        {"sample_column": "n"},
        ["a.jsonl:2", "sample 0 of case 'a' is recorded twice"],
    ),
    (
        "a.csv",
        b"case_id,text\na,b\n",
        {},
        ["a.csv:1", "no column 'output'", "'case_id', 'text'"],
    ),
    ("a.csv", b"", {}, ["a.csv:1", "no column 'case_id'"]),
    (
        "a.csv",
        b'case_id,output\na,"1\n2"\nb,2,3\n',
        {},
        ["a.csv:4", "3 cells under 2 column names"],
    ),
    ("a.csv", b'case_id,output\na,"1"2\n', {}, ["a.csv:2: not CSV"]),
    (
        "a.csv",
        b"case_id,output,output\na,1,2\n",
        {},
        ["two columns are called 'output'"],
    ),
    ("a.csv", b"case_id,output\na,\xff\n", {}, ["a.csv: not UTF-8"]),
    ("a.parquet", b"PAR1 no", {}, ["a.parquet: not Parquet"]),
]


@pytest.mark.parametrize(("name", "content", "settings", "words"), BROKEN)
def test_broken_file_is_found_by_check(tmp_path, name, content, settings, words):
    """One clear error before anything is generated: the file, the line, the column, the
    nearest choice.
    """
    path = tmp_path / name
    path.write_bytes(content)
    generator = ReplayGenerator(path=str(path), **settings)

    with pytest.raises(DatasetError) as raised:
        generator.check()

    assert [] == [word for word in words if word not in str(raised.value)], str(
        raised.value
    )
    assert "\n" not in str(raised.value)


def test_missing_column_of_parquet_is_named(tmp_path):
    """Parquet knows its columns without reading a row."""
    path = tmp_path / "recorded.parquet"
    pq.write_table(pa.table({"case_id": ["a"], "text": ["x"]}), path)

    with pytest.raises(
        DatasetError, match=r"recorded\.parquet: no column 'output'.*'case_id', 'text'"
    ):
        ReplayGenerator(path=str(path)).check()


def test_missing_file_is_found_when_the_experiment_is_compiled(tmp_path):
    """Building the component checks the file; the message names the path."""
    path = str(tmp_path / "missing.jsonl")

    with pytest.raises(DatasetError, match=r"no file '.*missing\.jsonl'"):
        build(
            "generator",
            {"use": "builtin/replay", "path": path},
            where="generation.generator",
        )


def test_unknown_filesystem_is_named():
    """A protocol that fsspec does not know is one error, too."""
    with pytest.raises(DatasetError, match="nowhere://"):
        ReplayGenerator(path="nowhere://bucket/recorded.jsonl").check()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"path": "outputs.txt"},
            "builtin/replay: 'outputs.txt' ends in none of .jsonl",
        ),
        ({"path": 3}, "builtin/replay: path=3: input should be a valid string"),
        ({"path": "a.jsonl", "format": "xml"}, "builtin/replay: format='xml'"),
        ({"path": "a.jsonl", "column": None}, "builtin/replay: column=None"),
    ],
)
def test_unfit_setting_is_refused(settings, message):
    """A setting that cannot be used is refused when the component is built, in one
    line.
    """
    with pytest.raises(ComponentError) as raised:
        ReplayGenerator(**settings)

    assert message in str(raised.value)


def test_storage_options_are_never_shown():
    """They may hold credentials: neither the generator's text nor an error has them."""
    secret = "s3cr3t"

    with pytest.raises(ComponentError) as raised:
        ReplayGenerator(path="a.jsonl", storage_options=secret)

    assert secret not in str(raised.value)
    assert secret not in repr(
        ReplayGenerator(path="a.jsonl", storage_options={"key": secret})
    )
