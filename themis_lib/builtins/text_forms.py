"""The same text in other code points, as readers take it for the same.

Unicode writes one text in several ways: accents composed or not, invisible characters,
typographic quotes, wide letters.
"""

from __future__ import annotations

import re
import unicodedata

# Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt, and the tatweel,
# which only stretches Arabic words.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u0640\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]+"
)
_SPACES = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
# Roman numerals, ligatures, forms of Hebrew and Arabic letters by position, vertical and
# small forms, wide and narrow letters, mathematical alphabets. Superscripts and
# fractions are no such forms: x² is not x2.
_PRESENTATION = re.compile(
    "[\u2160-\u217f\ufb00-\ufdff\ufe10-\ufe1f\ufe30-\ufefc\uff01-\uffee"
    "\U0001d400-\U0001d7ff]+"
)
_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′ʼ´`", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        "…": "...",
    }
)


def composed(text: str) -> str:
    r"""Return a text in Unicode's normal form C.

    Texts that Unicode calls canonically equivalent become the same.

    >>> composed("cafe\u0301") == "caf\u00e9"
    True
    """
    return unicodedata.normalize("NFC", text)


def plain(text: str) -> str:
    r"""Return a text without what readers do not see, or do not tell apart.

    Invisible characters are removed. Spaces, quotes, dashes and wide letters become
    those of ASCII, and other presentation forms the letters that they present.

    >>> plain("\u200bＰａｒｉｓ\u00a0– “x²”")
    'Paris - "x²"'
    """
    text = _INVISIBLE.sub("", text)
    text = _SPACES.sub(" ", text)
    text = _PRESENTATION.sub(_presented, text)
    return composed(text.translate(_PUNCTUATION))


def folded(text: str) -> str:
    """Return a text as `plain`, and without regard to case.

    Letters that share a capital are one, so that `ı` is `i` and `ß` is `ss`.

    >>> folded("STRAẞE") == folded("straße"), folded("İstanbul"), folded("Kadıköy")
    (True, 'istanbul', 'kadiköy')
    """
    text = plain(text).upper().casefold()
    # The small letter of `İ` keeps its dot as a character.
    return composed(text.replace("i\u0307", "i"))


def _presented(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFKC", match[0])
