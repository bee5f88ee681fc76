"""The parse stage: an answer read from each output, by the first parser that finds one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from themis_lib.components.build import component_identity, reads_of
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import ParseContext
from themis_lib.core.models import ParsedOutput
from themis_lib.core.protocols import OUTPUT_COLUMNS, case_columns
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json
from themis_lib.stages.calls import call_rows
from themis_lib.stages.outputs import visible_results
from themis_lib.stages.reading import (
    carried_errors,
    column_digests_of,
    read,
    sample_rows,
    visible_cases,
)
from themis_lib.stages.stage import Emit, Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import ANSWERS


class ParseStage(Stage):
    """Rows are cases × samples. A key covers what the parsers read: by default the
    output alone.
    """

    name = "parse"
    schema = ANSWERS

    def __init__(
        self, parsers: Sequence[Any], *, samples: int, runtime: RuntimeConfig
    ) -> None:
        self.parsers = tuple(parsers)
        self._samples = samples
        self._runtime = runtime
        self._reads = [reads_of("parser", parser) for parser in self.parsers]

    @property
    def identity(self) -> dict[str, Any]:
        return {
            "parsers": [component_identity("parser", parser) for parser in self.parsers]
        }

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for reads in self._reads for name in reads))

    def columns(self, shard: Shard) -> dict[str, Any]:
        outputs = (*(name for name in self.reads if name in OUTPUT_COLUMNS), "error")
        return {
            "cases": column_digests_of(shard.cases, case_columns(self.reads)),
            "outputs": column_digests_of(shard.outputs, outputs),
            "samples": self._samples if case_columns(self.reads) else None,
        }

    def rows(self, shard: Shard, store: RunStore) -> pa.Table:
        outputs = read(store, shard.outputs)
        columns = sample_rows(shard, store, self._samples, case_columns(self.reads))
        for name in self.reads:
            if name in OUTPUT_COLUMNS:
                columns[name] = outputs[name].combine_chunks()
        columns["error"] = carried_errors(outputs, "generate")
        return pa.table(columns)

    async def compute(self, rows: pa.Table, run_id: str, emit: Emit) -> None:
        views = [
            (visible_results(rows, reads), visible_cases(rows, reads))
            for reads in self._reads
        ]
        parsers = [
            (parser.parse, results, [ParseContext(case) for case in cases])
            for parser, (results, cases) in zip(self.parsers, views, strict=True)
        ]

        def parse(position: int) -> Any:
            parsed = None
            for parse_one, results, contexts in parsers:
                parsed = parse_one(results[position], contexts[position])
                if _found(parsed):
                    break
            return parsed

        async def parse_async(position: int) -> Any:
            parsed = None
            for parse_one, results, contexts in parsers:
                parsed = parse_one(results[position], contexts[position])
                parsed = await parsed if inspect.isawaitable(parsed) else parsed
                if _found(parsed):
                    break
            return parsed

        is_async = any(
            inspect.iscoroutinefunction(parse_one) for parse_one, _, _ in parsers
        )
        await call_rows(
            parse_async if is_async else parse,
            rows.num_rows,
            is_async=is_async,
            name=f"parse/{self.fingerprint}",
            runtime=self._runtime,
            to_record=_record,
            emit=emit,
        )


def _found(parsed: Any) -> bool:
    return (
        isinstance(parsed, ParsedOutput)
        and parsed.error is None
        and parsed.value is not None
    )


def _record(parsed: Any) -> dict[str, Any]:
    if not isinstance(parsed, ParsedOutput):
        raise RowError(
            f"the parser returned {type(parsed).__name__}, not a ParsedOutput"
        )
    try:
        value = None if parsed.value is None else canonical_json(parsed.value)
    except ValueError as error:
        raise RowError(f"the parser's value cannot be kept: {error}") from None
    reason = (
        parsed.error if value is not None or parsed.error else "no answer in the output"
    )
    return {"value": value, "format": parsed.format, "error": reason}
