"""Built-in generators, parsers, metrics and reducers, named `builtin/…` in experiments."""
