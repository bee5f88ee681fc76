"""Labels that travel as a file: given on a page in a browser, and taken into a store."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from themis_lib.core.models import FrozenModel
from themis_lib.errors import ConfigError
from themis_lib.labels.draws import Draw, DrawMethod, draw_items
from themis_lib.labels.items import RunItems, items_of
from themis_lib.labels.shown_items import show
from themis_lib.labels.stored_labels import Label, LabelStore, check_labeller
from themis_lib.runs.results import RunResult

#: What the files of this form begin with.
LABELS_FORMAT = "themis-labels/1"


class GivenLabel(FrozenModel):
    """One label in a file.

    `choice` is the name that was shown, or a number as text; `None` for a skipped item.
    `labelled_at` is ISO 8601 with its time zone.
    """

    item: str
    choice: str | None
    note: str | None = None
    labelled_at: str


class LabelFile(FrozenModel):
    """A file of labels: who gave them, to what question, and how the items were drawn."""

    format: Literal["themis-labels/1"]
    metric_id: str
    question: str
    draw: str
    method: DrawMethod
    seed: int
    labeller: str
    labels: list[GivenLabel]


@dataclass(frozen=True)
class ImportedLabels:
    """How many labels of a file were new to the store, and how many it had already."""

    labeller: str
    metric_id: str
    new: int
    known: int

    @property
    def line(self) -> str:
        """One line for people."""
        line = (
            f"{self.new:,} labels of {self.metric_id!r} by {self.labeller!r} imported"
        )
        return f"{line}, {self.known:,} were there already" if self.known else line


def import_labels(
    run: RunResult,
    path: Path,
    metric_id: str | None = None,
    *,
    labeller: str | None = None,
) -> ImportedLabels:
    """Keep the labels of a file in the store of a run. Twice changes nothing.

    `metric_id` defaults to the file's, `labeller` replaces the name in it. Raise
    `ConfigError`, naming the file and the label, for a file of another form, labels of
    another run or question, items that the run has not, and values that are no choice:
    then no label is kept.
    """
    file = _read_file(path)
    name = labeller if labeller is not None else file.labeller
    try:
        name = check_labeller(name)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if metric_id not in (None, file.metric_id):
        raise ConfigError(
            f"{path}: labels of metric {file.metric_id!r}, not of {metric_id!r}"
        )
    try:
        items = items_of(run, file.metric_id)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    if items.question.fingerprint != file.question:
        raise ConfigError(
            f"{path}: labels of another question than metric {file.metric_id!r} asks in "
            f"run {run.run_id!r}: its rubric or prompt has changed; write a new page "
            "with --html"
        )
    draw = _draw_of(items, file, path)
    given = [
        _label(items, file, label, name, f"{path}: labels[{at}]")
        for at, label in enumerate(file.labels)
    ]
    labels = LabelStore(run.store)
    draw.keep(labels)
    new = labels.add(given)
    return ImportedLabels(name, file.metric_id, new, len(given) - new)


def _read_file(path: Path) -> LabelFile:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(
            f"{path} is no JSON ({error}); import the file that a page of "
            "`themis label RUN --html FILE` saves"
        ) from None
    if not isinstance(content, dict) or content.get("format") != LABELS_FORMAT:
        found = content.get("format") if isinstance(content, dict) else content
        raise ConfigError(
            f"{path} is no file of labels: its `format` is {found!r:.60}, not "
            f"{LABELS_FORMAT!r}; a page of `themis label RUN --html FILE` saves one"
        )
    try:
        return LabelFile.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(
            f"{path}: {place}: {first['msg']}, not {first['input']!r:.60}"
        ) from None


def _draw_of(
    items: RunItems,
    file: LabelFile,
    path: Path,
) -> Draw:
    """Return the draw of a file, which must be one of this run's items."""
    draw = draw_items(items, method=file.method, seed=file.seed)
    if draw.name != file.draw:
        raise ConfigError(
            f"{path}: its items were drawn from another run than {items.run.run_id!r}; "
            "import it into the run of the page, whose content finds the labels everywhere"
        )
    return draw


def _label(
    items: RunItems,
    file: LabelFile,
    given: GivenLabel,
    labeller: str,
    where: str,
) -> Label:
    try:
        shown = show(items, given.item)
        value = choice = None
        if given.choice is not None:
            named = shown.choice_named(given.choice)
            value = items.question.value_of(named)
            choice = named if items.question.choices is not None else None
        labelled_at = _in_utc(given.labelled_at)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    dataset_id, case_id, sample_index = items.place_of(given.item)
    return Label(
        item=given.item,
        metric_id=items.question.metric_id,
        value=value,
        choice=choice,
        note=given.note or None,
        labeller=labeller,
        labelled_at=labelled_at,
        draw=file.draw,
        method=file.method,
        seed=file.seed,
        run_id=items.run.run_id,
        dataset_id=dataset_id,
        case_id=case_id,
        sample_index=sample_index,
    )


def _in_utc(text: str) -> str:
    """Return a time as labels have it. Raise `ConfigError` for one without its zone."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ConfigError(
            f"labelled_at {text!r:.40} is no time with its zone, such as "
            "'2026-01-31T09:30:00Z'"
        )
    return time.astimezone(UTC).isoformat(timespec="microseconds")
