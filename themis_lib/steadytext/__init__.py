"""Deterministic text generation with local models.

The same arguments give the same text, wherever and whenever.

>>> from themis_lib import steadytext
>>> steadytext.generate("What is 27 + 58?", size="tiny")  # doctest: +SKIP
'85'
"""

from themis_lib.engine.models import MODELS
from themis_lib.steadytext.api import (
    DEFAULT_SEED,
    generate,
    generate_batch,
    generate_iter,
    preload_models,
)
from themis_lib.steadytext.structured import (
    generate_choice,
    generate_format,
    generate_json,
    generate_pydantic,
    generate_regex,
)
from themis_lib.steadytext.texts import Text

__all__ = [
    "DEFAULT_SEED",
    "MODELS",
    "Text",
    "generate",
    "generate_batch",
    "generate_choice",
    "generate_format",
    "generate_iter",
    "generate_json",
    "generate_pydantic",
    "generate_regex",
    "preload_models",
]
