"""Logs of other tools as runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.support.eval_logs import (
    INSPECT,
    LM_EVAL,
    LOGS,
    PROMPTFOO,
    inspect_json,
    inspect_sample,
)
from themis_lib import Experiment, RunResult, compare
from themis_lib.core.config import StorageConfig
from themis_lib.errors import ConfigError, DatasetError
from themis_lib.experiment.imported import ImportOptions, import_log
from themis_lib.report.comparison_markdown import comparison_markdown
from themis_lib.report.html import write_report
from themis_lib.upkeep.check import check


def imported(path: Path, folder: Path, **options: Any) -> list[RunResult]:
    storage = StorageConfig(store=str(folder / "store"))
    runs = import_log(str(path), storage, ImportOptions(**options))
    return [run.result for run in runs]


def means(result: RunResult) -> dict[str, float | None]:
    return {row.metric_id: row.mean for row in result.summary}


def test_scores_of_a_run_are_those_that_inspect_reports(tmp_path: Path) -> None:
    """The mean over the cases of the means over their epochs; failures are counted."""
    (run,) = imported(INSPECT, tmp_path)

    # As `results.scores` of the log has them.
    assert {"match": 0.75, "includes": 1.0} == means(run)
    assert ("partial_failure", 2, 1) == (
        run.status.value,
        run.summary[0].n,
        run.summary[0].errors,
    )
    table = run.table("outputs")
    assert [None] * 4 + ["LoggedError: ValueError('the tool broke')"] * 2 == table[
        "error"
    ].to_pylist()


def test_scores_of_a_run_are_those_that_lm_eval_reports(tmp_path: Path) -> None:
    """By metric and filter."""
    (run,) = imported(LM_EVAL, tmp_path)

    results = json.loads(next(LOGS.glob("results_*.json")).read_text())
    reported = results["results"]["arithmetic"]
    assert {name: reported[name] for name in means(run)} == means(run)
    assert 2 == len(means(run))


def test_log_without_samples_is_refused(tmp_path: Path) -> None:
    """Nothing would be imported, without a word."""
    path = tmp_path / "log.json"
    path.write_bytes(inspect_json())

    with pytest.raises(DatasetError, match="there are no samples"):
        imported(path, tmp_path)


@pytest.mark.parametrize("log", [INSPECT, LM_EVAL, PROMPTFOO])
def test_query_of_a_url_is_stored_nowhere(log: Path, tmp_path: Path) -> None:
    """A signed URL has a credential there; the names are those of the file alone."""
    url = f"memory://signed/{log.name}?sig=c2VjcmV0&of=me"
    with fsspec.open(url, "wb") as file:
        file.write(log.read_bytes())

    for run in import_log(url, StorageConfig(store=str(tmp_path))):
        record = run.result.manifest.imported
        assert record is not None
        assert log.name == record.file
        write_report(run.result)

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [] == [path for path in files if b"c2VjcmV0" in path.read_bytes()]


def test_message_about_a_log_hides_the_credentials_of_its_url(tmp_path: Path) -> None:
    """A log that is not there is named without the password and the query."""
    with pytest.raises(DatasetError) as caught:
        import_log(
            "memory://me:pw1@h/a.eval?sig=pw2", StorageConfig(store=str(tmp_path))
        )

    assert "memory://me:…@h/a.eval?sig=…" in str(caught.value)
    assert "pw" not in str(caught.value)


def test_provenance_is_on_the_record(tmp_path: Path) -> None:
    """With the digest of the file, and no folder of it."""
    (run,) = imported(LM_EVAL, tmp_path)

    record = run.manifest.imported
    assert record is not None
    assert ("lm_eval", "0.4.13", "arithmetic", "org/tiny", LM_EVAL.name, []) == (
        record.tool,
        record.tool_version,
        record.task,
        record.model,
        record.file,
        record.notices,
    )
    assert 64 == len(record.sha256)
    assert "org/tiny" == run.manifest.model


def test_what_a_log_lacks_is_on_the_record(tmp_path: Path) -> None:
    """Samples of lm-eval alone say neither model nor version."""
    alone = shutil.copy(LM_EVAL, tmp_path)

    (run,) = imported(Path(alone), tmp_path)

    assert run.manifest.imported is not None
    assert [
        "the log does not say the model",
        "the log does not say the tool's version",
    ] == run.manifest.imported.notices


def test_same_log_is_the_same_run(tmp_path: Path) -> None:
    """Wherever it is; with another name it is another."""
    storage = StorageConfig(store=str(tmp_path / "store"))
    (first,) = import_log(str(INSPECT), storage)
    moved = shutil.copy(INSPECT, tmp_path / "moved.eval")

    (again,) = import_log(str(moved), storage)
    (renamed,) = import_log(str(moved), storage, ImportOptions(name="other"))

    assert (False, True, False) == (first.was_there, again.was_there, renamed.was_there)
    assert first.result.run_id == again.result.run_id != renamed.result.run_id
    assert 2 == len(first.result.store.list("runs"))


def test_columns_of_promptfoo_are_runs_to_compare(tmp_path: Path) -> None:
    """Cases match by their content."""
    first, second = imported(PROMPTFOO, tmp_path)

    found = compare(first, second)

    assert ["arithmetic-0", "arithmetic-1"] == [side.name for side in found.runs]
    of_score = next(item for item in found.differences if item.metric_id == "score")
    assert (2, 1, 0, 1, 0) == (
        of_score.n,
        of_score.improved,
        of_score.worsened,
        of_score.baseline_errors,
        of_score.candidate_errors,
    )


def test_imported_run_is_compared_with_a_run_of_ones_own(tmp_path: Path) -> None:
    """The same outputs under a parser and a metric of here: they agree with lm-eval."""
    columns = {"input": "question", "expected_output": "answer"}
    names = {"exact_match,flexible-extract": "right"}
    (theirs,) = imported(LM_EVAL, tmp_path, columns=columns, metrics=names)
    data = tmp_path / "arithmetic.jsonl"
    rows = [json.loads(line)["doc"] for line in LM_EVAL.read_text().splitlines()[:3]]
    data.write_text(
        "".join(
            json.dumps({"case_id": str(n), **row}) + "\n" for n, row in enumerate(rows)
        )
    )
    spec = {
        "name": "ours",
        "generation": {
            "generator": {
                "use": "builtin/replay",
                "path": str(LM_EVAL),
                "format": "lm_eval",
            }
        },
        "evaluation": {
            "parsers": ["builtin/number"],
            "metrics": [{"use": "builtin/numeric_match", "id": "right"}],
        },
        "datasets": [
            {"dataset_id": "arithmetic", "path": str(data), "columns": columns}
        ],
    }

    ours = Experiment.model_validate(spec).run(theirs.store)

    (found,) = compare(theirs, ours).differences
    assert (3, 3, "same") == (found.n, found.tied, found.conclusion)


def test_store_with_an_imported_run_is_whole(tmp_path: Path) -> None:
    """Its rows are where those of every run are."""
    (run,) = imported(INSPECT, tmp_path)

    assert [] == list(check(run.store))


def test_log_without_scores_is_a_run_without_metrics(tmp_path: Path) -> None:
    """Which a notice says."""
    path = tmp_path / "log.json"
    path.write_bytes(inspect_json(inspect_sample(scores={})))

    (run,) = imported(path, tmp_path)

    assert run.manifest.imported is not None
    assert {} == means(run)
    assert "the log has no scores" in run.manifest.imported.notices


def test_score_without_any_number_is_left_out(tmp_path: Path) -> None:
    """It could only be a column of errors."""
    scores = {"match": {"value": "C"}, "text": {"value": "good"}}
    path = tmp_path / "log.json"
    path.write_bytes(inspect_json(inspect_sample(scores=scores)))

    (run,) = imported(path, tmp_path)

    assert run.manifest.imported is not None
    assert {"match": 1.0} == means(run)
    assert "left out 'text': no sample has a number for it" in (
        run.manifest.imported.notices
    )


def test_unknown_score_and_file_are_one_error(tmp_path: Path) -> None:
    """The message names the nearest score."""
    with pytest.raises(ConfigError, match=r"no score 'mach'; did you mean 'match'\?"):
        imported(INSPECT, tmp_path, metrics={"mach": "m"})
    with pytest.raises(DatasetError, match="no file"):
        imported(tmp_path / "none.eval", tmp_path)


def test_inputs_that_a_log_writes_in_another_way_match_by_id(tmp_path: Path) -> None:
    """Unless the expected outputs differ: such an id is of another case."""
    path = tmp_path / "log.json"
    prompts = [
        inspect_sample(id="a", input="Q: 2 + 2"),
        inspect_sample(id="b", input="Q: 3 + 3", target="6"),
        inspect_sample(id="c", input="Q: 4 + 4", target=None),
    ]
    path.write_bytes(inspect_json(*prompts))
    (theirs,) = imported(path, tmp_path, dataset_id="sums", metrics={"match": "m"})
    cases = [("a", "2 + 2", "4"), ("b", "1 + 1", "2"), ("c", "4 + 4", "8")]
    spec = {
        "name": "ours",
        "generation": {"generator": "builtin/demo_generator"},
        "evaluation": {"metrics": [{"use": "builtin/exact_match", "id": "m"}]},
        "datasets": [
            {
                "dataset_id": "sums",
                "cases": [
                    {"case_id": name, "input": value, "expected_output": expected}
                    for name, value, expected in cases
                ],
            }
        ],
    }
    ours = Experiment.model_validate(spec).run(theirs.store)

    found = compare(theirs, ours)

    assert (2, 2) == (found.matched_by_id, found.differences[0].n)
    (left,) = found.unmatched
    assert (["b"], ["b"]) == (left.only_in_baseline, left.only_in_candidate)
    assert "2 case(s) of an imported run are matched by id" in comparison_markdown(
        found
    )
