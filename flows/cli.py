"""The command `themis`: each verb is a program of its own, also as `python -m`.

    themis VERB …            the same as    python -m flows.VERB …

A program is imported when its verb is used, so that help and completion are quick.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import metadata
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True)
class Verb:
    """A program: the module that has its `app`, what it does, and how it is typed."""

    module: str
    help: str
    example: str


VERBS: dict[str, Verb] = {
    "demo": Verb(
        "flows.demo",
        "Score recorded outputs of two models: no model, no key, a few seconds.",
        "demo",
    ),
    "init": Verb(
        "flows.init",
        "Write an experiment to start from, with data, a metric and a CI file.",
        "init my-evaluation --template openai",
    ),
    "run": Verb(
        "flows.run",
        "Run an experiment, computing only the rows that its store lacks.",
        "run experiment.yaml --limit 20 --plan",
    ),
    "ci": Verb(
        "flows.ci",
        "Run a policy's experiments and judge its gates: pass, fail, underpowered.",
        "ci policy.yaml --markdown verdict.md",
    ),
    "tasks": Verb(
        "flows.tasks",
        "List the tasks of the catalogue, or print one as an experiment file.",
        "tasks mmlu",
    ),
    "compare": Verb(
        "flows.compare",
        "Compare runs case by case: differences, intervals, tests and power.",
        "compare baseline candidate --html comparison.html",
    ),
    "rank": Verb(
        "flows.rank",
        "Rank many runs by one metric: strengths, possible places, who beats whom.",
        "rank 'models-*' --metric exact_match",
    ),
    "explain": Verb(
        "flows.explain",
        "Explain why two runs score differently: each changed setting's share.",
        "explain baseline candidate --html explanation.html",
    ),
    "import": Verb(
        "flows.importing",
        "Import logs of lm-eval, Inspect and promptfoo as runs.",
        "import logs/arithmetic.eval --metric match=exact_match",
    ),
    "report": Verb(
        "flows.report",
        "Report a run: HTML, Markdown, CSV, LaTeX or Every Eval Ever.",
        "report last --format markdown",
    ),
    "export": Verb(
        "flows.export",
        "Write the tables of a run as Parquet, for DuckDB, Polars and pandas.",
        "export last --output tables",
    ),
    "label": Verb(
        "flows.label",
        "Label the answers of a run, blind, to compare people with its judge.",
        "label last --metric quality --count 100",
    ),
    "runs": Verb(
        "flows.runs",
        "List the runs of a store, and a metric over them.",
        "runs --metric exact_match",
    ),
    "why": Verb(
        "flows.why",
        "Explain one case: its row in every stage, and why it was computed.",
        "why last case-1",
    ),
    "verify": Verb(
        "flows.verify",
        "Compute rows of a run again: is what the store says of it still true?",
        "verify last --sample 300",
    ),
    "certify": Verb(
        "flows.certify",
        "Ask a model the same in several ways: are the answers the same?",
        "certify http://localhost:8000/v1 --plan",
    ),
    "identity": Verb(
        "flows.identity",
        "Show what identifies each component of an experiment, code included.",
        "identity experiment.yaml",
    ),
    "store": Verb(
        "flows.store",
        "Check, measure, compact or prune a store.",
        "store prune results --yes",
    ),
    "server": Verb(
        "flows.server",
        "Start, stop or find the local Prefect server.",
        "server status",
    ),
    "serve": Verb(
        "deployments.serve",
        "Serve evaluations to the Prefect UI until Ctrl-C.",
        'serve --experiment experiment.yaml --cron "0 3 * * *"',
    ),
}


class _Verbs(TyperGroup):
    """The verbs as commands: listed by the table, imported when one is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:
        """Return a command for the list of all, with nothing but its help."""
        verb = VERBS.get(cmd_name)
        return None if verb is None else TyperCommand(cmd_name, help=verb.help)

    def resolve_command(
        self,
        ctx: Any,
        args: list[str],
    ) -> tuple[str | None, Any, list[str]]:
        name = args[0]
        if name not in VERBS:
            # A shell that completes a line has nothing to complete behind it.
            if ctx.resilient_parsing:
                return None, None, args
            close = get_close_matches(name, VERBS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "see `themis --help`"
            typer.echo(f"error: there is no verb {name!r}; {hint}", err=True)
            # `exit_codes.BAD_INPUT`, whose module takes long to import.
            raise typer.Exit(2)
        return name, load_verb(name), args[1:]


def load_verb(name: str) -> Any:
    """Return the command of a verb, from its module."""
    verb = VERBS[name]
    command = typer.main.get_command(importlib.import_module(verb.module).app)
    command.epilog = f"Example: themis {verb.example}"
    return command


app = typer.Typer(
    cls=_Verbs,
    name="themis",
    help="Reproducible LLM evaluation: nothing is computed twice.",
    epilog="Begin with `themis demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"themis-flows {metadata.version('themis-flows')}")
        raise typer.Exit


@app.callback()
def themis(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Reproducible LLM evaluation: nothing is computed twice."""


def main() -> None:
    """Run the command that was typed, and end the process."""
    if sys.argv[1:2] == ["run"]:
        from flows.run import run_quickly

        run_quickly(app)
    app(prog_name="themis")


if __name__ == "__main__":
    main()
