"""One case explained: what each stage read, where each row comes from, and what has
changed since an earlier run.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stages.test_judge import JUDGE, judged
from tests.support.counted_runs import ran
from tests.support.counting import CALLS
from tests.support.stores import OpenStore
from tests.support.table_files import with_table_files
from tests.test_edit_costs import base, case
from themis_lib import (
    DatasetError,
    Experiment,
    InMemoryRunStore,
    RunResult,
    RunStatus,
    StoreError,
)
from themis_lib.experiment.spec import experiment_from_spec
from themis_lib.explain.why import Explanation, RowExplanation, explain

READING_ALL = {"use": "tests.support.counting:MetadataMetric", "id": "all"}


def origins(explanation: Explanation) -> dict[str, list[str]]:
    """The names of the origins of a case's rows, by stage."""
    return {
        stage.stage: [row.origin.name for row in stage.rows]
        for stage in explanation.stages
    }


def row_of(explanation: Explanation, stage: str, sample: int = 0) -> RowExplanation:
    return next(one for one in explanation.stages if one.stage == stage).rows[sample]


def test_first_run_computes_everything(open_store: OpenStore) -> None:
    """On every store: two samples through each stage and one reduced row, all computed,
    in files that are there.
    """
    result = ran(open_store())

    explanation = explain(RunResult(open_store(), result.run_id), "case-3")

    twice = ["computed", "computed"]
    expected = {
        "generate": twice,
        "parse": twice,
        "score[first]": twice,
        "reduce": ["computed"],
    }
    assert expected == origins(explanation)
    assert (None, ()) == (
        explanation.run_before,
        row_of(explanation, "generate").changes,
    )
    store = open_store()
    places = {store.uri(file.path) for file in store.files("rows")}
    assert {
        row.origin.file for stage in explanation.stages for row in stage.rows
    } <= places


def test_change_of_a_judge_is_named() -> None:
    """Another model for a judge is a change of the judge's stage; rows whose verdict
    stays the same are found.
    """
    store = InMemoryRunStore()
    before = ran(store, judged(Path("unused")))
    after = ran(store, judged(Path("unused"), judge=[{**JUDGE, "name": "other"}]))

    judge, score = explain(after, "case-1", sample_index=0).stages[2:4]

    assert (
        before.run_id,
        (
            'generator.fingerprint: "judge/" → "other/"',
            "`attribute name` changed",
        ),
    ) == (
        judge.changed_since,
        judge.changes,
    )
    assert ("computed", "cached") == (
        judge.rows[0].origin.name,
        score.rows[0].origin.name,
    )


def test_second_run_finds_everything() -> None:
    """Each row of an unchanged experiment was found, and the run that had it first is
    named.
    """
    store = InMemoryRunStore()
    runs = [ran(store) for _ in range(3)]

    explanation = explain(runs[-1], "case-3")

    assert {"cached"} == {
        name for names in origins(explanation).values() for name in names
    }
    assert f"run {runs[0].run_id} had it" == row_of(explanation, "parse").origin.reason
    assert () == row_of(explanation, "parse").changes
    assert all(stage.changed_since is None for stage in explanation.stages)


def test_cause_of_a_miss_is_named() -> None:
    """A new prompt is a change of the stage that reads it, and what came of it a change
    of what the next stage read.
    """
    store = InMemoryRunStore()
    before = ran(store)
    after = ran(store, generation__prompt_spec__prefix="p")

    changed, same = explain(after, "case-3"), explain(after, "case-2")

    generate = changed.stages[0]
    assert (before.run_id, ('prompt_spec.prefix: null → "p"',)) == (
        generate.changed_since,
        generate.changes,
    )
    assert ('output: " answer 3/11" → "p answer 3p/11"',) == row_of(
        changed, "parse"
    ).changes
    assert ["computed", "computed"] == origins(changed)["parse"]
    assert ["cached", "cached"] == origins(same)["parse"]
    assert () == row_of(same, "parse").changes


def test_change_is_looked_for_in_the_nearest_run_that_differs() -> None:
    """Runs of other experiments and runs with the same fingerprint are passed over."""
    store = InMemoryRunStore()
    ran(store, evaluation__metrics__0__scale=3.0)
    nearest = ran(store, evaluation__metrics__0__scale=0.5)
    ran(store)
    ran(store, name="another", evaluation__metrics__0__scale=2.0)
    last = ran(store)

    score = explain(last, "case-3").stages[2]

    assert (
        nearest.run_id,
        (
            'metric.fingerprint: "0.5" → "1.0"',
            "`attribute scale` changed",
        ),
    ) == (
        score.changed_since,
        score.changes,
    )


def test_new_case_is_told_from_those_that_were_there() -> None:
    """In a stage that computed some rows and found others, each row is told by the
    tables of earlier runs.
    """
    store = InMemoryRunStore()
    ran(store)
    more = base(Path("unused"))
    more["datasets"][0]["cases"].insert(0, case(7))
    result = ran(store, more)

    new, old = explain(result, "case-7"), explain(result, "case-3")

    assert ["computed", "computed"] == origins(new)["generate"]
    assert "no earlier run had it" == row_of(new, "generate").origin.reason
    assert ["cached", "cached"] == origins(old)["generate"]
    assert None is new.run_before


def test_new_sample_is_new() -> None:
    """A sample that the run before did not have is called new, and the others are
    found.
    """
    store = InMemoryRunStore()
    ran(store)
    result = ran(store, seeds=[11, 12, 13])

    explanation = explain(result, "case-3")

    assert ["cached", "cached", "computed"] == origins(explanation)["generate"]
    assert [(), (), ("the row is new",)] == [
        row.changes for row in explanation.stages[0].rows
    ]


def test_equal_rows_are_counted() -> None:
    """Rows of one run under one key share a row of the store."""
    spec = base(Path("unused"))
    spec["generation"]["generator"]["use"] = (
        "tests.support.counting:DeterministicGenerator"
    )
    spec["datasets"][0]["cases"].append({**case(3), "case_id": "again"})

    explanation = explain(ran(InMemoryRunStore(), spec), "again", sample_index=0)

    assert 2 == row_of(explanation, "generate").equal_rows
    assert "0" == row_of(explanation, "generate").columns["occurrence"]


def test_error_is_shown_where_it_happened(tmp_path: Path) -> None:
    """A row with an error was computed like any other; the rows after it had nothing to
    read.
    """
    store = InMemoryRunStore()
    result = ran(
        store,
        generation__generator={
            "use": "tests.support.unsteady:Unsteady",
            "folder": str(tmp_path),
        },
        datasets__0__cases=[case(7), case(2)],
        runtime__shard_size=4,
    )

    explanation = explain(result, "case-7", sample_index=0)

    generate, parse, score = (
        row_of(explanation, stage) for stage in ("generate", "parse", "score[first]")
    )
    assert ("computed", "7 is refused", None) == (
        generate.origin.name,
        generate.error,
        generate.value,
    )
    assert ("skipped", None, "null") == (
        parse.origin.name,
        parse.key,
        parse.columns["output"],
    )
    assert ("skipped", "generate: 7 is refused") == (score.origin.name, score.error)


def test_nothing_is_computed() -> None:
    """No component is asked, and no file of the store is written."""
    store = InMemoryRunStore()
    result = ran(store)
    files = store.files()
    CALLS.clear()

    explain(result, "case-3")

    assert (0, files) == (CALLS.total(), store.files())


def test_dataset_is_named_where_several_have_the_case() -> None:
    """A case id that two datasets have is explained in the one that is named."""
    spec = base(Path("unused"))
    spec["datasets"].append(
        {"dataset_id": "others", "cases": [case(3, input="9"), case(8)]}
    )
    result = ran(InMemoryRunStore(), spec)

    assert "others" == explain(result, "case-8").dataset_id
    assert (
        '"9"'
        == row_of(explain(result, "case-3", dataset_id="others"), "generate").columns[
            "input"
        ]
    )
    with pytest.raises(
        DatasetError, match="is in 2 datasets; name one: 'numbers', 'others'"
    ):
        explain(result, "case-3")
    with pytest.raises(
        DatasetError, match=r"has no dataset 'number'; did you mean 'numbers'\?"
    ):
        explain(result, "case-3", dataset_id="number")
    with pytest.raises(
        DatasetError,
        match=r"dataset 'others' of run .* has no case 'case-1'; did you mean 'case-8'",
    ):
        explain(result, "case-1", dataset_id="others")


def test_unknown_names_are_refused_with_the_nearest() -> None:
    """An unknown case or sample is one line that names what there is."""
    result = ran(InMemoryRunStore())

    with pytest.raises(
        DatasetError, match="has no case 'case-33'; did you mean 'case-3' or"
    ):
        explain(result, "case-33")
    with pytest.raises(
        DatasetError, match="its 6 cases are named like 'case-0', 'case-1', 'case-2'"
    ):
        explain(result, "xyz")
    with pytest.raises(
        DatasetError, match="the case has no sample 2; its samples are 0 to 1"
    ):
        explain(result, "case-3", sample_index=2)


def test_run_that_stopped_early_has_fewer_stages() -> None:
    """A run until parse is explained as far as it went."""
    store = InMemoryRunStore()
    result = experiment_from_spec(Experiment, base(Path("unused")), where="spec").run(
        store, until_stage="parse"
    )

    assert ["generate", "parse"] == list(origins(explain(result, "case-3")))


def test_run_without_tables_is_refused() -> None:
    """A run that was interrupted has nothing to explain, and says why."""
    store = InMemoryRunStore()
    result = ran(store)
    stopped = result.manifest.model_copy(
        update={"status": RunStatus.FAILED, "error": "interrupted"}
    )

    with pytest.raises(StoreError, match="has no tables: interrupted"):
        explain(RunResult(store, result.run_id, stopped), "case-3")


def test_damaged_table_is_named() -> None:
    """A table that cannot be read is an error of the run that is explained, and no
    obstacle in an earlier one.
    """
    store = InMemoryRunStore()
    first, second, third = (with_table_files(ran(store)) for _ in range(3))
    store.replace(f"runs/{first.run_id}/answers.parquet", b"PAR1 and no more")
    store.remove(f"runs/{third.run_id}/scores.parquet")

    assert "cached" == row_of(explain(second, "case-3"), "parse").origin.name
    with pytest.raises(StoreError, match=r"a table of a run in .* cannot be read"):
        explain(first, "case-3")
    with pytest.raises(StoreError, match=r"has lost its table of stage score\[first\]"):
        explain(third, "case-3")
