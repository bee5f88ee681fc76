"""Generators without a model: the demo and the replay."""

from __future__ import annotations

import hashlib
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.golden_builtins import generate_context
from tests.support.replays import ROWS, case, jsonl, outputs
from themis_lib.builtins.generators import DemoGenerator, ReplayGenerator
from themis_lib.components.build import build, component_identity
from themis_lib.errors import ComponentError, DatasetError, RowError


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
    """In a batch the error stands where the result would; its neighbours have
    theirs.
    """
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
    """Loading is lazy, happens once, and a file that is gone afterwards is not
    missed.
    """
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


def test_missing_file_is_found_when_the_experiment_is_compiled(tmp_path):
    """Building the component checks the file; the message names the path."""
    path = str(tmp_path / "missing.jsonl")

    with pytest.raises(DatasetError, match=r"no file '.*missing\.jsonl'"):
        build(
            "generator",
            {"use": "builtin/replay", "path": path},
            where="generation.generator",
        )


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
