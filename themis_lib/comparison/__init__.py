"""Comparisons of two or more runs: what differs, how surely, and what gates decide."""
