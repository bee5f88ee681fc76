"""The verifications of a run, kept beside its tables.

`<store>/runs/<run_id>/verifications/<time>-<seed>.json`: what was compared, by which
seed, and what was found. New draws of a model are in it only as far as they are shown.
"""

from __future__ import annotations

from themis_lib.runs.results import RunResult
from themis_lib.verification.models import Verification

_FOLDER = "verifications"


def keep_verification(
    run: RunResult,
    verification: Verification,
) -> None:
    """Write a verification beside the run's tables."""
    # Times in names without the marks that some filesystems refuse.
    time = verification.verified_at.partition("+")[0].translate({58: "", 45: ""})
    path = f"{_path(run)}/{time}-{verification.seed}.json"
    with run.store.refusals():
        run.store.replace(
            path, (verification.model_dump_json(indent=2) + "\n").encode()
        )


def verifications(run: RunResult) -> list[Verification]:
    """Return the verifications of a run, oldest first. One that is damaged is left out."""
    found = []
    for name in sorted(run.store.list(_path(run))):
        try:
            content = run.store.read_bytes(f"{_path(run)}/{name}")
            found.append(Verification.model_validate_json(content))
        except ValueError:
            continue
    return found


def _path(run: RunResult) -> str:
    return f"runs/{run.run_id}/{_FOLDER}"
