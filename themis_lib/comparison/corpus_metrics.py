"""The metrics of a data set that runs were scored by, found again for a comparison.

A score of a data set is computed again for each resample, with the metric's own code.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from themis_lib.components.build import build
from themis_lib.components.records import BuiltMetric
from themis_lib.core.config import IdentityConfig
from themis_lib.errors import ConfigError, InputError
from themis_lib.identity.digests import canonical_json
from themis_lib.runs.manifest import Manifest
from themis_lib.runs.results import RunResult


def corpus_metric(
    run: RunResult,
    metric_id: str,
    others: Iterable[RunResult] = (),
) -> BuiltMetric:
    """Return a metric of a data set as it scored a run.

    It is that of the run or of one of the `others` made in this process, else it is
    made again as the run's record has it. Raise `ConfigError` where none of them is the
    one that scored the run.
    """
    recorded = _recorded_identity(run.manifest, metric_id)
    for result in (run, *others):
        known = result.corpus_metrics.get(metric_id)
        if known is not None and canonical_json(known.identity) == recorded:
            return known
    reason = "its record does not say how it was written"
    for spec in _written_metrics(run.manifest):
        if isinstance(spec, str) and spec.startswith("<"):
            # A live object is written as its class in angle brackets.
            reason = (
                f"it was the live object {spec}, which its record cannot make again"
            )
            continue
        try:
            built = build("metric", spec, where=f"run {run.run_id!r}")
        except InputError as error:
            reason = str(error)
            continue
        if built.name != metric_id:
            continue
        built = built.covering(_identity(run.manifest).libraries)
        if canonical_json(built.identity) == recorded:
            return built
        reason = "its code, its settings or a library have changed since"
        break
    raise ConfigError(
        f"run {run.run_id!r}: {metric_id!r} is one score of all cases, which takes the "
        f"metric itself: {reason}; name the metric as `module:attribute`, or run again"
    )


def _recorded_identity(
    manifest: Manifest,
    metric_id: str,
) -> str:
    """Return the identity of a metric as canonical JSON, in which lists are tuples."""
    record = manifest.stage(f"score[{metric_id}]")
    identity: Mapping[str, Any] = {} if record is None else record.identity
    return canonical_json(identity.get("metric"))


def _written_metrics(manifest: Manifest) -> Iterator[Any]:
    evaluation = (manifest.configuration or {}).get("evaluation") or {}
    yield from evaluation.get("metrics") or ()


def _identity(manifest: Manifest) -> IdentityConfig:
    written = (manifest.configuration or {}).get("identity") or {}
    return IdentityConfig.model_validate(written)
