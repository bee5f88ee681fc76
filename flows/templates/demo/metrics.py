"""Metrics of your own: plain functions from a value and the expected output to a score.

The code is part of what identifies a score: edit a function, and its scores are computed
again, and nothing else is.
"""


def finds_billing(value: object, expected_output: object) -> bool:
    """Return whether a ticket of the billing department got there; others pass."""
    return expected_output != "billing" or value == "billing"
