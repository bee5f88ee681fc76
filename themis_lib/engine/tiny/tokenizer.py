"""Tokenizer of the bundled model: byte-level BPE as llama.cpp reads it.

Every Unicode text survives it, and each digit is a token.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

BEGIN = "<|begin|>"
END = "<|end|>"
SYSTEM = "<|system|>"
USER = "<|user|>"
ASSISTANT = "<|assistant|>"
#: The control tokens, in the order of their ids, which begin at 0.
CONTROLS = (
    BEGIN,
    END,
    SYSTEM,
    USER,
    ASSISTANT,
)
#: Tokens in all: the controls, the bytes and the merges.
VOCABULARY = 1536
#: The name under which llama.cpp splits text by `SPLIT`
#: (`LLAMA_VOCAB_PRE_TYPE_QWEN2`).
SPLIT_NAME = "qwen2"
# Contractions; words with a character before them; single digits; punctuation; line
# breaks; spaces. Both sides must split alike, or a text has other tokens in llama.cpp.
SPLIT = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)
CHAT_TEMPLATE = (
    "{{ '<|begin|>' }}{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True)
class Turn:
    """A request and its answer."""

    prompt: str
    answer: str


def learn_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Return a tokenizer of `VOCABULARY` tokens with the merges that suit `texts`."""
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(
        add_prefix_space=False,
        # The splitting is done by `SPLIT`; its own pattern would keep digits together.
        use_regex=False,
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            byte_level,
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(CONTROLS),
        # All 256 bytes, those included that no text of the corpus has.
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def render(
    turns: Iterable[Turn],
    instructions: str | None = None,
) -> str:
    """Return the conversation as `CHAT_TEMPLATE` writes it.

    >>> render([Turn("2 + 2 =", "4")], "Be brief.")
    '<|begin|><|system|>Be brief.<|end|><|user|>2 + 2 =<|end|><|assistant|>4<|end|>'
    """
    parts = [BEGIN]
    if instructions:
        parts.append(f"{SYSTEM}{instructions}{END}")
    for turn in turns:
        parts.append(f"{USER}{turn.prompt}{END}{ASSISTANT}{turn.answer}{END}")
    return "".join(parts)


def render_request(
    prompt: str,
    instructions: str | None = None,
) -> str:
    """Return the conversation up to where the model's answer begins."""
    return render([Turn(prompt, "")], instructions).removesuffix(END)


def merges(tokenizer: Tokenizer) -> list[str]:
    """Return the merges in the order learned: two parts with a space between them."""
    # The library has no accessor for them, only its own JSON.
    pairs = json.loads(tokenizer.to_str())["model"]["merges"]
    return [" ".join(pair) for pair in pairs]


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """Return the tokens in the order of their ids."""
    return sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
