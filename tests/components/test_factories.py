"""What an experiment names is called only if a component comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar
from unittest.mock import Mock

import pytest

from tests.support import counting
from themis_lib import ComponentError
from themis_lib.components.build import build
from themis_lib.core.protocols import MetricSpec

if TYPE_CHECKING:
    from themis_lib.core.protocols import BatchMetric

HERE = __name__
CALLS: list[str] = []
T = TypeVar("T")


class Metric(counting.Metric):
    """A metric as users write one."""


class NamesItself:
    """A metric whose id comes with the object."""

    version = "1"

    def __init__(self, name: str = "named") -> None:
        self.component_id = name

    def fingerprint(self) -> str:
        return ""

    def score(self, *args: Any) -> None: ...


class Batches(NamesItself):
    def score_batch(self, *args: Any) -> Any: ...


class OfOneType(Metric, Generic[T]): ...


class Acts:
    """A class that does something when it is called."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        CALLS.append("class")


class ActsAndScores(Acts):
    """Half a metric: it has no fingerprint."""

    component_id, version = "tests/half", "1"

    def score(self, *args: Any) -> None: ...


class ActsAndGenerates(Acts):
    """A component of another kind."""

    component_id, version = "tests/generator", "1"

    def fingerprint(self) -> str:
        return ""

    def generate(self, *args: Any) -> None: ...


def of_class() -> Metric:
    return Metric()


def of_protocol() -> BatchMetric:
    return Batches()


def of_union(strict: bool = False) -> Metric | None:
    return None if strict else Metric()


def of_specification() -> MetricSpec:
    return Metric()


def of_one_type() -> OfOneType[int]:
    return OfOneType()


def of_marked_class() -> Annotated[Metric, "mine"]:
    return Metric()


def unannotated() -> Any:
    CALLS.append("function")
    return Metric()


def of_nothing(*args: Any, **kwargs: Any) -> None:
    CALLS.append("function")


def of_class_of_metrics() -> type[Metric]:
    CALLS.append("function")
    return Metric


def of_unknown() -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
    CALLS.append("function")
    return Metric()


async def later() -> Metric:
    CALLS.append("function")
    return Metric()


def act(*args: Any, **kwargs: Any) -> None:
    CALLS.append("function")


@dataclass(frozen=True)
class Callable:
    """An object that can be called."""

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        CALLS.append("object")


shorthand = lambda *args, **kwargs: CALLS.append("lambda")
OBJECT = Callable()
TABLE = {"a": shorthand}
MOCK = Mock()
bound = OBJECT.__call__


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def refused(spec: str | Mapping[str, Any], kind: Any = "metric") -> str:
    with pytest.raises(ComponentError) as refusal:
        build(kind, spec, where="here")
    return str(refusal.value)


@pytest.mark.parametrize(
    "name",
    [
        "Metric",
        "NamesItself",
        "of_class",
        "of_protocol",
        "of_union",
        "of_specification",
        "of_one_type",
        "of_marked_class",
    ],
)
def test_what_says_that_it_makes_a_component_is_called(name: str) -> None:
    """A class with the methods of its kind, and a function annotated to return one."""
    built = build("metric", f"{HERE}:{name}", where="here")

    assert hasattr(built.component, "score")


@pytest.mark.parametrize(
    "name",
    [
        "Acts",
        "ActsAndScores",
        "ActsAndGenerates",
        "unannotated",
        "of_nothing",
        "of_class_of_metrics",
        "of_unknown",
        "later",
        "act",
        "shorthand",
        "OBJECT",
        "TABLE",
        "MOCK",
        "bound",
    ],
)
@pytest.mark.parametrize("parameters", [{}, {"args": "x"}])
def test_nothing_else_is_called(name: str, parameters: dict[str, Any]) -> None:
    """Whatever the parameters are, and whether it could be called with them or not."""
    said = refused({"use": f"{HERE}:{name}", **parameters})

    assert [] == CALLS
    assert said.startswith("here: ")
    MOCK.assert_not_called()


@pytest.mark.parametrize("kind", ["generator", "parser", "metric", "reducer"])
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("subprocess:Popen", "is a class without `fingerprint()` and `{}()`"),
        ("pathlib:Path", "is a class without `fingerprint()` and `{}()`"),
        ("os:system", "is a function, and does not say that it returns a {kind}"),
        ("builtins:exec", "is a function, and does not say that it returns a {kind}"),
        ("shutil:rmtree", "is a function, and does not say that it returns a {kind}"),
        ("os:environ", "is an object of _Environ"),
        ("os:path", "is an object of module"),
    ],
)
def test_what_was_found_is_named_and_what_is_right(
    kind: str, name: str, found: str
) -> None:
    """Code of the standard library is none of a user's components."""
    method = {
        "generator": "generate",
        "parser": "parse",
        "metric": "score",
        "reducer": "reduce",
    }[kind]

    said = refused(name, kind)

    assert said.startswith(f"here: {name!r} {found.format(method, kind=kind)}; ")
    assert "Name a class with `component_id`, `version`, `fingerprint()` and " in said
    assert f"`{method}()`" in said
    assert f"`-> My{kind.capitalize()}`" in said


def test_program_is_not_run_by_a_generator_that_names_it(tmp_path: Path) -> None:
    """As a form could ask for it."""
    trace = tmp_path / "ran"
    command = ["touch", str(trace)]

    refused({"use": "subprocess:Popen", "args": command}, "generator")
    refused({"use": "subprocess:run", "args": command}, "generator")
    refused({"use": "os:system", "command": f"touch {trace}"}, "generator")

    assert not trace.exists()


def test_component_of_another_kind_says_what_it_lacks() -> None:
    """A generator is no metric."""
    assert "is a class without `score()`;" in refused(f"{HERE}:ActsAndGenerates")
