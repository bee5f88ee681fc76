"""The part of an output that holds the model's own answer.

Before the answer is looked for, three things are removed: thoughts, the control tokens
of chat templates, and what a base model writes behind its answer (the next question of
a few-shot prompt, the next turn of a conversation). Code in backticks is left alone.
"""

from __future__ import annotations

import json
import re
from typing import TypeAlias

from themis_lib.builtins.answer_words import ANSWER_NOUNS, QUESTION_NOUNS
from themis_lib.core.reasoning import BARE_CHANNELS, CHANNEL, SPECIAL_MARKS, UNQUOTED

_Match: TypeAlias = re.Match[str]

_CODE = r"(?P<code>```.*?```|`[^`\n]+`)"
# Also tags that a prompt asks for.
_NAME = r"(?:\w+:)?(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|scratchpad)"
#: How models mark a thought: its begin and its end.
_THOUGHT_MARKS = (
    (rf"{UNQUOTED}<{_NAME}(?:\s[^<>]*)?>", rf"{UNQUOTED}</{_NAME}\s*>"),
    *SPECIAL_MARKS,
)
_FLAGS = re.DOTALL | re.IGNORECASE
# A thought without an end was cut off: it reaches to the end of the text.
_THOUGHT = re.compile(
    "|".join(
        [
            _CODE,
            *(
                rf"{begin}(?:.*?{end}|(?P<cut{index}>.*))"
                for index, (begin, end) in enumerate(_THOUGHT_MARKS)
            ),
        ]
    ),
    _FLAGS,
)
# The begin is missing where the prompt ended with it, or where thoughts are nested.
_THOUGHT_END = re.compile(
    "|".join([_CODE, *(f"(?:{end})" for _, end in _THOUGHT_MARKS)]),
    _FLAGS,
)
#: Control tokens of chat templates, from the tokenizers' configurations.
_TOKEN = (
    rf"(?:{UNQUOTED}(?:"
    r"<\|/?[A-Za-z0-9_▁]+\|>|<｜[\w▁]+｜>"
    r"|<(?:start|end)_of_(?:turn|utterance)>|<turn\|>|<\|turn>"
    r"|</s>|<(?:bos|eos|eot|pad)>"
    r"|\[/?INST\]|\[(?:EOS|PAD)\]|\[\|\w+\|\]|\[END FINAL RESPONSE\]))"
)
# What is in front of an answer: `<s>`, `<|im_start|>assistant`, `<start_of_turn>model`.
_TURN_HEADER = re.compile(rf"(?:\s|<s>|{_TOKEN}(?:\s*(?:assistant|model)\b)?)+")
_TOKEN_OR_CODE = re.compile(rf"{_CODE}|{_TOKEN}", re.DOTALL)

#: Labels of a made-up turn: of few-shot prompts, of transcripts, of Alpaca's format.
_TURN = re.compile(
    r"^[ \t>*_#]*"
    r"(?:(?:Q|Human|User)[ \t*_]*[:：]"
    rf"|(?:Problem|{QUESTION_NOUNS})[ \t]*+\d*+[ \t*_]*+(?:[:：]|(?<=\d)\.)"
    r"|\#\#\#[ \t]*(?:Instruction|Input|Question|Problem|Human|User|Task)\b"
    r"|Below[ ]is[ ]an[ ]instruction\b)",
    re.MULTILINE | re.IGNORECASE,
)
_ANSWERED = re.compile(
    rf"^[ \t>*_#]*(?:A|Response|Solution|Assistant|Output)[ \t*_]*[:：]"
    rf"|(?:{ANSWER_NOUNS})\w{{0,20}}[ \t*_]*(?:[:：]|\bis\b)",
    re.MULTILINE | re.IGNORECASE,
)
#: A sentence that only leads to a question that the text restates.
_PREAMBLE = re.compile(
    r"\W*(?:[^.!?\n]{0,200}:"
    r"|(?:sure|certainly|of course|okay|ok|alright|let|first|here|i'll|i will|we)\b"
    r"\D{0,200}(?::|\b(?:questions?|problems?|tasks?|solution|steps?|solve|think|go)\b"
    r"\D{0,40}))[*_\s]*",
    _FLAGS,
)
#: An option or a number in a preamble is an answer.
_SHORT_ANSWER = re.compile(r"\d|(?<![\w'’])[B-HJ-Z](?![\w'’])")


def answer_text(text: str) -> str:
    """Return what a text says behind its thoughts, up to what is not the answer's.

    A text that is a JSON document is returned as it is. Raise `ValueError`, saying why,
    if nothing but a thought is left.

    >>> answer_text("<think>Is it 3?</think>4<|im_end|>").strip()
    '4'
    >>> answer_text("7\\n\\nQuestion: What is 2+2?\\nAnswer: 4").strip()
    '7'
    """
    if _is_json(text):
        return text
    return _without_next_turn(_without_tokens(_without_thoughts(text)))


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _without_thoughts(text: str) -> str:
    bare = BARE_CHANNELS.fullmatch(text)
    if bare:
        return _require_answer(bare["final"] or "", is_cut_off=bare["final"] is None)
    channels = list(CHANNEL.finditer(text))
    if channels:
        last = channels[-1]
        is_final = last["name"] == "final"
        answer = text[last.end() :] if is_final else ""
        return _require_answer(answer, is_cut_off=not is_final)
    is_thoughtful = False
    is_cut_off = False

    def replace(found: _Match) -> str:
        nonlocal is_thoughtful, is_cut_off
        if found["code"] is not None:
            return found[0]
        is_thoughtful = True
        is_cut_off = (found.lastgroup or "").startswith("cut")
        # The words before and behind stay apart.
        return " "

    answer = _THOUGHT.sub(replace, text)
    behind = 0
    for end in _THOUGHT_END.finditer(answer):
        if end["code"] is None:
            is_thoughtful = True
            behind = end.end()
    answer = answer[behind:]
    if not is_thoughtful:
        return text
    return _require_answer(answer, is_cut_off=is_cut_off)


def _require_answer(
    answer: str,
    *,
    is_cut_off: bool,
) -> str:
    if answer.strip():
        return answer
    if is_cut_off:
        raise ValueError("the output is a thought that was cut off")
    raise ValueError("nothing follows the thought in the output")


def _without_tokens(text: str) -> str:
    header = _TURN_HEADER.match(text)
    if header and header[0].strip():
        text = text[header.end() :]
    for token in _TOKEN_OR_CODE.finditer(text):
        # `<s>old</s>` strikes a text out in HTML.
        is_html = token[0] == "</s>" and "<s>" in text
        if token["code"] is None and not is_html:
            return text[: token.start()]
    return text


def _without_next_turn(text: str) -> str:
    restates = False
    # Looked for once: no match goes beyond its line, and turns begin a line.
    answered = None
    for turn in _TURN.finditer(text):
        before = text[: turn.start()]
        # A text may restate the question before it answers it.
        if _is_preamble(before):
            restates = True
            continue
        if not restates:
            return before
        if answered is None:
            answered = _ANSWERED.search(text)
        if answered is None:
            return text
        if answered.end() <= turn.start():
            return before
    return text


def _is_preamble(text: str) -> bool:
    if not text.strip():
        return True
    return bool(_PREAMBLE.fullmatch(text)) and not _SHORT_ANSWER.search(text)
