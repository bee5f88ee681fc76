"""The language that a text is written in, by the library langdetect."""

from __future__ import annotations

from functools import cache
from typing import Any


def language_of(text: str) -> str | None:
    """Return the ISO 639-1 code of a text's language (`zh-cn` and `zh-tw` of Chinese).

    `None` if it cannot be told, such as of a text without letters.
    """
    from langdetect import LangDetectException

    # It draws samples of the text: with a seed, the same ones each time.
    detector = _profiles().create()
    detector.seed = 0
    detector.append(text)
    try:
        language: str = detector.detect()
    except LangDetectException:
        return None
    return None if language == "unknown" else language


@cache
def _profiles() -> Any:
    """Return the library's profiles of all languages; they take half a second."""
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    factory.load_profile(PROFILES_DIRECTORY)
    return factory
