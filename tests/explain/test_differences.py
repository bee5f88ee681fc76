"""Differences between identities: which settings, by which path, and how they read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.json_values import JSON
from themis_lib.explain.differences import differences, stage_differences


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"model": "a"}, {"model": "b"}, ['model: "a" → "b"']),
        (
            {"generator": {"sampling": {"top_p": 0.5}}},
            {"generator": {"sampling": {"top_p": 1.0}}},
            ["generator.sampling.top_p: 0.5 → 1.0"],
        ),
        ({"seeds": [1, 2]}, {"seeds": [1, 3]}, ["seeds[1]: 2 → 3"]),
        ({"seeds": [1, 2]}, {"seeds": [1]}, ["seeds: [1,2] → [1]"]),
        ({}, {"tools": ["search"]}, ['tools: null → ["search"]']),
        ({"b": 1, "a": 1}, {"b": 2, "a": 2}, ["a: 1 → 2", "b: 1 → 2"]),
        ({"a": {"b": 1}}, {"a": 1}, ['a: {"b":1} → 1']),
    ],
)
def test_each_setting_that_differs_is_a_line(
    before: Any,
    after: Any,
    expected: list[str],
) -> None:
    """A line has the path of a setting and its values, lines are sorted by path."""
    assert expected == differences(before, after)


def test_lines_begin_with_the_path_that_is_given() -> None:
    """A value that is part of a larger whole is named by its place there."""
    assert ["seeds[0]: 1 → 2"] == differences([1], [2], "seeds")
    assert ["spec.prefix: null → 1"] == differences({}, {"prefix": 1}, "spec")


def test_long_values_are_cut() -> None:
    """A line shows 60 characters of a value, an ellipsis among them, and whole ones."""
    whole, long = "x" * 58, "y" * 59

    assert [f'prompt: "{whole}" → "{"y" * 58}…'] == differences(
        {"prompt": whole}, {"prompt": long}
    )


def test_long_values_are_shown_where_they_differ() -> None:
    """Two long texts with the same beginning are shown from shortly before its end."""
    shared = "x" * 100

    assert [f'prompt: …{"x" * 20}a" → …{"x" * 20}b"'] == differences(
        {"prompt": f"{shared}a"}, {"prompt": f"{shared}b"}
    )


@given(JSON)
def test_equal_values_have_no_differences(value: Any) -> None:
    """Whatever the value, it does not differ from itself."""
    assert [] == differences({"value": value}, {"value": value})


@given(st.dictionaries(st.text("abc"), JSON), st.text("abc"))
def test_one_changed_setting_is_one_line(
    settings: dict[str, Any],
    name: str,
) -> None:
    """Among any settings, only the one that is set to a text it had not is named."""
    changed = {**settings, name: "a text that no example holds"}

    lines = differences(settings, changed)

    assert [f"{name}: "] == [line[: len(name) + 2] for line in lines]


CODE = {"metric": {"definitions": {"m.f": "1", "m.g": "1"}, "libraries": {"a": "1.0"}}}


def test_code_is_named_as_it_is_written() -> None:
    """Definitions have their place, libraries both versions, and what comes or goes is
    said.
    """
    after = {
        "metric": {"definitions": {"m.f": "2", "m.h": "1"}, "libraries": {"a": "2"}}
    }

    assert [
        "`m.f` in m.py:3 changed",
        "`m.g` is no longer reached",
        "`m.h` is new",
        "library a: 1.0 → 2",
    ] == differences(CODE, after, places={"m.f": "m.py:3"})


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"a": "1", "b": "1"}, {"a": "1", "b": "2"}, ["`b` changed"]),
        ({"a": "1"}, {"a": "2", "b": "1"}, ["`a` changed"]),
        ({"a": "1"}, {"a": "1", "b": "1"}, ["`b` is new"]),
        ({"a": "1", "b": "1"}, {"a": "1"}, []),
    ],
)
def test_dependency_that_changed_is_named_alone(
    before: dict[str, str], after: dict[str, str], expected: list[str]
) -> None:
    """A file that was read before and is the same is no cause."""
    own = [CODE, {**CODE, "depends_on": after}]

    assert expected == stage_differences(*own, dependencies=(before, after))


def test_dependencies_of_other_code_are_not_compared() -> None:
    """Their digests differ with the code, whatever the files hold."""
    other = {"metric": {**CODE["metric"], "libraries": {"a": "2"}}}

    lines = stage_differences(CODE, other, dependencies=({"f": "1"}, {"f": "2"}))

    assert ["library a: 1.0 → 2"] == lines
