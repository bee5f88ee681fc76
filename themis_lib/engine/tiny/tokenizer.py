"""Byte-level BPE as llama.cpp reads it: every Unicode text survives, and digits stand
alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

BEGIN, END, SYSTEM, USER, ASSISTANT = (
    "<|begin|>",
    "<|end|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
)
#: The control tokens, in the order of their ids, which begin at 0.
CONTROLS = (BEGIN, END, SYSTEM, USER, ASSISTANT)
VOCABULARY = 1536
#: What llama.cpp splits text by under this name (`LLAMA_VOCAB_PRE_TYPE_QWEN2`).
SPLIT_NAME = "qwen2"
SPLIT = (
    r"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
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


def learned_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """A tokenizer of `VOCABULARY` tokens: the controls, the 256 bytes and the merges
    that `texts` make worthwhile.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(
                add_prefix_space=False,
                use_regex=False,
            ),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(CONTROLS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def rendered(
    turns: Iterable[Turn],
    instructions: str | None = None,
) -> str:
    """The conversation as `CHAT_TEMPLATE` writes it.

    >>> rendered([Turn("2 + 2 =", "4")], "Be brief.")
    '<|begin|><|system|>Be brief.<|end|><|user|>2 + 2 =<|end|><|assistant|>4<|end|>'
    """
    system = f"{SYSTEM}{instructions}{END}" if instructions else ""
    return f"{BEGIN}{system}" + "".join(
        f"{USER}{turn.prompt}{END}{ASSISTANT}{turn.answer}{END}" for turn in turns
    )


def opened(
    prompt: str,
    instructions: str | None = None,
) -> str:
    """The conversation up to where the model's answer begins."""
    return rendered([Turn(prompt, "")], instructions).removesuffix(END)


def merges(tokenizer: Tokenizer) -> list[str]:
    """The merges, first learned first, each as its two parts with a space between."""
    return [
        " ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]
    ]


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """The tokens by id."""
    return sorted(tokenizer.get_vocab(), key=tokenizer.token_to_id)
