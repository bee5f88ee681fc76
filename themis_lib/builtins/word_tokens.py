"""Words of a text in any script.

In scripts without spaces between words each character counts as a word, as in the
evaluation of MLQA (Lewis et al. 2020).
"""

from __future__ import annotations

import re
import unicodedata

# Thai and Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\uaa60-\uaa7f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
)
_UNSPACED_LETTER = re.compile(f"[{_UNSPACED}]")
_HAN = re.compile(
    "[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]"
)


def word_tokens(text: str) -> list[str]:
    """Return the words of a text; what is neither letter nor digit separates them.

    >>> word_tokens("it's 5 हिन्दी, 北京。")
    ['it', 's', '5', 'हिन्दी', '北', '京']
    """
    tokens: list[str] = []
    # Whether the last token may go on.
    is_open = False
    for character in text:
        kind = unicodedata.category(character)[0]
        # A mark belongs to the letter before it.
        if kind == "M" and tokens:
            tokens[-1] += character
            continue
        if kind not in "LN":
            is_open = False
            continue
        is_whole = kind == "L" and _UNSPACED_LETTER.match(character) is not None
        if is_open and not is_whole:
            tokens[-1] += character
        else:
            tokens.append(character)
        is_open = not is_whole
    return tokens


def split_unspaced(word: str) -> list[str]:
    """Return a word, divided where its script has no spaces between words.

    >>> split_unspaced("U.S.A"), split_unspaced("在Paris住")
    (['U.S.A'], ['在', 'Paris', '住'])
    """
    if not _UNSPACED_LETTER.search(word):
        return [word]
    # Code points without a letter have no words.
    return word_tokens(word) or [word]


def is_unspaced(text: str) -> bool:
    """Return whether most letters are of scripts without spaces between words."""
    found = len(_UNSPACED_LETTER.findall(text))
    return 2 * found > sum(map(str.isalpha, text))


def is_chinese(text: str) -> bool:
    """Return whether the letters of scripts without spaces are Chinese characters alone.

    >>> is_chinese("在Paris住"), is_chinese("東京です")
    (True, False)
    """
    return _HAN.findall(text) == _UNSPACED_LETTER.findall(text)


_ASCII_WORD = re.compile("[A-Za-z0-9]")


def is_mostly_ascii(text: str) -> bool:
    """Return whether most letters and digits are of ASCII, or there are none.

    >>> is_mostly_ascii("pêche"), is_mostly_ascii("тест 5"), is_mostly_ascii("?!")
    (True, False, True)
    """
    found = len(_ASCII_WORD.findall(text))
    return 2 * found >= sum(map(str.isalnum, text))
