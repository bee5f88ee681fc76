"""A file that llama.cpp would crash on, or that does not fit in memory, is refused."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import gguf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.model_files import gguf_file
from themis_lib import ModelError
from themis_lib.engine.gguf_file import _BLOCKS, check_gguf, file_problem, free_memory
from themis_lib.engine.models import find_model
from themis_lib.engine.tiny import TINY

pytestmark = pytest.mark.usefixtures("own_cache")


def test_bundled_model_is_a_whole_file() -> None:
    check_gguf(TINY)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("alignment", [8, 32, 64])
def test_whole_file_is_accepted(tmp_path: Path, version: int, alignment: int) -> None:
    """Both versions and any alignment are read to the last byte.

    One byte less is refused.
    """
    content = gguf_file(version=version, alignment=alignment)
    (tmp_path / "model.gguf").write_bytes(content)
    check_gguf(tmp_path / "model.gguf")
    (tmp_path / "model.gguf").write_bytes(content[:-1])

    with pytest.raises(ModelError, match="cut short"):
        check_gguf(tmp_path / "model.gguf")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 something else", "no GGUF file"),
        (gguf_file(version=1), "version 1"),
        (gguf_file(version=0x03000000), "little-endian"),
        (gguf_file(parts=2), "one of 2 parts"),
        (gguf_file(alignment=0), "alignment of 0"),
        (gguf_file(elements=65), "cut short: 736 of 740 bytes"),
        (gguf_file(elements=1 << 60), "cut short"),
        (gguf_file(counts=(0, 6)), "no tensor"),
        (gguf_file(counts=(1 << 62, 6)), "cut short"),
        (gguf_file(counts=(2, 1 << 62)), "cut short"),
    ],
)
def test_unusable_file_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    """What is wrong and the file's name are in the message."""
    file = tmp_path / "broken.gguf"
    file.write_bytes(content)

    with pytest.raises(ModelError, match=problem) as refusal:
        find_model(model=str(file))
    assert str(file) in str(refusal.value)


def test_any_beginning_of_a_file_is_refused(tmp_path: Path) -> None:
    """A download that stopped, at whichever byte, is a clear error."""
    content, file = gguf_file(), tmp_path / "model.gguf"
    for length in range(0, len(content), 7):
        file.write_bytes(content[:length])
        with pytest.raises(ModelError):
            check_gguf(file)


@given(st.integers(4, len(gguf_file()) - 1), st.integers(0, 255))
@settings(max_examples=300)
def test_a_damaged_header_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    """Whatever byte is changed, the file is accepted or refused by a `ModelError`."""
    content = bytearray(gguf_file())
    content[at] = byte
    file = tmp_path_factory.getbasetemp() / "damaged.gguf"
    file.write_bytes(content)
    with contextlib.suppress(ModelError):
        check_gguf(file)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        find_model(model=str(tmp_path / "missing.gguf"))
    with pytest.raises(ModelError, match="is not a file"):
        find_model(model=str(tmp_path))


def test_a_model_larger_than_memory_is_refused(tmp_path: Path) -> None:
    """A file of 256 TiB, or the largest of this filesystem, is refused unread."""
    file = tmp_path / "huge.gguf"
    file.write_bytes(gguf_file())
    for shift in (48, 44, 43, 42, 41):
        try:
            os.truncate(file, 1 << shift)
            break
        except OSError:
            continue

    with pytest.raises(ModelError, match="bytes of memory"):
        find_model(model=str(file))


def test_the_sizes_of_blocks_are_those_of_the_format() -> None:
    """As the package `gguf` has them, for every type that both know but one.

    The package counts Q8_1's two scales as 4 bytes each; ggml-common.h has 2.
    """
    sizes = {int(kind): tuple(found) for kind, found in gguf.GGML_QUANT_SIZES.items()}
    shared = sizes.keys() & _BLOCKS.keys()
    differing = {kind for kind in shared if sizes[kind] != _BLOCKS[kind]}

    assert len(shared) > 25
    assert {int(gguf.GGMLQuantizationType.Q8_1)} == differing


def test_a_problem_names_the_file_and_the_fix() -> None:
    problem = file_problem(Path("a.gguf"), "is empty", "download it again")

    assert "the model file 'a.gguf' is empty: download it again" == str(problem)


def test_some_memory_is_free_here() -> None:
    """Enough for the bundled model, and less than no machine has."""
    assert TINY.stat().st_size < free_memory() < 1 << 62
