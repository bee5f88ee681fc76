"""Benchmarks behind the README's numbers: `python -m benchmarks [NAME …] [--quick]
[--json PATH]`.
"""
