"""The factors of a difference: what two experiments set differently, mixed at will."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from themis_lib.comparison.paired_cases import SideCases
from themis_lib.core.models import Dataset
from themis_lib.errors import ConfigError
from themis_lib.experiment.experiment import Experiment
from themis_lib.explain.differences import differences

DATA = "data"
_METRICS = ("evaluation", "metrics")
#: The settings of each factor, in the order in which they take effect.
_SETTINGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "prompt": (("generation", "prompt_spec"),),
    "few-shot": (("generation", "few_shot"),),
    "model": (("generation", "generator"),),
    "samples": (("generation", "candidate_policy"), ("", "seeds")),
    "parser": (("evaluation", "parsers"),),
    "judge": (("evaluation", "judge_models"),),
    "metric": (_METRICS,),
    "reducer": (("generation", "reducer"),),
}


@dataclass(frozen=True)
class Factor:
    """What the candidate sets differently: a line for each value that differs.

    `parts` are the settings that change together, by their names: several where one
    without the other is no experiment.
    """

    parts: tuple[str, ...]
    changes: list[str]

    @property
    def name(self) -> str:
        """What a reader calls it: `samples and reducer`."""
        return " and ".join(self.parts)


@dataclass(frozen=True)
class Sides:
    """The experiments of the baseline and the candidate, and the cases of each."""

    baseline: Experiment
    candidate: Experiment
    before: SideCases
    after: SideCases

    def factors(self) -> list[Factor]:
        """Return the factors in which the sides differ. Raise `ConfigError` without any."""
        found = []
        changed_data = self._changed_data()
        if changed_data:
            found.append(Factor((DATA,), changed_data))
        old, new = self.baseline.as_written(), self.candidate.as_written()
        for name, places in _SETTINGS.items():
            changes: list[str] = []
            for place in places:
                # As objects: what is written of a live one is its class alone.
                if _setting(self.baseline, place) != _setting(self.candidate, place):
                    changes += _changes(old, new, place)
            if changes:
                found.append(Factor((name,), changes))
        if not found:
            raise ConfigError(
                "no setting differs between the two runs, and no case that both have: "
                "there is nothing to explain"
            )
        return self._joined(found)

    def _joined(self, factors: Sequence[Factor]) -> list[Factor]:
        """Return factors such that each can be changed alone, and can be left alone.

        A reducer over 4 samples needs the 4 samples: the two are one factor.
        """
        joined = list(factors)
        at = 0
        while at < len(joined):
            partner = self._needed_by(at, joined)
            if partner is None:
                at += 1
                continue
            first, second = sorted((at, partner))
            pair = joined[first], joined.pop(second)
            joined[first] = Factor(
                pair[0].parts + pair[1].parts,
                pair[0].changes + pair[1].changes,
            )
            # What was fine by itself may need the two.
            at = 0
        return joined

    def _needed_by(
        self,
        at: int,
        factors: Sequence[Factor],
    ) -> int | None:
        """Return the place of a factor that one at a place cannot be mixed without."""
        everything = [part for factor in factors for part in factor.parts]

        def can_differ(*places: int) -> bool:
            parts = [part for place in places for part in factors[place].parts]
            rest = [part for part in everything if part not in parts]
            return self._can_be_mixed(parts) and self._can_be_mixed(rest)

        if can_differ(at):
            return None
        others = [place for place in range(len(factors)) if place != at]
        return next((place for place in others if can_differ(at, place)), None)

    def _can_be_mixed(self, changed: Sequence[str]) -> bool:
        try:
            self.mixed(changed).compile()
        except ConfigError:
            return False
        return True

    def mixed(self, changed: Sequence[str]) -> Experiment:
        """Return the baseline with these settings changed to those of the candidate."""
        updates: dict[str, dict[str, Any]] = {
            "": {},
            "generation": {},
            "evaluation": {},
        }
        for name, places in _SETTINGS.items():
            source = self.candidate if name in changed else self.baseline
            for section, field in places:
                updates[section][field] = _setting(source, (section, field))
        cases = self.data(changed).cases
        # What is no factor changes no row: how a run is computed, and what is read of it.
        experiment = self.candidate
        top = updates.pop("")
        for section, values in updates.items():
            top[section] = getattr(experiment, section).model_copy(update=values)
        top["datasets"] = [
            Dataset(dataset_id=name, cases=list(each)) for name, each in cases.items()
        ]
        # Each side knows what its own models cost.
        prices = {**self.baseline.cost.prices, **experiment.cost.prices}
        top["cost"] = experiment.cost.model_copy(update={"prices": prices})
        return experiment.model_copy(update=top)

    def data(self, changed: Sequence[str]) -> SideCases:
        """Return the cases to evaluate where these settings are changed."""
        return self.after if DATA in changed else self.before

    def _changed_data(self) -> list[str]:
        """Return a line for each way in which the data differ."""
        cases = zip(self.before.paired(), self.after.paired(), strict=True)
        changed = sum(old != new for old, new in cases)
        draws = zip(self.before.earlier, self.after.earlier, strict=True)
        moved = sum(old != new for old, new in draws)
        lines = []
        if changed:
            lines.append(f"{changed:,} case(s) differ")
        if moved:
            lines.append(
                f"{moved:,} case(s) with equal inputs in another order, so that their "
                "draws are others"
            )
        return lines


def with_metrics(
    experiment: Experiment,
    metric_ids: Sequence[str],
) -> Experiment:
    """Return the same experiment with these metrics alone, in this order.

    Models that only other metrics ask are left out, and so are labels, which change no
    score.
    """
    by_id = {}
    asks_models = False
    stages = experiment.compile().scores
    for stage, metric in zip(stages, experiment.evaluation.metrics, strict=True):
        by_id[stage.metric_id] = metric
        built = stage.metric
        if stage.metric_id in metric_ids and built.judge_calls is not None:
            asks_models = asks_models or built.judges is None
    metrics = [by_id[metric_id] for metric_id in metric_ids]
    update: dict[str, Any] = {"metrics": metrics, "agreement": {}}
    if not asks_models:
        update["judge_models"] = []
    evaluation = experiment.evaluation.model_copy(update=update)
    return experiment.model_copy(update={"evaluation": evaluation})


def _setting(
    experiment: Experiment,
    place: tuple[str, str],
) -> Any:
    section, field = place
    return getattr(getattr(experiment, section) if section else experiment, field)


def _changes(
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    place: tuple[str, str],
) -> list[str]:
    section, field = place
    before, after = (side.get(section, {}) if section else side for side in (old, new))
    path = f"{section}.{field}" if section else field
    lines = differences(before.get(field), after.get(field), path)
    return lines or [f"{path}: another object"]
