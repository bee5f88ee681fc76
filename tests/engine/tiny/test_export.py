"""The exported file holds the model and its tokenizer, whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")
pytest.importorskip("tokenizers")

import gguf
import torch

from themis_lib.engine.tiny.export import export, gguf_name
from themis_lib.engine.tiny.model import Shape, TinyLlama
from themis_lib.engine.tiny.tokenizer import CONTROLS, learn_tokenizer, vocabulary


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A small model, its tokenizer and the file of both."""
    torch.manual_seed(0)
    tokenizer = learn_tokenizer(["The cat sat on the mat."] * 3)
    model = TinyLlama(
        Shape(len(vocabulary(tokenizer)), width=64, layers=1, hidden=96, heads=2)
    )
    path = tmp_path_factory.mktemp("export") / "small.gguf"
    export(model, tokenizer, path)
    return model, tokenizer, path


def test_every_parameter_is_in_the_file(exported):
    """Matrices are Q8_0, norms and biases 32-bit floats."""
    model, _, path = exported
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}

    assert {gguf_name(name) for name in model.state_dict()} == set(tensors)
    for name, parameter in model.state_dict().items():
        tensor = tensors[gguf_name(name)]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        is_matrix = parameter.ndim == 2
        assert is_matrix == (tensor.tensor_type == gguf.GGMLQuantizationType.Q8_0)
        error = 0.01 * float(parameter.abs().max()) if is_matrix else 0
        assert np.abs(values - parameter.numpy()).max() <= error


def test_the_tokens_are_in_the_file_by_id(exported):
    """Controls are marked as such."""
    _, tokenizer, path = exported
    fields = gguf.GGUFReader(path).fields

    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()

    assert vocabulary(tokenizer) == tokens
    assert [3] * len(CONTROLS) == types[: len(CONTROLS)]
    assert {1} == set(types[len(CONTROLS) :])


def test_no_partial_file_is_left(exported):
    """The folder holds the file alone."""
    _, _, path = exported

    assert [path] == list(path.parent.iterdir())


def test_a_parameter_without_a_name_is_refused():
    """A layer that is new to the model has to be added to the table."""
    with pytest.raises(ValueError, match=r"'other\.weight' has no GGUF name"):
        gguf_name("other.weight")
