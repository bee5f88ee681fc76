"""A Llama-architecture language model in PyTorch, laid out as llama.cpp lays it out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

# How far back the first heads of every layer look before training; the others begin
# without preference.
_DISTANCES = (1, 1, 2, 3)


@dataclass(frozen=True)
class Shape:
    """The sizes of a model.

    Each size that a matrix multiplies over is a multiple of 32, the block of Q8_0.
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
        """The width of one attention head, in numbers."""
        return self.width // self.heads


def rotary_angles(
    shape: Shape,
    length: int,
) -> Tensor:
    """Return the cosines and sines of the rotary angles of `length` positions.

    Their shape is (2, length, head_width / 2). Su et al. (2021), RoFormer, eq. 15.
    """
    pairs = torch.arange(
        0,
        shape.head_width,
        2,
        dtype=torch.float32,
    )
    exponents = pairs / shape.head_width
    positions = torch.arange(length, dtype=torch.float32)
    angles = torch.outer(positions, shape.rope_base**-exponents)
    return torch.stack((angles.cos(), angles.sin()))


def rotate(
    heads: Tensor,
    turn: Tensor,
) -> Tensor:
    """Return heads with each pair (2i, 2i + 1) turned by the angle of its position.

    `heads` has the shape (batch, heads, length, head_width).
    """
    # Adjacent pairs are Meta's original order and llama.cpp's NORM order, so that the
    # export permutes nothing.
    cos, sin = turn.to(heads.dtype)
    even = heads[..., 0::2]
    odd = heads[..., 1::2]
    turned = (
        even * cos - odd * sin,
        even * sin + odd * cos,
    )
    return torch.stack(turned, dim=-1).flatten(-2)


class Attention(nn.Module):
    """Causal self-attention, masked to each document of a packed row."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        # Only queries and keys have biases: `look_back` sets them.
        self.q = nn.Linear(shape.width, shape.width)
        self.k = nn.Linear(shape.width, shape.width)
        self.v = nn.Linear(shape.width, shape.width, bias=False)
        self.output = nn.Linear(shape.width, shape.width, bias=False)

    def look_back(self, turns: Tensor) -> None:
        """Set the biases so that head i begins by looking `_DISTANCES[i]` tokens back.

        `turns` are the rotary angles of the positions.
        """
        nn.init.zeros_(self.q.bias)
        nn.init.zeros_(self.k.bias)
        # Views: what is written to them is written to the biases.
        q = self.q.bias.detach().view(self.shape.heads, -1, 2)
        k = self.k.bias.detach().view(self.shape.heads, -1, 2)
        # A query turned back by a distance fits the key that is so far behind it.
        for head, distance in zip(range(self.shape.heads), _DISTANCES, strict=False):
            k[head, :, 0] = 1.0
            q[head, :, 0] = turns[0, distance]
            q[head, :, 1] = -turns[1, distance]

    def forward(
        self,
        hidden: Tensor,
        mask: Tensor,
        turn: Tensor,
    ) -> Tensor:
        """Return the mixed values (batch, length, width) of what each token sees."""
        batch, length, width = hidden.shape
        q = self.split_heads(self.q(hidden))
        k = self.split_heads(self.k(hidden))
        v = self.split_heads(self.v(hidden))
        # Written out: on short rows, the CPU's fused attention takes several times as
        # long to go backward.
        queries = rotate(q * self.shape.head_width**-0.5, turn)
        keys = rotate(k, turn)
        scores = queries @ keys.transpose(-1, -2)
        # Under autocast the softmax may come in a wider type than the values.
        seen = scores.masked_fill(~mask, float("-inf")).softmax(-1)
        mixed = seen.to(v.dtype) @ v
        return self.output(mixed.transpose(1, 2).reshape(batch, length, width))

    def split_heads(self, values: Tensor) -> Tensor:
        """Split (batch, length, width) into (batch, heads, length, head_width)."""
        batch, length, _ = values.shape
        split = values.view(
            batch,
            length,
            self.shape.heads,
            -1,
        )
        return split.transpose(1, 2)


class Block(nn.Module):
    """One layer: attention, then a SwiGLU network, each added to its input.

    Both read their input normalised.
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
        """Return the hidden states (batch, length, width) after this layer."""
        attended = self.attention(self.attention_norm(hidden), mask, turn)
        hidden = hidden + attended
        normed = self.network_norm(hidden)
        gated = functional.silu(self.gate(normed)) * self.up(normed)
        return hidden + self.down(gated)


class TinyLlama(nn.Module):
    """The whole model; the embedding is also the output matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.epsilon)
        # Not persistent: the export would have no GGUF name for it.
        self.register_buffer(
            "turns",
            rotary_angles(shape, shape.context),
            persistent=False,
        )
        # The order is part of the result: each matrix draws from the same generator.
        nn.init.normal_(self.embedding.weight, std=0.02)
        for matrix in self.blocks.parameters():
            if matrix.dim() == 2:
                nn.init.normal_(matrix, std=0.5 / matrix.shape[1] ** 0.5)
        for block in self.blocks:
            block.attention.look_back(self.turns)

    def forward(
        self,
        tokens: Tensor,
        mask: Tensor,
    ) -> Tensor:
        """Return the last hidden states (batch, length, width).

        `mask` (batch, 1, length, length) is true where a token sees another.
        """
        turn = self.turns[:, : tokens.shape[1]]
        hidden = self.embedding(tokens)
        for block in self.blocks:
            hidden = block(hidden, mask, turn)
        return self.norm(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the scores of every token after `hidden` (…, width)."""
        return functional.linear(hidden, self.embedding.weight)
