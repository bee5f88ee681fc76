"""The process that runs the Python of one page, and compiles its experiments.

It reads requests from its standard input and answers on the pipe that it is given, a
JSON object a line.
"""

from __future__ import annotations

import contextlib
import io
import json
import linecache
import os
import sys
import traceback
import types
from pathlib import Path
from typing import Any

#: What a part of an experiment is completed with.
_MINIMAL: dict[str, Any] = {
    "generation": {"generator": {"use": "builtin/demo_generator"}},
    "evaluation": {"metrics": ["builtin/exact_match"]},
    "datasets": [
        {
            "dataset_id": "cases",
            "cases": [{"case_id": "1", "input": "a", "expected_output": "a"}],
        }
    ],
}


def main() -> None:
    """Answer requests until there are no more."""
    answers = os.fdopen(int(sys.argv[1]), "w", encoding="utf-8")
    # As in a program of a user's: names are looked up in the main module.
    namespace = types.ModuleType("__main__")
    sys.modules["__main__"] = namespace
    # As where a program is started in its folder.
    sys.path.insert(0, str(Path.cwd()))
    for line in sys.stdin:
        request = json.loads(line)
        if request["do"] == "python":
            answer = _run(request["text"], request["name"], vars(namespace))
        else:
            answer = _compile(request["text"], request["name"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _run(source: str, name: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """Run a block. Return its standard output, and what it raised."""
    # Where Python looks for a source: code as identity and tracebacks show it.
    linecache.cache[name] = (len(source), None, source.splitlines(True), name)
    output = io.StringIO()
    error = None
    with contextlib.redirect_stdout(output):
        try:
            exec(compile(source, name, "exec"), namespace)
        except BaseException:  # noqa: BLE001 - a page may raise anything
            error = traceback.format_exc()
    return {"output": output.getvalue(), "error": error}


def _compile(text: str, name: str) -> dict[str, Any]:
    """Compile an experiment, or a part of one. Return what is wrong with it."""
    from themis_lib import Experiment, Matrix, ThemisError
    from themis_lib.core.experiment_spec import ExperimentSpec
    from themis_lib.experiment.spec import parse_yaml

    try:
        spec = parse_yaml(text, where=name)
        if not _is_experiment(spec, {*ExperimentSpec.model_fields, "matrix"}):
            return {"output": "", "error": None}
        if not {"generation", "datasets"} <= set(spec):
            spec = _merged(_MINIMAL, spec)
        file = Path(".experiment-of-the-page.yaml")
        file.write_text(json.dumps(spec, default=str), encoding="utf-8")
        try:
            loaded = Matrix if "matrix" in spec else Experiment
            loaded.from_config(file).compile()
        finally:
            file.unlink()
    except ThemisError as error:
        return {"output": "", "error": str(error)}
    except BaseException:  # noqa: BLE001 - a component may raise anything
        return {"output": "", "error": traceback.format_exc()}
    return {"output": "", "error": None}


def _is_experiment(spec: Any, fields: set[str]) -> bool:
    if not isinstance(spec, dict):
        return False
    names = set(map(str, spec))
    return bool(names & {"generation", "evaluation", "datasets"}) or names <= fields


def _merged(base: Any, over: Any) -> Any:
    """Return `base` with what `over` says; lists are replaced as a whole."""
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    merged = dict(base)
    for name, value in over.items():
        merged[name] = _merged(base.get(name), value) if name in base else value
    return merged


if __name__ == "__main__":
    main()
