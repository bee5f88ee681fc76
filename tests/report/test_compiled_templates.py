"""Compiled templates are kept beside compiled modules, and are never stale."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest

from themis_lib.report import compiled_templates
from themis_lib.report.compiled_templates import CompiledTemplates


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package whose modules are compiled, and that has a template."""
    (tmp_path / "__pycache__").mkdir()
    monkeypatch.setattr(compiled_templates, "__file__", str(tmp_path / "module.py"))
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    (tmp_path / "environment.py").touch()
    (tmp_path / "page.jinja").write_text("{{ 1 + 1 }}")
    return tmp_path


def rendered(package: Path, **options: Any) -> str:
    """The page in an environment with these options, which `environment.py` is to make."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(package),
        bytecode_cache=CompiledTemplates(str(package / "environment.py")),
        **options,
    )
    return environment.get_template("page.jinja").render(text="<b>")


def kept(package: Path) -> list[Path]:
    return list((package / "__pycache__").iterdir())


def test_a_template_is_compiled_once(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next process finds it."""
    rendered(package)
    monkeypatch.setattr(jinja2.Environment, "_compile", None)

    assert "2" == rendered(package)
    assert 1 == len(kept(package))


def test_a_template_that_changed_is_compiled_again(package: Path) -> None:
    rendered(package)
    (package / "page.jinja").write_text("{{ 2 + 2 }}")

    assert "4" == rendered(package)


def test_templates_of_an_environment_that_changed_are_compiled_again(
    package: Path,
) -> None:
    """A later version may escape what an earlier one did not."""
    (package / "page.jinja").write_text("{{ text }}")
    before = rendered(package, autoescape=False)
    (package / "environment.py").write_text("# it escapes now")

    assert "<b>" == before
    assert "&lt;b&gt;" == rendered(package, autoescape=True)


@pytest.mark.parametrize("bytes_left", [0, 1, 20, 60, 100])
def test_a_file_cut_short_is_as_none(package: Path, bytes_left: int) -> None:
    rendered(package)
    (file,) = kept(package)
    file.write_bytes(file.read_bytes()[:bytes_left])

    assert "2" == rendered(package)


def test_a_damaged_beginning_is_as_none(package: Path) -> None:
    """Whichever byte of it is another."""
    rendered(package)
    (file,) = kept(package)
    whole = file.read_bytes()
    for at in range(60):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        file.write_bytes(damaged)

        assert "2" == rendered(package)


def test_a_folder_that_is_not_there_is_not_made(package: Path) -> None:
    """Nothing is kept, and nothing is missing."""
    (package / "__pycache__").rmdir()

    assert "2" == rendered(package)
    assert not (package / "__pycache__").exists()


def test_nothing_is_kept_where_python_keeps_nothing(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `PYTHONDONTWRITEBYTECODE` asks for."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    assert "2" == rendered(package)
    assert [] == kept(package)
