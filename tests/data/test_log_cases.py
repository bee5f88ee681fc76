"""Logs of other tools as data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.eval_logs import (
    INSPECT,
    LM_EVAL,
    PROMPTFOO,
    inspect_json,
    inspect_sample,
)
from themis_lib.core.config import DatasetFile
from themis_lib.data.datasets import case_rows
from themis_lib.errors import DatasetError


def cases(path: Path, **settings: Any) -> list[tuple[Any, ...]]:
    dataset = DatasetFile(dataset_id="d", path=str(path), **settings)
    return [
        (case_id, json.loads(value), json.loads(expected or "null"), metadata)
        for case_id, value, expected, metadata in case_rows(dataset)
    ]


def test_log_has_each_case_once() -> None:
    """However many epochs it had; `.eval` needs no format."""
    assert [
        ("sums-1", "What is 12 + 7?", "19", {"level": "easy"}),
        ("sums-2", "What is 48 + 87?", "135", {"level": "hard"}),
        ("sums-3", "What is 95 + 26?", "121", {"level": "hard"}),
    ] == cases(INSPECT)


def test_columns_of_the_tools_own_data_can_be_mapped() -> None:
    """So that cases are those of other files of the same data."""
    columns = {"input": "question", "metadata": ["level"]}

    of_lm_eval = cases(LM_EVAL, format="lm_eval", columns=columns)
    of_promptfoo = cases(PROMPTFOO, format="promptfoo", columns={"input": "question"})

    assert ("0", "What is 12 + 7?", "19", {"level": "easy"}) == of_lm_eval[0]
    assert [case[1:] for case in of_lm_eval] == [case[1:] for case in of_promptfoo]


def test_filter_sample_and_limit_work() -> None:
    """As for any other file."""
    kept = cases(LM_EVAL, format="lm_eval", filter={"level": "hard"}, limit=1)

    assert ["1"] == [case[0] for case in kept]


def test_case_with_two_inputs_is_refused(tmp_path: Path) -> None:
    """Which of them would be the case's depends on the order of the file."""
    path = tmp_path / "log.json"
    path.write_bytes(
        inspect_json(inspect_sample(), inspect_sample(epoch=2, input="3 + 3"))
    )

    with pytest.raises(DatasetError, match=r"sample 1: case 'a' has another input"):
        cases(path, format="inspect")


def test_log_without_samples_is_refused(tmp_path: Path) -> None:
    """And so is a text encoding, which logs do not have."""
    path = tmp_path / "log.json"
    path.write_bytes(inspect_json())

    with pytest.raises(DatasetError, match="there are no samples"):
        cases(path, format="inspect")
    with pytest.raises(DatasetError, match="encoding: logs of inspect are UTF-8"):
        cases(path, format="inspect", encoding="latin-1")
