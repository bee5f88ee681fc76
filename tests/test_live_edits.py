"""Edits in one running process: reloads, patches, cells run again, executed texts."""

from __future__ import annotations

import importlib
import json
import linecache
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.scored import modules, scored, twice

MAIN = """
import {helper}
from {helper} import longer, Table


def metric(value, expected):
    return longer(value) + {helper}.OFFSET + Table().size
"""
HELPER = """
OFFSET = 0


class Table:
    size = 0


def longer(text):
    return float(len(text))
"""
#: The scores of "ab" and "cde" at first, and after any of the edits.
FIRST, SECOND = [2.0, 3.0], [12.0, 13.0]


@pytest.fixture
def main(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module with a metric, whose helpers are in the module next door."""
    name = tmp_path.name
    helper = f"helper_{name}"
    files = {f"main_{name}": MAIN.format(helper=helper), helper: HELPER}
    with modules(tmp_path, files, monkeypatch) as module:
        yield module


def helper_of(main: ModuleType) -> ModuleType:
    return sys.modules[main.__name__.replace("main_", "helper_")]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("OFFSET = 0", "OFFSET = 10"),
        ("size = 0", "size = 10"),
        ("float(len(text))", "float(len(text)) + 10"),
    ],
    ids=["constant", "class", "function"],
)
def test_reloaded_helper_is_seen(
    main: ModuleType, tmp_path: Path, old: str, new: str
) -> None:
    """A helper that is edited and reloaded between two runs gives new rows, and the
    second run after it none.
    """
    store = tmp_path / "store"
    first = twice(lambda: main.metric, store)
    helper = helper_of(main)
    Path(str(helper.__file__)).write_text(HELPER.replace(old, new))
    importlib.reload(helper)
    importlib.reload(main)

    assert [(2, FIRST), (0, FIRST)] == first
    assert [(2, SECOND), (0, SECOND)] == twice(lambda: main.metric, store)


def test_edited_file_that_is_not_reloaded_changes_nothing(
    main: ModuleType, tmp_path: Path
) -> None:
    """What runs is what was imported: an edit alone computes nothing again."""
    store = tmp_path / "store"
    scored(main.metric, store)
    file = Path(str(helper_of(main).__file__))
    file.write_text(HELPER.replace("len(text)", "len(text) + 10"))

    assert (0, FIRST) == scored(main.metric, store)


def test_file_edited_between_import_and_run_poisons_nothing(
    main: ModuleType, tmp_path: Path
) -> None:
    """Rows of the code that was imported are not those of the code in the file: once
    either is imported again, it gets its own scores.
    """
    store = tmp_path / "store"
    helper = helper_of(main)
    file = Path(str(helper.__file__))
    file.write_text(HELPER.replace("float(len(text))", "float(len(text)) + 10"))

    before = scored(main.metric, store)
    importlib.reload(helper)
    importlib.reload(main)
    afterwards = twice(lambda: main.metric, store)
    file.write_text(HELPER)
    importlib.reload(helper)
    importlib.reload(main)

    assert (2, FIRST) == before
    assert [(2, SECOND), (0, SECOND)] == afterwards
    assert FIRST == scored(main.metric, store)[1]


@pytest.mark.parametrize(
    ("holder", "name", "value"),
    [
        ("helper", "OFFSET", 10),
        ("helper", "Table", type("Table", (), {"size": 10})),
        ("table", "size", 10),
        ("main", "longer", lambda text: len(text) + 10.0),
        ("code", "__code__", (lambda text: len(text) + 10.0).__code__),
    ],
    ids=["constant", "class", "class attribute", "function", "code of a function"],
)
def test_patch_is_seen_and_taken_back(
    main: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    holder: str,
    name: str,
    value: Any,
) -> None:
    """What a test or a notebook patches between two runs gives new rows; the old ones
    are found again without the patch.
    """
    store = tmp_path / "store"
    helper = helper_of(main)
    held = {"helper": helper, "main": main, "table": helper.Table, "code": main.longer}
    first = twice(lambda: main.metric, store)
    with monkeypatch.context() as patch:
        patch.setattr(held[holder], name, value)
        if holder == "helper" and hasattr(main, name):
            patch.setattr(main, name, value)
        patched = twice(lambda: main.metric, store)

    assert [(2, FIRST), (0, FIRST)] == first
    assert [(2, SECOND), (0, SECOND)] == patched
    assert (0, FIRST) == scored(main.metric, store)


CELLS = {
    "helper": "def longer(text):\n    return float(len(text))\n",
    "class": "class Table:\n    size = 0\n",
    "constant": "OFFSET = {'more': 0}\n",
    "metric": (
        "def metric(value, expected):\n"
        "    return longer(value) + Table().size + OFFSET['more']\n"
    ),
    "component": (
        "from themis_lib import Score\n"
        "class Metric:\n"
        "    component_id = 'cell/metric'\n"
        "    version = '1'\n"
        "    reads = ('value',)\n"
        "    def fingerprint(self):\n"
        "        return ''\n"
        "    def score(self, parsed, case, ctx):\n"
        "        return Score(value=metric(parsed.value, None))\n"
    ),
}


class Notebook:
    """Runs cells as IPython does: each text is compiled under a file name of its own,
    which `linecache` knows, and executed in the namespace of `__main__`.
    """

    def __init__(self, patch: pytest.MonkeyPatch, file_name: str | None) -> None:
        self._file_name = file_name
        self._count = 0
        main = ModuleType("__main__")
        self.names = vars(main)
        self.names["In"] = [""]
        patch.setitem(sys.modules, "__main__", main)

    def run(self, text: str) -> None:
        """Run a cell."""
        self._count += 1
        name = "<string>"
        if self._file_name is not None:
            name = self._file_name.format(self._count)
            lines = text.splitlines(keepends=True)
            linecache.cache[name] = (len(text), None, lines, name)
        self.names["In"].append(text)
        exec(compile(text, name, "exec"), self.names)


@pytest.fixture(
    params=[
        "/tmp/ipykernel_77/{}.py",
        "<ipython-input-{}-0123456789ab>",
        None,
    ],
    ids=["notebook", "terminal", "no source"],
)
def notebook(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Notebook]:
    """A notebook with a metric in several cells, by how its cells are named."""
    before = set(linecache.cache)
    made = Notebook(monkeypatch, request.param)
    for text in CELLS.values():
        made.run(text)
    yield made
    for name in set(linecache.cache) - before:
        del linecache.cache[name]


EDITED_CELLS = [
    ("helper", "float(len(text))", "float(len(text)) + 10"),
    ("class", "size = 0", "size = 10"),
    ("constant", "'more': 0", "'more': 10"),
    ("metric", "longer(value)", "10 + longer(value)"),
]


@pytest.mark.parametrize(("cell", "old", "new"), EDITED_CELLS)
@pytest.mark.parametrize("kind", ["function", "component"])
def test_cell_run_again_is_seen(
    notebook: Notebook, tmp_path: Path, kind: str, cell: str, old: str, new: str
) -> None:
    """A cell that redefines what the metric uses gives new rows; run as it is, none."""

    def metric() -> Any:
        made = notebook.names["Metric"]
        return notebook.names["metric"] if kind == "function" else made()

    store = tmp_path / "store"
    first = twice(metric, store)
    notebook.run(CELLS[cell])
    same = scored(metric(), store)
    notebook.run(CELLS[cell].replace(old, new))

    assert [(2, FIRST), (0, FIRST)] == first
    assert (0, FIRST) == same
    assert [(2, SECOND), (0, SECOND)] == twice(metric, store)


def test_cells_that_do_not_reach_the_metric_cost_nothing(
    notebook: Notebook, tmp_path: Path
) -> None:
    """Another cell, and what a notebook remembers of its cells, are no part of it."""
    scored(notebook.names["metric"], tmp_path)
    notebook.run("unrelated = 1\n_ = 5\nOut = {1: 5}\n")

    assert (0, FIRST) == scored(notebook.names["metric"], tmp_path)


PROGRAM = """
import json, os
from pathlib import Path
from tests.support.scored import scored
K = {number}
def longer(text): return float(len(text))
class Metric:
    component_id = "typed/metric"
    version = "1"
    reads = ("value",)
    def fingerprint(self): return ""
    def score(self, parsed, case, ctx):
        from themis_lib import Score
        return Score(value=longer(parsed.value) + K)
print(json.dumps(scored(Metric(), Path({store!r}))), flush=True)
# Without teardown: threads of Arrow may abort a process that ends while they start.
os._exit(0)
"""


def ran(arguments: list[str], text: str | None = None) -> tuple[int, list[float]]:
    done = subprocess.run(
        [sys.executable, *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert 0 == done.returncode, done.stderr
    count, scores = json.loads(done.stdout)
    return count, scores


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("-c", marks=pytest.mark.slow),
        pytest.param("stdin", marks=pytest.mark.slow),
        "script",
    ],
)
def test_program_is_seen_by_the_next_process(how: str, tmp_path: Path) -> None:
    """Code of `python -c`, of standard input and of a script is identity across
    processes: an edit computes again, the same program does not.
    """

    def run(number: int, change: str = "") -> tuple[int, list[float]]:
        store = str(tmp_path / "store")
        program = PROGRAM.format(number=number, store=store)
        program = program.replace("len(text)", f"len(text){change}")
        if how == "-c":
            return ran(["-c", program])
        if how == "stdin":
            return ran(["-"], program)
        script = tmp_path / "program.py"
        script.write_text("import sys; sys.path.insert(0, '')\n" + program)
        return ran([str(script)])

    assert (2, FIRST) == run(0)
    assert (0, FIRST) == run(0)
    assert (2, SECOND) == run(10)
    assert (2, SECOND) == run(0, " + 10")


@pytest.mark.parametrize("namespace", [{"__name__": "typed"}, {}])
def test_executed_text_is_seen(namespace: dict[str, Any], tmp_path: Path) -> None:
    """Functions of an executed text, their helpers and constants are identity."""
    text = "".join(CELLS[name] for name in ("helper", "class", "constant", "metric"))

    def metric(executed: str) -> Any:
        names = dict(namespace)
        exec(executed, names)
        return names["metric"]

    assert [(2, FIRST), (0, FIRST)] == twice(lambda: metric(text), tmp_path)
    for _, old, new in EDITED_CELLS:
        edited = text.replace(old, new)
        assert [(2, SECOND), (0, SECOND)] == twice(
            lambda edited=edited: metric(edited), tmp_path
        )
