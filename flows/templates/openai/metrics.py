"""Metrics of your own: plain functions from a value and the expected output to a score.

The code is part of what identifies a score: edit a function, and its scores are computed
again; no model is asked again.
"""


def is_brief(value: object, expected_output: object) -> bool:
    """Return whether the answer is at most three words, be it right or not."""
    return len(str(value).split()) <= 3
