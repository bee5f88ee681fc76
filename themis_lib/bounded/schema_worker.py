"""Validation by jsonschema. Run by `worker.py`; imports nothing of the library."""

from __future__ import annotations

from typing import Any


def prepare() -> None:
    """Load jsonschema. Raise `ImportError` if it is missing."""
    import jsonschema  # noqa: F401


def answer(
    schema: dict[str, Any],
    value: Any,
) -> dict[str, Any]:
    """Return why a value is invalid, or nulls if it is valid.

    `path` says where in the value `message` applies; without it the schema cannot be
    used. `first` is the message of the error that is found first.
    """
    from jsonschema.exceptions import best_match
    from jsonschema.validators import Draft202012Validator, validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    definition = validator_for(
        schema,
        default=Draft202012Validator,
    )
    # An empty registry: jsonschema's own would fetch references from the network.
    validator = definition(schema, registry=Registry())
    try:
        errors = list(validator.iter_errors(value))
        best = best_match(errors)
    # Known only when a value reaches the reference.
    except Unresolvable as unresolved:
        return {
            "path": None,
            "message": f"the schema refers to what is not in it: {unresolved}",
            "first": None,
        }
    # A reference that leads to itself, or a value nested beyond what Python holds: the
    # same would happen again.
    except RecursionError:
        return {
            "path": None,
            "message": "the schema refers to itself without end, or the value is "
            "nested too deeply",
            "first": None,
        }
    if best is None:
        return {
            "path": None,
            "message": None,
            "first": None,
        }
    return {
        "path": best.json_path,
        "message": best.message,
        "first": errors[0].message,
    }
