"""Evaluations as Prefect flows."""
