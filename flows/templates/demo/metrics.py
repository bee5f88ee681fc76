"""Metrics of your own: plain functions from a value and the expected output to a score.

The code is part of what identifies a score: edit a function, and its scores are computed
again, and nothing else is.
"""

DEPARTMENTS = ("billing", "account", "shipping")


def is_department(value: object, expected_output: object) -> bool:
    """Return whether the answer is one of the departments, be it the right one or not."""
    return value in DEPARTMENTS
