"""Ways of computing are measured for each model, and remembered until damaged."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support.engine_subprocess import answer_of
from tests.support.generated import write_model
from themis_lib.engine.invariance import measure
from themis_lib.engine.models import TINY
from themis_lib.engine.weights import Weights

#: How texts are decoded, how many at once (least and most), where prompts are cut, and
#: whether weights may be rearranged: portable builds on x86-64-v3.
KNOWN = {
    "tiny": ("equal", 1, 8, 1, 2, True),
    "Q8_0": ("equal", 1, 8, 1, 2, True),
    "F16": ("fixed", 2, 8, 1, 2, True),
    "Q6_K": ("equal", 1, 7, 32, 32, True),
    "Q4_K_M": ("equal", 1, 7, 32, 32, False),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("models")

    def found(name: str) -> Path:
        path = folder / f"{name}.gguf"
        if name == "tiny":
            return TINY
        return (
            path
            if path.exists()
            else write_model(path, extra_tokens=2000, quantization=name)
        )

    return found


@pytest.mark.parametrize("name", KNOWN)
def test_what_leaves_the_bits_alone_is_found_for_each_quantisation(model, name) -> None:
    """Any number at once, or two at least; K-quants are cut at multiples of 32."""
    trained_context, found = measure(model(name), threads=1)
    assert Weights(model(name)).trained_context == trained_context
    assert KNOWN[name] == (
        found.decode,
        found.narrowest,
        found.width,
        found.cut_at,
        found.shortest,
        found.repacked,
    )
    assert not found.threads_matter


@pytest.mark.parametrize(
    "name", ["Q4_K_M", pytest.param("F16", marks=pytest.mark.slow)]
)
def test_another_process_finds_the_same(model, name) -> None:
    """The digest of the logits included, with one thread or two."""
    assert asdict(measure(model(name), threads=1)[1]) == answer_of(
        "measured", model=str(model(name))
    )


def test_models_with_other_weights_have_other_numerics(model, tmp_path) -> None:
    """The digest is one of what was computed."""
    _, one = measure(model("Q8_0"), threads=1)
    _, other = measure(
        write_model(
            tmp_path / "o.gguf", extra_tokens=2000, seed=1, quantization="Q8_0"
        ),
        threads=1,
    )
    assert (one.decode, one.width, one.cut_at) == (
        other.decode,
        other.width,
        other.cut_at,
    )
    assert one.numerics != other.numerics


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder; the folder of its facts about invariance."""
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(tmp_path))
    return tmp_path / "facts" / "invariance"


def test_what_was_found_is_remembered_for_other_processes(model, memory) -> None:
    """The second process neither measures nor writes: it believes the record."""
    first = answer_of("identity", model=str(model("Q8_0")))
    (record,) = memory.iterdir()
    written = record.stat()
    assert first == answer_of("identity", model=str(model("Q8_0")))
    assert (written.st_ino, written.st_mtime_ns) == (
        record.stat().st_ino,
        record.stat().st_mtime_ns,
    )

    answer_of("identity", model=str(model("F16")))
    assert 2 == len(list(memory.iterdir()))


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: "",
        lambda text: text.replace('"equal"', '"fixed"'),
        pytest.param(lambda text: text[: len(text) // 2], marks=pytest.mark.slow),
        pytest.param(
            lambda text: json.dumps({**json.loads(text), "fact": {"width": 8}}),
            marks=pytest.mark.slow,
        ),
        pytest.param(lambda text: "[]", marks=pytest.mark.slow),
        pytest.param(lambda text: "\0" * len(text), marks=pytest.mark.slow),
    ],
    ids=["empty", "changed", "cut", "incomplete", "another form", "zeros"],
)
def test_a_damaged_record_is_measured_again(model, memory, damage) -> None:
    """And replaced by a sound one."""
    first = answer_of("identity", model=str(model("Q8_0")))
    (record,) = memory.iterdir()
    sound = record.read_text()
    record.write_text(damage(sound))
    assert first == answer_of("identity", model=str(model("Q8_0")))
    assert [sound] == [file.read_text() for file in memory.iterdir()]


def test_where_nothing_can_be_remembered_it_is_measured_each_time(
    model, tmp_path, monkeypatch
) -> None:
    """A folder that cannot be written to costs time, nothing else."""
    expected = answer_of("identity", model=str(model("Q8_0")))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(tmp_path / "file" / "below"))
    assert expected == answer_of("identity", model=str(model("Q8_0")))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "IQ4_NL",
        "IQ4_XS",
        "Q2_K",
        "Q3_K_M",
        "Q4_0",
        "Q4_1",
        "Q5_0",
        "Q5_K_M",
        "BF16",
        "TQ2_0",
    ],
)
def test_every_quantisation_can_be_decoded_together_and_share_beginnings(
    model, name
) -> None:
    """Nothing is lost: "alone" and no cut at all were not seen with any."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, found = measure(model(name), threads=2)
    assert (found.decode, found.narrowest) in {("equal", 1), ("fixed", 2)}
    assert found.width in {7, 8}
    assert (found.cut_at, found.shortest) in {(1, 2), (32, 32)}
