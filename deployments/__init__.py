"""Where and when evaluations run, never what."""

# First: it keeps the working directory from being taken for a library.
import flows as flows


def __getattr__(name: str) -> object:
    from themis_lib.components.shared_names import attribute_beside

    return attribute_beside(__name__, name)
