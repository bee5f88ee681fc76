"""List what the identity of an experiment's components covers, and what it does not.

    python -m flows.identity EXPERIMENT.yaml [key=value …]

For each component that a user wrote: the definitions that its code reaches, the values
that these read, libraries with their versions, environment variables, and what no
digest covers. An edit of any of the first makes the component's rows be computed again.
Nothing is computed. Exit codes: 0 listed, 2 bad input.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from flows.opening import one_line_errors
from flows.terminal import as_text, open_console
from themis_lib import Experiment
from themis_lib.components.records import BuiltComponent
from themis_lib.stages.stage import Stage

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def identity(
    experiment: Annotated[
        Path,
        typer.Argument(help="The experiment's YAML file."),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="Settings to replace, key.path=value."),
    ] = None,
) -> None:
    """List what the identity of each component of an experiment covers."""
    console = open_console()
    with one_line_errors():
        loaded = Experiment.from_config(experiment, overrides=overrides or [])
        for stage in loaded.compile().stages:
            for component in stage.components:
                for line in component_lines(stage, component):
                    console.print(as_text(line), soft_wrap=True)


def component_lines(
    stage: Stage,
    component: BuiltComponent,
) -> Iterator[str]:
    """Yield what identifies a component of a stage, line by line."""
    yield f"{stage.label}: {component.component_id} (version {component.component.version})"
    code = component.code
    if code is None:
        yield "  a built-in: its version and settings, held to its version by tests"
        return
    places = stage.places
    for name in sorted(code.definitions):
        where = f"  ({places[name]})" if name in places else ""
        yield f"  definition  {name}{where}"
    for name in sorted(code.values):
        yield f"  value       {name}"
    for name, version in code.libraries.items():
        note = "" if component.covers_libraries else "  (not covered)"
        yield f"  library     {name} {version}{note}"
    for name in code.variables:
        yield f"  variable    {name}"
    for name, reason in sorted(code.uncovered.items()):
        yield f"  not covered {name}: {reason}"
    for name, kind in sorted(code.opaque.items()):
        yield f"  not covered {name}: an object of {kind}, left to fingerprint()"
    for what in code.chance:
        yield f"  by chance   {what}"


if __name__ == "__main__":
    app()
