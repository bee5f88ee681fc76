"""Labelling in the terminal: Textual's own pilot for the keys, and tmux for a real one."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.labelling import CORRECT, RUBRIC, grading_judge, judged_run
from themis_lib import InMemoryRunStore, LabelSession, RunResult, RunStore
from themis_lib.labels.labelled_scores import labelled_scores
from themis_lib.labels.stored_labels import LabelStore

pytest.importorskip("textual")
from flows.label_app import LabelApp

Act = Callable[[LabelApp, Any], Awaitable[None]]


def used(session: LabelSession, act: Act, columns: int = 120) -> None:
    """Use the terminal of a session as a person would."""

    async def use() -> None:
        app = LabelApp(session)
        async with app.run_test(size=(columns, 30)) as pilot:
            await act(app, pilot)

    asyncio.run(use())


def on_screen(app: LabelApp) -> str:
    """All text of the screen."""
    lines = []
    for strip in app.screen._compositor.render_strips():
        lines.append("".join(segment.text for segment in strip))
    return "\n".join(lines)


@pytest.fixture
def run() -> RunResult:
    return judged_run(InMemoryRunStore())


@pytest.mark.parametrize("columns", [80, 120])
def test_a_label_for_a_key(run: RunResult, columns: int) -> None:
    """The screen shows question, input, reference and answer, and a key labels."""
    session = LabelSession.of(run, labeller="ana")
    shown = session.current
    assert shown is not None

    async def act(app: LabelApp, pilot: Any) -> None:
        screen = on_screen(app)
        for text in shown.texts:
            assert text.title in screen
            assert text.text in screen
        assert "You judge whether" in screen
        assert "0 of 6 labelled" in screen
        assert run.run_id not in screen
        await pilot.press("c")
        assert "1 of 6 labelled" in on_screen(app)
        await pilot.press("i", "x")
        assert "2 of 6 labelled" in on_screen(app)

    used(session, act, columns)

    assert [1.0, 0.0] == LabelStore(run.store).current()["value"].to_pylist()


def test_skip_undo_and_note(run: RunResult) -> None:
    """Keys of a note are text; undo brings the last item back."""
    session = LabelSession.of(run, labeller="ana")
    item = session.waiting[1]

    async def act(app: LabelApp, pilot: Any) -> None:
        await pilot.press("s", "n", "c", "s", "enter")
        assert "note: cs" in on_screen(app)
        await pilot.press("c", "u")
        assert "0 of 6 labelled, 1 skipped" in on_screen(app)
        await pilot.press("n", "x", "escape", "i", "u", "u", "u")
        assert "nothing to undo" in on_screen(app)

    used(session, act)

    notes = LabelStore(run.store).all()["note"].drop_null().to_pylist()
    assert ["cs"] == notes
    assert item == session.waiting[1]
    assert 0 == session.labelled


def test_grades_are_their_own_keys() -> None:
    """A grade of a rubric is one key, and a note may go with it."""
    run = judged_run(InMemoryRunStore(), metric=RUBRIC, judge=grading_judge)

    async def act(app: LabelApp, pilot: Any) -> None:
        await pilot.press("4", "9", "n", "k", "enter", "1")

    used(LabelSession.of(run), act)

    labels = LabelStore(run.store).current()
    assert [0.75, 0.0] == labels["value"].to_pylist()
    assert [None, "k"] == labels["note"].to_pylist()


def test_numbers_are_typed() -> None:
    """A number is typed and entered; one outside the range stays to be mended."""
    metric = {"use": "builtin/f1", "id": "f1"}
    run = judged_run(
        InMemoryRunStore(), metric=metric, model=lambda prompt: f"{prompt} 4"
    )

    async def act(app: LabelApp, pilot: Any) -> None:
        await pilot.press("7", "enter")
        assert "no number from 0 to 1" in on_screen(app)
        await pilot.press("backspace", "0", ".", "5", "enter", "enter")
        assert "1 of 6 labelled" in on_screen(app)

    used(LabelSession.of(run), act)

    assert [0.5] == LabelStore(run.store).current()["value"].to_pylist()


def test_the_end_of_a_session(run: RunResult) -> None:
    """Behind the last item the screen says so, keys do nothing, and undo goes back."""
    session = LabelSession.of(run, count=2)

    async def act(app: LabelApp, pilot: Any) -> None:
        await pilot.press("c", "c", "c", "s", "n")
        assert "All 2 items are labelled or skipped" in on_screen(app)
        await pilot.press("u")
        assert "1 of 2 labelled" in on_screen(app)

    used(session, act)

    assert 1 == session.labelled


def test_what_models_wrote_is_shown_and_not_obeyed() -> None:
    """Markup, links and control sequences of an answer are text."""
    text = "[bold red]b[/] [@click=app.quit]c[/] \x1b[31md"
    run = judged_run(
        InMemoryRunStore(),
        count=1,
        metric={**CORRECT, "use": "builtin/contains"},
        model=lambda prompt: text,
    )

    async def act(app: LabelApp, pilot: Any) -> None:
        screen = on_screen(app)
        assert r"[bold red]b[/] [@click=app.quit]c[/] \x1b[31md" in screen

    used(LabelSession.of(run), act)


def test_long_texts_scroll() -> None:
    """A long answer scrolls by the keyboard at once, and the next begins at its top."""
    run = judged_run(
        InMemoryRunStore(), model=lambda text: "\n".join([text, *map(str, range(200))])
    )

    async def act(app: LabelApp, pilot: Any) -> None:
        item = app.query_one("#item")
        await pilot.press("pagedown", "pagedown")
        await pilot.pause(0.3)
        assert item.scroll_y > 0
        await pilot.press("c")
        assert 0 == item.scroll_y

    used(LabelSession.of(run), act)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux here")
def test_in_a_real_terminal(tmp_path: Path) -> None:
    """Start, label three, quit in the middle, go on, kill the terminal: the labels are
    in the store, each once.
    """
    store = RunStore(str(tmp_path / "store"))
    run = judged_run(store)
    command = [
        *(sys.executable, "-m", "flows.label", "last", "--labeller", "ana"),
        *("--store", str(tmp_path / "store")),
    ]
    terminal = Terminal(tmp_path / "tmux.socket", shlex.join(command))
    try:
        terminal.wait_for("0 of 6 labelled")
        terminal.type("c")
        terminal.wait_for("1 of 6 labelled")
        terminal.type("i")
        terminal.wait_for("2 of 6 labelled")
        terminal.type("c")
        terminal.wait_for("3 of 6 labelled")
        terminal.type("q")
        terminal.wait_for("3 labelled now, 3 of 6 in all as 'ana'")
        assert 3 == len(labelled_scores(run)["label"].drop_null())
        terminal.run_again()
        terminal.wait_for("3 of 6 labelled")
        terminal.type("c")
        terminal.wait_for("4 of 6 labelled")
    finally:
        terminal.kill()

    labels = LabelStore(RunStore(str(tmp_path / "store"))).all()
    assert 4 == labels.num_rows
    assert 4 == len(set(labels["item"].to_pylist()))
    session = LabelSession.of(run, labeller="ana")
    assert (4, 2) == (session.labelled, len(session.waiting))


class Terminal:
    """A terminal of tmux that runs one command, and again."""

    def __init__(self, socket: Path, command: str) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        self._command = command
        self._call("new-session", "-d", "-x", "100", "-y", "30", "sh")
        self.run_again()

    def run_again(self) -> None:
        self._call("send-keys", "-l", f"clear; {self._command}")
        self._call("send-keys", "Enter")

    def type(self, key: str) -> None:
        self._call("send-keys", "-l", key)

    def wait_for(self, text: str, *, timeout_s: float = 40) -> None:
        end = time.monotonic() + timeout_s
        while text not in self._screen():
            assert time.monotonic() < end, self._screen()
            time.sleep(0.2)

    def kill(self) -> None:
        self._call("kill-server")

    def _screen(self) -> str:
        return self._call("capture-pane", "-p", "-J")

    def _call(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments],
            capture_output=True,
            check=True,
            text=True,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        return done.stdout
