"""The comment on a pull request, on a fake of GitHub's API that is a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from flows.pull_request_comment import MOST_CHARACTERS, app, mark
from tests.support.github_api import BOT, TOKEN, GitHub

NAME = "evals/policy.yaml"


@pytest.fixture
def github() -> Iterator[GitHub]:
    with GitHub() as server:
        yield server


@pytest.fixture
def job(github: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a step in a job for pull request 7; returns the verdict's file."""
    event = tmp_path / "event.json"
    event.write_text(json.dumps({"pull_request": {"number": 7}}))
    monkeypatch.setenv("GITHUB_API_URL", github.url)
    monkeypatch.setenv("GITHUB_REPOSITORY", "o/r")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(event))
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    verdict = tmp_path / "verdict.md"
    verdict.write_text("# policy: pass\n")
    return verdict


def post(verdict: Path, name: str = NAME) -> Result:
    return CliRunner().invoke(app, [str(verdict), "--name", name])


def bodies(github: GitHub) -> list[str]:
    return [comment["body"] for comment in github.comments]


def test_comment_is_created_once_and_then_updated(job: Path, github: GitHub) -> None:
    """A second job changes the text of the comment that the first one posted."""
    first = post(job)
    job.write_text("# policy: fail\n")
    second = post(job)

    assert [
        (0, "posted a comment on pull request 7\n"),
        (0, "updated the comment on pull request 7\n"),
    ] == [(done.exit_code, done.output) for done in (first, second)]
    assert [f"{mark(NAME)}\n# policy: fail\n"] == bodies(github)


def test_comment_is_found_behind_many_others(job: Path, github: GitHub) -> None:
    """Also on the third page of the list."""
    for number in range(250):
        github.add(f"comment {number}", {"login": "ada", "type": "User"})
    github.add(f"{mark(NAME)}\nold", BOT)

    post(job)

    assert 251 == len(github.comments)
    assert f"{mark(NAME)}\n# policy: pass\n" == github.comments[-1]["body"]


@pytest.mark.parametrize(
    ("whose", "author"),
    [
        (None, {"login": "mallory", "type": "User"}),
        ("ada", {"login": "mallory", "type": "User"}),
        ("ada", BOT),
        ("ada", None),
    ],
)
def test_comment_of_somebody_else_is_left_alone(
    whose: str | None, author: dict[str, str] | None, job: Path, github: GitHub
) -> None:
    """Even one that begins with the mark: a comment of our own is posted beside it."""
    github.user = whose
    github.add(f"{mark(NAME)}\nmine", author)  # type: ignore[arg-type]

    post(job)
    post(job)

    assert [f"{mark(NAME)}\nmine", f"{mark(NAME)}\n# policy: pass\n"] == bodies(github)


def test_policies_have_a_comment_each(job: Path, github: GitHub) -> None:
    """By their names, and a name that would end the mark does not."""
    post(job)
    post(job, "--> @all")
    post(job, "--> @all")

    assert [mark(NAME), "<!-- themis ci: --%3E%20%40all -->"] == [
        body.splitlines()[0] for body in bodies(github)
    ]


def test_long_comment_is_cut_between_lines(job: Path, github: GitHub) -> None:
    """GitHub would refuse it: whole lines are kept, and a line says that some are not."""
    line = f"| {'ä' * 200} |"
    job.write_text(f"{line}\n" * 1000, encoding="utf-8")

    done = post(job)

    (body,) = bodies(github)
    first, *lines, blank, said = body.splitlines()
    assert (0, mark(NAME), {line}, "") == (done.exit_code, first, set(lines), blank)
    assert "left out" in said
    assert MOST_CHARACTERS * 0.9 < len(body.encode()) <= MOST_CHARACTERS


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_refusal_is_one_error_without_the_token(
    status: int, job: Path, github: GitHub
) -> None:
    """Also where GitHub repeats the token that it was sent."""
    github.refusal = status

    done = post(job)

    assert 1 == done.exit_code
    assert done.stderr.startswith("error: no comment is posted: ")
    assert str(status) in done.stderr
    assert 1 == len(done.stderr.splitlines())
    assert TOKEN not in done.output
    assert [] == github.comments


def test_server_that_does_not_answer_is_one_error(
    job: Path, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is named, the token is not."""
    monkeypatch.setenv("GITHUB_API_URL", "http://127.0.0.1:1")

    done = post(job)

    assert (1, "") == (done.exit_code, done.stdout)
    assert "127.0.0.1:1" in done.stderr
    assert TOKEN not in done.stderr


def test_job_without_a_pull_request_posts_nothing(
    job: Path, github: GitHub, tmp_path: Path
) -> None:
    """Such as one of a push; GitHub is not asked."""
    (tmp_path / "event.json").write_text(json.dumps({"ref": "refs/heads/main"}))

    done = post(job)

    assert (0, "no pull request, no comment\n") == (done.exit_code, done.output)
    assert [] == github.requests


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("GITHUB_TOKEN", "", "GITHUB_TOKEN is not set"),
        ("GITHUB_TOKEN", f"{TOKEN}\nX: y", "GITHUB_TOKEN has a character"),
        ("GITHUB_EVENT_PATH", "/no/where", "GITHUB_EVENT_PATH '/no/where'"),
    ],
)
def test_environment_that_is_no_steps_is_refused(
    variable: str,
    value: str,
    problem: str,
    job: Path,
    github: GitHub,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the variable's name, before GitHub is asked."""
    monkeypatch.setenv(variable, value)

    done = post(job)

    assert 2 == done.exit_code
    assert problem in done.stderr
    assert TOKEN not in done.stderr
    assert [] == github.requests
