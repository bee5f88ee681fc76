"""Tests of code that a model wrote, run in processes that can reach nothing else."""
