"""Export of the trained model as a GGUF file that llama.cpp loads."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, TokenType
from tokenizers import Tokenizer

from themis_lib.engine.tiny.model import Shape, TinyLlama
from themis_lib.engine.tiny.tokenizer import (
    BEGIN,
    CHAT_TEMPLATE,
    CONTROLS,
    END,
    SPLIT_NAME,
    merges,
    vocabulary,
)

# The names of a block's parameters, here and in llama.cpp.
_BLOCK_NAMES = {
    "attention_norm": "attn_norm",
    "attention.q": "attn_q",
    "attention.k": "attn_k",
    "attention.v": "attn_v",
    "attention.output": "attn_output",
    "network_norm": "ffn_norm",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def export(
    model: TinyLlama,
    tokenizer: Tokenizer,
    path: Path,
) -> None:
    """Write the model to `path`, its matrices as Q8_0 and its norms as 32-bit floats.

    The file appears whole or not at all. It holds no output matrix: llama.cpp then uses
    the embedding.
    """
    # Renamed at the end: an interrupted training leaves the last whole model.
    partial = path.with_suffix(".partial")
    writer = GGUFWriter(partial, "llama")
    _describe_model(writer, model.shape)
    _add_tokenizer(writer, tokenizer)
    for name, parameter in model.state_dict().items():
        values = parameter.detach().float().numpy().astype(np.float32)
        if values.ndim == 1:
            # Norms and biases stay 32-bit floats, as in llama.cpp's own exports.
            writer.add_tensor(gguf_name(name), values)
            continue
        kind = GGMLQuantizationType.Q8_0
        quantized = gguf.quants.quantize(values, kind)
        writer.add_tensor(gguf_name(name), quantized, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(path)


def gguf_name(name: str) -> str:
    """Return llama.cpp's name of a parameter.

    >>> gguf_name("blocks.0.attention.q.weight")
    'blk.0.attn_q.weight'
    """
    stem, kind = name.rsplit(".", 1)
    match stem.split(".", 2):
        case ["embedding"]:
            return "token_embd.weight"
        case ["norm"]:
            return "output_norm.weight"
        case ["blocks", number, inner]:
            return f"blk.{number}.{_BLOCK_NAMES[inner]}.{kind}"
        case _:
            # A layer was added to the model but not to the table above.
            raise ValueError(f"{name!r} has no GGUF name: add it to _BLOCK_NAMES")


def _describe_model(
    writer: GGUFWriter,
    shape: Shape,
) -> None:
    writer.add_name("steadytext-tiny")
    writer.add_description(
        "A small chat model trained from scratch on synthetic tasks "
        "and template English."
    )
    writer.add_license("mit")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.hidden)
    writer.add_head_count(shape.heads)
    # As many as queries have: keys and values are not shared between heads.
    writer.add_head_count_kv(shape.heads)
    writer.add_rope_dimension_count(shape.head_width)
    writer.add_rope_freq_base(shape.rope_base)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(shape.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_tokenizer(
    writer: GGUFWriter,
    tokenizer: Tokenizer,
) -> None:
    tokens = vocabulary(tokenizer)
    # llama.cpp's name for byte-level BPE.
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(SPLIT_NAME)
    writer.add_token_list(tokens)
    types: list[TokenType] = []
    for token in tokens:
        # Only control tokens are recognised in a rendered template, and not printed.
        is_control = token in CONTROLS
        types.append(TokenType.CONTROL if is_control else TokenType.NORMAL)
    writer.add_token_types(types)
    writer.add_token_merges(merges(tokenizer))
    writer.add_bos_token_id(tokens.index(BEGIN))
    writer.add_eos_token_id(tokens.index(END))
    # A turn, a text and padding all end with the same token: there is no other.
    writer.add_eot_token_id(tokens.index(END))
    writer.add_pad_token_id(tokens.index(END))
    # Every training document begins with it.
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(CHAT_TEMPLATE)
