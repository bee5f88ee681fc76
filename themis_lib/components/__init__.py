"""Names in an experiment become objects that keep a protocol."""
