"""Why a row may come out otherwise: what differs between a run's record and now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from themis_lib.core.config import DatasetFile
from themis_lib.core.experiment_spec import AnyDataset
from themis_lib.data.cut import content_digest
from themis_lib.data.datasets import case_tables
from themis_lib.data.template_columns import with_template_columns
from themis_lib.errors import InputError
from themis_lib.identity.digests import set_digest
from themis_lib.runs import provenance
from themis_lib.runs.manifest import Manifest
from themis_lib.runs.pipeline import Pipeline
from themis_lib.verification.models import KEY_COLUMN
from themis_lib.verification.stage_checks import Findings


def environment_changes(manifest: Manifest) -> list[str]:
    """Return a line for each version, and each fact of the machine, that is another.

    What the record does not have is left out: earlier versions recorded less.
    """
    now = {
        **provenance.versions_of(manifest.versions),
        "python": provenance.versions()["python"],
        "themis-flows": provenance.versions()["themis-flows"],
    }
    return [
        *_changes(manifest.versions, now),
        *_changes(manifest.machine, provenance.machine()),
    ]


def _changes(
    before: Mapping[str, str],
    now: Mapping[str, str],
) -> list[str]:
    lines = []
    for name, old in before.items():
        new = now.get(name, "not installed")
        if new != old:
            lines.append(f"{name}: {old} → {new}")
    return lines


def data_changes(
    manifest: Manifest,
    datasets: Sequence[AnyDataset],
    pipeline: Pipeline,
) -> list[str]:
    """Return a line for each dataset whose file holds other cases than the run read.

    Stored rows are verified with the cases in the store: it changes none of them.
    """
    lines = []
    # A run that stopped when it was decided has digests of all cases apart.
    stopped = manifest.sequential
    known = manifest.data if stopped is None else stopped.data
    template = pipeline.generate.template
    names = () if template is None else template.names
    for dataset in with_template_columns(datasets, names):
        before = known.get(dataset.dataset_id)
        if before is None or not isinstance(dataset, DatasetFile):
            continue
        try:
            tables = case_tables(dataset, files=pipeline.part_files())
            now = set_digest(content_digest(table) for table in tables)
        except InputError as error:
            lines.append(f"{dataset.dataset_id}: cannot be read any more: {error}")
            continue
        if now != before:
            lines.append(
                f"{dataset.dataset_id}: {dataset.path} holds other cases than the run read"
            )
    return lines


def likely_causes(
    label: str,
    found: Findings,
    *,
    changed_files: Sequence[str],
    manifest: Manifest,
    changes: Sequence[str],
    environment: Sequence[str],
) -> list[str]:
    """Return why rows of a stage differ, the surest reasons first.

    `changed_files` are those that hold something else than in the run, `changes` is
    what identifies the stage otherwise today, and `environment` what else is not as it
    was. Empty if nothing differs.
    """
    edited = _edits(changed_files)
    if not found.differing:
        return edited
    causes = [f"the stage is another today: {line}" for line in changes]
    if found.is_unsteady:
        notices = [text for text in manifest.notices if text.startswith(f"{label}: ")]
        causes.append(
            "computed twice just now, rows came out differently: the component is not "
            f"deterministic{_in_brackets(notices)}"
        )
    causes += [*edited, *_by_place(found), *_by_key(found)]
    computed = [cell for cell in found.cells if len(cell.differs_in) == 2]
    if computed and not found.is_unsteady:
        causes += [f"since the run, {line}" for line in environment]
    if not causes:
        causes.append(
            "nothing on record differs: the code, the libraries and the processor are "
            "those of the run; its rows were changed, or depend on what nobody records"
        )
    return causes


def _edits(files: Sequence[str]) -> list[str]:
    """Return a line for each file that has changed."""
    return [
        f"{file} was edited or replaced after the run: it does not hold what the run's "
        "record says"
        for file in files
    ]


def _by_place(found: Findings) -> list[str]:
    """Return what the places of the cells that differ tell."""
    causes = []
    # Without what the run had, its record tells which file was changed.
    known = [cell for cell in found.cells if cell.recorded is not None]
    places = [cell.differs_in for cell in known]
    if ["store"] in places:
        causes.append(
            "cells of the store's rows were changed after the run, which has what comes "
            "out now"
        )
    if ["run"] in places:
        causes.append(
            "cells of the run's tables were changed after the run: the store's rows have "
            "what comes out now"
        )
    if any(not cell.differs_in and cell.column != KEY_COLUMN for cell in found.cells):
        causes.append(
            "two copies of the rows differ, in the store and in the run, and one of "
            "them was changed after the run"
        )
    return causes


def _by_key(found: Findings) -> list[str]:
    """Return what it tells that rows read other values than when they were stored."""
    keys = [cell for cell in found.cells if cell.column == KEY_COLUMN]
    if not keys:
        return []
    files = sorted({cell.file for cell in keys if cell.file is not None})
    return [
        "what the rows read was changed, in the case or in rows of an earlier stage"
        f"{_in_brackets(files)}"
    ]


def _in_brackets(notices: Sequence[str]) -> str:
    return f" ({'; '.join(notices)})" if notices else ""
