"""The command `themis`: its verbs, its help, and the commands that it tells to type."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from flows import typed
from flows.cli import VERBS, app, load_verb


def themis(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), prog_name="themis")
    return f"{result.exit_code}\n{result.output}"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_a_program(verb: str) -> None:
    """It has a command, help with an example, and the name of the same program."""
    shown = themis(verb, "--help")

    assert shown.startswith("0\n")
    assert f"Usage: themis {verb} " in shown
    assert f"Example: themis {verb}" in shown
    assert isinstance(importlib.import_module(VERBS[verb].module).app, typer.Typer)


@pytest.mark.parametrize("verb", VERBS)
def test_examples_fit_a_line(verb: str) -> None:
    """A folded command could not be copied."""
    assert len(f" Example: themis {VERBS[verb].example}") < 80


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_lists_the_verbs(arguments: list[str]) -> None:
    """Also where nothing was typed; each with what it does."""
    shown = themis(*arguments)

    for verb, program in VERBS.items():
        assert verb in shown
        assert program.help.split()[0] in shown


def test_help_imports_none_of_the_programs() -> None:
    """Nor what takes long: it is there at once."""
    script = (
        "import sys; from flows.cli import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print('loaded:', sorted({'prefect', 'pyarrow', 'numpy', 'scipy', 'pydantic', "
        "'themis_lib', 'flows.run'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert "loaded: []" == done.stdout.splitlines()[-1]


def test_version_is_that_of_the_distribution() -> None:
    assert themis("--version").startswith("0\nthemis-flows 0.")


@pytest.mark.parametrize(
    ("verb", "hint"), [("runn", "did you mean 'run'?"), ("bake", "themis --help")]
)
def test_unknown_verb_is_one_error(verb: str, hint: str) -> None:
    """With the nearest one, and exit code 2."""
    shown = themis(verb)

    assert shown.startswith(f"2\nerror: there is no verb {verb!r}; ")
    assert hint in shown
    assert 2 == len(shown.splitlines())


def test_nothing_is_completed_behind_an_unknown_verb() -> None:
    """The shell shows no error in the middle of a line."""
    environment = {
        "_THEMIS_COMPLETE": "complete_bash",
        "COMP_WORDS": "themis runn --",
        "COMP_CWORD": "2",
    }
    result = CliRunner().invoke(app, [], prog_name="themis", env=environment)

    assert "error" not in result.output


def test_options_of_a_verb_are_completed() -> None:
    """The shell is told what the verb takes."""
    names = {option for item in load_verb("runs").params for option in item.opts}

    assert {"--metric", "--store"} <= names


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        ("/usr/bin/themis", "themis report last"),
        ("/lib/site-packages/flows/run.py", "python -m flows.report last"),
        ("/lib/site-packages/deployments/serve.py", "python -m flows.report last"),
        ("/lib/site-packages/flows/__main__.py", "themis report last"),
        ("/usr/bin/prefect", "themis report last"),
        ("/home/ada/flows/notebook", "themis report last"),
    ],
)
def test_commands_to_type_have_the_form_that_was_used(
    started: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That of the programs where one of them was started, else the command's."""
    monkeypatch.setattr(sys, "argv", [started, "x"])

    assert expected == typed.command("report", "last")


def test_what_was_typed_is_what_is_behind_the_verb(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In either form, and quoted for a shell."""
    monkeypatch.setattr(sys, "argv", ["/bin/themis", "run", "my file.yaml", "--plan"])
    short = typed.command("run", *typed.typed_arguments(without=["--plan"]))
    monkeypatch.setattr(sys, "argv", [str(Path("flows/run.py")), "a.yaml"])
    long = typed.command("run", *typed.typed_arguments())

    assert ("themis run 'my file.yaml'", "python -m flows.run a.yaml") == (short, long)
    assert "python -m deployments.serve" == typed.command("serve")
