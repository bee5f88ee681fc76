"""Writes the store and the record of fingerprints: `python -m tests.stored.write`, with
the version to hold to.

Its output is a promise to users: what one release stored, the next finds. It is written
once and not again.
"""

from __future__ import annotations

import json
import os
from typing import Any

from tests.stored.experiments import FOLDER, fingerprint_specs, functions, specs
from themis_lib import Experiment

FINGERPRINTS = FOLDER / "fingerprints.json"


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
    return {stage.label: stage.fingerprint for stage in pipeline.stages}


if __name__ == "__main__":
    os.environ.setdefault("OPENAI_API_KEY", "none")
    for experiment in experiments(str(FOLDER / "store")).values():
        experiment.run()
    known = {name: fingerprints(spec) for name, spec in fingerprint_specs().items()}
    FINGERPRINTS.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
