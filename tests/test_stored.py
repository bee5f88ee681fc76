"""Keys are a promise: what an earlier version stored, this one finds.

`tests/stored/` holds a store and a record of fingerprints that version 0.1.0 wrote,
before the library was laid out in rooms. Nothing of it may be computed again.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.stored.experiments import FOLDER, fingerprint_specs, functions, specs
from tests.stored.write import FINGERPRINTS, fingerprints
from tests.support.drivers import DRIVERS
from themis_lib import RunResult

KNOWN = json.loads(FINGERPRINTS.read_text())


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A copy of the store, which a test may write to."""
    return str(shutil.copytree(FOLDER / "store", tmp_path / "store"))


def computed(result: RunResult) -> dict[str, int]:
    """The rows of each stage that were computed, where there are any."""
    return {
        record.stage: record.computed + record.failed
        for record in result.manifest.stages
        if record.computed or record.failed
    }


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
    """The fingerprint of each stage is the one that an earlier version gave it."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")

    assert KNOWN[name] == fingerprints(fingerprint_specs()[name])


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
