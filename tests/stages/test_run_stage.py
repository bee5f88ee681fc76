"""Running a stage for a shard: what is computed, what is found, and what is kept when
something fails.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from themis_lib import (
    Case,
    FatalError,
    GenerationResult,
    InMemoryRunStore,
    ParsedOutput,
    RowError,
    RunStore,
    RuntimeConfig,
    Score,
    ShardError,
    StoreError,
    TransientError,
)
from themis_lib.components.build import build
from themis_lib.core.contexts import ParseContext, ScoreContext
from themis_lib.identity.digests import canonical_json, digest
from themis_lib.identity.part import Part
from themis_lib.stages.parse import ParseStage
from themis_lib.stages.progress import Progress, StageProgress
from themis_lib.stages.run_stage import run_stage
from themis_lib.stages.score import ScoreStage
from themis_lib.stages.stage import Stage
from themis_lib.storage.shard import Shard
from themis_lib.storage.tables import (
    ANSWERS,
    CASES,
    KEY,
    OUTPUTS,
    column_digests,
    table_of,
)


class Parser:
    """Upper-cases an output. Some outputs fail: as facts, for now while they are in
    `down`, or for good.
    """

    component_id = "tests/parser"
    version = "1"
    runtime = ("down",)

    def __init__(self, down: Sequence[str] = ()) -> None:
        self.down = set(down)
        self.calls: list[str] = []

    def fingerprint(self) -> str:
        return "upper"

    def parse(self, result: GenerationResult, ctx: ParseContext) -> ParsedOutput:
        text = result.final_output
        self.calls.append(text)
        if text in self.down:
            raise TransientError(f"{text} is down")
        if text == "fact":
            raise RowError("nothing to read")
        if text == "unknown":
            raise KeyError("answer")
        if text == "surrogate":
            raise ValueError("\ud800")
        if text == "fatal":
            raise FatalError("refused")
        return ParsedOutput(value=text.upper(), format="upper")


class AsyncParser(Parser):
    """The same, a little later; `endless` never comes."""

    component_id = "tests/async_parser"

    async def parse(self, result: GenerationResult, ctx: ParseContext) -> ParsedOutput:  # type: ignore[override]
        await asyncio.sleep(60 if result.final_output == "endless" else 0.001)
        return super().parse(result, ctx)


class IdParser(Parser):
    """Reads the case id, and says so."""

    component_id = "tests/id_parser"
    reads = ("output", "case_id")

    def parse(self, result: GenerationResult, ctx: ParseContext) -> ParsedOutput:
        self.calls.append(result.final_output)
        return ParsedOutput(value=f"{ctx.case.case_id}: {result.final_output}")


class Metric:
    component_id = "tests/metric"
    version = "1"
    reads = ("value", "expected_output")

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def fingerprint(self) -> str:
        return ""

    def score(self, parsed: ParsedOutput, case: Case, ctx: ScoreContext) -> Score:
        self.calls.append(parsed.value)
        return Score(value=float(parsed.value == case.expected_output))


def stage_of(parser: Parser) -> ParseStage:
    return ParseStage(
        [build("parser", parser, where="test")],
        samples=1,
        runtime=RuntimeConfig(max_concurrency=4),
    )


def shard_of(
    store: RunStore,
    texts: Sequence[str | None],
    *,
    errors: Sequence[str | None] | None = None,
    ids: Sequence[str] | None = None,
) -> Shard:
    """A shard of cases whose outputs are the texts."""
    ids = ids or [f"case-{number}" for number in range(len(texts))]
    case = {
        "dataset_id": "data",
        "input": '"?"',
        "expected_output": '"A"',
        "metadata": "{}",
        "occurrence": 0,
    }
    cases = table_of([{**case, "case_id": case_id} for case_id in ids], CASES)
    outputs = table_of(
        [
            {
                "key": number.to_bytes(16),
                "output": None if text is None else canonical_json(text),
                "error": error,
            }
            for number, (text, error) in enumerate(
                zip(texts, errors or [None] * len(texts), strict=True)
            )
        ],
        pa.schema([KEY, *OUTPUTS]),
    )
    return Shard(
        index=0,
        start=0,
        dataset_id="data",
        cases=kept(store, "cases", cases),
        outputs=kept(store, "outputs", outputs),
    )


def kept(store: RunStore, name: str, table: pa.Table) -> Part:
    return store.keep_part(
        f"rows/{name}/{digest(name, column_digests(table))}.parquet", table
    )


def run(
    stage: Stage, shard: Shard, store: RunStore, *, progress: Progress | None = None
) -> Part:
    return asyncio.run(
        run_stage(stage, shard, store, run_id="run", progress=progress or Progress())
    )


def values(store: RunStore, part: Part) -> list[Any]:
    texts = store.read_table(part.path)["value"].to_pylist()
    return [None if text is None else json.loads(text) for text in texts]


def errors(store: RunStore, part: Part) -> list[str | None]:
    return list(store.read_table(part.path)["error"].to_pylist())


def reader(store: RunStore) -> RunStore:
    """The same store, without what this process remembers of it."""
    return RunStore(store.url)


@pytest.fixture
def store() -> RunStore:
    return InMemoryRunStore()


def test_each_distinct_row_is_computed_once(store: RunStore) -> None:
    """Rows with one key are computed once, and each input row has its own row, in its
    own place.
    """
    parser = Parser()

    part = run(stage_of(parser), shard_of(store, ["a", "b", "a", "a"]), store)

    assert ["a", "b"] == parser.calls
    assert ["A", "B", "A", "A"] == values(store, part)
    assert (4, 2, 0, 0) == (part.rows, part.computed, part.cached, part.failed)
    assert (
        pa.schema([KEY, *ANSWERS])
        == reader(store).read_table(part.path).schema.remove_metadata()
    )


def test_second_call_computes_nothing(store: RunStore) -> None:
    """A stage on a shard that is done calls nobody, in this process or another, and
    says that all rows are cached.
    """
    first = run(stage_of(Parser()), shard_of(store, ["a", "b", "a"]), store)
    parser = Parser()
    other = reader(store)

    second = run(stage_of(parser), shard_of(other, ["a", "b", "a"]), other)

    assert [] == parser.calls
    assert (3, 0, 3, 0) == (second.rows, second.computed, second.cached, second.failed)
    assert (first.path, first.columns) == (second.path, second.columns)


def test_longer_shard_computes_what_is_new(store: RunStore) -> None:
    """A shard that shares rows with another computes the others."""
    run(stage_of(Parser()), shard_of(store, ["a", "b"]), store)
    parser = Parser()

    part = run(stage_of(parser), shard_of(store, ["c", "b", "a", "c"]), store)

    assert ["c"] == parser.calls
    assert ["C", "B", "A", "C"] == values(store, part)
    assert (4, 1, 2) == (part.rows, part.computed, part.cached)


@pytest.mark.parametrize("kind", [Parser, AsyncParser])
def test_transient_failures_end_the_shard_and_keep_the_rest(
    store: RunStore, kind: type[Parser]
) -> None:
    """A row that failed for now is told of at the end; the rows that succeeded are not
    computed again.
    """
    stage = stage_of(kind(down=["x"]))
    shard = shard_of(store, ["a", "x", "b", "x"])

    with pytest.raises(ShardError) as failure:
        run(stage, shard, store)
    part = failure.value.part
    again = kind()
    retried = run(stage_of(again), shard, reader(store))

    assert failure.value.transient
    assert (
        "parse data 0-3: 1 row(s) failed (case-1), most often TransientError: x is down"
        == str(failure.value)
    )
    assert ["A", None, "B", None] == values(store, part)
    assert [
        None,
        "TransientError: x is down",
        None,
        "TransientError: x is down",
    ] == errors(store, part)
    assert (4, 2, 0, 1) == (part.rows, part.computed, part.cached, part.failed)
    assert ["x"] == again.calls
    assert ["A", "X", "B", "X"] == values(store, retried)
    assert (4, 1, 2, 0) == (
        retried.rows,
        retried.computed,
        retried.cached,
        retried.failed,
    )


@pytest.mark.parametrize("rows", [511, 512, 513, 1100])
def test_rows_of_a_long_shard_keep_their_places(store: RunStore, rows: int) -> None:
    """However many ended, in whatever order, with failures between them; a retry
    computes these alone.
    """
    texts = [f"t{number}" for number in range(rows)]
    down = texts[3::200]
    shard = shard_of(store, texts)

    with pytest.raises(ShardError) as failure:
        run(stage_of(AsyncParser(down=down)), shard, store)
    again = AsyncParser()
    retried = run(stage_of(again), shard, reader(store))

    expected = [None if text in down else text.upper() for text in texts]
    assert expected == values(store, failure.value.part)
    assert (rows - len(down), len(down)) == (
        failure.value.part.computed,
        failure.value.part.failed,
    )
    assert sorted(down) == sorted(again.calls)
    assert [text.upper() for text in texts] == values(store, retried)


def test_incomplete_shard_is_not_published(store: RunStore) -> None:
    """Nobody takes the table of a shard with failed rows for the shard."""
    stage, shard = stage_of(Parser(down=["x"])), shard_of(store, ["a", "x"])

    with pytest.raises(ShardError) as failure:
        run(stage, shard, store)

    assert stage.row_set(reader(store)).shard(stage.shard_name(shard, store)) is None
    assert failure.value.part.path.startswith("runs/run/incomplete/parse-")


def test_fatal_error_stops_at_once_and_keeps_what_is_finished(store: RunStore) -> None:
    """A failure that every row would share ends the shard as it is; rows finished
    before it are kept.
    """
    shard = shard_of(store, [*"abcdefgh", "fatal", *"ijklmnop"])
    parser = AsyncParser()

    with pytest.raises(FatalError, match=r"^refused$"):
        run(stage_of(parser), shard, store)
    finished = [text for text in parser.calls if text != "fatal"]
    again = AsyncParser()
    run(stage_of(again), shard_of(store, [*"abcdefghijklmnop"]), reader(store))

    assert len(parser.calls) < 17
    assert set(again.calls) == set("abcdefghijklmnop") - set(finished)


def test_cancelled_shard_keeps_what_is_finished(store: RunStore) -> None:
    """Rows that were finished when a run was stopped are there for the next."""

    async def stop_in_the_middle() -> None:
        shard = shard_of(store, ["a", "endless", "b"])
        task = asyncio.create_task(
            run_stage(stage, shard, store, run_id="run", progress=Progress())
        )
        while len(parser.calls) < 2:
            await asyncio.sleep(0.001)
        task.cancel()
        await task

    parser = AsyncParser()
    stage = stage_of(parser)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(stop_in_the_middle())
    again = AsyncParser()

    part = run(stage_of(again), shard_of(store, ["a", "b", "c"]), reader(store))

    assert ["c"] == again.calls
    assert ["A", "B", "C"] == values(store, part)


def test_facts_are_cached(store: RunStore) -> None:
    """What would happen again is a row: a null and the reason, computed once."""
    shard = shard_of(store, ["fact", "unknown", "a"])
    part = run(stage_of(Parser()), shard, store)
    parser = Parser()

    again = run(stage_of(parser), shard_of(store, ["a", "unknown", "fact"]), store)

    assert [None, None, "A"] == values(store, part)
    assert ["nothing to read", "KeyError: 'answer'", None] == errors(store, part)
    assert 0 == part.failed
    assert [] == parser.calls
    assert [None, "KeyError: 'answer'", "nothing to read"] == errors(store, again)


def test_text_that_no_file_can_hold_is_written_as_escapes(store: RunStore) -> None:
    """A lone surrogate in a component's message costs a row its answer, not the run its
    life.
    """
    part = run(stage_of(Parser()), shard_of(store, ["surrogate", "a"]), store)

    assert [None, "A"] == values(store, part)
    assert ["ValueError: \\ud800", None] == errors(store, part)


def test_keys_do_not_cover_the_case(store: RunStore) -> None:
    """Rows of other cases with the same output are the same rows, unless the component
    reads the case id.
    """
    plain, reading = Parser(), IdParser()
    for parser in (plain, reading):
        run(stage_of(parser), shard_of(store, ["a", "b"], ids=["one", "two"]), store)

    for parser in (plain, reading):
        parser.calls.clear()
        run(stage_of(parser), shard_of(store, ["a", "b"], ids=["three", "two"]), store)

    assert [] == plain.calls
    assert ["a"] == reading.calls


def test_fingerprint_covers_the_identity(store: RunStore) -> None:
    """A component with other settings has rows of its own."""

    class Louder(Parser):
        def fingerprint(self) -> str:
            return "UPPER"

    run(stage_of(Parser()), shard_of(store, ["a"]), store)
    parser = Louder()

    run(stage_of(parser), shard_of(store, ["a"]), store)

    assert ["a"] == parser.calls


def test_upstream_errors_are_carried(store: RunStore) -> None:
    """A row that generate left without output keeps its place and its reason, and no
    parser sees it.
    """
    parser = Parser()
    shard = shard_of(
        store, ["a", None, "b", None], errors=[None, "TimeoutError", None, "refused"]
    )

    part = run(stage_of(parser), shard, store)

    assert ["a", "b"] == parser.calls
    assert ["A", None, "B", None] == values(store, part)
    assert [None, "generate: TimeoutError", None, "generate: refused"] == errors(
        store, part
    )
    assert [False, True, False, True] == store.read_table(part.path)[
        "key"
    ].is_null().to_pylist()


def test_upstream_errors_are_named_once(store: RunStore) -> None:
    """A reason that has come through two stages names the stage it comes from."""
    shard = shard_of(store, ["a", "fact", None], errors=[None, None, "refused"])
    answers = run(stage_of(Parser()), shard, store)
    metric = Metric()
    stage = ScoreStage(
        "metric",
        build("metric", metric, where="test"),
        samples=1,
        runtime=RuntimeConfig(),
    )

    part = run(
        stage,
        Shard(index=0, start=0, dataset_id="data", cases=shard.cases, answers=answers),
        store,
    )
    scores = store.read_table(part.path)

    assert ["A"] == metric.calls
    assert [1.0, None, None] == scores["value"].to_pylist()
    assert [None, "parse: nothing to read", "generate: refused"] == scores[
        "error"
    ].to_pylist()


def test_shard_without_anything_to_compute_is_a_shard(store: RunStore) -> None:
    """When every row failed upstream, the reasons are the table."""
    parser = Parser()

    part = run(
        stage_of(parser), shard_of(store, [None, None], errors=["one", "two"]), store
    )

    assert [] == parser.calls
    assert ["generate: one", "generate: two"] == errors(store, part)


def test_table_that_is_gone_is_named(store: RunStore) -> None:
    """A stage whose input was deleted says which table and what to do."""
    shard = shard_of(store, ["a"])
    store.remove(shard.outputs.path)

    with pytest.raises(
        StoreError, match=f"{shard.outputs.path} is gone; run again to recompute it"
    ):
        run(stage_of(Parser()), shard, store)


def test_progress_counts_rows(store: RunStore) -> None:
    """Progress counts each row that was computed as it comes, and the shard when it is
    complete.
    """
    progress = Progress()
    stage = stage_of(Parser())
    progress.expect(stage.label, 3)

    part = run(stage, shard_of(store, ["a", "b", "a"]), store, progress=progress)
    before = progress.stages()
    progress.finish(stage.label, part)

    assert {"parse": StageProgress(total=3, computed=2)} == before
    assert {"parse": StageProgress(total=3, done=3, computed=2)} == progress.stages()


def test_overlapping_shards_run_together(store: RunStore) -> None:
    """Shards that share rows and run at once end with the same rows, each computed at
    most once a shard.
    """
    parser = AsyncParser()
    stage = stage_of(parser)
    shards = [shard_of(store, ["a", "b", "c"]), shard_of(store, ["c", "b", "d"])]

    async def run_both() -> list[Part]:
        return await asyncio.gather(
            *(
                run_stage(stage, shard, store, run_id="run", progress=Progress())
                for shard in shards
            )
        )

    parts = asyncio.run(run_both())

    assert [["A", "B", "C"], ["C", "B", "D"]] == [values(store, part) for part in parts]
    assert max(Counter(parser.calls).values()) <= 2


def test_shard_round_trips_through_json(store: RunStore) -> None:
    """A shard passes between tasks as JSON, with the references it has so far."""
    shard = shard_of(store, ["a"])
    full = Shard(
        index=3,
        start=12,
        dataset_id="data",
        cases=shard.cases,
        outputs=shard.outputs,
        verdicts={"judge[m]": shard.cases},
        scores={"m": shard.cases},
    )

    assert shard == Shard.from_json(json.loads(json.dumps(shard.to_json())))
    assert full == Shard.from_json(json.loads(json.dumps(full.to_json())))


TEXTS = st.sampled_from(["a", "b", "c", "d", "fact", "unknown", "ü", ""])


@settings(max_examples=20)
@given(
    st.lists(TEXTS, min_size=1, max_size=12),
    st.integers(1, 12),
    st.randoms(use_true_random=False),
)
def test_order_and_size_of_shards_do_not_matter(
    texts: list[str], size: int, random: Any
) -> None:
    """However cases are ordered and cut into shards, each has the row it has in one
    shard, computed once.
    """
    whole, cut = InMemoryRunStore(), InMemoryRunStore()
    shuffled = random.sample(texts, len(texts))
    parser = Parser()

    rows = dict(
        zip(
            texts,
            rows_of(whole, run(stage_of(Parser()), shard_of(whole, texts), whole)),
            strict=True,
        )
    )
    pieces = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    parts = [run(stage_of(parser), shard_of(cut, piece), cut) for piece in pieces]

    assert [[rows[text] for text in piece] for piece in pieces] == [
        rows_of(cut, part) for part in parts
    ]
    assert sorted(set(texts)) == sorted(parser.calls)


def rows_of(store: RunStore, part: Part) -> list[dict[str, Any]]:
    return list(store.read_table(part.path).to_pylist())
