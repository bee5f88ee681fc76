"""GGUF files written byte by byte, and programs that choose models in new processes."""

from __future__ import annotations

import os
import struct
import subprocess
import sys

#: Numbers of tensor types (ggml.h).
Q8_0, F32 = 8, 0
#: A time of modification, in seconds, at which a file has long settled.
LONG_AGO = 1_700_000_000


def gguf_text(value: str) -> bytes:
    """Return a text as GGUF writes it: its length, then its bytes."""
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_file(
    *,
    version: int = 3,
    parts: int = 1,
    alignment: int = 32,
    elements: int = 64,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """Return a GGUF file with settings of every kind and two tensors."""
    pairs = [
        gguf_text("general.architecture") + struct.pack("<I", 8) + gguf_text("llama"),
        gguf_text("general.alignment") + struct.pack("<II", 4, alignment),
        gguf_text("split.count") + struct.pack("<IH", 2, parts),
        gguf_text("llama.rope.freq_base") + struct.pack("<If", 6, 1e4),
        gguf_text("tokenizer.tokens")
        + struct.pack("<IIQ", 9, 8, 3)
        + gguf_text("a")
        + gguf_text("b")
        + gguf_text("🙂"),
        gguf_text("tokenizer.scores") + struct.pack("<IIQ3f", 9, 6, 3, 0, 1, 2),
    ]
    tensors = [
        gguf_text("first") + struct.pack("<IQQIQ", 2, 32, 2, Q8_0, 0),
        gguf_text("second") + struct.pack("<IQIQ", 1, elements, F32, 96),
    ]
    tensor_count, pair_count = counts or (len(tensors), len(pairs))
    header = (
        b"GGUF"
        + struct.pack("<IQQ", version, tensor_count, pair_count)
        + b"".join(pairs + tensors)
    )
    padding = -len(header) % max(alignment, 1)
    return header + bytes(padding) + bytes(96 + 4 * 64)


def run_choosing(
    program: str,
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run a program that has `find_model`, in a new process with more environment."""
    head = (
        "import sys, time, warnings\nfrom themis_lib.engine.models import find_model\n"
    )
    return subprocess.run(
        [sys.executable, "-c", head + program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
