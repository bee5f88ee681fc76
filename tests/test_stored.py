"""Keys are a promise: what an earlier version stored, this one finds.

`tests/stored/` holds a store and a record of fingerprints that version 0.1.0 wrote,
before the library was laid out in rooms. Nothing of it may be computed again, but the
rows of built-ins that changed what they do.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.stored.experiments import FOLDER, fingerprint_specs, functions, specs
from tests.stored.write import CHANGED, FINGERPRINTS, fingerprints
from tests.support.drivers import DRIVERS
from themis_lib import Experiment, RunResult

KNOWN = json.loads(FINGERPRINTS.read_text())
#: The fingerprints that took the place of some on record, when a version was raised.
RAISED = json.loads(CHANGED.read_text())
#: The built-ins whose version was raised since, each with that version: the changelog
#: names them, and their rows are computed again.
VERSIONS = {
    "builtin/all_pass": "2",
    "builtin/choice_accuracy": "2",
    "builtin/choice_letter": "2",
    "builtin/contains": "2",
    "builtin/exact_match": "2",
    "builtin/f1": "2",
    "builtin/judge_correctness": "2",
    "builtin/judge_pairwise": "2",
    "builtin/judge_rubric": "2",
    "builtin/json_path": "2",
    "builtin/math_answer": "2",
    "builtin/mean": "2",
    "builtin/number": "2",
    "builtin/numeric_match": "2",
    "builtin/pass_at_k": "2",
    "builtin/regex": "2",
    "builtin/text": "2",
}


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A copy of the store, which a test may write to."""
    return str(shutil.copytree(FOLDER / "store", tmp_path / "store"))


def is_raised(identity: Any) -> bool:
    """Whether an identity holds a built-in whose version was raised."""
    if isinstance(identity, list):
        return any(map(is_raised, identity))
    if not isinstance(identity, dict):
        return False
    version = VERSIONS.get(identity.get("component_id", ""))
    if version is not None and version == identity["version"]:
        return True
    return any(map(is_raised, identity.values()))


def computed(result: RunResult) -> dict[str, int]:
    """The rows of each stage that were computed, where there are any; without those of
    raised versions, which have to be.
    """
    found = {}
    for record in result.manifest.stages:
        if is_raised(record.identity):
            assert record.computed
        elif record.computed or record.failed:
            found[record.stage] = record.computed + record.failed
    return found


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("name", specs("unused"))
def test_stored_rows_are_found(
    name: str, driver: str, store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """An experiment whose rows an earlier version stored computes none of them."""
    api_url = (
        request.getfixturevalue("prefect_api") if driver == "through the flow" else ""
    )

    result = DRIVERS[driver](specs(store)[name], tmp_path, api_url)

    assert {} == computed(result)
    assert 0 == result.manifest.summary_computed


def test_stored_rows_of_functions_are_found(store: str) -> None:
    """Functions keep their identity from version to version, too."""
    assert {} == computed(functions(store).run())


@pytest.mark.parametrize("name", KNOWN)
def test_fingerprints_are_those_on_record(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fingerprint of each stage is the one that an earlier version gave it, or the
    one since its built-in was raised.
    """
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    known = {**KNOWN[name], **RAISED.get(name, {})}

    assert known == fingerprints(fingerprint_specs()[name])


def test_only_raised_versions_have_another_fingerprint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A fingerprint moves with the version of a built-in, and never without."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    for name, stages in RAISED.items():
        pipeline = Experiment.model_validate(fingerprint_specs()[name]).compile()
        identities = {stage.label: stage.identity for stage in pipeline.stages}

        for label, fingerprint in stages.items():
            assert fingerprint != KNOWN[name][label]
            assert is_raised(identities[label])


def test_another_setting_is_another_fingerprint() -> None:
    """The record tells fingerprints apart: a setting that changes rows is not among
    those on record.
    """
    spec: dict[str, Any] = {
        "generation": {"generator": {"use": "builtin/demo_generator"}},
        "seeds": [1],
    }
    spec["evaluation"] = {"parsers": [{"use": "builtin/regex", "pattern": "y"}]}

    assert KNOWN["parsers builtin/regex"]["parse"] != fingerprints(spec)["parse"]
