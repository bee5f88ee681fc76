"""Generators without a model.

One knows the answers, for tutorials and tests; one replays outputs recorded elsewhere.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from themis_lib.builtins.recordings import (
    FORMATS,
    Columns,
    Recording,
    read_log_recording,
    read_recording,
)
from themis_lib.components.builtin import Builtin
from themis_lib.core.contexts import GenerateContext
from themis_lib.core.models import Case, GenerationResult
from themis_lib.errors import ComponentError, RowError
from themis_lib.eval_logs.samples import LOG_FORMATS, log_format_of

_Format: TypeAlias = Literal[
    "jsonl", "csv", "parquet", "lm_eval", "inspect", "promptfoo"
]
#: One lock for all: a component with its own lock could be neither pickled nor copied.
_LOADING = threading.Lock()


@dataclass(frozen=True)
class DemoGenerator(Builtin):
    """The expected output of each case, or its input where there is none.

    It is for tutorials and tests.
    """

    component_id: ClassVar[str] = "builtin/demo_generator"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = (
        "input",
        "expected_output",
    )
    deterministic: ClassVar[bool] = True
    is_free: ClassVar[bool] = True

    def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return the expected output, or else the input."""
        output = case.expected_output
        # `False` and 0 are expected outputs too.
        if output is None:
            output = case.input
        return _output_result(output)

    def generate_batch(
        self,
        cases: Sequence[Case],
        contexts: Sequence[GenerateContext],
    ) -> list[GenerationResult]:
        """Return the result of `generate` for each case, in order."""
        results = []
        for case, context in zip(cases, contexts, strict=True):
            results.append(self.generate(case, context))
        return results


@dataclass(frozen=True)
class ReplayGenerator(Builtin):
    """Outputs recorded elsewhere, by case id, from a file at any fsspec URL.

    The file is JSON Lines, CSV or Parquet; `format` defaults to what its suffix says. A
    case with several rows has as many samples: in the order of the file, or numbered
    from 0 by `sample_column`. Identity is the content of the file, not its place:
    moving it costs nothing.

    It may also be a log of another tool: samples of lm-eval (`lm_eval`), a log of
    Inspect (`inspect`) or results of promptfoo (`promptfoo`). Samples are then numbered
    by the log, and `column` is `output` or `answer`, what the tool read out of it. A
    file of promptfoo may have several prompts and providers: `variant` chooses one.
    """

    component_id: ClassVar[str] = "builtin/replay"
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = (
        "case_id",
        "sample_index",
    )
    deterministic: ClassVar[bool] = True
    is_free: ClassVar[bool] = True
    #: Whatever was recorded is replayed, lm-eval's pairs of log-likelihoods too.
    rates_continuations: ClassVar[bool] = True

    path: str
    column: str = "output"
    case_id_column: str = "case_id"
    format: _Format | None = None
    sample_column: str | None = None
    variant: Annotated[int, Field(ge=0)] | None = None
    # May hold credentials, so neither `repr` nor a message shows it.
    storage_options: dict[str, Any] = field(
        default_factory=dict,
        repr=False,
    )

    def check_settings(self) -> None:
        """Raise `ComponentError` for a mistyped setting or an unknown format."""
        super().check_settings()
        if self._file_format not in LOG_FORMATS:
            if self.variant is not None:
                raise ComponentError(
                    f"{self.component_id}: variant={self.variant}: only a log has "
                    f"variants ({', '.join(LOG_FORMATS)}), not {self._file_format}"
                )
            return
        if self.column not in ("output", "answer"):
            raise ComponentError(
                f"{self.component_id}: column={self.column!r}: a log has `output` and "
                "`answer`"
            )
        if self.case_id_column != "case_id" or self.sample_column is not None:
            raise ComponentError(
                f"{self.component_id}: case_id_column, sample_column: a log numbers "
                "its samples itself; leave them out"
            )

    def check(self) -> None:
        """Read the file. Raise `DatasetError` if it cannot be used.

        The error names the file, the line and the column at fault.
        """
        _ = self._loaded_recording

    def settings(self) -> dict[str, Any]:
        """Return the digest of the file and the columns read, without its place."""
        settings: dict[str, Any] = {
            "sha256": self._loaded_recording.sha256,
            "format": self._file_format,
            "column": self.column,
            "case_id_column": self.case_id_column,
            "sample_column": self.sample_column,
        }
        # Only where it is set: rows from before there were variants are found.
        if self.variant is not None:
            settings["variant"] = self.variant
        return settings

    def generate(
        self,
        case: Case,
        ctx: GenerateContext,
    ) -> GenerationResult:
        """Return the recorded output.

        Raise `RowError` if none is recorded for the case or the sample.
        """
        samples = self._loaded_recording.outputs.get(case.case_id)
        if samples is None:
            raise RowError(f"no output is recorded for case {case.case_id!r}")
        sample = ctx.sample_index
        if sample is None or sample not in samples:
            raise RowError(
                f"no output is recorded for sample {sample} of case {case.case_id!r}; "
                f"it has {len(samples)}"
            )
        output = samples[sample]
        # Parsers would have nothing to read, so the row needs a reason.
        if output is None:
            raise RowError(f"the output recorded for case {case.case_id!r} is null")
        if isinstance(output, GenerationResult):
            return output
        return _output_result(output)

    def generate_batch(
        self,
        cases: Sequence[Case],
        contexts: Sequence[GenerateContext],
    ) -> list[GenerationResult | Exception]:
        """Return the result of `generate` for each case, in order.

        Where nothing is recorded, the result is a `RowError`.
        """
        results: list[GenerationResult | Exception] = []
        for case, context in zip(cases, contexts, strict=True):
            try:
                results.append(self.generate(case, context))
            # Raised, it would fail the rows beside it as well.
            except RowError as error:
                results.append(error)
        return results

    @property
    def _file_format(self) -> str:
        if self.format is not None:
            return self.format
        # A chained URL begins with the file: `zip://a.jsonl::s3://bucket/b.zip`.
        location, _, _ = self.path.partition("::")
        suffix = PurePosixPath(location).suffix
        found = FORMATS.get(suffix.lower())
        if found is None:
            raise ComponentError(
                f"{self.component_id}: {self.path!r} ends in none of "
                f"{', '.join(FORMATS)}; say its format: jsonl, csv, parquet, "
                f"{', '.join(LOG_FORMATS)}"
            )
        return found

    @property
    def _loaded_recording(self) -> Recording:
        # Not a `cached_property`: many threads ask at once, and the file is read once.
        recording: Recording | None = self.__dict__.get("_loaded")
        if recording is not None:
            return recording
        with _LOADING:
            # Another thread may have read it while this one waited.
            recording = self.__dict__.get("_loaded")
            if recording is None:
                recording = self._read_recording()
                # The dataclass is frozen; what it has read is no setting.
                object.__setattr__(self, "_loaded", recording)
        return recording

    def _read_recording(self) -> Recording:
        log_format = log_format_of(self._file_format)
        if log_format is not None:
            return read_log_recording(
                self.path,
                log_format,
                column=self.column,
                variant=self.variant,
                storage_options=self.storage_options,
            )
        columns = Columns(
            output=self.column,
            case_id=self.case_id_column,
            sample=self.sample_column,
        )
        return read_recording(
            self.path,
            columns,
            file_format=self._file_format,
            storage_options=self.storage_options,
        )


def _output_result(output: Any) -> GenerationResult:
    # Without validation, which is slow: cases and recordings are JSON already.
    return GenerationResult.model_construct(final_output=output)
