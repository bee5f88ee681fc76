"""Texts and JSON values for properties that hold for all of them."""

from __future__ import annotations

from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda items: (
        st.lists(items, max_size=4)
        | st.dictionaries(TEXTS | st.just("answer"), items, max_size=4)
    ),
    max_leaves=12,
)


#: What parsers look for, in any order: likelier to find a fault than random text.
PIECES = st.lists(
    st.sampled_from(
        [
            "answer",
            "Answer:",
            "answer is",
            "A:",
            "####",
            "\\boxed",
            "\\fbox",
            "\\frac",
            "{",
            "}",
            "(",
            ")",
            "[",
            "]",
            "1",
            "0",
            "23",
            "1,000",
            ".",
            ",",
            "/",
            "^",
            "e",
            "-",
            "−",
            "–",
            "%",
            "$",
            "½",
            "×",
            "10^",
            "=",
            "*",
            "**",
            "A",
            "B",
            "b",
            "I",
            " is correct",
            " or ",
            " and ",
            "so ",
            "not ",
            "\n",
            " ",
            '"',
            "'",
            "\\",
            "```json\n",
            "```",
            '{"answer": ',
            "null",
            "NaN",
            "1e999",
            "_",
            "x",
            "²",
            "٣",
            "１",
            "是",
        ]
    ),
    max_size=12,
).map("".join)
