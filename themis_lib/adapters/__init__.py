"""Generators that run a model: one SDK each, imported only when it is used."""

from themis_lib.adapters.llama_cpp import Llama as llama  # noqa: N813 - called like the other adapters, as a function

__all__ = ["llama"]
