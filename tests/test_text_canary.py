"""Whatever a model or a dataset writes is shown in every output, and obeyed in none."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from markdown_it import MarkdownIt
from rich.console import Console
from typer import Typer
from typer.testing import CliRunner

from flows.compare import app as compare_app
from flows.display import print_result
from flows.report import app as report_app
from flows.runs import app as runs_app
from flows.store import app as store_app
from flows.why import app as why_app
from themis_lib import (
    Case,
    Dataset,
    EvaluationConfig,
    Experiment,
    GenerationConfig,
    GenerationResult,
    RowError,
    RunResult,
    Score,
    StorageConfig,
    compare,
)
from themis_lib.inert import terminal_text
from themis_lib.report.comparison_markdown import comparison_markdown
from themis_lib.report.failures import failed_rows, failure_lines
from themis_lib.report.junit import junit_xml
from themis_lib.runs.manifest import GateOutcome, GateRecord

#: What a terminal, Markdown, a spreadsheet and LaTeX would each obey.
CANARY = (
    "=1+1 \x1b[31mred\x1b[0m \x9b2J\x07 [click](http://evil.example) "
    "![](http://evil.example/p) <img src=x> @team #1 `a` $x$ \\input{x}\n# heading\r\n|cell"
)


class Speaker:
    """Answers with the canary, and refuses some questions with it."""

    component_id = "tests/speaker"
    version = "1"
    reads = ("input",)

    def fingerprint(self) -> str:
        return ""

    def generate(self, case: Case, ctx: Any) -> GenerationResult:
        if case.input == "refuse":
            raise RowError(CANARY)
        return GenerationResult(final_output=f"{case.input} {CANARY}")


class Judge:
    """Scores by the length, under a name that is the canary."""

    component_id = CANARY
    version = "1"
    reads = ("value",)

    def fingerprint(self) -> str:
        return ""

    def score(self, parsed: Any, case: Case, ctx: Any) -> Score:
        return Score(value=float(len(str(parsed.value)) % 2))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunResult]:
    """Two runs of experiments of which every text is the canary."""
    store = str(tmp_path_factory.mktemp("store"))
    results = []
    for question in ("ask", "asked"):
        cases = [
            Case(
                case_id=f"{at}{CANARY}",
                input="refuse" if at == 0 else f"{question} {CANARY}",
                expected_output=CANARY,
                metadata={"kind": CANARY},
            )
            for at in range(4)
        ]
        experiment = Experiment(
            name=CANARY,
            generation=GenerationConfig(generator=Speaker()),
            evaluation=EvaluationConfig(metrics=[Judge()], slices=["kind"]),
            datasets=[Dataset(dataset_id=CANARY, cases=cases)],
            storage=StorageConfig(store=store),
        )
        results.append(experiment.run())
    return results


def command(app: Typer, *arguments: str) -> Callable[[list[RunResult]], str]:
    def output(runs: list[RunResult]) -> str:
        names = {
            "FIRST": runs[0].run_id,
            "SECOND": runs[1].run_id,
            "STORE": runs[0].store.url,
            "CASE": f"1{CANARY}",
            "FAILED": f"0{CANARY}",
        }
        done = CliRunner().invoke(app, [names.get(item, item) for item in arguments])
        return done.stdout + done.stderr

    return output


def result_shown(runs: list[RunResult]) -> str:
    console = Console(file=io.StringIO(), width=80)
    print_result(runs[0], console, seconds=1.0, page=None, command="run")
    return console.file.getvalue()  # type: ignore[attr-defined]


TERMINAL = {
    "run": result_shown,
    "runs": command(runs_app, "--store", "STORE"),
    "runs of a metric": command(runs_app, "--store", "STORE", "--metric", CANARY),
    "why": command(why_app, "FIRST", "CASE", "--store", "STORE"),
    "why of a failure": command(why_app, "FIRST", "FAILED", "--store", "STORE"),
    "compare": command(compare_app, "FIRST", "SECOND", "--store", "STORE"),
    "an unknown run": command(report_app, f"no{CANARY}", "--store", "STORE"),
    "an unknown case": command(why_app, "FIRST", CANARY, "--store", "STORE"),
    "an unknown metric": command(runs_app, "--store", "STORE", "--metric", "no"),
    "store measure": command(store_app, "measure", "STORE"),
    "repr": lambda runs: repr(runs[0]),
}


@pytest.mark.parametrize("output", TERMINAL.values(), ids=TERMINAL)
def test_terminal_obeys_nothing(
    output: Callable[[list[RunResult]], str], runs: list[RunResult]
) -> None:
    """No control character is printed, and no line break of the text."""
    shown = output(runs)

    assert "red" in shown
    for line in shown.split("\n"):
        assert line.isprintable()
        assert not line.startswith("# heading")


def test_log_lines_are_one_line_each(runs: list[RunResult]) -> None:
    """The orchestrator's log shows failed rows as the terminal does."""
    lines = failure_lines(failed_rows(runs[0], limit=9))

    assert lines
    assert all(terminal_text(line).isprintable() for line in lines)


MARKDOWN = {
    "report": command(report_app, "FIRST", "--store", "STORE", "--format", "markdown"),
    "comparison": lambda runs: comparison_markdown(compare(*runs, slices=["kind"])),
}


@pytest.mark.parametrize("output", MARKDOWN.values(), ids=MARKDOWN)
def test_markdown_obeys_nothing(
    output: Callable[[list[RunResult]], str], runs: list[RunResult]
) -> None:
    """Rendered, it has the report's own headings and tables, and no other element."""
    text = output(runs)
    tokens = MarkdownIt("gfm-like", {"linkify": False, "html": True}).parse(text)
    headings = [
        after.content for at, after in pairwise(tokens) if at.type == "heading_open"
    ]
    children = [child for token in tokens for child in token.children or []]

    assert "red" in text
    assert not [heading for heading in headings if heading.startswith("heading")]
    assert {"text", "text_special", "code_inline", "softbreak"} >= {
        child.type for child in children
    }
    assert "html_block" not in {token.type for token in tokens}
    assert "@team" not in text
    assert "#1" not in text


def test_no_cell_of_a_table_is_a_formula(runs: list[RunResult]) -> None:
    """CSV begins no cell with what a spreadsheet computes."""
    output = command(report_app, "FIRST", "--store", "STORE", "--format", "csv")
    assert not [mark for mark in "\x1b\x9b\x07" if mark in output(runs)]
    cells = [cell for row in csv.reader(io.StringIO(output(runs))) for cell in row]

    assert [cell for cell in cells if "red" in cell]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]


def test_latex_has_no_command_of_the_text(runs: list[RunResult]) -> None:
    """Its characters are printed."""
    output = command(report_app, "FIRST", "--store", "STORE", "--format", "latex")

    assert "red" in output(runs)
    assert "\\input{x}" not in output(runs)


def test_junit_can_be_read(runs: list[RunResult]) -> None:
    """It is XML, whatever the names of gates and datasets."""
    record = GateRecord(
        gate=CANARY,
        metric_id=CANARY,
        dataset_id=CANARY,
        slice=CANARY,
        outcome=GateOutcome.FAIL,
        estimate=None,
        low=None,
        high=None,
        reason=CANARY,
    )

    [suite] = ET.fromstring(junit_xml({CANARY: [record]}))

    assert "red" in suite.attrib["name"]
