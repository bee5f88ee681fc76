"""Reproducible LLM evaluation."""
