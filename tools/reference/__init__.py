"""The reference of the documentation, generated from the code.

    python -m tools.reference [--check]

It writes `docs/reference/*.md`. With `--check` it writes nothing, and fails if a page
is not what it would write.
"""
