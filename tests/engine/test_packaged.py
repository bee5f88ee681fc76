"""Model files inside packages are found without importing the package."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.model_files import gguf_file
from themis_lib import ModelError
from themis_lib.engine.models import MODELS
from themis_lib.engine.packaged import PackagedModel, packaged_file

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
MODEL = PackagedModel("carried_model", "model.gguf", extra="carried")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package without the file, which cannot be imported."""
    folder = tmp_path / "carried_model"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise ImportError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def test_a_file_is_found_and_its_package_not_imported(package: Path) -> None:
    """A package may depend on others that fail, or take long to import."""
    (package / "model.gguf").write_bytes(gguf_file())

    assert package / "model.gguf" == packaged_file(MODEL)
    assert "carried_model" not in sys.modules


def test_a_package_without_the_file_is_refused(package: Path) -> None:
    """Another version may have another file: the error says to install it again."""
    with pytest.raises(ModelError, match=r"'model\.gguf'.*themis-flows\[carried\]"):
        packaged_file(MODEL)


def test_a_missing_package_is_an_error_that_names_the_extra() -> None:
    with pytest.raises(
        ModelError, match=r"carried_model/model\.gguf is not installed.*\[carried\]"
    ):
        packaged_file(MODEL)


def test_smollm2_is_in_the_package_that_its_extra_installs() -> None:
    """The name in the registry and the extra of the project belong together."""
    model = MODELS["smollm2"]
    assert isinstance(model, PackagedModel)
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"]
    added = set(extras[model.extra]) - set(extras["local"])
    assert set(extras["local"]) < set(extras[model.extra])
    assert [model.package.replace("_", "-")] == [one.split(">=")[0] for one in added]
