"""Constraints that a generated text must satisfy."""
