"""What a component must be, checked on the library's own and on a user's."""

from __future__ import annotations

import pytest

from tests.support.counting import Generator, Metric, Parser
from themis_lib.builtins.generators import DemoGenerator
from themis_lib.builtins.metrics import ExactMatch
from themis_lib.builtins.parsers import Text
from themis_lib.builtins.reducers import First
from themis_lib.core import protocols


@pytest.mark.parametrize(
    ("component", "kind"),
    [
        (DemoGenerator(), protocols.Generator),
        (Generator(), protocols.Generator),
        (Text(), protocols.Parser),
        (Parser(), protocols.Parser),
        (ExactMatch(), protocols.Metric),
        (Metric(), protocols.Metric),
        (First(), protocols.Reducer),
    ],
)
def test_plain_objects_are_components(component: object, kind: type) -> None:
    """No base class is needed: the methods make a component."""
    assert isinstance(component, kind)


def test_kinds_are_told_apart_by_their_methods() -> None:
    """A parser is no generator."""
    assert not isinstance(Text(), protocols.Generator)
    assert not isinstance(DemoGenerator(), protocols.Reducer)


def test_case_columns_are_those_of_the_case() -> None:
    """The columns of outputs and answers, and the sample index, are not the case's."""
    reads = ("value", "input", "output", "case_id", "sample_index", "metadata")

    assert ("input", "case_id", "metadata") == protocols.case_columns(reads)
