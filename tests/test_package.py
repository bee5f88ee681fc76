"""The wheel and the sdist: what they hold, and what an index makes of them."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"deployments", "flows", "tasks", "themis_lib"}

pytestmark = pytest.mark.slow


def build(source: Path, folder: Path, kind: str) -> Path:
    """The wheel or sdist that hatchling makes of a source tree, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    suffix = {"wheel": "*.whl", "sdist": "*.tar.gz"}[kind]
    (built,) = folder.glob(suffix)
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "wheel")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


def tracked(*folders: str) -> set[str]:
    """The files under version control in these folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", *folders],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return set(listed.split("\0")) - {""}


def wheel_files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def sdist_files(sdist: Path) -> set[str]:
    with tarfile.open(sdist) as archive:
        files = [member.name for member in archive.getmembers() if member.isfile()]
    return {name.partition("/")[2] for name in files}


def test_wheel_has_the_packages_and_nothing_beside(wheel: Path) -> None:
    """Every file of the four packages, data files and templates included, and Prefect's
    settings; no tests, benchmarks or tools.
    """
    files = wheel_files(wheel)

    assert set() == tracked(*PACKAGES) - files
    assert PACKAGES == {name.partition("/")[0] for name in files if "/" in name}
    assert {"flows/prefect.toml", "themis_lib/py.typed", "flows/py.typed"} <= files


def test_sdist_has_what_the_tests_need(sdist: Path) -> None:
    """Everything under version control, and the metadata."""
    assert tracked() | {"PKG-INFO"} == sdist_files(sdist)


def test_sdist_makes_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    """A wheel made of the sdist has the files of one made of the checkout."""
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()
    (tmp_path / "built").mkdir()

    again = build(source, tmp_path / "built", "wheel")

    assert wheel_files(wheel) == wheel_files(again)


def test_an_index_takes_both(wheel: Path, sdist: Path) -> None:
    """The metadata are valid and the README renders: `twine check --strict`."""
    command = [sys.executable, "-m", "twine", "check", "--strict", wheel, sdist]

    done = subprocess.run(command, capture_output=True, text=True)

    assert 0 == done.returncode, done.stdout


#: Without a wheel for each version of Python and platform, or only for what few need.
NOT_IN_THE_CORE = {"llama-cpp-python", "pandas", "statsmodels", "torch"}


def test_core_needs_no_compiler(wheel: Path) -> None:
    """What has to be compiled, and what weighs much and few need, is in an extra."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(archive.read(name))
    required = {
        requirement.partition(";")[0]
        for requirement in metadata.get_all("Requires-Dist", [])
        if "extra ==" not in requirement
    }

    assert set() == {
        name for name in NOT_IN_THE_CORE for line in required if line.startswith(name)
    }


def test_installed_wheel_evaluates_away_from_the_checkout(
    wheel: Path, tmp_path: Path
) -> None:
    """The wheel alone, in an environment that finds only the dependencies here, runs an
    experiment.
    """
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
    )
    # Appended, so that a package of this name that is installed here comes second.
    program = (
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        "import themis_lib\n"
        "data = [{'input': 'a', 'expected_output': 'A'}]\n"
        "run = themis_lib.evaluate(model=str.upper, data=data)\n"
        "print(themis_lib.__file__, run.summary[0].mean)"
    )

    done = subprocess.run(
        [python, "-P", "-c", program],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    assert 0 == done.returncode, done.stderr
    file, mean = done.stdout.split()
    assert Path(file).is_relative_to(environment)
    assert "1.0" == mean
