"""LaTeX around numbers."""

from __future__ import annotations

import pytest

from themis_lib.builtins.latex import plain_latex


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\text{-}5 \mathrm{-}5 {-}5 -{5} \(-\)5", "-5 -5 -5 -5 -5"),
        (r"9{,}500 9\,500 9\;500 9~500", "9,500 9\u2009500 9\u2009500 9\u2009500"),
        (r"5\,\text{cm} 5~\text{cm} 5\ cm", "5 cm 5 cm 5 cm"),
        (r"5\text{m} 5\text{ million}", "5 unit 5 million"),
        (r"\textbf{\text{5}} \boxed{5}", r"5 \boxed{5}"),
        (r"45^\circ 45^{\circ} 45\degree", "45° 45° 45°"),
        (r"\frac{1}{2} \frac12 3\tfrac{1}{2} \frac{-1}{2}", "1/2 1/2 3 1/2 -1/2"),
        (r"is \frac{1}{2}", "is 1/2"),
        (r"\frac{x}{2} 2\frac{-1}{2}", r"\frac{x}{2} 2\frac{-1}{2}"),
        (r"{1 \over 2}", "1/2"),
        (r"\left( 2 \times 3 \right) \le \pi", "( 2 × 3 ) ≤ π"),
        (r"4\sqrt{2} \$5 5\%", "4√2 $5 5%"),
        (r"2^{10} x_{1} \{1\}", r"2^{10} x_{1} \{1\}"),
    ],
)
def test_commands_become_what_they_show(text, expected):
    """What has no plain form stays a command."""
    assert expected == plain_latex(text)
