r"""The LaTeX in the boxes of a text."""

from __future__ import annotations

import pytest

from themis_lib.builtins.boxed import last_box, trimmed_math


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{5}", "5"),
        (r"\boxed{1} then \fbox{2}", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed 7", "7"),
        (r"\boxed{5} and \boxed{unclosed", "5"),
        ("no box", None),
        (r"\boxed{", None),
    ],
)
def test_last_box_whose_braces_match(text: str, expected: str | None) -> None:
    """Nested and escaped braces are content; a box cut off is none."""
    assert expected == last_box(text)


@pytest.mark.parametrize(
    ("latex", "expected"),
    [
        (" $5.$ ", "5"),
        ("$5.$ .", "5"),
        ("$", "$"),
        ("$x$ and $y$", "x$ and $y"),
        (r"\$5", r"\$5"),
        (".", ""),
    ],
)
def test_math_is_trimmed_until_nothing_more_comes_off(
    latex: str,
    expected: str,
) -> None:
    """Space, a pair of dollar signs around all of it, and final periods."""
    assert expected == trimmed_math(latex)


def test_inner_box_begins_last() -> None:
    """Of nested boxes the inner one counts, though the outer one ends last."""
    assert "5" == last_box(r"\boxed{x = \boxed{5}}")
