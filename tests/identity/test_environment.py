"""Environment variables that code reads, however it names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from themis_lib.identity.code import code_identity_of

IMPORTS = """
import os
from os import environ, getenv
HELD = os.environ
KEY = "ONE"
def read(name): return os.environ.get(name)
class Settings:
    name = "ONE"
    def value(self): return os.environ[self.name]
"""


def metric(expression: str, path: Path | None = None) -> Any:
    """A function that returns an expression, in a file or typed in."""
    names: dict[str, Any] = {"__name__": "typed_in"}
    source = f"{IMPORTS}\ndef metric():\n    {expression}\n"
    if path is not None:
        path.write_text(source)
    exec(compile(source, str(path or "<typed>"), "exec", dont_inherit=True), names)
    return names["metric"]


@pytest.mark.parametrize(
    "expression",
    [
        "return os.environ['ONE']",
        "return os.environ.get('ONE', 'x')",
        "return os.getenv('ONE')",
        "return getenv('ONE', KEY)",
        "return environ.pop('ONE')",
        "return os.environb[b'ONE']",
        "return 'ONE' in os.environ",
        "return HELD['ONE']",
        "return os.environ[KEY]",
        "return getenv(KEY)",
        "return read('ONE')",
        "return Settings().value()",
        "return dict(os.environ)['ONE']",
        "return os.path.expandvars('${ONE}/x')",
        "return f'{os.environ[KEY]}'",
        "from os import environ as held; return held['ONE']",
        "import os as system; return system.environ.get('ONE')",
    ],
)
def test_variable_is_found(expression: str, tmp_path: Path) -> None:
    """Named where it is read, or anywhere in the code that is reached."""
    in_file, typed = metric(expression, tmp_path / "code.py"), metric(expression)

    assert "ONE" in code_identity_of(in_file).variables
    assert "ONE" in code_identity_of(typed).variables


@pytest.mark.parametrize(
    "expression",
    [
        "return 'ONE'",
        "return '${ONE}'",
        "os.environ['ONE'] = '1'",
        "return os.environ['TWO'] + 'ONE'",
    ],
)
def test_other_texts_are_no_variables(expression: str, tmp_path: Path) -> None:
    """A text is none where nothing reads a variable whose name is not shown."""
    read = code_identity_of(metric(expression, tmp_path / "code.py")).variables

    assert "ONE" not in read


def test_environment_itself_is_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """Code that holds the environment does not depend on all of it."""
    held = metric("return HELD['TWO']")
    before = code_identity_of(held)
    monkeypatch.setenv("THEMIS_TEST_UNREAD", "1")

    assert {} == before.opaque
    assert before.digest == code_identity_of(held).digest
