"""Programs of several modules, generated: a metric that adds a number of each module, and
the number can be in any of the places where people keep one.
"""

from __future__ import annotations

import importlib
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from themis_lib.components import imports

#: A module by the place where it keeps its number; `{next}` is the next module's name.
PLACES = {
    "body": "import {next}\ndef f(): return {number} + {next}.f()",
    "imported name": "from {next} import f as g\ndef f(): return {number} + g()",
    "import in a function": "def f():\n    from {next} import f as g\n"
    "    return {number} + g()",
    "import by a computed name": "import importlib\ndef f():\n"
    "    return {number} + importlib.import_module('{next}x'[:-1]).f()",
    "constant": "import {next}\nN = {number}\ndef f(): return N + {next}.f()",
    "table": "import {next}\nT = {{}}\nfor key in 'ab': T[key] = {number}\n"
    "def f(): return T['a'] + {next}.f()",
    "registry": "import {next}\nT = {{}}\ndef register(rule):\n    T[rule.__name__] = rule\n"
    "@register\ndef rule(): return {number}\ndef f(): return T['rule']() + {next}.f()",
    "closure": "import {next}\ndef make(held):\n    def f(): return held[0] + {next}.f()\n"
    "    return f\nf = make([{number}])",
    "default": "import {next}\ndef f(n={number}): return n + {next}.f()",
    "decorator": "import functools, {next}\ndef more(f):\n    @functools.wraps(f)\n"
    "    def g(): return f() + {number}\n    return g\n"
    "@more\ndef f(): return {next}.f()",
    "base": "import {next}\nclass Base:\n    def n(self): return {number}\n"
    "class Own(Base): pass\ndef f(): return Own().n() + {next}.f()",
    "metaclass": "import {next}\nclass Kind(type):\n    def n(cls): return {number}\n"
    "class Own(metaclass=Kind): pass\ndef f(): return Own.n() + {next}.f()",
    "built-in's subclass": "import {next}\n"
    "from themis_lib.builtins.metrics import ExactMatch\n"
    "class Own(ExactMatch):\n    def n(self): return {number}\n"
    "def f(): return Own().n() + {next}.f()",
    "slots": "import {next}\nclass Held:\n    __slots__ = ('n',)\nheld = Held()\n"
    "held.n = {number}\ndef f(): return held.n + {next}.f()",
    "dataclass": "import dataclasses, {next}\n@dataclasses.dataclass\nclass Held:\n"
    "    n: int = {number}\ndef f(): return Held().n + {next}.f()",
    "partial": "import functools, {next}\ndef add(a, b): return a + b\n"
    "g = functools.partial(add, {number})\ndef f(): return g({next}.f())",
    "set from outside": "import {next}\n{next}.N_OF_{name} = {number}\n"
    "def f(): return {next}.N_OF_{name} + {next}.f()",
    "dynamic name": "import {next}\ndef n_1(): return {number}\n"
    "def f(): return globals()['n_' + str(1)]() + {next}.f()",
    "file": "import pathlib, {next}\n"
    "def f(): return int(pathlib.Path(__file__).with_name('{name}.txt').read_text())"
    " + {next}.f()",
    "file read once": "import pathlib, {next}\n"
    "N = int(pathlib.Path(__file__).with_name('{name}.txt').read_text())\n"
    "def f(): return N + {next}.f()",
    "variable": "import os, {next}\n"
    "def f(): return int(os.environ['THEMIS_TEST_{name}']) + {next}.f()",
}
LAST = "def f(): return 0\n"
METRIC = """
import {first}
from themis_lib import Score


class Metric:
    component_id = "generated/metric"
    version = "1"
    reads = ("value",)

    def __init__(self, more=0):
        self.more = more

    def fingerprint(self):
        return ""

    def score(self, parsed, case, ctx):
        with open(__file__ + ".scored", "a") as log:
            log.write("x")
        return Score(value=float(self.more + {first}.f()))
"""


@dataclass(frozen=True)
class Program:
    """Where each module keeps its number, the numbers, and a setting of the metric."""

    places: tuple[str, ...]
    numbers: tuple[int, ...]
    setting: int = 0

    @property
    def value(self) -> int:
        """What the metric gives for every row."""
        return sum(self.numbers) + self.setting

    def edited(self, at: int, number: int) -> Program:
        """The program with one number changed; the setting is after the last module."""
        if at == len(self.numbers):
            return replace(self, setting=number)
        numbers = [*self.numbers]
        numbers[at] = number
        return replace(self, numbers=tuple(numbers))

    def write(self, folder: Path) -> None:
        """Write the modules, data files and variables, for a process that starts now."""
        names = [f"part{at}" for at in range(len(self.places) + 1)]
        for at, (place, number) in enumerate(
            zip(self.places, self.numbers, strict=True)
        ):
            name, following = names[at : at + 2]
            text = PLACES[place].format(name=name, next=following, number=number)
            (folder / f"{name}.py").write_text(text + "\n")
            (folder / f"{name}.txt").write_text(str(number))
            os.environ[f"THEMIS_TEST_{name}"] = str(number)
        (folder / f"{names[-1]}.py").write_text(LAST)
        (folder / "generated_metric.py").write_text(METRIC.format(first=names[0]))

    def experiment(self, store: Path) -> dict[str, Any]:
        """An experiment that scores four rows by the metric."""
        cases = [{"case_id": str(at), "input": str(at)} for at in range(4)]
        return {
            "generation": {"generator": "builtin/demo_generator"},
            "evaluation": {
                "metrics": [
                    {"use": "generated_metric:Metric", "id": "m", "more": self.setting}
                ]
            },
            "datasets": [{"dataset_id": "d", "cases": cases}],
            "storage": {"store": str(store)},
            "runtime": {"shard_size": 2},
        }


def forget_modules(folder: Path) -> None:
    """Have the modules of a folder imported anew, as in a new process."""
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
    for name, file in list(imports._FOUND_IN.items()):
        if file.is_relative_to(folder):
            del imports._FOUND_IN[name]
    importlib.invalidate_caches()


numbers = st.integers(min_value=0, max_value=99)


@st.composite
def histories(draw: st.DrawFn) -> list[Program]:
    """A program, and what it becomes by edits of one number each."""
    places = draw(st.lists(st.sampled_from(sorted(PLACES)), min_size=1, max_size=5))
    drawn = draw(st.lists(numbers, min_size=len(places), max_size=len(places)))
    history = [Program(tuple(places), tuple(drawn))]
    for _ in range(draw(st.integers(min_value=1, max_value=4))):
        at = draw(st.integers(min_value=0, max_value=len(places)))
        history.append(history[-1].edited(at, draw(numbers)))
    return history
