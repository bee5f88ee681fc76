"""Text for when no model can be loaded at all.

It answers nothing, but the same prompt and seed give the same text.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import warnings
from collections.abc import Iterator, Sequence

#: Words in a text, unless `max_new_tokens` ends it sooner.
MIN_WORDS = 40
MAX_WORDS = 120
#: Below `MAX_WORDS`, because the sentence that reaches the wanted length is finished.
_LONGEST_SENTENCE = 20
# Any edit of these lists, their order included, changes every fallback text.
_SUBJECTS = (
    "the river,the old clock,a careful reader,the northern road,the garden,"
    "a quiet engine,the harbour,the first letter,a small lamp,the mountain,"
    "the weaver,an honest answer,the long winter,the bridge,a young teacher,"
    "the orchard,the map,the evening train,a patient gardener,the library,"
    "the stone wall,a distant bell,the baker,the tide"
)
_VERBS = (
    "follows,remembers,carries,opens,answers,crosses,measures,keeps,brings,shelters,"
    "finds,describes,repeats,changes,gathers,reaches,welcomes,counts,leaves,mends,"
    "guides,holds,watches,explains"
)
_OBJECTS = (
    "the morning light,a simple question,every open window,the same path,"
    "a box of letters,the slow water,two ripe apples,the edge of the field,"
    "a story without an end,the sound of rain,its own shadow,the broken gate,"
    "a page of numbers,the warm kitchen,the next village,a promise,the open sea,"
    "a handful of seeds,the empty square,what was lost,the last step,a blue door,"
    "the winding stairs,the city below"
)
_ENDINGS = (
    "before the day begins,without a word,in the early spring,for a little while,"
    "as it did the year before,when nobody is looking,beside the water,"
    "with great care,until the snow melts,once more,after a long silence,"
    "far from home,and then rests,in the old way,under a clear sky,"
    "between two seasons"
)
_LINKS = "Later,Meanwhile,In the end,At times,Even so,Now and then,Afterwards,In turn"


def fallback_pieces(
    prompt: str,
    *,
    seed: int,
    max_new_tokens: int,
    choices: Sequence[str] | None = None,
) -> list[str]:
    """Return the pieces of a text that depends on nothing but the arguments.

    A piece is a word with the space before it; joined, the pieces are the text. There
    are at most `max_new_tokens`, and fewer are a prefix of more. With `choices`, the one
    piece is one of them.

    >>> "".join(fallback_pieces("Hello", seed=42, max_new_tokens=6))
    'The river keeps the city below'
    >>> fallback_pieces("Hello", seed=42, max_new_tokens=6, choices=["yes", "no"])
    ['no']
    """
    numbers = _draw_numbers(prompt, seed)
    if choices:
        return [choices[next(numbers) % len(choices)]]
    spread = MAX_WORDS - MIN_WORDS - _LONGEST_SENTENCE
    wanted = MIN_WORDS + next(numbers) % spread
    words: list[str] = []
    while len(words) < wanted:
        words += _write_sentence(numbers, opening=not words).split(" ")
    pieces: list[str] = []
    # Cut after writing: the length asked for must not change which words come.
    for word in words[:max_new_tokens]:
        pieces.append(f" {word}" if pieces else word)
    return pieces


def _write_sentence(
    numbers: Iterator[int],
    *,
    opening: bool,
) -> str:
    # The order of the draws decides the text: the link is drawn even if it is not used.
    subject = _pick_phrase(numbers, _SUBJECTS)
    verb = _pick_phrase(numbers, _VERBS)
    thing = _pick_phrase(numbers, _OBJECTS)
    ending = _pick_phrase(numbers, _ENDINGS)
    link = _pick_phrase(numbers, _LINKS)
    body = f"{subject} {verb} {thing} {ending}."
    # An opening sentence links to nothing, and takes no draw for it.
    if opening or next(numbers) % 3:
        return body[0].upper() + body[1:]
    return f"{link}, {body}"


def _pick_phrase(
    numbers: Iterator[int],
    phrases: str,
) -> str:
    options = phrases.split(",")
    return options[next(numbers) % len(options)]


def _draw_numbers(
    prompt: str,
    seed: int,
) -> Iterator[int]:
    """Yield 64-bit numbers: BLAKE2b of 0, 1, 2, …, keyed by the prompt and the seed."""
    # `surrogatepass`: a prompt may hold half a surrogate pair.
    content = f"themis/fallback/1\n{seed}\n{prompt}".encode("utf-8", "surrogatepass")
    key = hashlib.blake2b(content).digest()
    for position in itertools.count():
        block = position.to_bytes(8, "little")
        number = hashlib.blake2b(
            block,
            key=key,
            digest_size=8,
        ).digest()
        yield int.from_bytes(number, "little")


@functools.cache
def warn_fallback(reason: str) -> None:
    """Warn, once per process and reason, that texts come from no model."""
    warnings.warn(
        "no model could be loaded, so a fixed text stands in for what one would say: "
        f"{reason}",
        RuntimeWarning,
        stacklevel=3,
    )
