"""Benchmarks: what the README's numbers come from. `python -m benchmarks [NAME …]
[--quick] [--json PATH]`.
"""
