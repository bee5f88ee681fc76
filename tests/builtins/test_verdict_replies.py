"""What a judge's reply holds: objects, or words behind a label."""

from __future__ import annotations

import pytest

from themis_lib.builtins.verdict_replies import reply_objects, reply_words


@pytest.mark.parametrize(
    ("reply", "objects"),
    [
        ('{"a": 1}', [{"a": 1}]),
        ('So: {"a": 1}', [{"a": 1}]),
        ('{"a": 1} for that reason', [{"a": 1}]),
        ('```\n{"a": 1}\n```\n```\n{"a": 2}\n```', [{"a": 1}, {"a": 2}]),
        ('He says {"a": 1} there', []),
        ('{"a": 1, "a": 2}', []),
        ("{'a': 1, 'a': 2}", []),
        ("{'a': [1]}", []),
        ("{{a}}", []),
        ("{[a]: b}", []),
        ('```json\n{"a": "```x```"}\n```', [{"a": "```x```"}]),
        ('```{"a": 1} ``` ```{"a": 2}', [{"a": 1}]),
        ('{"a": "one\ntwo"}', [{"a": "one\ntwo"}]),
        ("no object", []),
    ],
)
def test_objects_of_a_reply(reply, objects):
    """Those that are the reply, or are fenced, or that it begins or ends with."""
    assert objects == reply_objects(reply)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ("yes", ["yes"]),
        ("**4/5**.", ["4/5"]),
        ("Score: 4 out of 5", ["4 out of 5"]),
        ("It is so.\nRating = 3\nGrade: 4", ["3", "4"]),
        ("Verdict: it depends on much", []),
        ("<think>Verdict: yes", []),
        ("It says: Verdict: yes", []),
    ],
)
def test_words_of_a_reply(reply, words):
    """A line that has a label, or a reply of one word."""
    assert words == reply_words(reply)
