"""A Llama-architecture language model in PyTorch, laid out as llama.cpp lays it out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

#: How far back the first heads of every layer look before training; the others begin
#: without preference.
_DISTANCES = (1, 1, 2, 3)


@dataclass(frozen=True)
class Shape:
    """The sizes of a model; every one that a matrix multiplies over is a multiple of
    32, as Q8_0 needs.
    """

    vocabulary: int
    width: int = 192
    layers: int = 4
    heads: int = 6
    hidden: int = 512
    context: int = 1024
    rope_base: float = 10_000.0
    epsilon: float = 1e-5

    @property
    def head_width(self) -> int:
        """The width of one attention head."""
        return self.width // self.heads


def rotations(
    shape: Shape,
    length: int,
) -> Tensor:
    """The rotary angles of `length` positions as cosines and sines, shape (2, length,
    head_width / 2).

    Su et al. (2021), RoFormer, eq. 15.
    """
    half = (
        torch.arange(
            0,
            shape.head_width,
            2,
            dtype=torch.float32,
        )
        / shape.head_width
    )
    angles = torch.outer(
        torch.arange(length, dtype=torch.float32), shape.rope_base**-half
    )
    return torch.stack((angles.cos(), angles.sin()))


def rotated(
    heads: Tensor,
    turn: Tensor,
) -> Tensor:
    """`heads` (batch, heads, length, head_width) with each pair (2i, 2i + 1) turned by
    its position's angle.

    Adjacent pairs are Meta's original order and llama.cpp's NORM order, so the export
    permutes nothing.
    """
    cos, sin = turn.to(heads.dtype)
    even, odd = heads[..., 0::2], heads[..., 1::2]
    return torch.stack(
        (even * cos - odd * sin, even * sin + odd * cos), dim=-1
    ).flatten(-2)


class Attention(nn.Module):
    """Causal self-attention, masked to each document of a packed row."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q = nn.Linear(shape.width, shape.width)
        self.k = nn.Linear(shape.width, shape.width)
        self.v = nn.Linear(shape.width, shape.width, bias=False)
        self.output = nn.Linear(shape.width, shape.width, bias=False)

    def look_back(self, turns: Tensor) -> None:
        """Set the biases so that head i begins by attending to the token
        `_DISTANCES[i]` back.
        """
        nn.init.zeros_(self.q.bias)
        nn.init.zeros_(self.k.bias)
        q, k = (
            linear.bias.detach().view(self.shape.heads, -1, 2)
            for linear in (self.q, self.k)
        )
        for head, distance in zip(range(self.shape.heads), _DISTANCES, strict=False):
            k[head, :, 0] = 1.0
            q[head, :, 0], q[head, :, 1] = turns[0, distance], -turns[1, distance]

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor,
        turn: Tensor,
    ) -> Tensor:
        batch, length, width = hidden.shape
        q, k, v = (
            linear(hidden)
            .view(
                batch,
                length,
                self.shape.heads,
                -1,
            )
            .transpose(1, 2)
            for linear in (self.q, self.k, self.v)
        )
        # Written out: on short rows, the CPU's fused attention takes several times as
        # long to go backward.
        scores = rotated(q * self.shape.head_width**-0.5, turn) @ rotated(
            k, turn
        ).transpose(-1, -2)
        mixed = scores.masked_fill(~mask, float("-inf")).softmax(-1).to(v.dtype) @ v
        return self.output(mixed.transpose(1, 2).reshape(batch, length, width))


class Block(nn.Module):
    """One layer: attention, then a SwiGLU network, each on normalised input and added
    to it.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.attention = Attention(shape)
        self.network_norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.gate = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor,
        turn: Tensor,
    ) -> Tensor:
        hidden = hidden + self.attention(self.attention_norm(hidden), mask, turn)
        normed = self.network_norm(hidden)
        return hidden + self.down(functional.silu(self.gate(normed)) * self.up(normed))


class TinyLlama(nn.Module):
    """The whole model; the embedding is also the output matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        self.register_buffer("turns", rotations(shape, shape.context), persistent=False)
        self._initialise_weights()

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor,
    ) -> Tensor:
        """The last hidden states (batch, length, width); `mask` (batch, 1, length,
        length) is true where one sees.
        """
        turn = self.turns[:, : tokens.shape[1]]
        hidden = self.embedding(tokens)
        for block in self.blocks:
            hidden = block(hidden, mask, turn)
        return self.norm(hidden)

    def _initialise_weights(self) -> None:
        nn.init.normal_(self.embedding.weight, std=0.02)
        for matrix in self.blocks.parameters():
            if matrix.dim() == 2:
                nn.init.normal_(matrix, std=0.5 / matrix.shape[1] ** 0.5)
        for block in self.blocks:
            block.attention.look_back(self.turns)

    def logits(self, hidden: Tensor) -> Tensor:
        """The scores of every token after `hidden` (…, width)."""
        return functional.linear(hidden, self.embedding.weight)
