"""Models with random weights, of any size and quantisation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import gguf
import llama_cpp
import numpy as np

from themis_lib.engine.weights import Weights

_CONTEXT = 1024
_END, _START = 257, 258


def write_model(
    path: Path,
    *,
    layers: int = 2,
    width: int = 256,
    heads: int = 4,
    extra_tokens: int = 0,
    seed: int = 0,
    quantization: str = "F16",
    sentencepiece: bool = False,
    sliding_window: int = 0,
) -> Path:
    """Write a Llama with random weights and a vocabulary of bytes.

    With a `sliding_window`, it is a Cohere 2, of whose layers all but every fourth see
    so many tokens.

    It is in F16, or as llama.cpp quantizes it. With `sentencepiece` its vocabulary puts
    a space before the first word of a text.
    """
    source = path if quantization == "F16" else path.with_suffix(".f16.gguf")
    vocabulary = (
        _add_sentencepiece
        if sentencepiece
        else partial(_add_vocabulary, extra_tokens=extra_tokens)
    )
    _write_f16(
        source,
        layers=layers,
        width=width,
        heads=heads,
        tokens=259 + extra_tokens,
        vocabulary=vocabulary,
        seed=seed,
        sliding_window=sliding_window,
    )
    if quantization != "F16":
        parameters = llama_cpp.llama_model_quantize_default_params()
        parameters.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{quantization}")
        parameters.nthread = 2
        parameters.pure = True
        assert (
            llama_cpp.llama_model_quantize(
                str(source).encode(), str(path).encode(), parameters
            )
            == 0
        )
        source.unlink()
    return path


def text_of(weights: Weights, tokens: tuple[int, ...]) -> str:
    """Return the text of tokens, control tokens by their names."""
    get_text = weights.llama.llama_vocab_get_text
    control = {
        weights.llama.llama_vocab_bos(weights.vocab),
        weights.llama.llama_vocab_eos(weights.vocab),
    }
    return b"".join(
        get_text(weights.vocab, token) if token in control else weights.piece(token)
        for token in tokens
    ).decode()


def _write_f16(
    path: Path,
    *,
    layers: int,
    width: int,
    heads: int,
    tokens: int,
    vocabulary: Callable[[gguf.GGUFWriter], None],
    seed: int,
    sliding_window: int,
) -> None:
    random = np.random.default_rng(seed)
    hidden = (width * 8 // 3 + 255) // 256 * 256
    writer = gguf.GGUFWriter(path, "cohere2" if sliding_window else "llama")
    if sliding_window:
        writer.add_sliding_window(sliding_window)
        writer.add_layer_norm_eps(1e-5)
        writer.add_logit_scale(4.0 / np.sqrt(width))
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads // 2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_file_type(1)
    vocabulary(writer)

    def add(name: str, *shape: int, scale: float) -> None:
        writer.add_tensor(
            name, (random.standard_normal(shape) * scale).astype(np.float16)
        )

    add("token_embd.weight", tokens, width, scale=1.0)
    # Wide enough for the greedy token to win by more than rounding.
    if not sliding_window:
        add("output.weight", tokens, width, scale=4.0 / np.sqrt(width))
    writer.add_tensor("output_norm.weight", np.ones(width, dtype=np.float32))
    for layer in range(layers):
        prefix = f"blk.{layer}"
        writer.add_tensor(
            f"{prefix}.attn_norm.weight", np.ones(width, dtype=np.float32)
        )
        if not sliding_window:
            writer.add_tensor(
                f"{prefix}.ffn_norm.weight", np.ones(width, dtype=np.float32)
            )
        scale = 2.0 / np.sqrt(width)
        add(f"{prefix}.attn_q.weight", width, width, scale=scale)
        add(f"{prefix}.attn_k.weight", width // 2, width, scale=scale)
        add(f"{prefix}.attn_v.weight", width // 2, width, scale=scale)
        add(f"{prefix}.attn_output.weight", width, width, scale=scale)
        add(f"{prefix}.ffn_gate.weight", hidden, width, scale=scale)
        add(f"{prefix}.ffn_up.weight", hidden, width, scale=scale)
        add(f"{prefix}.ffn_down.weight", width, hidden, scale=2.0 / np.sqrt(hidden))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter, extra_tokens: int) -> None:
    """Add the 256 bytes as GPT-2 writes them, one merge, an end and a start.

    No text is cut into the words that follow them.
    """
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    signs = {byte: chr(byte) for byte in shown}
    signs.update(
        {
            byte: chr(256 + place)
            for place, byte in enumerate(sorted(set(range(256)) - set(shown)))
        }
    )
    words = [f"word{number}" for number in range(extra_tokens)]
    tokens = [
        *(signs[byte] for byte in range(256)),
        "ab",
        "<|end|>",
        "<|start|>",
        *words,
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 257 + [3, 3] + [1] * extra_tokens)
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(_END)
    writer.add_bos_token_id(_START)
    writer.add_add_bos_token(True)


def _add_sentencepiece(writer: gguf.GGUFWriter) -> None:
    """Add an unknown, a start and an end token, and the 256 bytes.

    The space and the letters are pieces; the others are bytes.
    """
    pieces = {
        32: "\u2581",
        **{byte: chr(byte) for byte in (*range(65, 91), *range(97, 123))},
    }
    tokens = [
        "<unk>",
        "<s>",
        "</s>",
        *(pieces.get(byte, f"<0x{byte:02X}>") for byte in range(256)),
    ]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 3 + [-float(byte) for byte in range(256)])
    writer.add_token_types(
        [2, 3, 3, *(1 if byte in pieces else 6 for byte in range(256))]
    )
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_space_prefix(True)
