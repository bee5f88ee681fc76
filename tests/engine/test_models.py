"""The choice of a model file, its checks and its digest, and what is remembered of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from themis_lib import ModelError
from themis_lib.engine.gguf_file import check_gguf
from themis_lib.engine.hub import HubModel
from themis_lib.engine.models import MODELS, SIZES, find_model
from themis_lib.engine.places import cache_folder, recall, remember
from themis_lib.engine.tiny import TINY

Q8_0, F32 = 8, 0
LONG_AGO = 1_700_000_000


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(
    *,
    version: int = 3,
    parts: int = 1,
    alignment: int = 32,
    elements: int = 64,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """A GGUF file of settings of every kind and two tensors."""
    pairs = [
        text("general.architecture") + struct.pack("<I", 8) + text("llama"),
        text("general.alignment") + struct.pack("<II", 4, alignment),
        text("split.count") + struct.pack("<IH", 2, parts),
        text("llama.rope.freq_base") + struct.pack("<If", 6, 1e4),
        text("tokenizer.tokens")
        + struct.pack("<IIQ", 9, 8, 3)
        + text("a")
        + text("b")
        + text("🙂"),
        text("tokenizer.scores") + struct.pack("<IIQ3f", 9, 6, 3, 0, 1, 2),
    ]
    tensors = [
        text("first") + struct.pack("<IQQIQ", 2, 32, 2, Q8_0, 0),
        text("second") + struct.pack("<IQIQ", 1, elements, F32, 96),
    ]
    tensor_count, pair_count = counts or (len(tensors), len(pairs))
    header = (
        b"GGUF"
        + struct.pack("<IQQ", version, tensor_count, pair_count)
        + b"".join(pairs + tensors)
    )
    padding = -len(header) % max(alignment, 1)
    return header + bytes(padding) + bytes(96 + 4 * 64)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own for whatever is remembered."""
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.delenv("THEMIS_MODEL", raising=False)
    return tmp_path / "kept"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "model.gguf"
    file.write_bytes(gguf())
    os.utime(file, (LONG_AGO, LONG_AGO))
    return file


def python(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    head = (
        "import sys, time, warnings\nfrom themis_lib.engine.models import find_model\n"
    )
    return subprocess.run(
        [sys.executable, "-c", head + program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


# The file


def test_bundled_model_is_a_whole_file() -> None:
    check_gguf(TINY)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("alignment", [8, 32, 64])
def test_whole_file_is_accepted(tmp_path: Path, version: int, alignment: int) -> None:
    """Both versions and any alignment are read to the last byte: whole is accepted, one
    byte less is not.
    """
    content = gguf(version=version, alignment=alignment)
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
        (gguf(version=1), "version 1"),
        (gguf(version=0x03000000), "little-endian"),
        (gguf(parts=2), "one of 2 parts"),
        (gguf(alignment=0), "alignment of 0"),
        (gguf(elements=65), "cut short: 736 of 740 bytes"),
        (gguf(elements=1 << 60), "cut short"),
        (gguf(counts=(0, 6)), "no tensor"),
        (gguf(counts=(1 << 62, 6)), "cut short"),
        (gguf(counts=(2, 1 << 62)), "cut short"),
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
    content, file = gguf(), tmp_path / "model.gguf"
    for length in range(0, len(content), 7):
        file.write_bytes(content[:length])
        with pytest.raises(ModelError):
            check_gguf(file)


@given(st.integers(4, len(gguf()) - 1), st.integers(0, 255))
@settings(max_examples=300)
def test_a_damaged_header_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    """Whatever byte is changed, the file is accepted or refused by a `ModelError`."""
    content = bytearray(gguf())
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
    """A file of 256 TiB, or the largest this filesystem makes, is refused before a byte
    of it is loaded.
    """
    file = tmp_path / "huge.gguf"
    file.write_bytes(gguf())
    for shift in (48, 44, 43, 42, 41):
        try:
            os.truncate(file, 1 << shift)
            break
        except OSError:
            continue

    with pytest.raises(ModelError, match="bytes of memory"):
        find_model(model=str(file))


# The digest


def test_digest_is_the_sha256_of_the_file(model: Path) -> None:
    found = find_model(model=str(model))

    assert ("model.gguf", model) == (found.name, found.path)
    assert hashlib.sha256(gguf()).hexdigest() == found.digest


def test_a_changed_file_has_another_digest(model: Path) -> None:
    """Also when it changes within one process."""
    before = find_model(model=model)
    content = bytearray(gguf())
    content[-1] = 1
    model.write_bytes(content)

    assert before.digest != find_model(model=model).digest
    assert hashlib.sha256(content).hexdigest() == find_model(model=model).digest


def test_a_file_is_read_once_for_all_processes(model: Path) -> None:
    """A second process believes what the first computed: a change that no timestamp
    shows stays unseen.
    """
    first = find_model(model=model).digest
    content = bytearray(gguf())
    content[-1] = 1
    with model.open("r+b") as file:
        file.write(content)
    os.utime(model, (LONG_AGO, LONG_AGO))
    program = f"print(find_model(model={str(model)!r}).digest)"

    assert first + "\n" == python(program).stdout
    model.touch()
    assert hashlib.sha256(content).hexdigest() == find_model(model=model).digest


def test_a_file_written_just_now_is_not_remembered(model: Path, folder: Path) -> None:
    """Two writes within one tick of the clock look alike, so a digest is kept once the
    file has settled.
    """
    model.touch()
    find_model(model=model)

    assert not folder.exists()


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "list", "folder"])
def test_a_damaged_memory_is_computed_again(folder: Path, damage: str) -> None:
    """A remembered fact with one character changed is no fact."""
    remember("kind", "key", {"sha256": "ab" * 32})
    (file,) = (folder / "facts" / "kind").iterdir()
    content = file.read_text()
    if damage == "folder":
        file.unlink()
        file.mkdir()
    else:
        changed = {
            "flip": content.replace("abab", "acab", 1),
            "cut": content[:-2],
            "empty": "",
            "list": "[]",
        }
        file.write_text(changed[damage])

    assert None is recall("kind", "key")


def test_facts_are_remembered_by_kind_and_key(folder: Path) -> None:
    """The last fact under a key is recalled, and no temporary file stays."""
    remember("kind", "key", {"n": 1})
    remember("kind", "key", {"n": 2})

    assert [{"n": 2}, None, None] == [
        recall("kind", "key"),
        recall("kind", "other"),
        recall("other", "key"),
    ]
    assert 1 == len([file for file in folder.rglob("*") if file.is_file()])


def test_a_folder_that_cannot_be_written_forgets(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a place to remember in, a file is read again, and that is all."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("THEMIS_CACHE_DIR", str(tmp_path / "file"))

    assert hashlib.sha256(gguf()).hexdigest() == find_model(model=model).digest


def test_folder_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`THEMIS_CACHE_DIR`, else `XDG_CACHE_HOME` where absolute, else the home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("THEMIS_CACHE_DIR", "~/mine")
    chosen = [cache_folder()]
    monkeypatch.setenv("THEMIS_CACHE_DIR", "")
    chosen.append(cache_folder())
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    chosen.append(cache_folder())

    assert [
        tmp_path / "mine",
        Path("/xdg/themis"),
        tmp_path / ".cache" / "themis",
    ] == chosen


@pytest.mark.skipif(
    not hasattr(os, "getuid") or os.getuid() != 0,
    reason="only root can become a user without a home",
)
def test_no_home_is_a_clear_error() -> None:
    """A user without a home is told which variable to set."""
    program = (
        "import os\n"
        "from themis_lib.engine.places import cache_folder\n"
        "for name in ('HOME', 'XDG_CACHE_HOME', 'THEMIS_CACHE_DIR'): os.environ.pop(name, None)\n"
        "os.setuid(54321)\n"
        "try: cache_folder()\n"
        "except ValueError as error: print(type(error).__name__, error)"
    )

    assert (
        "ConfigError no home directory to keep a cache in: set THEMIS_CACHE_DIR to a folder\n"
        == python(program).stdout
    )


# The choice


def test_sizes_are_in_the_registry() -> None:
    """`tiny` is bundled; the others are one GGUF file each, in a repository of that
    name.
    """
    assert set(SIZES) <= set(MODELS)
    assert TINY == MODELS["tiny"]
    remotes = [MODELS[size] for size in SIZES if size != "tiny"]
    assert all(
        isinstance(remote, HubModel) and remote.filename.endswith(".gguf")
        for remote in remotes
    )


@pytest.mark.parametrize("arguments", [{"model": "tiny"}, {"size": "tiny"}])
def test_tiny_is_bundled(arguments: dict[str, str]) -> None:
    found = find_model(**arguments)

    assert ("tiny", TINY) == (found.name, found.path)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"model": "smal"}, "did you mean 'small'.*path of a .gguf file.*model_repo"),
        ({"model": "Qwen/Qwen2.5-7B-Instruct-GGUF"}, "no model of the registry"),
        ({"model": ""}, "no model of the registry"),
        ({"size": "medium"}, "size='medium' is unknown.*'mini'"),
        ({"size": "tiny.gguf"}, "did you mean 'tiny'"),
        ({"model_repo": "a/b"}, "give both"),
        ({"model_filename": "b.gguf"}, "give both"),
        ({"model": "tiny", "size": "tiny"}, "more than one"),
        (
            {"model": "tiny", "model_repo": "a/b", "model_filename": "c.gguf"},
            "more than one",
        ),
        (
            {"size": "tiny", "model_repo": "a/b", "model_filename": "c.gguf"},
            "more than one",
        ),
        ({"size": "tiny", "model_repo": "a/b"}, "give both"),
    ],
)
def test_unclear_choice_is_refused(arguments: dict[str, str], problem: str) -> None:
    """Unknown names come with the nearest one and the other ways, contradictions with
    what contradicts.
    """
    with pytest.raises(ModelError, match=problem):
        find_model(**arguments)


def test_environment_chooses_where_the_caller_does_not(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`THEMIS_MODEL` is a registry name or a path, and an argument goes before it."""
    monkeypatch.setenv("THEMIS_MODEL", "tiny")
    named = find_model().path
    monkeypatch.setenv("THEMIS_MODEL", str(model))
    by_path = find_model().path
    argument = find_model(size="tiny").path
    monkeypatch.setenv("THEMIS_MODEL", "tinny")

    assert [TINY, model, TINY] == [named, by_path, argument]
    with pytest.raises(ModelError, match=r"THEMIS_MODEL='tinny'.*did you mean 'tiny'"):
        find_model()


# The hub

#: Asks twice without a choice, then for a model by name, and prints what it got, how
#: long it took and who warned.
ASKING = """
from huggingface_hub import hf_hub_download
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    started = time.monotonic()
    print(find_model().name, find_model().name)
    try: print(find_model(size="mini").name)
    except ValueError as error: print(error)
    print(time.monotonic() - started < 2, len([w for w in caught if w.category is UserWarning]))
"""


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port on loopback that refuses connections."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextlib.contextmanager
def silent_port() -> Iterator[int]:
    """A port on loopback that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("port", "reason"), [(closed_port, "refused"), (silent_port, "no answer|timed out")]
)
def test_no_hub_costs_a_second_at_most(tmp_path: Path, port: Any, reason: str) -> None:
    """Out of reach: `tiny` with one warning without a choice, a clear error with one,
    and no waiting.
    """
    pytest.importorskip("huggingface_hub")
    with port() as number:
        environment = {
            "HF_ENDPOINT": f"http://127.0.0.1:{number}",
            "HF_HOME": str(tmp_path / "hf"),
        }
        said = python(ASKING, **environment).stdout.splitlines()

    assert ["tiny tiny", "True 1"] == [said[0], said[2]]
    assert "qwen2.5-0.5b-instruct-q8_0.gguf is not on this machine" in said[1]
    assert re.search(f"does not answer .*({reason})", said[1])


class Hub(BaseHTTPRequestHandler):
    """The part of the Hugging Face hub that serves one file of one repository."""

    path_served = "/{0.repo}/resolve/main/{0.filename}".format(MODELS["small"])
    content = gguf()
    asked: ClassVar[Counter[str]] = Counter()
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=b"")

    def do_GET(self) -> None:
        self._answer(body=self.content)

    def _answer(self, body: bytes) -> None:
        self.asked[self.command] += 1
        found = self.path.partition("?")[0] == self.path_served
        self.send_response(200 if found or self.path == "/" else 404)
        if found:
            self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "c" * 40)
            self.send_header("Content-Length", str(len(self.content)))
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
        self.end_headers()
        if found:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_models_are_fetched_once_from_a_hub(tmp_path: Path) -> None:
    """Where the hub answers, no choice is `small`, fetched once; later it comes from
    the disk, also offline.
    """
    pytest.importorskip("huggingface_hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
    }
    fetched = python(ASKING, **environment).stdout.splitlines()
    gets = Hub.asked["GET"]
    server.shutdown()
    server.server_close()
    again = python(ASKING, **environment, HF_HUB_OFFLINE="1").stdout.splitlines()

    assert ["small small", "True 0"] == [fetched[0], fetched[2]]
    assert "cannot be fetched from the hub" in fetched[1]
    assert 1 == gets
    assert ["small small", "True 0"] == [again[0], again[2]]
    assert "HF_HUB_OFFLINE is set" in again[1]


def test_without_huggingface_hub_an_error_names_the_extra(tmp_path: Path) -> None:
    """A remote model needs the extra `local`; without it there is `tiny`, with one
    warning.
    """
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent" / "huggingface_hub.py").write_text(
        "raise ImportError('not installed')"
    )
    path = os.pathsep.join([str(tmp_path / "absent"), os.environ.get("PYTHONPATH", "")])
    said = python(
        ASKING.replace("from huggingface_hub import hf_hub_download", ""),
        PYTHONPATH=path,
    ).stdout.splitlines()

    assert ["tiny tiny", "True 1"] == [said[0], said[2]]
    assert "pip install 'themis-flows[local]'" in said[1]
