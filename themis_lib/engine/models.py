"""Which model file is used: a registry name, a file, or a file of a Hugging Face
repository.

Nothing chosen means `THEMIS_MODEL` if set, else `small` if it is on disk or can be
fetched at once, else `tiny`.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time_ns

from themis_lib.engine.gguf_file import check_gguf, file_problem
from themis_lib.engine.hub import HubModel, fetched
from themis_lib.engine.places import recall, remember
from themis_lib.engine.tiny import TINY
from themis_lib.errors import ModelError, nearest


@dataclass(frozen=True)
class ModelFile:
    """A model file that was checked: what it was asked for as, where it is, and the
    SHA-256 of its content.
    """

    name: str
    path: Path
    digest: str


#: One family, so that size is what differs: Apache-2.0, ungated, with a chat template
#: and a context of 32,768 tokens. Q8_0 where memory allows, because llama.cpp then
#: gives the same bits at any batch width (0.7 and 1.9 GB). Qwen's own 7B files are
#: split in parts; this conversion is one file, and at Q4_K_M (4.7 GB) fits most
#: machines.
MODELS: Mapping[str, HubModel | Path] = {
    "tiny": TINY,
    "mini": HubModel(
        "Qwen/Qwen2.5-0.5B-Instruct-GGUF", "qwen2.5-0.5b-instruct-q8_0.gguf"
    ),
    "small": HubModel(
        "Qwen/Qwen2.5-1.5B-Instruct-GGUF", "qwen2.5-1.5b-instruct-q8_0.gguf"
    ),
    "large": HubModel(
        "bartowski/Qwen2.5-7B-Instruct-GGUF", "Qwen2.5-7B-Instruct-Q4_K_M.gguf"
    ),
}
SIZES = tuple(MODELS)


def find_model(
    *,
    model: str | os.PathLike[str] | None = None,
    model_repo: str | None = None,
    model_filename: str | None = None,
    size: str | None = None,
) -> ModelFile:
    """The model file that the arguments choose: on disk, checked, fetched first if it
    is a remote one.

    At most one of `model` (a registry name or a path), `size` (a registry name) and
    `model_repo` with `model_filename`. Raises `ModelError` for any other combination,
    unknown names, files that cannot be used and remote ones that cannot be fetched.
    """
    given = {
        "model": model,
        "model_repo": model_repo,
        "model_filename": model_filename,
        "size": size,
    }
    named = {name: value for name, value in given.items() if value is not None}
    for name, value in named.items():
        if not isinstance(value, str | os.PathLike):
            raise ModelError(
                f"{name}={value!r} is a {type(value).__name__}: write a text"
            )
    if (model_repo is None) != (model_filename is None):
        raise ModelError(
            f"model_repo and model_filename go together, got {_list_settings(named)}: give both"
        )
    if len(named) - (model_repo is not None) > 1:
        raise ModelError(
            f"more than one model is chosen by {_list_settings(named)}: keep one of them"
        )
    if model_repo is not None and model_filename is not None:
        remote = HubModel(model_repo, model_filename)
        return _check_file(str(remote), fetched(remote))
    if size is not None:
        if size not in SIZES:
            raise ModelError(f"size={size!r} is unknown: {nearest(size, SIZES)}")
        return _find_registered(size)
    return _find_default() if model is None else _find_chosen(os.fspath(model), "model")


def _list_settings(named: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in named.items())


def _find_chosen(
    model: str,
    setting: str,
) -> ModelFile:
    if model in MODELS:
        return _find_registered(model)
    path = Path(model).expanduser()
    if path.suffix.lower() == ".gguf" or (model and path.exists()):
        return _check_file(path.name, path)
    raise ModelError(
        f"{setting}={model!r} is no model of the registry: {nearest(model, MODELS)}; "
        "a model can also be given as the path of a .gguf file, or as model_repo and model_filename"
    )


def _find_registered(name: str) -> ModelFile:
    entry = MODELS[name]
    return _check_file(name, entry if isinstance(entry, Path) else fetched(entry))


def _find_default() -> ModelFile:
    if model := os.environ.get("THEMIS_MODEL"):
        return _find_chosen(model, "THEMIS_MODEL")
    return _decide_default()


#: What stands for no choice, under the key None, once it is known.
_DECIDED: dict[None, ModelFile] = {}


def _decide_default() -> ModelFile:
    """`small` or `tiny`: decided once, so that a process does not change its model in
    the middle.
    """
    if None in _DECIDED:
        return _DECIDED[None]
    try:
        return _DECIDED.setdefault(None, _find_registered("small"))
    except ModelError as error:
        reason = str(error)
    tiny = _find_registered("tiny")
    if _DECIDED.setdefault(None, tiny) is tiny:
        warnings.warn(
            f"no model was chosen, and 'small' cannot be used ({reason}); the bundled model 'tiny' stands in for it. "
            "Choose one, for instance with THEMIS_MODEL=tiny, to be rid of this warning",
            UserWarning,
            stacklevel=4,
        )
    return _DECIDED[None]


@dataclass(frozen=True)
class _Version:
    """What tells one content of a path from another without reading it."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> _Version:
        found = path.stat()
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)

    def settled(self) -> bool:
        """Whether a later change would show: not within the coarsest clock tick of a
        filesystem.
        """
        return abs(time_ns() - self.mtime_ns) > 2_000_000_000


_SEEN: dict[tuple[Path, _Version], str] = {}


def _check_file(
    name: str,
    path: Path,
) -> ModelFile:
    """The file with its digest; checked and read once per process, and read once per
    machine.
    """
    path = path.absolute()
    try:
        version = _Version.of(path)
        digest = _SEEN.get((path, version))
        if digest is None:
            check_gguf(path)
            digest = _file_digest(path, version)
            if version.settled():
                _SEEN[path, version] = digest
    except OSError as error:
        check_gguf(path)
        raise file_problem(
            path, f"cannot be read ({error})", "check the disk and the access rights"
        ) from error
    return ModelFile(name, path, digest)


def _file_digest(
    path: Path,
    version: _Version,
) -> str:
    key, stamp = os.fsencode(path).decode("utf-8", "backslashreplace"), vars(version)
    known = recall("model-digest", key)
    if known is not None and known.get("version") == stamp:
        return str(known["sha256"])
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if _Version.of(path) != version:
        raise file_problem(
            path, "changed while it was read", "wait until it is complete"
        )
    if version.settled():
        remember("model-digest", key, {"version": stamp, "sha256": digest})
    return digest
