"""BLEU, chrF, ROUGE and edit similarity give the numbers that their libraries
publish.
"""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.scoring import reason, score, verdict
from themis_lib.builtins.text_metrics import Bleu, Chrf, EditSimilarity, Rouge
from themis_lib.components.build import build, component_identity
from themis_lib.core.models import Score
from themis_lib.errors import ComponentError

METRICS = [Bleu(), Chrf(), Rouge(), EditSimilarity()]
LIBRARIES = {
    "builtin/bleu": ["sacrebleu"],
    "builtin/chrf": ["sacrebleu"],
    "builtin/rouge": ["rouge-score", "nltk"],
}

ROMANIAN = "Producția de zahăr primă va fi exprimată în ceea ce privește zahărul alb;"
ROMANIAN_REFERENCE = "producţia de zahăr brut se exprimă în zahăr alb;"


@pytest.mark.parametrize(
    ("settings", "published"),
    [
        ({}, 8.493),
        ({"smooth_method": "none"}, 0.0),
        ({"smooth_method": "floor"}, 4.51688),
        ({"smooth_method": "floor", "smooth_value": 0.1}, 4.51688),
        ({"smooth_method": "floor", "smooth_value": 0.5}, 10.10),
        ({"smooth_method": "add-k"}, 14.882),
        ({"smooth_method": "add-k", "smooth_value": 2.0}, 21.389),
        ({"tokenize": "none"}, 7.347),
        ({"tokenize": "intl"}, 8.493),
        ({"tokenize": "char"}, 40.8759),
        ({"tokenize": "char", "lowercase": True}, 42.0267),
    ],
)
def test_bleu_is_that_of_sacrebleu(settings, published):
    """The values of sacrebleu's `test/test_sentence_bleu.py`, from 0 to 100 there and
    within 0.001.
    """
    assert pytest.approx(published, abs=1e-3) == 100 * score(
        Bleu(**settings), ROMANIAN, ROMANIAN_REFERENCE
    )


def test_bleu_without_a_common_word_is_0():
    """The second example of sacrebleu's `test/test_sentence_bleu.py`."""
    assert 0.0 == score(Bleu(), "this is a cat", "okay thanks")


@pytest.mark.parametrize(
    ("text", "reference", "published"),
    [
        (
            (
                "Co nás nejvíc trápí, protože lékaři si vybírají, kdo bude žít a kdo "
                "zemře."
            ),
            (
                "Nejvíce smutní jsme z toho, že musíme rozhodovat o tom, kdo bude žít "
                "a kdo zemře."
            ),
            39.14078509,
        ),
        (
            "Nebo prostě nemají vybavení, které by jim pomohlo, uvedli lékaři.",
            (
                "A někdy nemáme ani potřebný materiál, abychom jim pomohli, popsali "
                "lékaři."
            ),
            31.22557079,
        ),
        (
            "Lapali po dechu, jejich životy skončily dřív, než skutečně začaly.",
            "Lapali po dechu a pak jejich život skončil - dřív, než skutečně mohl "
            "začít, připomněli.",
            57.15704367,
        ),
    ],
)
def test_chrf_is_that_of_sacrebleu(text, reference, published):
    """The sentence-level values of sacrebleu's `test/test_chrf.py`, from 0 to 100 there
    and within 0.0001.
    """
    assert pytest.approx(published, abs=1e-4) == 100 * score(
        Chrf(eps_smoothing=True), text, reference
    )


@pytest.mark.parametrize(
    ("settings", "text", "reference", "published"),
    [
        ({}, "aa", "ab", 25.0),
        ({}, "a b c", "abc", 100.0),
        ({"eps_smoothing": True}, "a", "a", 16.6667),
        (
            {"whitespace": True},
            "Die Beziehung zwischen Obama und Netanjahu ist nicht gerade freundlich.",
            (
                "Das Verhältnis zwischen Obama und Netanyahu ist nicht gerade "
                "freundschaftlich."
            ),
            67.3481606,
        ),
    ],
)
def test_settings_of_chrf_are_those_of_sacrebleu(settings, text, reference, published):
    """The values of `test/test_chrf.py` for corpora of one sentence, with beta 3."""
    assert pytest.approx(published, abs=1e-4) == 100 * score(
        Chrf(beta=3, **settings), text, reference
    )


#: The first and second lines of rouge-score's `testdata/target.txt` and
#: `testdata/prediction.txt`.
TARGETS = [
    "ZfbCUIUuePaiLVUlCaUXxkpu XPeWing tUHfPMuZ',-Xd Y BrUgVJing M-HV.-DgdDaY.rFDJCRing "
    "Ht-LM EKBDXkME,yz'RBr q'wtion "
    "wIojNbN wL,b .a-'XdQggyFl jB-RPP'iyOIcUxer tKM L",
    "KsJdPByEtAor fE-Qg Dpdbring cw-WeFyu vC MoBL Xdn g wkvcEiGvKtion BDFhrpMtion "
    "psing sbKao Q m qiing LMmer "
    "HqqLFXe,XPY,J XsurkMer ,ed nB'wH'bWVHjWFEing tQ.saefZwJtKrTlixYpMMsJing "
    "UCAPwNHeYVjDing c T BUySKtion "
    "gMPfJpwGw p'NvxAoping eu pBwMBKV'I DNxqelhu,PHPxDEq,mtion SN",
]
PREDICTIONS = [
    "rFDJCRtion Ht-LM EKtDXkME,yz'RBr q'wer wrojNbN wL,b .a-'XdQggyFl jB-RPP'iyOIcUxi",
    "n cw-WeFyu vC MoBL Xdn g wkvcEiGvKtion BDFhrpMer pstion sbKao Q m qier LMmed "
    "HqqLFXe,XPY,J XsurkMeo ,ed "
    "nB'wH'bWVHjWFEer tQ.saefZwJtKrTlixYpMMNJtion UCAPwNHeYVjD",
]


@pytest.mark.parametrize(
    ("line", "settings", "recall", "precision", "f1"),
    [
        (0, {"which": "rouge1"}, 0.40741, 0.68750, 0.51163),
        (1, {"which": "rouge1"}, 0.40476, 0.65385, 0.50000),
        (1, {"which": "rouge1", "use_stemmer": True}, 0.42857, 0.69231, 0.52941),
        (0, {"which": "rouge2"}, 0.30769, 0.53333, 0.39024),
        (1, {"which": "rouge2"}, 0.29268, 0.48000, 0.36364),
        (0, {}, 0.40741, 0.68750, 0.51163),
        (1, {}, 0.40476, 0.65385, 0.50000),
    ],
)
def test_rouge_is_that_of_rouge_155(line, settings, recall, precision, f1):
    """The values of ROUGE-1.5.5 in rouge-score's `rouge_scorer_test.py`, to five
    places.
    """
    found = verdict(Rouge(**settings), PREDICTIONS[line], TARGETS[line])

    assert pytest.approx(f1, abs=5e-6) == found.value
    assert (
        pytest.approx({"recall": recall, "precision": precision}, abs=5e-6)
        == found.details
    )


def test_rouge_of_sentences_is_that_of_the_paper():
    """`rougeLsum` of the example of Lin 2004, section 3.2, in rouge-score's
    `testRougeLsum`.
    """
    found = verdict(
        Rouge(which="rougeLsum"), "w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5", "w1 w2 w3 w4 w5"
    )

    assert pytest.approx(0.5333, abs=1e-4) == found.value
    assert pytest.approx({"recall": 0.8, "precision": 0.4}) == found.details


@pytest.mark.parametrize(
    ("settings", "text", "reference", "published"),
    [
        ({}, "lewenstein", "levenshtein", 0.81818181818181),
        ({}, "kitten", "sitting", 0.5714285714),
        ({}, "", "second", 0.0),
        ({}, "abc", "ABC", 0.0),
        ({"ignore_case": True}, "abc", "ABC", 1.0),
    ],
)
def test_edit_similarity_is_that_of_rapidfuzz(settings, text, reference, published):
    """The example of rapidfuzz's documentation of `Levenshtein.normalized_similarity`,
    and textbook distances.
    """
    assert pytest.approx(published) == score(
        EditSimilarity(**settings), text, reference
    )


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_text_like_any_reference_scores_1(metric):
    """Of several references any may be the right one."""
    assert 1.0 == score(
        metric, "the cat sat on the mat", ["a dog barked", "the cat sat on the mat"]
    )


#: Text, another, and the share of words (or characters) that they share.
SCRIPTS = [
    ("я люблю собак", "я люблю кошек", 2 / 3),
    ("αγαπώ τις γάτες", "αγαπώ τους σκύλους", 1 / 3),
    ("أنا أحب القطط", "أنا أحب الكلاب", 2 / 3),
    ("אני אוהב חתולים", "אני אוהב כלבים", 2 / 3),
    ("मैं घर जाता हूँ", "मैं घर आता हूँ", 3 / 4),
    ("나는 개를 좋아한다", "나는 고양이를 좋아한다", 2 / 3),
    ("我住在北京", "我住在上海。", 3 / 5),
    ("今日は良い天気です", "今日は悪い天気です", 8 / 9),
    ("สวัสดี", "สวัสดา", 2 / 3),
    ("?!", "?.", 1 / 2),
]


@pytest.mark.parametrize(("text", "reference", "shared"), SCRIPTS)
def test_rouge_reads_every_script(text, reference, shared):
    """A text is like itself, and as like another as their words are."""
    assert 1.0 == score(Rouge(), text, text)
    assert pytest.approx(shared) == score(Rouge(which="rouge1"), text, reference)
    assert 0.0 == score(Rouge(), text, "the cat")
    assert 0.0 == score(Rouge(), "the cat", text)


@pytest.mark.parametrize(("text", "reference", "shared"), SCRIPTS)
@pytest.mark.parametrize("metric", [Bleu(), Chrf(), EditSimilarity()], ids=repr)
def test_texts_in_every_script_are_compared(metric, text, reference, shared):
    """A text is like itself, and somewhat like another that shares words with it."""
    assert 1.0 == pytest.approx(score(metric, text, text))
    assert 0.0 < score(metric, text, reference) < 1.0


def test_rouge_of_latin_text_is_that_of_the_reference_implementation():
    """Accents and all, also where the texts hold a word of another script."""
    text, reference = "la pêche à Athènes (Αθήνα)", "une pche a Athènes"

    assert score(Rouge(tokenize="rouge"), text, reference) == score(
        Rouge(), text, reference
    )
    assert 1.0 > score(Rouge(), "pêche", "pche")


def test_tokenizer_that_cannot_read_a_script_is_named():
    """With the setting that helps; neither is a wrong answer."""
    assert (
        "tokenize='rouge' reads the letters a to z and digits alone: \"тест\"; set "
        "tokenize to 'unicode'"
    ) == reason(Rouge(tokenize="rouge"), "тест", "тест")
    assert (
        "tokenize='13a' finds no words in \"北京\"; set tokenize to 'zh' or 'auto'"
    ) == reason(Bleu(tokenize="13a"), "北京", "北京")
    assert (
        "tokenize='zh' finds no words in \"東京です\"; set tokenize to 'char' or 'auto'"
    ) == reason(Bleu(tokenize="zh"), "東京", "東京です")


@pytest.mark.parametrize(
    ("text", "tokenize"),
    [("我住在北京大学", "zh"), ("สวัสดีครับ", "char"), ("the cat sat", "13a")],
)
def test_bleu_finds_the_tokenizer_of_a_script(text, tokenize):
    """That of sacrebleu for Chinese, characters for others without spaces."""
    reference = text[2:]

    assert score(Bleu(tokenize=tokenize), text, reference) == score(
        Bleu(), text, reference
    )


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_composed_and_decomposed_accents_are_the_same(metric):
    """To every metric."""
    assert 1.0 == pytest.approx(
        score(
            metric,
            "un cafe\u0301 noir s'il vous plai\u0302t",
            "un café noir s'il vous plaît",
        )
    )


def test_edit_similarity_does_not_see_what_readers_do_not():
    """Invisible characters, typographic quotes, wide letters."""
    assert 1.0 == score(EditSimilarity(), "\u200bit’s\u00a0Ｂ", "it's B")
    assert "the expected output is empty" == reason(EditSimilarity(), "a", "\u200b")


@pytest.mark.parametrize("metric", METRICS, ids=repr)
@given(text=st.text(), reference=st.text().filter(str.strip))
def test_scores_are_between_0_and_1(metric, text, reference):
    """Whatever the texts are."""
    assert 0.0 <= score(metric, text, reference) <= 1.0


@pytest.mark.parametrize("metric", METRICS, ids=repr)
@pytest.mark.parametrize("expected", ["", " ", [], ["dog", ""]])
def test_empty_reference_is_an_error(metric, expected):
    """It says nothing about any text."""
    assert "the expected output is empty" == reason(metric, "cat", expected)


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_what_is_no_text_counts_as_its_json(metric):
    """Numbers and objects can be compared like texts."""
    assert 1.0 == score(metric, {"a": [1, 2]}, '{"a":[1,2]}')


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_missing_answer_and_missing_expectation_are_errors(metric):
    """Neither is a wrong answer."""
    assert ["no answer", "the case has no expected output"] == [
        reason(metric, None, "a"),
        reason(metric, "a", None),
    ]


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_version_of_the_library_is_identity(metric):
    """Another version may give another number, so its rows are others; edit distance is
    defined, and has none.
    """
    named = component_identity("metric", metric)["settings"].get("libraries", {})

    assert LIBRARIES.get(metric.component_id, []) == list(named)
    assert all(version[0].isdigit() for version in named.values())


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_metric_that_has_scored_can_be_sent_to_another_process(metric):
    """What a library keeps does not stand in the way."""
    before = verdict(metric, "a cat", "the cat")

    assert before == verdict(pickle.loads(pickle.dumps(metric)), "a cat", "the cat")


@pytest.mark.parametrize(
    ("use", "setting"),
    [
        ("builtin/bleu", {"tokenize": "spm"}),
        ("builtin/bleu", {"smooth_value": -1.0}),
        ("builtin/chrf", {"char_order": 0}),
        ("builtin/rouge", {"which": "rouge3"}),
        ("builtin/edit_similarity", {"ignore_case": "yes"}),
    ],
)
def test_unfit_setting_is_refused(use, setting):
    """One line that names the place, the component, the setting and its value."""
    [(name, value)] = setting.items()

    with pytest.raises(ComponentError) as raised:
        build("metric", {"use": use, **setting}, where="evaluation.metrics[0]")

    assert str(raised.value).startswith(
        f"evaluation.metrics[0]: {use}: {name}={value!r}: "
    )


def test_score_is_a_score_with_details_only_where_there_are_any():
    """ROUGE keeps precision and recall; the others are one number."""
    assert [True, True, False, True] == [
        isinstance(found := verdict(metric, "a cat", "a cat"), Score)
        and found.details is None
        for metric in METRICS
    ]
