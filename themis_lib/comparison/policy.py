"""Policies of continuous integration: experiments, and the gates that each has to pass.

    experiments:
      - experiment: sums.yaml
        required:
          - numeric_match >= 0.5
          - numeric_match no worse than last good by 0.05
        advisory:
          - numeric_match >= 0.7 on terms=4

Gates are written as in `gate.py`. Required gates decide; advisory ones are reported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from themis_lib.comparison.gate import parse_gate
from themis_lib.core.models import FrozenModel
from themis_lib.core.option_names import GateBasis
from themis_lib.errors import ConfigError, nearest
from themis_lib.experiment.spec import experiment_from_spec, parse_yaml


class PolicyExperiment(FrozenModel):
    """An experiment's file, settings to replace in it, and its gates.

    `overrides`, `limit`, `max_cost` and `until_decided` are those of `themis run`: the
    required gates say when it stops.
    """

    experiment: str = Field(min_length=1)
    overrides: list[str] = Field(default_factory=list)
    limit: PositiveInt | None = None
    max_cost: PositiveFloat | None = None
    until_decided: bool = False
    required: list[str] = Field(default_factory=list)
    advisory: list[str] = Field(default_factory=list)

    @field_validator("required", "advisory")
    @classmethod
    def _check_gates(cls, gates: list[str]) -> list[str]:
        for gate in gates:
            parse_gate(gate)
        return gates


class Policy(FrozenModel):
    """What a job of continuous integration has to reach.

    `store` is where rows and runs are kept, if not where each experiment says. `by` is
    what gates go by. `underpowered` says what a gate counts as that the data cannot
    decide; by default it has its own verdict. `no_baseline` says what a gate counts as
    that has no earlier run to compare with.
    """

    experiments: list[PolicyExperiment] = Field(min_length=1)
    store: str | None = None
    by: GateBasis = "interval"
    underpowered: Literal["pass", "fail"] | None = None
    no_baseline: Literal["pass", "fail"] = "fail"


def load_policy(path: Path) -> Policy:
    """Return the policy in a YAML file, the paths of its experiments resolved.

    An experiment's file is looked for beside the policy, then from the working
    directory. Raise `ConfigError` that names the file, the setting and the nearest
    valid choice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        place = "" if path.is_absolute() else f" from {Path.cwd()}"
        raise ConfigError(
            f"policy {str(path)!r} cannot be read{place}: {error}"
        ) from None
    spec = parse_yaml(text, where=str(path))
    if not isinstance(spec, dict):
        raise ConfigError(f"{path}: a policy is a mapping with `experiments`")
    policy = experiment_from_spec(Policy, spec, where=str(path))
    if not any(item.required for item in policy.experiments):
        raise ConfigError(
            f"{path}: no gate is required, so nothing could fail; put one under "
            "`required`"
        )
    found = []
    for number, item in enumerate(policy.experiments):
        place = f"{path}: experiments[{number}]"
        if not item.required and not item.advisory:
            raise ConfigError(f"{place}: {item.experiment!r} has no gate")
        if item.until_decided and not item.required:
            raise ConfigError(
                f"{place}: until_decided: {item.experiment!r} has no required gate, so "
                "that nothing decides when it stops; put one under `required`, or leave "
                "until_decided out"
            )
        file = _find_file(item.experiment, path.parent, place)
        found.append(item.model_copy(update={"experiment": file}))
    return policy.model_copy(update={"experiments": found})


def _find_file(
    name: str,
    folder: Path,
    place: str,
) -> str:
    """Return the path of an experiment's file. Raise `ConfigError` with what is there."""
    for file in (folder / name, Path(name)):
        if file.is_file():
            return str(file)
    files = [file.name for file in folder.glob("*.y*ml")]
    raise ConfigError(f"{place}: there is no file {name!r}; {nearest(name, files)}")
