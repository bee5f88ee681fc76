"""What a person is asked about an answer: the question, what it shows, and the choices.

All of it is read from the record and the tables of a run, so that a run of an earlier
version, or one whose components are gone, can be labelled too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow.compute as pc

from themis_lib.core.protocols import OUTPUT_COLUMNS
from themis_lib.errors import ConfigError, nearest
from themis_lib.identity.digests import digest
from themis_lib.runs.manifest import StageRecord
from themis_lib.runs.results import RunResult, corpus_metric_ids
from themis_lib.stages.judge import TOLD_SCHEMA

#: Columns that hold what a model did, and those of them that people read as its answer.
_ANSWERS = ("value", *(name for name in OUTPUT_COLUMNS if name != "finish_reason"))
_TEXTS = ("value", "output", "conversation", "trace")
_CASE = ("input", "expected_output", "metadata")
#: The choices of a judge who compares two answers.
_PAIR = ("A", "B", "tie")


@dataclass(frozen=True)
class Choice:
    """A verdict that a person may give, and the score that it stands for."""

    name: str
    value: float


@dataclass(frozen=True)
class Question:
    """What a person is asked about each answer that a metric scored.

    `text` is the judge's task and rubric, or names the metric where no judge was asked.
    `shows` are the columns of the run's tables that the person sees. `listed` are the
    choices in the judge's own words; where it has none, `choices` follow from the
    scores: pass and fail, or `None` for a number from `lowest` to `highest`. `rival` is
    the column, or the field of the metadata, of the answer to compare with. `settings` are
    those of a judge's metric of the user's own, which may put them into its requests.
    """

    metric_id: str
    text: str
    shows: tuple[str, ...]
    listed: tuple[str | int, ...] | None
    choices: tuple[Choice, ...] | None
    lowest: float
    highest: float
    rival: str | None = None
    settings: str | None = None

    @cached_property
    def fingerprint(self) -> str:
        """What the keys of all items cover: the question and its choices."""
        # What follows from scores is not covered: another answer may widen their range.
        listed = None if self.listed is None else list(self.listed)
        asked: dict[str, Any] = {"text": self.text, "choices": listed}
        if self.settings:
            asked["settings"] = self.settings
        return digest("question", asked)

    def value_of(self, given: str) -> float:
        """Return the score of a choice, or of a number where there are no choices.

        Raise `ConfigError` for anything else.
        """
        if self.choices is not None:
            for choice in self.choices:
                if choice.name == given:
                    return choice.value
            known = [choice.name for choice in self.choices]
            raise ConfigError(
                f"label {given!r} of metric {self.metric_id!r} is no choice; "
                f"{nearest(given, known)}"
            )
        try:
            value = float(given)
        except ValueError:
            value = float("nan")
        # NaN is in no range.
        if not self.lowest <= value <= self.highest:
            raise ConfigError(
                f"label {given!r} of metric {self.metric_id!r} is no number from "
                f"{self.lowest:g} to {self.highest:g}"
            )
        return value


def question_of(
    run: RunResult,
    metric_id: str | None = None,
) -> Question:
    """Return the question of a metric; `None` names the only one, or the only judged one.

    Raise `ConfigError` for a metric that the run has not or that is one score of a data
    set, or where several could be meant.
    """
    # Late: runs are asked for labels far more often than people for answers.
    from themis_lib.builtins.verdicts import asked_of_people

    score = _score_record(run, metric_id)
    metric_id = score.member_id or ""
    metric = score.identity["metric"]
    prompts = _judge_prompts(run, metric_id)
    texts: dict[str, None] = {}
    listed = None
    for prompt in prompts:
        asked, choices = asked_of_people(prompt)
        texts[asked] = None
        listed = listed or choices
    text = "\n\n".join(filter(None, texts))
    # Without a judge, or with one whose whole task is in its requests.
    text = text or f"What should the metric {metric_id} give this answer?"
    return _question(run, metric_id, text, listed, metric, is_judged=bool(prompts))


def _score_record(
    run: RunResult,
    metric_id: str | None,
) -> StageRecord:
    scores = {}
    for record in run.manifest.stages:
        if record.name == "score" and record.member_id is not None:
            scores[record.member_id] = record
    if not scores:
        raise ConfigError(f"run {run.run_id!r} has no scores to label")
    corpus = corpus_metric_ids(run)
    if metric_id is None:
        of_cases = [name for name in scores if name not in corpus]
        metric_id = _only_metric(run, of_cases or list(scores))
    if metric_id not in scores:
        raise ConfigError(
            f"run {run.run_id!r} has no metric {metric_id!r}; "
            f"{nearest(metric_id, scores)}"
        )
    if metric_id in corpus:
        raise ConfigError(
            f"run {run.run_id!r}: {metric_id!r} is one score of all cases, which labels "
            "of single answers cannot correct; label a metric of single cases"
        )
    return scores[metric_id]


def _only_metric(
    run: RunResult,
    metric_ids: Sequence[str],
) -> str:
    """Return the only metric, or the only judged one."""
    verdicts = run.table("verdicts", columns=["metric_id"])["metric_id"]
    known = set(pc.unique(verdicts).to_pylist())
    candidates = [name for name in metric_ids if name in known] or metric_ids
    if len(candidates) > 1:
        names = ", ".join(map(repr, candidates))
        raise ConfigError(
            f"run {run.run_id!r} has several metrics to label; name one: {names}"
        )
    return candidates[0]


def _judge_prompts(
    run: RunResult,
    metric_id: str,
) -> list[str]:
    """Return the prompts of a metric's judges, each as one text."""
    verdicts = run.table(
        "verdicts", columns=["judge_id"], where=pc.field("metric_id") == metric_id
    )
    judges = set(pc.unique(verdicts["judge_id"]).to_pylist())
    prompts = []
    for record in run.manifest.stages:
        if record.name == "judge" and record.member_id in judges:
            prompts.append(_prompt_text(record.identity.get("prompt_spec") or {}))
    return prompts


def _prompt_text(spec: Mapping[str, Any]) -> str:
    parts = [spec.get("instructions"), spec.get("prefix")]
    for block in spec.get("blocks") or ():
        parts.append(block if isinstance(block, str) else json.dumps(block))
    parts.append(spec.get("suffix"))
    text = "\n\n".join(part for part in parts if part)
    # A schema is told to judges that cannot be held to it, and is no question.
    return text.partition(TOLD_SCHEMA)[0].strip()


def _question(
    run: RunResult,
    metric_id: str,
    text: str,
    listed: tuple[str | int, ...] | None,
    metric: Mapping[str, Any],
    *,
    is_judged: bool,
) -> Question:
    lowest, highest = _range_of_scores(run, metric_id)
    settings = metric.get("settings") or {}
    rival = None
    if listed == _PAIR:
        rival = settings.get("against") or "expected_output"
    return Question(
        metric_id=metric_id,
        text=text,
        shows=_shown_columns(metric["reads"], rival, is_judged=is_judged),
        listed=listed,
        choices=_choices(run, metric_id, listed),
        lowest=lowest,
        highest=highest,
        rival=rival,
        # A built-in metric says all that it asks in its prompt.
        settings=metric.get("fingerprint") if is_judged else None,
    )


def _shown_columns(
    reads: Sequence[str],
    rival: str | None,
    *,
    is_judged: bool,
) -> tuple[str, ...]:
    """Return the columns that a person sees: those that the judge could see."""
    if rival is not None:
        return ("input", "value")
    if is_judged:
        answers = [name for name in _ANSWERS if name in reads] or ["output"]
        return (*(name for name in _CASE if name in reads), *answers)
    # Such a metric may read the answer alone; people need the case, and no artifacts.
    texts = [name for name in _TEXTS if name in reads] or ["output"]
    return ("input", "expected_output", texts[0])


def _choices(
    run: RunResult,
    metric_id: str,
    listed: tuple[str | int, ...] | None,
) -> tuple[Choice, ...] | None:
    if listed is None:
        scores = run.table(
            "scores", columns=["score"], where=pc.field("metric_id") == metric_id
        )["score"]
        # As texts are: a metric whose scores are all 0 or 1 says pass or fail.
        if set(pc.unique(scores).to_pylist()) <= {0.0, 1.0, None}:
            return (Choice("pass", 1.0), Choice("fail", 0.0))
        return None
    grades = [item for item in listed if isinstance(item, int)]
    if len(grades) == len(listed):
        steps = max(grades) - min(grades)
        return tuple(
            Choice(str(grade), (grade - min(grades)) / steps) for grade in grades
        )
    if listed == _PAIR:
        return (Choice("A", 1.0), Choice("B", 0.0), Choice("tie", 0.5))
    # The first word is the best, as `correct` before `incorrect`.
    last = len(listed) - 1
    return tuple(Choice(str(name), 1 - at / last) for at, name in enumerate(listed))


def _range_of_scores(
    run: RunResult,
    metric_id: str,
) -> tuple[float, float]:
    """Return the lowest and the highest score that the metric may give."""
    bounds: list[float] = []
    for row in run.summary:
        if row.metric_id == metric_id:
            bounds += [end for end in (row.lowest, row.highest) if end is not None]
    scores = run.table(
        "scores", columns=["score"], where=pc.field("metric_id") == metric_id
    )["score"]
    # A run that stopped before its summary, or of an earlier version, says no range.
    found = bounds or [0.0, 1.0]
    observed = pc.min_max(scores).as_py()
    found += [end for end in observed.values() if end is not None]
    return min(found), max(found)
