"""The certification of a generator, kept where a run of the same generator finds it.

`<store>/certifications/<generator>/certification.json` is the last one, by the digest
of what identifies the generator. Beside it are the rows that it rests on, which are
found again, and by no run, and `sampled/<prompts>.json`: when they were sampled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from themis_lib.identity.digests import digest
from themis_lib.runs.results import RunResult
from themis_lib.storage.store import RunStore

if TYPE_CHECKING:
    from themis_lib.certification.models import Certification

_FOLDER = "certifications"
_NAME = "certification.json"


def certified_identity(generator: Mapping[str, Any]) -> dict[str, Any]:
    """Return the identity of a generator as certifications have it.

    That is without `logprobs`: a certification asks for them where a run does not.
    """
    settings = dict(generator.get("settings") or {})
    settings.pop("logprobs", None)
    return {**generator, "settings": settings}


def certification_folder(generator: Mapping[str, Any]) -> str:
    """Return the folder of a generator's certification, inside a store."""
    return f"{_FOLDER}/{digest('certified generator', certified_identity(generator))}"


def keep_certification(
    store: RunStore,
    certification: Certification,
) -> None:
    """Write a certification in the place of the one before."""
    path = f"{certification_folder(certification.generator)}/{_NAME}"
    content = certification.model_dump_json(indent=2) + "\n"
    with store.refusals():
        store.make_folder(path)
        store.replace(path, content.encode())


def certification_of(
    store: RunStore,
    generator: Mapping[str, Any],
) -> Certification | None:
    """Return the last certification of a generator; `None` without one that can be read."""
    path = f"{certification_folder(generator)}/{_NAME}"
    try:
        content = store.read_bytes(path)
    except (FileNotFoundError, PermissionError):
        return None
    # Late: every run that ends asks, and few models are certified.
    from themis_lib.certification.models import Certification

    try:
        return Certification.model_validate_json(content)
    except ValueError:
        return None


def sampled_times(
    store: RunStore,
    generator: Mapping[str, Any],
    prompts_digest: str,
) -> dict[str, str]:
    """Return when the prompts were last asked, by arrangement; empty if never."""
    try:
        content = store.read_bytes(_times_path(generator, prompts_digest))
        return TypeAdapter(dict[str, str]).validate_json(content)
    except (FileNotFoundError, ValueError):
        return {}


def keep_sampled_times(
    store: RunStore,
    generator: Mapping[str, Any],
    prompts_digest: str,
    times: Mapping[str, str],
) -> None:
    """Write when the prompts were last asked, in the place of what was there."""
    path = _times_path(generator, prompts_digest)
    with store.refusals():
        store.make_folder(path)
        store.replace(path, json.dumps(dict(times)).encode())


def _times_path(
    generator: Mapping[str, Any],
    prompts_digest: str,
) -> str:
    return f"{certification_folder(generator)}/sampled/{prompts_digest}.json"


def certifications(run: RunResult) -> list[Certification]:
    """Return the certification of the generator that a run asked; empty without one.

    The built-in generators, which ask no model, are not looked for.
    """
    record = run.manifest.stage("generate")
    generator = {} if record is None else record.identity.get("generator") or {}
    # Where the store is remote, looking for what cannot be there is a request.
    if not generator or str(generator.get("component_id")).startswith("builtin/"):
        return []
    found = certification_of(run.store, generator)
    return [] if found is None else [found]
