"""Finding, building and checking components: every mistake is one line that names the
place and a way out.
"""

from __future__ import annotations

import inspect
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from themis_lib import (
    Case,
    ComponentError,
    ConfigError,
    GenerationResult,
    ParsedOutput,
    Score,
)
from themis_lib.builtins.metrics import ExactMatch
from themis_lib.components.build import (
    build,
    component_identity,
    component_name,
    reads_of,
)

WHERE = "evaluation.metrics[0]"


@dataclass(frozen=True)
class Metric:
    """A metric as a user writes one."""

    scale: float = 1.0
    api_key: str = ""

    component_id = "tests/metric"
    version = "3"

    def fingerprint(self) -> str:
        return f"scale={self.scale}"

    def score(self, parsed: ParsedOutput, case: Case, ctx: Any) -> Score:
        return Score(value=self.scale)


class ReadingMetric(Metric):
    reads = ("value", "metadata")


class NeedsModel(Metric):
    def __init__(self, model: str) -> None:
        if not model.startswith("m"):
            raise ValueError(f"no model {model!r}")

    @classmethod
    def named(cls, **settings: Any) -> Metric:
        return Metric(scale=len(settings))


def make_metric(scale: float) -> Metric:
    return Metric(scale=scale)


class Generator:
    component_id = "tests/generator"
    version = "1"

    def fingerprint(self) -> str:
        return ""

    def generate_batch(self, cases: Any, contexts: Any) -> list[GenerationResult]:
        return []


class Unversioned(Metric):
    version = 3  # type: ignore[assignment]


class WithoutFingerprint:
    component_id = "tests/without"
    version = "1"

    def score(self, *args: Any) -> None: ...


class WithoutScore(Generator):
    component_id = "tests/without"


class Checked(Metric):
    def check(self) -> None:
        raise ComponentError("the model is not there")


INSTANCE = Metric(scale=7.0)
HERE = __name__


def refused(
    spec: Any, *, kind: str = "metric", error: type[Exception] = ComponentError
) -> str:
    """What the one line says after the place."""
    with pytest.raises(error) as failure:
        build(kind, spec, where=WHERE)
    place, _, text = str(failure.value).partition(": ")
    assert WHERE == place
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    "spec",
    [
        Metric(scale=2.0),
        {"use": f"{HERE}:Metric", "scale": 2.0},
        {"use": f"{HERE}:Metric", "scale": 2.0, "id": "doubled"},
        {"use": f"{HERE}:make_metric", "scale": 2.0},
    ],
)
def test_component_is_built_from_what_names_it(spec: Any) -> None:
    """An object, a class with parameters and a function with parameters are the same
    component.
    """
    assert Metric(scale=2.0) == build("metric", spec, where=WHERE).component


def test_name_alone_is_a_component() -> None:
    """A class is built without parameters, and an object of a module is taken as it
    is.
    """
    assert Metric() == build("metric", f"{HERE}:Metric", where=WHERE).component
    assert INSTANCE is build("metric", f"{HERE}:INSTANCE", where=WHERE).component


def test_built_in_is_named() -> None:
    """A built-in is found by its name."""
    assert (
        "builtin/exact_match"
        == build("metric", "builtin/exact_match", where=WHERE).component_id
    )


def test_batch_generator_is_a_generator() -> None:
    """A generator may offer `generate_batch` alone."""
    generator = Generator()

    built = build("generator", generator, where="generation.generator")

    assert generator is built.component
    assert built.generate is None
    assert built.generate_batch is not None


class BatchMetric:
    component_id = "tests/batch_metric"
    version = "1"

    def fingerprint(self) -> str:
        return ""

    def score_batch(self, parsed: Any, cases: Any, contexts: Any) -> list[Score]:
        return [Score(value=1.0) for _ in cases]


def test_batch_metric_is_a_metric() -> None:
    """A metric may offer `score_batch` alone."""
    built = build("metric", BatchMetric(), where=WHERE)

    assert built.score is None
    assert built.score_batch is not None


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            "builtin/exact_mach",
            "unknown metric 'builtin/exact_mach'; did you mean 'builtin/exact_match'? ",
        ),
        (
            "exact_match",
            "unknown metric 'exact_match'; did you mean 'builtin/exact_match'? ",
        ),
        (
            {"use": "builtin/exact_mach"},
            "unknown metric 'builtin/exact_mach'; did you mean 'builtin/exact_match'? ",
        ),
        (
            "no_module:Metric",
            "metric 'no_module:Metric' cannot be imported: No module named 'no_module'",
        ),
        (f"{HERE}:Metrik", f"module '{HERE}' has no 'Metrik'; did you mean 'Metric'?"),
        (":Metric", "metric ':Metric' names no component; write `module:attribute`"),
        ("json:", "metric 'json:' names no component; write `module:attribute`"),
        (
            ".module:Metric",
            "metric '.module:Metric' names no component; write `module:attribute`",
        ),
        (
            {"id": "first"},
            "a metric needs `use`, the name of a component; got {'id': 'first'}",
        ),
    ],
)
def test_unknown_names_are_refused(spec: Any, expected: str) -> None:
    """A name that leads nowhere is refused with the nearest that leads somewhere."""
    assert refused(spec).startswith(expected)


def test_module_that_does_not_parse_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module with a syntax error is named with its line."""
    name = f"broken_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text("x = 1\nclass\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    text = refused(f"{name}:Metric")

    assert text.startswith(f"metric '{name}:Metric' cannot be imported: invalid syntax")
    assert text.endswith(f"({name}.py, line 2)")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"use": f"{HERE}:Metric", "scal": 1},
            f"'{HERE}:Metric' has no parameter 'scal'; did you mean 'scale'?",
        ),
        (
            {"use": f"{HERE}:make_metric", "x": 1},
            f"'{HERE}:make_metric' has no parameter 'x'; choose one of 'scale'",
        ),
        (f"{HERE}:NeedsModel", f"'{HERE}:NeedsModel' needs the parameter 'model'"),
        (
            {"use": f"{HERE}:NeedsModel", "model": "x"},
            f"'{HERE}:NeedsModel' refuses its parameters: no model 'x'",
        ),
        (
            {"use": f"{HERE}:INSTANCE", "scale": 1},
            f"'{HERE}:INSTANCE' is an object and takes no parameters; got ['scale']",
        ),
    ],
)
def test_bad_parameters_are_refused(spec: Any, expected: str) -> None:
    """A parameter that is unknown, missing or refused is named with the component."""
    assert expected == refused(spec)


@pytest.mark.parametrize(
    ("component", "expected"),
    [
        (5, "metric 5 needs a text attribute `component_id`"),
        (Unversioned(), "needs a text attribute `version`"),
        (
            WithoutFingerprint(),
            "needs a method `fingerprint()` that returns its settings as text",
        ),
        (WithoutScore(), "needs a method `score`"),
        (Metric, "is a class; give an instance of it"),
        (Checked(), "the model is not there"),
    ],
)
def test_broken_protocol_is_refused(component: Any, expected: str) -> None:
    """What a component lacks is said before anything is generated."""
    assert refused(component).endswith(expected)


@pytest.mark.parametrize(
    ("reads", "expected"),
    [
        (("valu",), "reads an unknown column 'valu'; did you mean 'value'?"),
        (
            ("value", "latency_s"),
            (
                "reads an unknown column 'latency_s'; choose one of 'artifacts', "
                "'case_id', "
            ),
        ),
        ("value", "has reads='value'; write a tuple of columns, such as ('value',)"),
        (None, "has reads=None; write a tuple of columns, such as ('None',)"),
        ((5,), "reads an unknown column 5; choose one of 'artifacts', "),
    ],
)
def test_unknown_columns_are_refused(reads: Any, expected: str) -> None:
    """A component that reads what there is not is refused with the nearest column."""
    component = type("Reading", (Metric,), {"reads": reads})()

    assert expected in refused(component)


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("generator", "output"),
        ("generator", "value"),
        ("parser", "value"),
        ("reducer", "input"),
    ],
)
def test_stages_do_not_read_ahead(kind: str, column: str) -> None:
    """No component reads a column that a later stage writes, nor a reducer what stands
    behind a score.
    """
    methods = {"generate": None, "parse": None, "reduce": None}
    component = type(
        "Reading", (Metric,), {**dict.fromkeys(methods, print), "reads": (column,)}
    )()

    assert f"reads an unknown column {column!r}; " in refused(component, kind=kind)


def test_literal_secrets_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential stands in a specification as a reference, which is resolved when the
    component is built.
    """
    monkeypatch.setenv("THEMIS_TEST_KEY", "s3cr3t")

    with pytest.raises(ConfigError) as failure:
        build("metric", {"use": f"{HERE}:Metric", "api_key": "s3cr3t"}, where=WHERE)
    built = build(
        "metric",
        {"use": f"{HERE}:Metric", "api_key": "${THEMIS_TEST_KEY}"},
        where=WHERE,
    )

    assert "s3cr3t" not in str(failure.value)
    assert Metric(api_key="s3cr3t") == built.component


@pytest.mark.parametrize(
    ("spec", "component", "expected"),
    [
        ({"use": "x", "id": "mine"}, Metric(), "mine"),
        ({"use": "x"}, Metric(), "tests/metric"),
        ("builtin/f1", type("F1", (Metric,), {"component_id": "builtin/f1"})(), "f1"),
    ],
)
def test_component_has_a_name_in_tables(
    spec: Any, component: Any, expected: str
) -> None:
    """A component bears its `id`, else its component id, in tables."""
    assert expected == component_name(spec, component)


def test_reads_have_a_default_for_each_kind() -> None:
    """A component that declares nothing reads the whole case, and of the stage before
    what there is to read.
    """
    assert ("input", "expected_output", "metadata") == reads_of(
        "generator", Generator()
    )
    assert ("output",) == reads_of("parser", Generator())
    assert ("value", "format", "input", "expected_output", "metadata") == reads_of(
        "metric", Metric()
    )
    assert ("value", "metadata") == reads_of("metric", ReadingMetric())


def test_identity_of_a_user_s_component_holds_its_code() -> None:
    """A user's component is what it says of itself, what it reads, and its code."""
    identity = component_identity("metric", ReadingMetric())

    assert [
        "component_id",
        "version",
        "reads",
        "fingerprint",
        "definitions",
        "values",
        "libraries",
    ] == list(identity)
    assert ("tests/metric", "3", ["value", "metadata"]) == tuple(identity.values())[:3]
    assert "scale=1.0" == identity["fingerprint"]


def test_identity_tells_settings_and_code_apart() -> None:
    """Another setting, another class with the same settings, and other columns are
    other components.
    """
    identities = [
        component_identity("metric", component)
        for component in (
            Metric(),
            Metric(scale=2.0),
            type("Metric", (Metric,), {})(),
            ReadingMetric(),
        )
    ]

    assert 4 == len({repr(identity) for identity in identities})


def test_identity_leaves_credentials_out() -> None:
    """A credential is no identity: its name tells that it is one."""
    assert component_identity("metric", Metric()) == component_identity(
        "metric", Metric(api_key="s3cr3t")
    )


def test_identity_of_a_built_in_is_its_version_and_settings() -> None:
    """A built-in is not digested: its version says what it computes."""
    assert {
        "component_id": "builtin/exact_match",
        "version": ExactMatch.version,
        "reads": list(ExactMatch.reads),
        "settings": ExactMatch().settings(),
    } == component_identity("metric", ExactMatch())


def test_subclass_of_a_built_in_is_code_of_its_user() -> None:
    """Who extends a built-in writes code, on top of its version and settings."""

    class Lenient(ExactMatch):
        component_id = "tests/lenient"

    identity = component_identity("metric", Lenient())

    assert ExactMatch().settings() == identity["settings"]
    assert {f"{HERE}.{Lenient.__qualname__}"} == identity["definitions"].keys()


def test_module_of_the_working_directory_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module beside the experiment, in the working directory, needs no installing."""
    name = f"mine_{uuid.uuid4().hex}"
    (tmp_path / f"{name}.py").write_text(
        "from tests.components.test_build import Metric\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])

    built = build("metric", f"{name}:Metric", where=WHERE).component

    assert "Metric" == type(built).__name__
    assert inspect.getmodule(type(built)) is sys.modules[HERE]
