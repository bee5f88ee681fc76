"""Policies: what a file may say, and what is refused about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from themis_lib import ConfigError
from themis_lib.comparison.policy import load_policy

WHOLE = """
store: rows
by: mean
underpowered: pass
no_baseline: pass
experiments:
  - experiment: sums.yaml
    overrides: [name=few]
    limit: 30
    max_cost: 2
    until_decided: true
    required: [m >= 0.5]
    advisory: [m no worse than last good by 0.1]
"""


def policy_file(folder: Path, text: str) -> Path:
    (folder / "sums.yaml").write_text("")
    path = folder / "policy.yaml"
    path.write_text(text)
    return path


def test_policy_has_experiments_with_their_gates(tmp_path: Path) -> None:
    """Their files are looked for beside it."""
    policy = load_policy(policy_file(tmp_path, WHOLE))

    assert {
        "store": "rows",
        "by": "mean",
        "underpowered": "pass",
        "no_baseline": "pass",
        "experiments": [
            {
                "experiment": str(tmp_path / "sums.yaml"),
                "overrides": ["name=few"],
                "limit": 30,
                "max_cost": 2.0,
                "until_decided": True,
                "required": ["m >= 0.5"],
                "advisory": ["m no worse than last good by 0.1"],
            }
        ],
    } == policy.model_dump()


def test_file_from_the_working_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none is beside the policy."""
    (tmp_path / "evals").mkdir()
    (tmp_path / "sums.yaml").write_text("")
    path = tmp_path / "evals" / "policy.yaml"
    path.write_text(WHOLE)
    monkeypatch.chdir(tmp_path)

    assert "sums.yaml" == load_policy(path).experiments[0].experiment


REFUSED = {
    "no mapping": ("- a", "a policy is a mapping with `experiments`"),
    "no YAML": ("a: [", "policy.yaml:1: not YAML"),
    "no experiment": ("experiments: []", "experiments"),
    "misspelt setting": (
        WHOLE.replace("required:", "requred:"),
        "unknown setting 'experiments[0].requred'; did you mean 'required'?",
    ),
    "misspelt value": (
        WHOLE.replace("underpowered: pass", "underpowered: passes"),
        "underpowered: input should be 'pass' or 'fail'; got 'passes'",
    ),
    "malformed gate": (WHOLE.replace(">=", "=>"), "gate 'm => 0.5': write 'METRIC >="),
    "missing file": (
        WHOLE.replace("sums.yaml", "sms.yaml"),
        "experiments[0]: there is no file 'sms.yaml'; did you mean 'sums.yaml'?",
    ),
    "nothing required": (
        WHOLE.replace("required", "advisory", 1).replace(
            "    advisory: [m no worse than last good by 0.1]\n", ""
        ),
        "no gate is required, so nothing could fail",
    ),
    "no gate": (WHOLE + "  - experiment: sums.yaml\n", "experiments[1]: 'sums.yaml'"),
    "no limit": (WHOLE.replace("30", "0"), "experiments[0].limit"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    """One line with the place, the value and the nearest that is right."""
    text, expected = REFUSED[name]

    with pytest.raises(ConfigError) as refusal:
        load_policy(policy_file(tmp_path, text))

    assert expected in str(refusal.value)
    assert 1 == len(str(refusal.value).splitlines())


def test_missing_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"policy '.*policy.yaml' cannot be read"):
        load_policy(tmp_path / "policy.yaml")
