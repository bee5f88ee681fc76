"""Training batches: documents as token ids, packed into rows that keep them apart."""

from __future__ import annotations

from collections.abc import Iterator
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
    render,
)

#: Tokens in the two kinds of row: documents that fit go in the short ones, where
#: attention costs least.
SHORT, LONG = 192, 512
#: Rows in a batch of each kind.
SHORT_ROWS, LONG_ROWS = 7, 1
#: Steps that only repeat random tokens, at the beginning.
REHEARSALS = 750
#: How many examples come in their plain form before the varied ones.
PLAIN = 300_000
# The tokens that the first third of the rehearsals draw from.
_FEW = 200
# What one token of an open answer or of plain text counts for beside a token of a
# right answer.
_OPEN_WEIGHT = 0.4
# The share of examples without instructions that become a conversation.
_CONVERSATION_SHARE = 0.04
# Rows that are filled at the same time: with more of them less is padding, and
# documents wait longer.
_MOST_FILLING = 12
# The id of padding is that of `END`; -1 is the number of no document.
_PADDING_ID = 1
_PADDING_DOCUMENT = -1


@dataclass(frozen=True)
class Document:
    """Token ids, and for each the weight of the loss in predicting it."""

    ids: list[int]
    weights: list[float]


@dataclass(frozen=True)
class Batch:
    """Rows of tokens, all of shape (rows, length).

    For each token there is its id, its document's number within the row (-1 is
    padding), and its loss weight.
    """

    ids: Tensor
    documents: Tensor
    weights: Tensor

    def mask(self) -> Tensor:
        """Return which tokens see which others, of shape (rows, 1, length, length).

        A token sees itself and the earlier ones of its document.
        """
        length = self.ids.shape[1]
        # Padding sees padding: a row of the mask without any token would give NaN.
        causal = torch.ones(length, length, dtype=torch.bool).tril()
        same = self.documents[:, :, None] == self.documents[:, None, :]
        return (same & causal)[:, None]


def batches(
    tokenizer: Tokenizer,
    seed: int,
) -> Iterator[list[Batch]]:
    """Yield the batches of each training step.

    A step has a batch of short rows, and one of long rows if enough long documents
    have come up. The first `REHEARSALS` steps repeat random tokens: a model that has
    learned to look up what came after a token learns every other task sooner. Without
    them, copying alone takes many hundreds of steps.
    """
    rng = Random(seed)
    for step in range(REHEARSALS):
        # Few tokens first: each then comes up often enough to be learned.
        distinct = VOCABULARY - len(CONTROLS)
        if step < REHEARSALS // 3:
            distinct = _FEW
        yield [_rehearsal_batch(tokenizer, rng, distinct)]
    short = _Packer(SHORT)
    long = _Packer(LONG)
    for document in documents(tokenizer, seed):
        packer = short if len(document.ids) <= SHORT else long
        packer.add(document)
        if len(short.full) < SHORT_ROWS:
            continue
        step_batches = [short.take(SHORT_ROWS)]
        if len(long.full) >= LONG_ROWS:
            step_batches.append(long.take(LONG_ROWS))
        yield step_batches


def documents(
    tokenizer: Tokenizer,
    seed: int,
) -> Iterator[Document]:
    """Yield the training examples as documents, some of them in conversations.

    A conversation has 2 to 10 turns, cut after `LONG` tokens.
    """
    rng = Random(seed)
    stream = chain(
        islice(plain_examples(seed), PLAIN),
        examples(seed),
    )
    for example in stream:
        if example.group == "raw":
            ids = tokenizer.encode(BEGIN + example.answer).ids
            yield Document(ids, [_OPEN_WEIGHT] * len(ids))
            continue
        turns = [example]
        # Instructions apply to a whole conversation, and the others have none.
        if example.instructions is None and rng.random() < _CONVERSATION_SHARE:
            count = rng.randint(1, 9)
            while len(turns) <= count:
                following = next(stream)
                if following.instructions is None and following.group != "raw":
                    turns.append(following)
        pairs = [Turn(turn.prompt, turn.answer) for turn in turns]
        ids = tokenizer.encode(render(pairs, example.instructions)).ids
        weights = _answer_weights(tokenizer, ids, turns)
        yield Document(ids[:LONG], weights[:LONG])


def _rehearsal_batch(
    tokenizer: Tokenizer,
    rng: Random,
    distinct: int,
) -> Batch:
    """Return rows of random tokens to repeat, drawn from `distinct` of them."""
    begin = tokenizer.token_to_id(BEGIN)
    assistant = tokenizer.token_to_id(ASSISTANT)
    end = tokenizer.token_to_id(END)
    packer = _Packer(SHORT)
    while len(packer.full) < SHORT_ROWS:
        drawn: list[int] = []
        for _ in range(rng.randint(3, 16)):
            # The ids of the controls come first and are left out.
            drawn.append(len(CONTROLS) + rng.randrange(distinct))
        question = [begin, *drawn, assistant]
        answer = [*drawn, end]
        # Nothing predicts a random token the first time.
        weights = [0.0] * len(question) + [1.0] * len(answer)
        packer.add(Document(question + answer, weights))
    return packer.take(SHORT_ROWS)


def _answer_weights(
    tokenizer: Tokenizer,
    ids: list[int],
    turns: list[Example],
) -> list[float]:
    """Return the loss weight of each token: only answers and their ends count."""
    assistant = tokenizer.token_to_id(ASSISTANT)
    end = tokenizer.token_to_id(END)
    waiting = iter(turns)
    weights: list[float] = []
    weight = 0.0
    for token in ids:
        # Appended first: the control that begins an answer is not part of it.
        weights.append(weight)
        if token == assistant:
            is_open = next(waiting).group == "open"
            weight = _OPEN_WEIGHT if is_open else 1.0
        elif token == end:
            weight = 0.0
    return weights


class _Packer:
    """Rows of one length being filled: a document goes in the first with room."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.filling: list[list[Document]] = []
        self.full: list[list[Document]] = []

    def add(self, document: Document) -> None:
        """Put a document into a row; it has at most the length of one."""
        for row in self.filling:
            used = sum(len(other.ids) for other in row)
            if used + len(document.ids) <= self.length:
                row.append(document)
                return
        self.filling.append([document])
        # The oldest row has had the most documents offered to it.
        if len(self.filling) > _MOST_FILLING:
            self.full.append(self.filling.pop(0))

    def take(self, rows: int) -> Batch:
        """Remove the first full rows and return them as a batch."""
        shape = (rows, self.length)
        ids = torch.full(shape, _PADDING_ID, dtype=torch.long)
        numbers = torch.full(shape, _PADDING_DOCUMENT)
        weights = torch.zeros(shape)
        for row, packed in enumerate(self.full[:rows]):
            start = 0
            for number, document in enumerate(packed):
                stop = start + len(document.ids)
                ids[row, start:stop] = torch.tensor(document.ids)
                # A document's first token would be predicted from the one before it.
                weights[row, start + 1 : stop] = torch.tensor(document.weights[1:])
                numbers[row, start:stop] = number
                start = stop
        del self.full[:rows]
        return Batch(
            ids=ids,
            documents=numbers,
            weights=weights,
        )
