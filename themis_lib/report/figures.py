"""Numbers as tables show them: fixed decimals, and an em dash for none."""

from __future__ import annotations


def interval_text(
    low: float | None,
    high: float | None,
    digits: int = 4,
) -> str:
    """Return the ends of an interval with so many decimals, or an em dash for `None`."""
    if low is None or high is None:
        return "—"
    return f"{low:.{digits}f} – {high:.{digits}f}"


def fixed(
    value: float | None,
    digits: int = 4,
) -> str:
    """Return a number with so many decimals, or an em dash for `None`."""
    return "—" if value is None else f"{value:.{digits}f}"
