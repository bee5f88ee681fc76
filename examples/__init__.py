"""Experiments to copy."""
