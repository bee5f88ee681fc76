"""Metrics of your own: plain functions from a value and the expected output to a score.

This one needs no judge: set beside the judge, it shows what asking one is worth.
"""


def shared_words(value: object, expected_output: object) -> float:
    """Return the share of the expected output's words that the answer has, 0 to 1."""
    expected = set(str(expected_output).lower().split())
    found = expected & set(str(value).lower().split())
    return len(found) / len(expected)
