"""Built-in components, named `builtin/…` in experiments."""
