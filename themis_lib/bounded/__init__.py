"""Computations with a bound on their processor time, each in a separate process."""
