"""Answers in many languages: the words that mark them."""

from __future__ import annotations

import re

import pytest

from tests.support.parsing import value
from themis_lib.builtins.answer_languages import LANGUAGES
from themis_lib.builtins.parsers import ChoiceLetter, Number

#: Each marks option B, or the number in its place.
SENTENCES = """
Antwort: B
ANTWORT: B
Die richtige Antwort lautet B.
Die Lösung ist B
Respuesta: B
La respuesta correcta es la opción B, en fin.
Réponse : B
La bonne réponse est la lettre B.
La risposta corretta è B.
Risposta: B
A resposta correta é a letra B
Resposta: B
Het juiste antwoord is B
Antwoord: B
Odpowiedź: B
Prawidłowa odpowiedź to B.
Ответ: B
Правильный ответ — B
Правильный ответ B.
Відповідь: B
Doğru cevap B'dir.
Yanıt: B
الإجابة الصحيحة هي B
الجواب: B
پاسخ صحیح B است
جواب: B
सही उत्तर B है
उत्तर: B
সঠিক উত্তর হল B
উত্তর: B
答案：B
正确答案是B。
正確答案為 B
因此，答案应该是B。
答え：B
正解はBです。
정답: B
정답은 B입니다.
Đáp án đúng là B.
Câu trả lời là B
คำตอบที่ถูกต้องคือ B
คำตอบ: B
Jawaban yang benar adalah B.
Jawabannya adalah B
Rätt svar är B.
Svaret er B
Oikea vastaus on B
Správná odpověď je B
A helyes válasz a B.
Răspunsul corect este B
Η σωστή απάντηση είναι B
התשובה הנכונה היא B
Отговорът е B
Odgovor je B
Jibu: B
பதில்: B
Answer：B
""".strip().splitlines()


@pytest.mark.parametrize("sentence", SENTENCES)
def test_option_behind_a_marker(sentence):
    """In the middle of a text, where another option is mentioned later."""
    assert "B" == value(ChoiceLetter(), f"A?\n{sentence}\n\n(C.)")


@pytest.mark.parametrize("sentence", SENTENCES)
def test_number_behind_a_marker(sentence):
    """Not the last number of the text."""
    text = re.sub(r"(?<![A-Z])B", "18", sentence, count=1)

    assert 18 == value(Number(), f"{text}\n\n(3)")


@pytest.mark.parametrize(
    "text",
    [
        "El ansvar: B, C",
        "La respuesta no es B",
        "La mauvaise réponse est B",
        "Die Antwort ist nicht B",
        "答案不是B",
    ],
)
def test_what_is_no_marker(text):
    """A part of another word, and an answer that is denied."""
    assert value(ChoiceLetter(), text) is None


@pytest.mark.parametrize("words", LANGUAGES.values(), ids=LANGUAGES)
def test_fields_are_patterns(words):
    """A mistyped one would only fail on a text that holds the noun."""
    for field in words[:-1]:
        re.compile(field)
    assert words.answer
