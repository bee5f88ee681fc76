"""The instructions of IFEval that a program can check (Zhou et al. 2023, table 1).

Each rule takes the output and the arguments of the instruction. Words are runs of
letters and digits; a sentence ends at `.`, `!` or `?` before a space, but not behind a
common abbreviation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from themis_lib.builtins.text_languages import language_of

Arguments = Mapping[str, Any]

_SENTENCE_END = re.compile(r"""[.!?]+["'”’)\]]*(?=\s|$)""")
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|st|jr|sr|vs|etc|e\.g|i\.e|u\.s)|\b[A-Z])\.$",
    re.IGNORECASE,
)
_WORD = re.compile(r"\w+")
_TOKEN = re.compile(r"\w[\w'’-]*")
_FENCE = re.compile(r"^```(?:json)?\s*|\s*```$", re.IGNORECASE)
_CLOSED_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def is_followed(
    instruction: str,
    text: str,
    arguments: Arguments,
) -> bool:
    """Return whether a text follows an instruction.

    Raise `LookupError` for an instruction that is unknown or lacks an argument,
    `ValueError` for an argument of another kind.
    """
    return RULES[instruction](text, arguments)


def _compares(
    count: int,
    arguments: Arguments,
    *,
    relation: str,
    threshold: str,
) -> bool:
    wanted = int(arguments[threshold])
    how = arguments[relation]
    if how == "less than":
        return count < wanted
    if how == "at least":
        return count >= wanted
    raise ValueError(f"{relation} is {how!r}, neither 'at least' nor 'less than'")


def _has_keywords(text: str, arguments: Arguments) -> bool:
    folded = text.casefold()
    return all(word.casefold() in folded for word in arguments["keywords"])


def _has_keyword_often(text: str, arguments: Arguments) -> bool:
    count = text.casefold().count(arguments["keyword"].strip().casefold())
    return _compares(count, arguments, relation="relation", threshold="frequency")


def _has_no_forbidden_word(text: str, arguments: Arguments) -> bool:
    for word in arguments["forbidden_words"]:
        if re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE):
            return False
    return True


def _has_letter_often(text: str, arguments: Arguments) -> bool:
    count = text.lower().count(arguments["letter"].strip().lower())
    return _compares(
        count, arguments, relation="let_relation", threshold="let_frequency"
    )


def _is_in_language(text: str, arguments: Arguments) -> bool:
    return language_of(text) in (arguments["language"], None)


def _has_sentences(text: str, arguments: Arguments) -> bool:
    count = 0
    begin = 0
    for end in _SENTENCE_END.finditer(text):
        sentence = text[begin : end.end()]
        if _ABBREVIATION.search(sentence.rstrip("\"'”’)]")):
            continue
        count += 1
        begin = end.end()
    count += bool(text[begin:].strip())
    return _compares(count, arguments, relation="relation", threshold="num_sentences")


def _has_words(text: str, arguments: Arguments) -> bool:
    count = len(_WORD.findall(text))
    return _compares(count, arguments, relation="relation", threshold="num_words")


def _parts(text: str, divider: str) -> list[str] | None:
    """Return the parts between dividers; `None` if one in the middle is blank.

    A divider may begin or end the text.
    """
    parts = [part.strip() for part in text.split(divider)]
    if parts and not parts[0]:
        parts = parts[1:]
    if parts and not parts[-1]:
        parts = parts[:-1]
    return parts if all(parts) else None


def _has_paragraphs(text: str, arguments: Arguments) -> bool:
    parts = _parts(text, "***")
    return parts is not None and len(parts) == int(arguments["num_paragraphs"])


def _nth_paragraph_begins(text: str, arguments: Arguments) -> bool:
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()]
    position = int(arguments["nth_paragraph"])
    if len(paragraphs) != int(arguments["num_paragraphs"]):
        return False
    if not 1 <= position <= len(paragraphs):
        return False
    word = paragraphs[position - 1].split()[0].lstrip("\"'“‘")
    word = re.split(r"[.,?!\"'”’:;]", word)[0]
    first_word: str = arguments["first_word"]
    return word.casefold() == first_word.casefold()


def _has_placeholders(text: str, arguments: Arguments) -> bool:
    found = re.findall(r"\[[^\]\n]*\]", text)
    return len(found) >= int(arguments["num_placeholders"])


def _has_postscript(text: str, arguments: Arguments) -> bool:
    marker = arguments["postscript_marker"].strip()
    # The letters may have a space behind their periods: `P. S.`
    letters = [re.escape(part) for part in marker.lower().split(".") if part.strip()]
    return re.search(r"\.\s?".join(letters) + r"\b", text.lower()) is not None


def _has_bullets(text: str, arguments: Arguments) -> bool:
    bullets = re.findall(r"^\s*(?:\*[^*\n]|-)[^\n]*$", text, re.MULTILINE)
    return len(bullets) == int(arguments["num_bullets"])


def _is_closed_answer(text: str, _: Arguments) -> bool:
    return any(answer in text for answer in _CLOSED_ANSWERS)


def _has_highlights(text: str, arguments: Arguments) -> bool:
    bold = re.findall(r"\*\*([^*\n]+)\*\*", text)
    rest = re.sub(r"\*\*[^*\n]+\*\*", "", text)
    italic = re.findall(r"\*([^*\n]+)\*", rest)
    count = sum(bool(part.strip()) for part in [*bold, *italic])
    return count >= int(arguments["num_highlights"])


def _has_sections(text: str, arguments: Arguments) -> bool:
    divider = re.escape(arguments["section_spliter"].strip())
    count = len(re.findall(rf"{divider}\s?\d+", text))
    return count >= int(arguments["num_sections"])


def _is_json(text: str, _: Arguments) -> bool:
    try:
        json.loads(_FENCE.sub("", text.strip()))
    except ValueError:
        return False
    return True


def _has_title(text: str, _: Arguments) -> bool:
    titles = re.findall(r"<<([^\n]+?)>>", text)
    return any(title.strip("<> ") for title in titles)


def _has_two_responses(text: str, _: Arguments) -> bool:
    parts = _parts(text, "******")
    return parts is not None and len(parts) == 2 and parts[0] != parts[1]


def _repeats_prompt(text: str, arguments: Arguments) -> bool:
    prompt = arguments["prompt_to_repeat"].strip().lower()
    return text.strip().lower().startswith(prompt)


def _ends_with(text: str, arguments: Arguments) -> bool:
    phrase = arguments["end_phrase"].strip().lower()
    return text.strip().strip('"').lower().endswith(phrase)


def _is_quoted(text: str, _: Arguments) -> bool:
    stripped = text.strip()
    return len(stripped) > 1 and stripped[0] == stripped[-1] == '"'


def _has_capital_words(text: str, arguments: Arguments) -> bool:
    count = sum(word.isupper() for word in _TOKEN.findall(text))
    return _compares(
        count, arguments, relation="capital_relation", threshold="capital_frequency"
    )


def _is_english_in_capitals(text: str, _: Arguments) -> bool:
    # Languages are told by texts in small letters.
    return text.isupper() and language_of(text.lower()) in ("en", None)


def _is_english_in_small_letters(text: str, _: Arguments) -> bool:
    return text.islower() and language_of(text) in ("en", None)


def _has_no_comma(text: str, _: Arguments) -> bool:
    return "," not in text


#: Every rule, by the name of the instruction in the data.
RULES: Mapping[str, Callable[[str, Arguments], bool]] = {
    "keywords:existence": _has_keywords,
    "keywords:frequency": _has_keyword_often,
    "keywords:forbidden_words": _has_no_forbidden_word,
    "keywords:letter_frequency": _has_letter_often,
    "language:response_language": _is_in_language,
    "length_constraints:number_sentences": _has_sentences,
    "length_constraints:number_paragraphs": _has_paragraphs,
    "length_constraints:number_words": _has_words,
    "length_constraints:nth_paragraph_first_word": _nth_paragraph_begins,
    "detectable_content:number_placeholders": _has_placeholders,
    "detectable_content:postscript": _has_postscript,
    "detectable_format:number_bullet_lists": _has_bullets,
    "detectable_format:constrained_response": _is_closed_answer,
    "detectable_format:number_highlighted_sections": _has_highlights,
    "detectable_format:multiple_sections": _has_sections,
    "detectable_format:json_format": _is_json,
    "detectable_format:title": _has_title,
    "combination:two_responses": _has_two_responses,
    "combination:repeat_prompt": _repeats_prompt,
    "startend:end_checker": _ends_with,
    "startend:quotation": _is_quoted,
    "change_case:capital_word_frequency": _has_capital_words,
    "change_case:english_capital": _is_english_in_capitals,
    "change_case:english_lowercase": _is_english_in_small_letters,
    "punctuation:no_comma": _has_no_comma,
}
