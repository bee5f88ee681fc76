"""Writes the store and the record of fingerprints: `python -m tests.stored.write`, with
the version to hold to.

Its output is a promise to users: what one release stored, the next finds. It is written
once and not again.

Where the version of a built-in is raised, `python -m tests.stored.write --changed`
records the fingerprints that took the place of some.
"""

from __future__ import annotations

import copy
import json
import os
import sys
from pathlib import Path
from typing import Any

from tests.stored.experiments import FOLDER, fingerprint_specs, functions, specs
from themis_lib import Experiment
from themis_lib.stages.stage import Stage

FINGERPRINTS = FOLDER / "fingerprints.json"
CHANGED = FOLDER / "changed_fingerprints.json"


def experiments(store: str) -> dict[str, Experiment]:
    """Every experiment of the store, by name."""
    return {
        **{
            name: Experiment.model_validate(spec) for name, spec in specs(store).items()
        },
        "functions": functions(store),
    }


def fingerprints(spec: dict[str, Any]) -> dict[str, str]:
    """The fingerprint of each stage of an experiment, by label."""
    pipeline = Experiment.model_validate(spec).compile()
    return {stage.label: _portable_fingerprint(stage) for stage in pipeline.stages}


def _portable_fingerprint(stage: Stage) -> str:
    """The fingerprint of a stage, for the local engine without the bits of its logits.

    They depend on the processor, so that another one has other rows.
    """
    identity = copy.deepcopy(stage.full_identity)
    engine = identity.get("generator", {}).get("settings", {}).get("engine")
    if engine is None:
        return stage.fingerprint
    engine |= {"numerics": "", "exp": ""}
    return stage._fingerprint_of(identity)


def changed() -> dict[str, dict[str, str]]:
    """The fingerprints that differ from those on record, by experiment and stage."""
    known = json.loads(FINGERPRINTS.read_text())
    found = {}
    for name, spec in fingerprint_specs().items():
        stages = fingerprints(spec).items()
        moved = {label: it for label, it in stages if known[name].get(label) != it}
        if moved:
            found[name] = moved
    return found


def write(path: Path, record: Any) -> None:
    """Write a record of fingerprints."""
    path.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OPENAI_API_KEY", "none")
    if sys.argv[1:] == ["--changed"]:
        write(CHANGED, changed())
    else:
        for experiment in experiments(str(FOLDER / "store")).values():
            experiment.run()
        specs_on_record = fingerprint_specs().items()
        write(
            FINGERPRINTS, {name: fingerprints(spec) for name, spec in specs_on_record}
        )
