"""Post Markdown as the one comment of a policy on a pull request, and update it later.

    python -m flows.pull_request_comment FILE [--name NAME]

It reads what GitHub gives to a step: GITHUB_API_URL, GITHUB_REPOSITORY and
GITHUB_EVENT_PATH; GITHUB_TOKEN is for the step to set. The comment is found again by a
mark that is not shown. One that somebody else wrote is left alone, whatever it begins
with. Exit codes: 0 posted, updated, or no pull request; 1 GitHub refused or did not
answer; 2 bad input.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer

from flows.exit_codes import BAD_INPUT, FAILED
from flows.running import print_error
from flows.terminal import as_text, open_console
from themis_lib.errors import ConfigError, ThemisError, describe
from themis_lib.report.policy_markdown import cut_lines

#: The most characters of a comment.
MOST_CHARACTERS = 65_536
_TIMEOUT_S = 30.0
_PAGE = 100
#: What an app's token, such as a job's own, is answered where it asks who it is.
_APP_STATUSES = (403, 404)

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


class GitHubError(ThemisError):
    """GitHub refused a request, or did not answer."""


@app.command()
def main(
    file: Annotated[
        Path,
        typer.Argument(help="The Markdown to post."),
    ],
    name: Annotated[
        str,
        typer.Option(help="Tells the comments of several policies apart."),
    ] = "policy",
) -> None:
    """Post Markdown as the one comment of a policy, or update the one that is there."""
    try:
        number = pull_request_number()
        if number is None:
            said = "no pull request, no comment"
        else:
            said = put_comment(number, mark(name), _read(file))
    except GitHubError as error:
        print_error(str(error))
        raise typer.Exit(FAILED) from None
    except ConfigError as error:
        print_error(str(error))
        raise typer.Exit(BAD_INPUT) from None
    open_console().print(as_text(said), soft_wrap=True)


def pull_request_number() -> int | None:
    """Return the number of the pull request that this job is for, if it is for one.

    Raise `ConfigError` where GitHub's description of the event cannot be read.
    """
    path = _variable("GITHUB_EVENT_PATH")
    try:
        event = json.loads(Path(path).read_text(encoding="utf-8"))
        pull_request = event.get("pull_request")
        return None if pull_request is None else int(pull_request["number"])
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"GITHUB_EVENT_PATH {path!r} is no event of GitHub's: {describe(error)}"
        ) from None


def mark(name: str) -> str:
    """Return the first line of a policy's comments, which is not shown.

    >>> mark("evals/policy.yaml"), mark("--> @all")
    ('<!-- themis ci: evals/policy.yaml -->', '<!-- themis ci: --%3E%20%40all -->')
    """
    return f"<!-- themis ci: {quote(name, safe='/.')} -->"


def put_comment(
    number: int,
    first_line: str,
    text: str,
) -> str:
    """Create the comment that begins with a line, or update it; return what was done.

    Raise `GitHubError` where GitHub refuses or does not answer.
    """
    api = Api(
        url=os.environ.get("GITHUB_API_URL") or "https://api.github.com",
        repository=_variable("GITHUB_REPOSITORY"),
        token=_token(),
    )
    # Bytes are counted: a text never has more characters than those.
    room = MOST_CHARACTERS - len(first_line) - 1
    body = f"{first_line}\n{cut_lines(text, room)}"
    own = api.own_login()
    for comment in api.comments(number):
        text_there = comment.get("body") or ""
        if _is_own(comment, own) and text_there.startswith(first_line):
            api.ask("PATCH", f"issues/comments/{comment['id']}", {"body": body})
            return f"updated the comment on pull request {number}"
    api.ask("POST", f"issues/{number}/comments", {"body": body})
    return f"posted a comment on pull request {number}"


def _is_own(
    comment: dict[str, Any],
    own_login: str | None,
) -> bool:
    """Return whether this token wrote a comment: its user, or a bot if it is an app's."""
    user = comment.get("user") or {}
    if own_login is None:
        return user.get("type") == "Bot"
    return user.get("login") == own_login


@dataclass(frozen=True)
class Api:
    """GitHub's REST API for one repository."""

    url: str
    repository: str
    token: str

    def own_login(self) -> str | None:
        """Return the name of the user whose token this is; `None` for an app's."""
        response = self._send("GET", f"{self.url}/user", None, allowed=_APP_STATUSES)
        if response.status_code in _APP_STATUSES:
            return None
        return str(self._content(response)["login"])

    def comments(self, number: int) -> Iterator[dict[str, Any]]:
        """Yield the comments on a pull request, oldest first."""
        page = 1
        while True:
            path = f"issues/{number}/comments?per_page={_PAGE}&page={page}"
            found = self.ask("GET", path)
            yield from found
            if len(found) < _PAGE:
                return
            page += 1

    def ask(
        self,
        method: str,
        path: str,
        body: dict[str, str] | None = None,
    ) -> Any:
        """Return the answer to a request about the repository.

        Raise `GitHubError` with what GitHub says, and never with the token.
        """
        url = f"{self.url}/repos/{self.repository}/{path}"
        return self._content(self._send(method, url, body))

    def _send(
        self,
        method: str,
        url: str,
        body: dict[str, str] | None,
        *,
        allowed: tuple[int, ...] = (),
    ) -> httpx.Response:
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self.token}",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        try:
            response = httpx.request(
                method,
                url,
                headers=headers,
                json=body,
                timeout=_TIMEOUT_S,
            )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._error(f"{method} {url}: {describe(error)}") from None
        if response.is_success or response.status_code in allowed:
            return response
        said = " ".join(response.text.split())[:300]
        hint = ""
        if response.status_code in (401, 403, 404):
            hint = "; the job needs `permissions: {pull-requests: write}`, which a "
            hint += "pull request from a fork does not get"
        raise self._error(f"{method} {url}: {response.status_code} {said}{hint}")

    def _content(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError:
            raise self._error(f"{response.url}: the answer is not JSON") from None

    def _error(self, message: str) -> GitHubError:
        # A server may repeat what it was sent.
        shown = message.replace(self.token, "***")
        return GitHubError(f"no comment is posted: {shown}")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(file)!r} cannot be read: {describe(error)}") from None


def _token() -> str:
    token = _variable("GITHUB_TOKEN").strip()
    # A client's error about such a header would quote it, escaped.
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError("GITHUB_TOKEN has a character that no token has")
    return token


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise ConfigError(
            f"{name} is not set; a step of a workflow has it, GITHUB_TOKEN by "
            "`env: {GITHUB_TOKEN: …}`"
        )
    return value


if __name__ == "__main__":
    app()
