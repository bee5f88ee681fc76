"""Experiments compiled, driven and recorded."""
