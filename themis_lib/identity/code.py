"""Code as identity: everything that a component's code can reach, by name.

From a component, every definition of user code that it names is followed, through any
number of modules, as it is in this process: its class and all its bases, what wraps
them, their closures and defaults, the functions and classes that they name. What these
read (constants, tables, attributes) is taken by value, when the experiment is compiled.

Comments, docstrings and layout are left out, and so is what is not reached. Where the
code looks names up that its source does not show, the whole module is reached.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from themis_lib.identity.covered import CodeIdentity
from themis_lib.identity.walk import Walk

__all__ = ["CodeIdentity", "code_digest", "code_identity_of"]


def code_digest(definition: Any) -> str:
    """Return the digest of a class, function or object and of all that it reaches.

    Falls back to bytecode where there is no source (code typed into an interpreter).
    """
    return code_identity_of(definition).digest


def code_identity_of(
    root: Any,
    *,
    values: Mapping[str, Mapping[str, Any]] | None = None,
    left_out: Iterable[str] = (),
    is_secret: Callable[[str], bool] = lambda _: False,
) -> CodeIdentity:
    """Return what the code of a root reaches.

    `root` is a class, a function, or any value that holds them. `values` are
    what the root's code reads beside it, by kind ("attribute") and name. Names in
    `left_out` cannot change a result, nor can those that `is_secret`.
    """
    walk = Walk(frozenset(left_out), is_secret)
    walk.add_root(root)
    for kind, named in (values or {}).items():
        for name, value in named.items():
            walk.add_slot(f"{kind} {name}", name, value)
    walk.follow()
    return walk.result()
