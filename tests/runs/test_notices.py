"""What a run's code uses that is not the same every time is said once in its record."""

from __future__ import annotations

import concurrent.futures
import datetime
import random
import secrets
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import numpy
import pytest
from pyarrow import parquet

from themis_lib import GenerationResult, ReducedCandidate, evaluate
from themis_lib.runs.manifest import read_manifest


def by_clock(value: Any, expected: Any) -> float:
    return 1.0 if time.time() else 0.0


def by_date(value: Any, expected: Any) -> float:
    return 1.0 if datetime.datetime.now() and datetime.date.today() else 0.0


def by_draw(value: Any, expected: Any) -> float:
    return random.random() + secrets.choice([1, 2])


def by_array(value: Any, expected: Any) -> float:
    return float(numpy.random.normal() > 0)


def by_distribution(value: Any, expected: Any) -> float:
    return random.gauss(0, 1)


def by_program(value: Any, expected: Any) -> float:
    return float(subprocess.run([sys.executable, "-c", ""]).returncode)


def by_processes(value: Any, expected: Any) -> float:
    if value == "never":
        with concurrent.futures.ProcessPoolExecutor() as pool:
            pool.submit(int)
    return 1.0


def by_id(value: Any, expected: Any) -> float:
    return 1.0 if uuid.uuid4() else 0.0


def by_network(value: Any, expected: Any) -> float:
    if value == "never":
        urllib.request.urlopen("http://localhost")
    return 1.0


def by_arrow(value: Any, expected: Any) -> float:
    return 1.0 if value != "never" else float(len(parquet.read_table("x")))


def by_seed(value: Any, expected: Any) -> float:
    return random.Random(1).random() + numpy.random.default_rng(1).random()


def helper() -> float:
    return time.time()


def by_helper(value: Any, expected: Any) -> float:
    return 1.0 if helper() else 0.0


def drawn(text: str) -> GenerationResult:
    return GenerationResult(final_output=f"{text}{random.random()}")


class Parser:
    component_id = "tests/clock_parser"
    version = "1"

    def fingerprint(self) -> str:
        return ""

    def parse(self, result: Any, ctx: Any) -> Any:
        from themis_lib import ParsedOutput

        time.time()
        return ParsedOutput(value=result.final_output)


class Reducer:
    component_id = "tests/drawing_reducer"
    version = "1"

    def fingerprint(self) -> str:
        return ""

    def reduce(self, candidates: Any, ctx: Any) -> ReducedCandidate:
        chosen = random.choice(candidates)
        return ReducedCandidate(value=chosen.value, score=chosen.score)


def notices(folder: Path, metric: Any, **parts: Any) -> list[str]:
    result = evaluate(
        model=parts.pop("model", str),
        data=[{"input": text, "expected_output": text} for text in ("ab", "cde")],
        parser=parts.pop("parser", "builtin/text"),
        metric=metric,
        store=str(folder),
        **parts,
    )
    stored = read_manifest(result.store, result.run_id)
    assert result.manifest.notices == stored.notices
    return stored.notices


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (by_clock, ["the clock (time.time)"]),
        (by_date, ["the clock (datetime.now)", "the clock (datetime.today)"]),
        (by_draw, ["randomness (random.random)", "randomness (secrets.choice)"]),
        (by_array, ["randomness (numpy.random.normal)"]),
        (by_distribution, ["randomness (random.gauss)"]),
        (by_program, ["another program (subprocess)"]),
        (by_processes, ["other processes (concurrent)"]),
        (by_id, ["randomness (uuid.uuid4)"]),
        (by_network, ["the network (urllib)"]),
        (by_arrow, ["files that are not traced (pyarrow)"]),
        (by_helper, ["the clock (time.time)"]),
        (by_seed, []),
    ],
)
def test_chance_in_a_metric_is_said_once(
    metric: Any, expected: list[str], tmp_path: Path
) -> None:
    """Each use is one line, however many rows it scores; what is seeded is none."""
    said = notices(tmp_path, metric)

    assert expected == [line.partition(" uses ")[2] for line in said]
    assert all(line.startswith("score[") for line in said)
    assert said == notices(tmp_path, metric)


def test_parser_and_reducer_are_watched_too(tmp_path: Path) -> None:
    """Every stage after generate names its component."""
    said = notices(tmp_path, lambda value, _: 1.0, parser=Parser(), reducer=Reducer())

    assert [
        "parse: tests/clock_parser uses the clock (time.time)",
        "reduce: tests/drawing_reducer uses randomness (random.choice)",
    ] == said


def test_chance_in_a_generator_is_what_it_is_for(tmp_path: Path) -> None:
    """Candidates are drawn: nothing is said of a generator."""
    assert [] == notices(tmp_path, lambda value, _: 1.0, model=drawn)
