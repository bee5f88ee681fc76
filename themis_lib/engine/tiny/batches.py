"""Training batches: documents as token ids, packed into rows that keep them apart."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from themis_lib.engine.tiny.corpus import Example, examples, plain_examples
from themis_lib.engine.tiny.tokenizer import (
    ASSISTANT,
    BEGIN,
    CONTROLS,
    END,
    VOCABULARY,
    Turn,
    rendered,
)

#: Tokens in the two kinds of row: documents that fit go in the short ones, where
#: attention costs least.
SHORT, LONG = 192, 512
SHORT_ROWS, LONG_ROWS = 7, 1
REHEARSALS = 750
#: How many examples come in their plain form before the varied ones.
PLAIN = 300_000
#: The tokens that the first third of the rehearsals draw from.
_FEW = 200
#: What one token of an open answer or of plain text counts for beside a token of a
#: right answer.
_OPEN_WEIGHT = 0.4


@dataclass(frozen=True)
class Document:
    """Token ids, and for each the weight of the loss in predicting it."""

    ids: list[int]
    weights: list[float]


@dataclass(frozen=True)
class Batch:
    """Rows of token ids, each token's document within its row (-1 is padding) and its
    loss weight.
    """

    ids: Tensor
    documents: Tensor
    weights: Tensor

    def mask(self) -> Tensor:
        """True where a token sees another: earlier, or itself, in the same document;
        (rows, 1, length, length).
        """
        length = self.ids.shape[1]
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        return ((self.documents[:, :, None] == self.documents[:, None, :]) & causal)[
            :, None
        ]


def batches(
    tokenizer: Tokenizer,
    seed: int,
) -> Iterator[list[Batch]]:
    """For each step, a batch of short rows, and one of long rows whenever as much has
    come up in the stream.

    The first `REHEARSALS` steps repeat random tokens. A model that has learned to look
    up what came after a token learns every other task sooner; without it, copying alone
    takes many hundreds of steps.
    """
    rng = Random(seed)
    for step in range(REHEARSALS):
        yield [
            _rehearsal_batch(
                tokenizer,
                rng,
                distinct=_FEW if step < REHEARSALS // 3 else VOCABULARY - len(CONTROLS),
            )
        ]
    short, long = _Packer(SHORT), _Packer(LONG)
    for document in documents(tokenizer, seed):
        (short if len(document.ids) <= SHORT else long).add(document)
        if len(short.full) >= SHORT_ROWS:
            longer = [long.take(LONG_ROWS)] if len(long.full) >= LONG_ROWS else []
            yield [short.take(SHORT_ROWS), *longer]


def documents(
    tokenizer: Tokenizer,
    seed: int,
) -> Iterator[Document]:
    """The training examples as documents; about one in twelve is a conversation of
    several turns.
    """
    rng, stream = (
        Random(seed),
        chain(islice(plain_examples(seed), PLAIN), examples(seed)),
    )
    assistant, end = tokenizer.token_to_id(ASSISTANT), tokenizer.token_to_id(END)
    for example in stream:
        if example.group == "raw":
            ids = tokenizer.encode(BEGIN + example.answer).ids
            yield Document(ids, [_OPEN_WEIGHT] * len(ids))
            continue
        turns = [example]
        if example.instructions is None and rng.random() < 0.04:
            turns += _make_followups(stream, rng.randint(1, 9))
        ids = tokenizer.encode(
            rendered(
                (Turn(turn.prompt, turn.answer) for turn in turns), example.instructions
            )
        ).ids
        yield Document(
            ids[:LONG],
            _answer_weights(
                ids,
                turns,
                assistant,
                end,
            )[:LONG],
        )


def _rehearsal_batch(
    tokenizer: Tokenizer,
    rng: Random,
    distinct: int,
) -> Batch:
    begin, assistant, end = (
        tokenizer.token_to_id(token) for token in (BEGIN, ASSISTANT, END)
    )
    packer = _Packer(SHORT)
    while len(packer.full) < SHORT_ROWS:
        drawn = [
            len(CONTROLS) + rng.randrange(distinct) for _ in range(rng.randint(3, 16))
        ]
        ids = [
            begin,
            *drawn,
            assistant,
            *drawn,
            end,
        ]
        packer.add(Document(ids, [0.0] * (len(drawn) + 2) + [1.0] * (len(drawn) + 1)))
    return packer.take(SHORT_ROWS)


def _make_followups(
    stream: Iterator[Example],
    count: int,
) -> list[Example]:
    found: list[Example] = []
    while len(found) < count:
        example = next(stream)
        if example.instructions is None and example.group != "raw":
            found.append(example)
    return found


def _answer_weights(
    ids: list[int],
    turns: Iterable[Example],
    assistant: int,
    end: int,
) -> list[float]:
    each = iter([_OPEN_WEIGHT if turn.group == "open" else 1.0 for turn in turns])
    weights, weight = [], 0.0
    for token in ids:
        weights.append(weight)
        if token == assistant:
            weight = next(each)
        elif token == end:
            weight = 0.0
    return weights


class _Packer:
    """Rows being filled: a document goes in the first that has room."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.filling: list[list[Document]] = []
        self.full: list[list[Document]] = []

    def add(self, document: Document) -> None:
        for row in self.filling:
            if sum(len(other.ids) for other in row) + len(document.ids) <= self.length:
                row.append(document)
                return
        self.filling.append([document])
        if len(self.filling) > 12:
            self.full.append(self.filling.pop(0))

    def take(self, rows: int) -> Batch:
        ids = torch.ones(rows, self.length, dtype=torch.long)
        documents = torch.full((rows, self.length), -1)
        weights = torch.zeros(rows, self.length)
        for row, packed in enumerate(self.full[:rows]):
            start = 0
            for number, document in enumerate(packed):
                stop = start + len(document.ids)
                ids[row, start:stop] = torch.tensor(document.ids)
                weights[row, start + 1 : stop] = torch.tensor(document.weights[1:])
                documents[row, start:stop] = number
                start = stop
        del self.full[:rows]
        return Batch(ids, documents, weights)
