"""The parse stage: an answer read from each output by the first parser that finds one."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from themis_lib.components.records import BuiltComponent, BuiltParser, ParseCall
from themis_lib.core.config import RuntimeConfig
from themis_lib.core.contexts import ParseContext
from themis_lib.core.models import GenerationResult, ParsedOutput
from themis_lib.core.protocols import OUTPUT_COLUMNS, case_columns
from themis_lib.errors import RowError
from themis_lib.identity.digests import canonical_json
from themis_lib.stages.calls import OutcomeSink, call_rows
from themis_lib.stages.outputs import visible_results
from themis_lib.stages.reading import (
    carried_errors,
    column_digests_of,
    output_digests,
    read_outputs,
    sample_rows,
    visible_cases,
)
from themis_lib.stages.reasoning import answers_alone
from themis_lib.stages.stage import Emit, Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.store import RunStore
from themis_lib.storage.tables import ANSWERS


@dataclass(frozen=True)
class _ParserView:
    """A parser and, for each row, the part of it that the parser may see."""

    parse: ParseCall
    results: Sequence[GenerationResult]
    contexts: Sequence[ParseContext]

    def parse_row(self, position: int) -> Any:
        return self.parse(self.results[position], self.contexts[position])


class ParseStage(Stage):
    """Rows are cases × samples.

    A key covers what the parsers read: by default the output alone.
    """

    name = "parse"
    schema = ANSWERS

    def __init__(
        self,
        parsers: Sequence[BuiltParser],
        *,
        samples: int,
        runtime: RuntimeConfig,
    ) -> None:
        self.parsers = tuple(parsers)
        self._samples = samples
        self._runtime = runtime

    @property
    def components(self) -> tuple[BuiltComponent, ...]:
        return self.parsers

    @property
    def identity(self) -> dict[str, Any]:
        return {"parsers": [parser.identity for parser in self.parsers]}

    @property
    def reads(self) -> tuple[str, ...]:
        names: dict[str, None] = {}
        for parser in self.parsers:
            names.update(dict.fromkeys(parser.reads))
        return tuple(names)

    @property
    def _reads_whole(self) -> bool:
        """Whether its keys cover the outputs as the models wrote them."""
        return any(parser.whole_output for parser in self.parsers)

    def columns(
        self,
        shard: Shard,
        store: RunStore,
    ) -> dict[str, Any]:
        of_case = case_columns(self.reads)
        of_output = [name for name in self.reads if name in OUTPUT_COLUMNS]
        return {
            "cases": column_digests_of(shard.cases, of_case),
            "outputs": output_digests(
                store,
                shard.outputs,
                [*of_output, "error"],
                whole=self._reads_whole,
            ),
            # Only cases are repeated for each sample; outputs have a row each already.
            "samples": self._samples if of_case else None,
        }

    def rows(
        self,
        shard: Shard,
        store: RunStore,
    ) -> pa.Table:
        outputs = read_outputs(store, shard.outputs, whole=self._reads_whole)
        columns = sample_rows(
            shard,
            store,
            self._samples,
            case_columns(self.reads),
        )
        for name in self.reads:
            if name in OUTPUT_COLUMNS:
                columns[name] = outputs[name].combine_chunks()
        columns["error"] = carried_errors(outputs, "generate")
        return pa.table(columns)

    async def compute(
        self,
        rows: pa.Table,
        run_id: str,
        emit: Emit,
    ) -> None:
        views = []
        # Only a parser that asks for it sees more of a text than its answer.
        answers = answers_alone(rows) if self._reads_whole else rows
        for parser in self.parsers:
            cases = visible_cases(rows, parser.reads)
            seen = rows if parser.whole_output else answers
            view = _ParserView(
                parse=parser.parse,
                results=visible_results(seen, parser.reads),
                contexts=[ParseContext(case) for case in cases],
            )
            views.append(view)

        def parse(position: int) -> Any:
            parsed = None
            for view in views:
                parsed = view.parse_row(position)
                if _is_answer(parsed):
                    break
            return parsed

        # One parser that waits makes the whole row wait, others stay plain calls.
        async def parse_async(position: int) -> Any:
            parsed = None
            for view in views:
                parsed = view.parse_row(position)
                if inspect.isawaitable(parsed):
                    parsed = await parsed
                if _is_answer(parsed):
                    break
            return parsed

        is_async = any(parser.is_async for parser in self.parsers)
        await call_rows(
            parse_async if is_async else parse,
            rows.num_rows,
            OutcomeSink(emit, _answer_record, unknown_is_fact=True),
            is_async=is_async,
            name=f"parse/{self.fingerprint}",
            runtime=self._runtime,
        )


def _is_answer(parsed: Any) -> bool:
    """Return whether a parser found an answer, so that no other is tried."""
    if not isinstance(parsed, ParsedOutput) or parsed.error is not None:
        return False
    return parsed.value is not None


def _answer_record(parsed: Any) -> dict[str, Any]:
    """Return what the last parser returned as a row of the answers table."""
    if not isinstance(parsed, ParsedOutput):
        raise RowError(
            f"the parser returned {type(parsed).__name__}, not a ParsedOutput"
        )
    try:
        value = None if parsed.value is None else canonical_json(parsed.value)
    except ValueError as error:
        raise RowError(f"the parser's value cannot be kept: {error}") from None
    reason = parsed.error
    # A null value comes with a reason: readers of the table rely on it.
    if value is None and not reason:
        reason = "no answer in the output"
    return {"value": value, "format": parsed.format, "error": reason}
