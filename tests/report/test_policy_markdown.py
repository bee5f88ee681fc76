"""The Markdown of a verdict, whatever a model says."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.policies import judged_jobs, write_experiment, write_policy
from themis_lib.comparison.policy import load_policy
from themis_lib.comparison.policy_verdict import policy_verdict
from themis_lib.report.policy_markdown import (
    cut_lines,
    policy_markdown,
    problem_markdown,
)

HOSTILE = (
    "@octocat #12 GH-34 <!-- themis ci: x --> <img src=x> [a](http://b.c) ![i](j) "
    "www.evil.example `code` | cell\n```\n::set-output name=a::b\n# heading\n- [ ] task"
)
#: What of it GitHub would obey.
OBEYED = [
    "@octocat",
    "#12",
    "GH-34",
    "<!--",
    "<img",
    "](",
    "http://",
    "www.evil",
    "`code`",
    "```",
    "\n::",
    "\n# h",
    "\n- [ ]",
]


def hostile_verdict(folder: Path) -> str:
    """A verdict whose experiment, data set and errors have such a text."""
    path = write_experiment(
        folder,
        {"d": [1] * 10, HOSTILE: [HOSTILE] * 10},  # type: ignore[list-item]
    )
    entry = {"experiment": str(path), "required": ["m >= 0.5"]}
    entry["overrides"] = [f"name={HOSTILE!r}"]  # type: ignore[assignment]
    policy = write_policy(folder, entry)
    jobs = judged_jobs(policy)
    gates = [gate for job in jobs for gate in job.gates]
    verdict = policy_verdict(
        HOSTILE, load_policy(policy), gates, [job.run for job in jobs]
    )
    return policy_markdown(
        verdict, {job.run.experiment: job.result for job in jobs if job.result}
    )


def test_text_of_models_and_data_is_shown_and_never_obeyed(tmp_path: Path) -> None:
    """It mentions nobody, and makes no link, picture, HTML, code, cell or heading."""
    text = hostile_verdict(tmp_path)

    assert text.count("octocat") > 2
    for obeyed in OBEYED:
        assert obeyed not in text
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert ["## Required gates", "## Runs", "## Errors"] == headings[1:]
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        cells = [len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()]
        assert {cells[0]} == set(cells)


def test_problem_is_inert_too() -> None:
    """It may quote a name of the policy."""
    text = problem_markdown("policy", HOSTILE)

    assert 3 == len(text.splitlines())
    assert "@octocat" not in text


def test_text_is_cut_behind_a_line() -> None:
    """And says so; a text that fits is left alone."""
    text = "".join(f"line {number}\n" for number in range(100))

    cut = cut_lines(text, 200)

    assert text == cut_lines(text, len(text))
    assert len(cut) <= 200
    lines, said = cut.split("\n\n")
    assert text.startswith(f"{lines}\n")
    assert "left out" in said
