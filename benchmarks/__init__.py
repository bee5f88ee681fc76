"""Benchmarks behind the numbers of the documentation: `python -m benchmarks [NAME …] [--quick]
[--json PATH]`.
"""
