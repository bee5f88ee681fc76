"""Metrics of your own: plain functions from a value and the expected output to a score.

The code is part of what identifies a score: edit a function, and its scores are computed
again, and nothing else is.
"""


def is_near(value: object, expected_output: object, *, within: float = 10) -> bool:
    """Return whether a number is the expected one or close to it."""
    return abs(float(str(value)) - float(str(expected_output))) <= within
