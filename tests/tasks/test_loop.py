"""What tasks of one process share: a run that is stopped saves its rows, and takes
nobody else with it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tasks.loop import SharedLoop
from tests.support.provider_server import ProviderServer
from themis_lib import FatalError


async def saved_slowly(saved: list[str]) -> None:
    """Work that takes a moment to save what it has when it is stopped."""
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(0.2)
        saved.append("everything")


def test_stopped_task_ends_when_its_rows_are_saved() -> None:
    """Whoever waits for a task of a run that is stopped waits until it has put its
    things in order.
    """
    loop, saved = SharedLoop(), list[str]()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(loop.run, "run", saved_slowly(saved))
        time.sleep(0.05)

        loop.cancel("run")

        with pytest.raises(FatalError, match="run run has ended"):
            running.result(timeout=10)
    assert ["everything"] == saved


async def busy(seconds: float) -> None:
    time.sleep(seconds)


def test_stop_does_not_wait_for_ever() -> None:
    """Whoever waits for a component that cannot be stopped is let go after a while."""
    loop = SharedLoop(patience_s=0.2)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(loop.run, "run", busy(3))
        time.sleep(0.05)
        began = time.monotonic()

        loop.cancel("run")

        with pytest.raises(FatalError, match="run run has ended"):
            running.result(timeout=10)
    assert time.monotonic() - began < 2


def test_nothing_begins_after_a_stop() -> None:
    """A task that has passed every check when its run is stopped does not begin all the
    same.
    """
    loop, begun = SharedLoop(), list[str]()

    async def begin() -> None:
        begun.append("task")

    loop.cancel("run")

    with pytest.raises(FatalError, match="run run has ended"):
        loop.run("run", begin())
    assert loop.run("another", asyncio.sleep(0, "another")) == "another"
    assert [] == begun


async def leave_the_process() -> None:
    async def leave() -> None:
        sys.exit(3)

    await asyncio.ensure_future(leave())


def test_component_that_exits_ends_its_run_alone() -> None:
    """`sys.exit()` in a component is an error of its run; the loop goes on for every
    other.
    """
    loop = SharedLoop()

    with pytest.raises(FatalError, match="a component tried to end the process"):
        loop.run("run", leave_the_process())
    with ThreadPoolExecutor(1) as threads:
        assert (
            threads.submit(loop.run, "another", asyncio.sleep(0, "goes on")).result(
                timeout=10
            )
            == "goes on"
        )


def test_clients_are_closed_with_the_process() -> None:
    """The client of an adapter serves every run of a process, and is closed at its
    end.
    """
    program = (
        "import atexit, sys\n"
        "from tasks.loop import shared_loop\n"
        "from themis_lib.adapters import loop_clients, openai\n"
        "from themis_lib import Case, PromptSpec\n"
        "from themis_lib.core.contexts import GenerateContext\n"
        "context = GenerateContext('run', 'case', 'dataset', 7, None, PromptSpec())\n"
        "generator = openai('gpt', base_url=sys.argv[1], api_key='sk-test-1')\n"
        "case = Case(case_id='case', input='2+2')\n"
        "for run in 'ab':\n"
        "    print(shared_loop().run(run, generator.generate(case, context)).final_output)\n"
        "[served] = loop_clients._CLIENTS.values()\n"
        "[(client, _)] = served.values()\n"
        "print(client.is_closed())\n"
        "atexit._run_exitfuncs()\n"
        "print(client.is_closed())\n"
    )
    with ProviderServer() as server:
        said = subprocess.run(
            [sys.executable, "-c", program, server.url],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )

    assert ["re: 2+2", "re: 2+2", "False", "True"] == said.stdout.split("\n")[:4]
    assert "" == said.stderr
