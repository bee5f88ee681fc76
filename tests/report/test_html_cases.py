"""The data in a page: the chosen cases, whatever the run's shards, and texts no longer
than the page can bear.
"""

from __future__ import annotations

import base64
import gzip
import json
import random

import numpy as np
import pytest

from tests.support.reported_runs import HOSTILE, echo_run, run
from themis_lib import Case, Dataset
from themis_lib.report.html_cases import case_columns, pack, read_tables, spread


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("shard_size", [None, 4])
def test_chosen_cases_keep_their_rows(samples: int, shard_size: int | None) -> None:
    """What is read of some cases is what stands in the whole tables under their ids, in
    the same order.
    """
    result = echo_run(11, samples=samples, shard_size=shard_size)
    chosen = [1, 3, 4, 9, 10]

    tables = read_tables(result, np.array(chosen))

    ids = {f"case-{number:03d}" for number in chosen}
    for name, table in tables.items():
        whole = [row for row in result.table(name).to_pylist() if row["case_id"] in ids]
        expected = [
            {column: row[column] for column in table.column_names} for row in whole
        ]
        metrics = {row.get("metric_id") for row in expected}
        for metric in metrics:
            rows = [row for row in table.to_pylist() if row.get("metric_id") == metric]
            assert [row for row in expected if row.get("metric_id") == metric] == rows


def test_columns_say_what_is_no_string() -> None:
    """A string is itself; other JSON is marked; an answer that is the whole output is
    not told twice.
    """
    cases = [
        Case(case_id="1", input="7", expected_output=7),
        Case(case_id="2", input={"a": HOSTILE}, expected_output="7"),
    ]
    result = run(Dataset(dataset_id="d", cases=cases), metrics=[])

    columns = case_columns(read_tables(result, np.arange(2)), 1_000)

    assert [
        "7",
        {"t": json.dumps({"a": HOSTILE}, separators=(",", ":")), "j": 1},
    ] == columns["cases"]["input"]
    assert [{"t": "7", "j": 1}, "7"] == columns["cases"]["expected_output"]
    assert [1, 1] == columns["answers"]["value"]
    assert "error" not in columns["outputs"]


def test_texts_are_cut_until_they_fit() -> None:
    """Texts that nothing compresses are cut at a length that keeps the page small, with
    their own length beside.
    """
    draw = random.Random(0)
    texts = [base64.b64encode(draw.randbytes(75_000)).decode() for _ in range(150)]
    cases = [Case(case_id=str(number), input=text) for number, text in enumerate(texts)]
    result = run(Dataset(dataset_id="d", cases=cases), metrics=[], until="generate")

    data, cut = pack({"run": read_tables(result, np.arange(150))}, {})

    unpacked = json.loads(gzip.decompress(base64.b64decode(data)))
    assert len(data) < 13_000_000
    assert cut < 100_000
    assert {"t": texts[7][:cut], "n": 100_000} == unpacked["sides"]["run"]["cases"][
        "input"
    ][7]


def test_many_cases_are_spread_over_the_run() -> None:
    """More cases than a page holds are taken evenly from the first to nearly the
    last.
    """
    positions = spread(1_000_000, 10_000)

    assert (10_000, 0, 999_900) == (
        len(set(positions.tolist())),
        positions[0],
        positions[-1],
    )
