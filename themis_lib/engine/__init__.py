"""Deterministic local text generation."""
