"""Matrices over the experiment of `tests.test_edit_costs`, as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.test_edit_costs import base
from themis_lib import Matrix

Spec = dict[str, Any]
MODELS = {name: {"generation.generator.model": name} for name in ("m1", "m2", "m3")}
PARSERS = {name: {"evaluation.parsers.0.suffix": name} for name in ("x", "y", "z")}
PROMPTS = {
    "plain": {"generation.prompt_spec.prefix": ""},
    "loud": {"generation.prompt_spec.prefix": "p"},
}


def matrix_file(
    folder: Path,
    matrix: Any,
    **changes: Any,
) -> Path:
    """Write an experiment with this `matrix:`, and return its path."""
    spec = {**base(folder / "store"), **changes, "matrix": matrix}
    path = folder / "costs.yaml"
    path.write_text(yaml.safe_dump(spec, sort_keys=False))
    return path


def matrix_of(
    folder: Path,
    matrix: Any,
    **changes: Any,
) -> Matrix:
    """Return a matrix over the experiment."""
    return Matrix.from_config(matrix_file(folder, matrix, **changes))
